//! Virtual time and repeatable randomness.

use super::Tripwire;
use crate::sandbox::model::Seeded;
use crate::world::{Clock, Random};
use async_trait::async_trait;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// The runtime's clock, from a point in time that the model knows. Made inside the runtime whose time may be paused.
#[derive(Debug, Clone)]
pub struct DirectClock {
    base: Duration,
    start: tokio::time::Instant,
    wire: Tripwire,
}

impl DirectClock {
    /// A clock that shows `base` now.
    pub fn from(base: Duration, wire: &Tripwire) -> Self {
        Self { base, start: tokio::time::Instant::now(), wire: wire.clone() }
    }
    /// Time since the Unix epoch.
    pub fn time(&self) -> Duration {
        self.base + self.start.elapsed()
    }
    /// Returns after this much time, unless the process is dead by then.
    pub async fn wait(&self, time: Duration) {
        tokio::time::sleep(time).await;
        self.wire.alive().await;
    }
}

#[async_trait]
impl Clock for DirectClock {
    fn now(&self) -> Duration {
        self.time()
    }
    async fn sleep(&self, time: Duration) {
        self.wait(time).await;
    }
}

/// Randomness that goes on where the last process left off, so that a resumed run never repeats an earlier one's numbers.
#[derive(Debug, Clone)]
pub struct SeededRandom(Arc<Mutex<Seeded>>);

impl SeededRandom {
    /// From a seed.
    pub fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(Seeded::new(seed))))
    }
}

impl Random for SeededRandom {
    fn fill(&self, bytes: &mut [u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fill(bytes);
    }
}
