//! The rate limit: an exact sliding window per uid.
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// Lets a uid have so many requests in any window that ends now. The window is half open: a request counts from its moment
/// until just before `window` has passed. A refused one isn't recorded, so that waiting always helps.
///
/// It holds 8 bytes for each request in the window, so at most the limit's worth a uid; who is no allowed uid never gets here.
#[derive(Debug)]
pub struct RateLimiter {
    requests: usize,
    window: u64,
    seen: HashMap<u32, VecDeque<u64>>,
}

impl RateLimiter {
    /// At most `requests` in a `window`.
    #[must_use]
    pub fn new(requests: u32, window: Duration) -> Self {
        let mut limiter = Self { requests: 0, window: 0, seen: HashMap::new() };
        limiter.configure(requests, window);
        limiter
    }

    /// Sets other limits. They hold at once, also for what was recorded before.
    pub fn configure(&mut self, requests: u32, window: Duration) {
        self.requests = usize::try_from(requests).unwrap_or(usize::MAX);
        self.window = nanoseconds(window);
    }

    /// Whether `uid` may have one more request at `now`, by a clock that never goes back; if so it is recorded.
    pub fn allow(&mut self, uid: u32, now: Duration) -> bool {
        let now = nanoseconds(now);
        let seen = self.seen.entry(uid).or_default();
        drop_old(seen, now, self.window);
        let allowed = seen.len() < self.requests;
        if allowed {
            seen.push_back(now);
        }
        allowed
    }

    /// Gives back the memory of what no longer counts. For an idle moment.
    pub fn tidy(&mut self, now: Duration) {
        let (now, window) = (nanoseconds(now), self.window);
        self.seen.retain(|_, seen| {
            drop_old(seen, now, window);
            seen.shrink_to(seen.len().saturating_mul(2));
            !seen.is_empty()
        });
    }
}

fn drop_old(seen: &mut VecDeque<u64>, now: u64, window: u64) {
    while seen.front().is_some_and(|then| now.saturating_sub(*then) >= window) {
        seen.pop_front();
    }
}

/// Nanoseconds in 64 bits: enough for 584 years, and half of what a `Duration` takes.
fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SECOND: Duration = Duration::from_secs(1);
    const MOMENT: Duration = Duration::from_nanos(1);

    #[test]
    fn the_window_slides_and_is_half_open() {
        let mut limiter = RateLimiter::new(2, SECOND * 10);
        assert!(limiter.allow(1, SECOND));
        assert!(limiter.allow(1, SECOND * 6));
        assert!(!limiter.allow(1, SECOND * 11 - MOMENT));
        assert!(limiter.allow(1, SECOND * 11));
        assert!(!limiter.allow(1, SECOND * 16 - MOMENT));
        assert!(limiter.allow(1, SECOND * 16));
    }

    #[test]
    fn each_uid_has_its_own_window_and_a_refused_request_is_not_recorded() {
        let mut limiter = RateLimiter::new(1, SECOND);
        assert!(limiter.allow(1, SECOND));
        assert!((0..1000).all(|_| !limiter.allow(1, SECOND)));
        assert!(limiter.allow(2, SECOND));
        assert!(limiter.allow(1, SECOND * 2));
    }

    #[test]
    fn new_limits_hold_at_once() {
        let mut limiter = RateLimiter::new(3, SECOND * 10);
        assert!(limiter.allow(1, SECOND) && limiter.allow(1, SECOND));
        limiter.configure(2, SECOND * 10);
        assert!(!limiter.allow(1, SECOND * 2));
        limiter.configure(3, SECOND * 10);
        assert!(limiter.allow(1, SECOND * 2) && !limiter.allow(1, SECOND * 2));
        limiter.configure(3, SECOND / 2);
        assert!(limiter.allow(1, SECOND * 2 + SECOND / 2));
        limiter.configure(0, SECOND);
        assert!(!limiter.allow(9, SECOND * 9));
    }

    #[test]
    fn memory_is_given_back() {
        let mut limiter = RateLimiter::new(u32::MAX, SECOND);
        assert!((0..10_000).all(|_| limiter.allow(1, SECOND)) && limiter.allow(2, SECOND * 2));
        limiter.tidy(SECOND * 2);
        assert_eq!(limiter.seen.keys().collect::<Vec<_>>(), [&2]);
        limiter.tidy(SECOND * 3);
        assert!(limiter.seen.is_empty());
    }

    proptest! {
        #[test]
        fn it_does_what_a_list_of_all_requests_would_say(
            limit in 0_u32..5, window in 1_u64..8, steps in prop::collection::vec((0_u64..4, 0_u32..3), 0..200),
        ) {
            let mut limiter = RateLimiter::new(limit, Duration::from_nanos(window));
            let (mut now, mut all) = (0, Vec::new());
            for (step, uid) in steps {
                now += step;
                let counted = all.iter().filter(|(then, who)| *who == uid && then + window > now).count();
                let expected = counted < usize::try_from(limit).unwrap();
                if expected {
                    all.push((now, uid));
                }
                prop_assert_eq!(limiter.allow(uid, Duration::from_nanos(now)), expected);
                if step == 0 {
                    limiter.tidy(Duration::from_nanos(now));
                }
            }
        }
    }
}
