//! How fast an API may be asked: one token bucket for each API, kept honest by the API's own headers.

use crate::world::Clock;
use http::HeaderMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How much longer than usual one waits between two looks when the bucket is empty.
const SLOWEST: f64 = 10.0;

/// A token bucket in the run's clock.
///
/// Hetzner: 3600 requests an hour for each project, one more each second. Source: Hetzner Cloud API overview, "Rate Limiting".
/// Cloudflare: 1200 requests in 5 minutes for each user or token, and a breach blocks every call for 5 minutes. Source:
/// Cloudflare's "API rate limits". Both tell what is left in their headers, and others may draw on the same allowance, so the
/// smaller of the two counts is believed.
pub struct Budget {
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

struct State {
    capacity: f64,
    refill: f64,
    tokens: f64,
    at: Duration,
    shut_until: Duration,
}

impl State {
    fn flow(&mut self, now: Duration) {
        let passed = now.saturating_sub(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * self.refill).min(self.capacity);
        self.at = self.at.max(now);
    }
}

impl Budget {
    /// A full bucket of this many requests that refills evenly within the window.
    pub fn new(clock: Arc<dyn Clock>, requests: u32, window: Duration) -> Self {
        let capacity = f64::from(requests.max(1));
        let refill = capacity / window.as_secs_f64().max(0.001);
        let at = clock.now();
        let state = State { capacity, refill, tokens: capacity, at, shut_until: Duration::ZERO };
        Self { clock, state: Mutex::new(state) }
    }

    /// Waits until a request may be sent, and counts it.
    pub async fn take(&self) {
        while let Some(wait) = self.try_take() {
            self.clock.sleep(wait).await;
        }
    }

    /// Counts a request, or says how long to wait before trying again.
    fn try_take(&self) -> Option<Duration> {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.flow(now);
        if now < state.shut_until {
            return Some(state.shut_until.saturating_sub(now));
        }
        if state.tokens >= 1.0 {
            state.tokens -= 1.0;
            return None;
        }
        Some(Duration::from_secs_f64(((1.0 - state.tokens) / state.refill).max(0.001)))
    }

    /// Learns from a reply's headers what is left: `RateLimit-Limit` and `RateLimit-Remaining` (Hetzner), or
    /// `Ratelimit: "default";r=50;t=30` (Cloudflare: `r` left, for the next `t` seconds).
    pub fn learn(&self, headers: &HeaderMap) {
        let number = |name: &str| headers.get(name)?.to_str().ok()?.trim().parse::<f64>().ok();
        let structured = headers.get("ratelimit").and_then(|value| value.to_str().ok());
        let remaining = number("ratelimit-remaining").or_else(|| parameter(structured?, "r"));
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.flow(now);
        if let Some(limit) = number("ratelimit-limit").filter(|limit| *limit >= 1.0) {
            state.refill *= limit / state.capacity;
            state.capacity = limit;
        }
        if let Some(remaining) = remaining.filter(|left| left.is_finite()) {
            state.tokens = state.tokens.min(remaining.max(0.0));
        }
        if structured.is_some() && remaining.is_some_and(|left| left < 1.0) {
            let seconds = structured.and_then(|value| parameter(value, "t")).unwrap_or(1.0).clamp(0.0, 3600.0);
            state.shut_until = state.shut_until.max(now + Duration::from_secs_f64(seconds));
        }
    }

    /// The API has refused for being asked too often: nothing is sent for this long, or until one more request is due.
    /// Returns how long that is.
    pub fn refused(&self, after: Option<Duration>) -> Duration {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.flow(now);
        state.tokens = 0.0;
        let wait = after.unwrap_or_else(|| Duration::from_secs_f64((1.0 / state.refill).clamp(0.1, 60.0)));
        state.shut_until = state.shut_until.max(now + wait);
        wait
    }

    /// How long to wait between two looks at the same thing: the given time while a quarter of the allowance is left, and
    /// evenly up to ten times that as it runs dry, so that looking never starves acting.
    pub fn pace(&self, usual: Duration) -> Duration {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.flow(now);
        let share = (state.tokens / (state.capacity * 0.25)).clamp(0.0, 1.0);
        usual.mul_f64(1.0 + (SLOWEST - 1.0) * (1.0 - share))
    }
}

/// The parameter of a structured header: `r` of `"default";r=50;t=30`.
fn parameter(value: &str, key: &str) -> Option<f64> {
    value.split(';').find_map(|part| part.trim().strip_prefix(key)?.strip_prefix('=')?.trim().parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use async_trait::async_trait;

    /// A clock that jumps to the end of every sleep.
    #[derive(Default)]
    struct Jumping(Mutex<Duration>);

    #[async_trait]
    impl Clock for Jumping {
        fn now(&self) -> Duration {
            *self.0.lock().unwrap()
        }
        async fn sleep(&self, time: Duration) {
            *self.0.lock().unwrap() += time;
        }
    }

    fn bucket(requests: u32, seconds: u64) -> (Arc<Jumping>, Budget) {
        let clock = Arc::new(Jumping::default());
        (clock.clone(), Budget::new(clock, requests, Duration::from_secs(seconds)))
    }

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(k, v)| (k.parse().unwrap(), v.parse().unwrap())).collect()
    }

    #[tokio::test]
    async fn a_full_bucket_lets_a_burst_through_and_then_one_each_refill() {
        let (clock, budget) = bucket(10, 10);
        for _ in 0..10 {
            budget.take().await;
        }
        assert_eq!(clock.now(), Duration::ZERO);
        budget.take().await;
        budget.take().await;
        let waited = clock.now().as_secs_f64();
        assert!((1.99..2.1).contains(&waited), "{waited}");
    }

    #[tokio::test]
    async fn the_smaller_of_its_own_count_and_the_headers_is_believed() {
        let (clock, budget) = bucket(3600, 3600);
        budget.learn(&headers(&[("ratelimit-limit", "3600"), ("ratelimit-remaining", "1")]));
        budget.take().await;
        assert_eq!(clock.now(), Duration::ZERO);
        budget.take().await;
        assert!(clock.now() >= Duration::from_millis(990));
        budget.learn(&headers(&[("ratelimit-remaining", "3000")]));
        budget.take().await;
        assert!(clock.now() >= Duration::from_millis(1980), "a larger count in a late reply is not believed");
    }

    #[tokio::test]
    async fn a_larger_limit_of_the_project_refills_faster() {
        let (clock, budget) = bucket(3600, 3600);
        budget.learn(&headers(&[("ratelimit-limit", "36000"), ("ratelimit-remaining", "0")]));
        budget.take().await;
        assert!(clock.now() <= Duration::from_millis(110), "{:?}", clock.now());
    }

    #[tokio::test]
    async fn after_a_refusal_nothing_is_sent_for_as_long_as_was_asked() {
        let (clock, budget) = bucket(1200, 300);
        assert_eq!(budget.refused(Some(Duration::from_secs(300))), Duration::from_secs(300));
        budget.take().await;
        assert!(clock.now() >= Duration::from_secs(300));
        assert_eq!(budget.refused(None), Duration::from_millis(250));
    }

    #[tokio::test]
    async fn cloudflares_structured_header_is_understood() {
        let (clock, budget) = bucket(1200, 300);
        budget.learn(&headers(&[("ratelimit", "\"default\";r=0;t=30")]));
        budget.take().await;
        assert!(clock.now() >= Duration::from_secs(30));
    }

    #[test]
    fn looking_slows_down_before_the_allowance_is_gone() {
        let (_, budget) = bucket(100, 1000);
        let usual = Duration::from_millis(500);
        assert_eq!(budget.pace(usual), usual);
        budget.learn(&headers(&[("ratelimit-remaining", "0")]));
        assert_eq!(budget.pace(usual), Duration::from_secs(5));
    }

    #[test]
    fn headers_that_make_no_sense_change_nothing() {
        let (_, budget) = bucket(100, 100);
        budget.learn(&headers(&[("ratelimit-limit", "many"), ("ratelimit-remaining", "NaN"), ("ratelimit", ";;r=")]));
        assert!(budget.try_take().is_none());
    }
}
