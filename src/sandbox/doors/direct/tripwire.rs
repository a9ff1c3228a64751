//! The tripwire: kills a process of a test at a chosen point.

use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Notify;

#[derive(Debug, Default)]
struct State {
    points: Vec<String>,
    die_at: Option<usize>,
    dead: bool,
}

/// Counts the points that a process passes (before and after every effect, every append and every sync), and kills it at one
/// of them: the call in which it dies never returns, no later call of that process has an effect, and [`Tripwire::died`]
/// returns, so that the test can drop what is left of the process. Clones are the same tripwire.
#[derive(Debug, Clone, Default)]
pub struct Tripwire {
    state: Arc<Mutex<State>>,
    death: Arc<Notify>,
}

impl Tripwire {
    /// One that never kills.
    pub fn new() -> Self {
        Self::default()
    }
    /// One that kills at this point, counted from 0.
    pub fn at(point: usize) -> Self {
        let wire = Self::default();
        wire.with(|s| s.die_at = Some(point));
        wire
    }
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
    /// The points passed so far, in words; the last is where it died.
    pub fn points(&self) -> Vec<String> {
        self.with(|s| s.points.clone())
    }
    /// Whether the process is dead.
    pub fn dead(&self) -> bool {
        self.with(|s| s.dead)
    }
    /// Kills the process now.
    pub fn kill(&self) {
        self.with(|s| s.dead = true);
        self.death.notify_waiters();
    }
    /// Returns when the process has died.
    pub async fn died(&self) {
        loop {
            let death = self.death.notified();
            if self.dead() {
                return;
            }
            death.await;
        }
    }
    /// Never returns in a dead process.
    pub async fn alive(&self) {
        if self.dead() {
            std::future::pending::<()>().await;
        }
    }
    /// Passes a point. `last` is done by a process that dies here: half a write.
    pub async fn point_or(&self, name: &str, last: impl FnOnce() + Send) {
        self.alive().await;
        let dies = self.with(|s| {
            let dies = s.die_at == Some(s.points.len());
            s.points.push(name.to_owned());
            dies
        });
        if dies {
            last();
            self.kill();
        }
        self.alive().await;
    }
    /// Passes a point.
    pub async fn point(&self, name: &str) {
        self.point_or(name, || {}).await;
    }
}
