//! How long to wait before the next attempt or the next look.

use crate::world::Random;
use std::time::Duration;

/// First backoff.
const BASE: Duration = Duration::from_secs(1);
/// Longest backoff.
const CAP: Duration = Duration::from_secs(30);
/// Longest pause between two looks.
const LOOK_CAP: Duration = Duration::from_secs(3);
/// Shortest pause between two looks.
const LOOK_BASE: Duration = Duration::from_millis(500);
/// Something under way is looked at again after this part of the time that was waited for it: what it ends later for being seen
/// late is one part in so many, however long it takes.
const LOOK_PART: u32 = 20;

/// Backoff before attempt `attempt + 1`: full jitter over a doubling limit (1 s to 30 s), so that many steps that failed
/// together do not come back together; never below what the outside asked for.
/// Source: AWS Architecture Blog, "Exponential Backoff And Jitter" (full jitter).
pub fn backoff(attempt: u32, asked: Option<Duration>, random: &dyn Random) -> Duration {
    let limit = BASE.saturating_mul(1 << attempt.saturating_sub(1).min(5)).min(CAP);
    let mut bytes = [0u8; 4];
    random.fill(&mut bytes);
    let share = f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX);
    limit.mul_f64(share).max(Duration::from_millis(100)).max(asked.unwrap_or_default())
}

/// Pause before the next look at something that goes on by itself, once this much time was waited for it.
pub fn pause(waited: Duration) -> Duration {
    (waited / LOOK_PART).clamp(LOOK_BASE, LOOK_CAP)
}

/// Pause before the next look at something that may only not be visible yet: twice as long each time.
pub fn settling(looks: u32) -> Duration {
    LOOK_BASE.saturating_mul(1 << looks.min(3)).min(LOOK_CAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed(u8);
    impl Random for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    #[test]
    fn backoff_doubles_up_to_its_cap_and_honours_what_was_asked() {
        assert_eq!(backoff(1, None, &Fixed(255)), BASE);
        assert_eq!(backoff(3, None, &Fixed(255)), BASE * 4);
        assert_eq!(backoff(40, None, &Fixed(255)), CAP);
        assert_eq!(backoff(1, Some(Duration::from_secs(60)), &Fixed(0)), Duration::from_secs(60));
    }
}
