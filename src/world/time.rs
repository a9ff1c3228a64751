//! Time and randomness, so that a whole run can happen in virtual time and be repeated exactly.

use async_trait::async_trait;
use std::time::Duration;

/// The run's clock. In the sandbox it may run faster than the wall's: all polling, backoff, deadlines, stability windows and
/// shown times are in this clock's time, socket time-outs alone in wall time.
#[async_trait]
pub trait Clock: Send + Sync {
    /// Time since the Unix epoch.
    fn now(&self) -> Duration;
    /// Returns after this much of the clock's time.
    async fn sleep(&self, time: Duration);
    /// Returns when a deadline of this much of the clock's time is over. A clock that runs faster than the wall's adds wall time
    /// for what does not run faster with it.
    async fn deadline(&self, time: Duration) {
        self.sleep(time).await;
    }
    /// How many clock seconds pass in a wall second.
    fn factor(&self) -> f64 {
        1.0
    }
}

/// Where random bytes come from.
pub trait Random: Send + Sync {
    /// Fills the buffer with unpredictable bytes (under virtual time: repeatable ones).
    fn fill(&self, bytes: &mut [u8]);
}

/// Unix seconds as systemd reads a moment: `2026-12-01 12:00:00 UTC`. Source: systemd.time(7), "Calendar events".
pub fn calendar(seconds: i64) -> String {
    let moment = jiff::Timestamp::from_second(seconds).unwrap_or_default();
    format!("{} UTC", moment.strftime("%Y-%m-%d %H:%M:%S"))
}

/// Milliseconds since the Unix epoch, as stored.
pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// A time of the clock as RFC 3339 in UTC with milliseconds, as journals and reports print it.
pub fn rfc3339(time: Duration) -> String {
    let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_millisecond(millis).map_or_else(|_| format!("{}ms", time.as_millis()), |t| format!("{t:.3}"))
}

/// The inverse of [`rfc3339`], for whatever writes such times; `None` where it is none.
pub fn from_rfc3339(text: &str) -> Option<Duration> {
    let moment: jiff::Timestamp = text.parse().ok()?;
    u64::try_from(moment.as_millisecond()).ok().map(Duration::from_millis)
}
