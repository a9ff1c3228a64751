//! The operator's machine: its clock and its randomness.

use crate::world::{Clock, Random};
use async_trait::async_trait;
use rand::TryRngCore;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Wall time that a deadline on a faster clock leaves to this machine. Only what the sandbox emulates runs faster: handshakes,
/// processes and a scheduler with too much to do take the time that they take, and at thirty times the wall's pace two minutes
/// are four seconds. A run must fail for what its world does and not for a slow laptop. It is added, and no lower bound: a
/// deadline stays as much longer than another as it was.
const MACHINE: Duration = Duration::from_secs(30);

/// The wall's clock; in the sandbox it may run faster.
///
/// It counts on the monotonic clock from the wall time of its creation, so that a step of the wall clock (NTP, a person)
/// neither ends a deadline nor makes journal times run backwards.
pub struct SystemClock {
    began: Duration,
    since: Instant,
    factor: f64,
}

impl SystemClock {
    /// A clock as fast as the wall's.
    pub fn wall() -> Self {
        Self::faster(1.0)
    }
    /// A clock in which `factor` seconds pass in a wall second, from now on. Anything but a positive number counts as 1.
    pub fn faster(factor: f64) -> Self {
        Self::from(wall(), factor)
    }
    /// A clock that reads `now` at this moment, and in which `factor` seconds pass in a wall second.
    pub fn from(now: Duration, factor: f64) -> Self {
        let factor = if factor.is_finite() && factor > 0.0 { factor } else { 1.0 };
        Self { began: now, since: Instant::now(), factor }
    }
}

fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

#[async_trait]
impl Clock for SystemClock {
    fn now(&self) -> Duration {
        self.began + self.since.elapsed().mul_f64(self.factor)
    }
    async fn sleep(&self, time: Duration) {
        tokio::time::sleep(time.div_f64(self.factor)).await;
    }
    async fn deadline(&self, time: Duration) {
        let own = if self.factor > 1.0 { MACHINE } else { Duration::ZERO };
        tokio::time::sleep(time.div_f64(self.factor) + own).await;
    }
    fn factor(&self) -> f64 {
        self.factor
    }
}

/// The operating system's randomness.
pub struct OsRandom;

impl Random for OsRandom {
    /// Should the system have no randomness to give, which Linux and macOS do not do once they have booted, the process ends:
    /// keys made of anything else must not exist.
    fn fill(&self, bytes: &mut [u8]) {
        if rand::rngs::OsRng.try_fill_bytes(bytes).is_err() {
            tracing::error!("the operating system has no randomness to give; relight ends");
            std::process::abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_faster_clock_counts_more_time_from_the_same_start() {
        let clock = SystemClock::faster(1_000_000.0);
        let first = clock.now();
        let began = Instant::now();
        while began.elapsed() < Duration::from_millis(1) {
            std::thread::yield_now();
        }
        assert!(clock.now().saturating_sub(first) >= Duration::from_secs(1000));
        assert!((clock.factor() - 1_000_000.0).abs() < f64::EPSILON);
        assert!((SystemClock::faster(f64::NAN).factor() - 1.0).abs() < f64::EPSILON);
    }

    #[test]
    fn two_fills_differ() {
        let (mut a, mut b) = ([0; 32], [0; 32]);
        OsRandom.fill(&mut a);
        OsRandom.fill(&mut b);
        assert_ne!(a, b);
        assert_ne!(a, [0; 32]);
    }
}
