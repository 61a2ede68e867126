//! The age of a request.

/// How far a request may lie ahead, in seconds: clocks differ a little.
pub const MAX_AHEAD_SECONDS: u64 = 60;

/// Why a request is not of the present.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untimely {
    /// It is older than `max_request_age_seconds`.
    #[error(
        "the request is {age} s old, more than security.max_request_age_seconds = {max_age}; does the client's clock run slow?"
    )]
    Stale {
        /// Its age, in seconds.
        age: u64,
        /// The age that is allowed.
        max_age: u64,
    },
    /// It was stale before a reload raised `max_request_age_seconds`, and stays so.
    #[error(
        "the request is {age} s old and was stale before security.max_request_age_seconds was raised; send a new one"
    )]
    StaleBeforeReload {
        /// Its age, in seconds.
        age: u64,
    },
    /// It lies too far ahead.
    #[error("the request lies {0} s ahead, more than {MAX_AHEAD_SECONDS}; does the client's clock run fast?")]
    Ahead(u64),
}

/// What counts as present. Its clock never goes back, see [`Clock`](super::clock::Clock).
#[derive(Clone, Copy, Debug)]
pub struct Freshness {
    max_age: u64,
    /// What is older was stale under an earlier `max_age`. The nonces that guarded it may be gone.
    floor: u64,
}

impl Freshness {
    /// Requests up to `max_age` seconds old are fresh.
    #[must_use]
    pub fn new(max_age: u64) -> Self {
        Self { max_age, floor: 0 }
    }

    /// Sets another `max_age`. What was stale up to now stays stale.
    pub fn reload(&mut self, max_age: u64, now: u64) {
        self.floor = self.floor.max(now.saturating_sub(self.max_age));
        self.max_age = max_age;
    }

    /// # Errors
    /// Why a request of `timestamp` is not fresh at `now`.
    pub fn check(&self, timestamp: u64, now: u64) -> Result<(), Untimely> {
        let age = now.saturating_sub(timestamp);
        let ahead = timestamp.saturating_sub(now);
        if ahead > MAX_AHEAD_SECONDS {
            Err(Untimely::Ahead(ahead))
        } else if age > self.max_age {
            Err(Untimely::Stale { age, max_age: self.max_age })
        } else if timestamp < self.floor {
            Err(Untimely::StaleBeforeReload { age })
        } else {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::clock::Clock;
    use super::*;

    #[test]
    fn both_bounds_are_inclusive() {
        let freshness = Freshness::new(30);
        for good in [970, 1000, 1060] {
            assert_eq!(freshness.check(good, 1000), Ok(()));
        }
        assert_eq!(freshness.check(969, 1000), Err(Untimely::Stale { age: 31, max_age: 30 }));
        assert_eq!(freshness.check(1061, 1000), Err(Untimely::Ahead(61)));
        assert!(freshness.check(0, u64::MAX).is_err() && freshness.check(u64::MAX, 0).is_err());
    }

    #[test]
    fn after_a_reload_that_raises_max_age_what_was_stale_stays_stale() {
        let mut freshness = Freshness::new(30);
        freshness.reload(300, 1000);
        assert_eq!(freshness.check(969, 1000), Err(Untimely::StaleBeforeReload { age: 31 }));
        assert_eq!(freshness.check(970, 1270), Ok(()));
        assert!(freshness.check(970, 1271).is_err());
        freshness.reload(300, 1001);
        assert_eq!(freshness.check(969, 1001), Err(Untimely::StaleBeforeReload { age: 32 }));
        freshness.reload(10, 1300);
        assert!(freshness.check(1289, 1300).is_err());
        freshness.reload(300, 1300);
        assert!(freshness.check(1289, 1300).is_err());
        assert_eq!(freshness.check(1290, 1300), Ok(()));
    }

    #[test]
    fn a_wall_clock_set_back_refuses_until_it_has_caught_up() {
        let (mut clock, freshness) = (Clock::default(), Freshness::new(30));
        assert!(freshness.check(5000, clock.now(5000)).is_ok());
        assert!(freshness.check(4000, clock.now(4000)).is_err());
        assert!(freshness.check(4969, clock.now(4969)).is_err());
        assert!(freshness.check(4970, clock.now(4970)).is_ok());
        assert!(freshness.check(5000, clock.now(5000)).is_ok());
    }
}
