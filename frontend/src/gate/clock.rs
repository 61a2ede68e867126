//! Time, as the layers see it: Unix seconds that never go back, and a monotonic time for what lasts.
use std::time::{Duration, Instant, UNIX_EPOCH};

/// Where time comes from. There is the system's, and the tests' own.
pub trait Time {
    /// The wall clock in Unix seconds (clock_gettime(2), CLOCK_REALTIME); 0 before 1970. It may be set back.
    fn unix_seconds(&self) -> u64;
    /// Time since some fixed moment (CLOCK_MONOTONIC). It never goes back.
    fn monotonic(&self) -> Duration;
}

/// The system's clocks.
#[derive(Clone, Copy, Debug)]
pub struct SystemClocks(Instant);

impl Default for SystemClocks {
    fn default() -> Self {
        Self(Instant::now())
    }
}

impl Time for SystemClocks {
    fn unix_seconds(&self) -> u64 {
        std::time::SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
    }

    fn monotonic(&self) -> Duration {
        self.0.elapsed()
    }
}

/// Unix seconds by a clock that never goes back. A wall clock that was set back leaves this one standing until it has caught
/// up; till then a request of the present is stale. The other choice, to follow it, would make old requests fresh again.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clock {
    highest: u64,
}

impl Clock {
    /// The time, where the wall clock shows `wall`.
    pub fn now(&mut self, wall: u64) -> u64 {
        self.highest = self.highest.max(wall);
        self.highest
    }

    /// How many seconds a wall clock that shows `wall` lies behind: above 0 it was set back.
    #[must_use]
    pub fn behind(&self, wall: u64) -> u64 {
        self.highest.saturating_sub(wall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_set_back_stands_until_the_wall_has_caught_up() {
        let mut clock = Clock::default();
        assert_eq!(clock.now(1000), 1000);
        assert_eq!((clock.now(400), clock.behind(400)), (1000, 600));
        assert_eq!((clock.now(999), clock.behind(999)), (1000, 1));
        assert_eq!((clock.now(1001), clock.behind(1001)), (1001, 0));
    }

    #[test]
    fn the_system_has_both_clocks() {
        let time = SystemClocks::default();
        assert!(time.unix_seconds() > 1_700_000_000);
        assert!(time.monotonic() <= time.monotonic());
    }
}
