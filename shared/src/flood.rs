//! A bound on records that anyone can cause, so that a flood of them fills no disk.
use std::time::Duration;

/// Lets a burst through, then a steady trickle, and counts what it left out in between (a token bucket).
#[derive(Clone, Debug)]
pub struct Flood {
    burst: u32,
    every: Duration,
    tokens: u32,
    refilled: Duration,
    left_out: u64,
}

impl Flood {
    /// `burst` records at once, and one more `every` so often.
    #[must_use]
    pub fn new(burst: u32, every: Duration) -> Self {
        Self { burst, every, tokens: burst, refilled: Duration::ZERO, left_out: 0 }
    }

    /// Asks for one record at `now`, on a clock that never goes back. `Some(n)`: write it, `n` were left out before it.
    pub fn admit(&mut self, now: Duration) -> Option<u64> {
        let passed = now.saturating_sub(self.refilled).as_nanos().checked_div(self.every.as_nanos()).unwrap_or(0);
        let passed = u32::try_from(passed).unwrap_or(u32::MAX);
        self.tokens = self.tokens.saturating_add(passed).min(self.burst);
        self.refilled = if self.tokens == self.burst {
            now
        } else {
            self.refilled.saturating_add(self.every.saturating_mul(passed))
        };
        match self.tokens.checked_sub(1) {
            Some(tokens) => {
                self.tokens = tokens;
                Some(std::mem::take(&mut self.left_out))
            }
            None => {
                self.left_out = self.left_out.saturating_add(1);
                None
            }
        }
    }

    /// Adds what someone before this one left out.
    pub fn also_left_out(&mut self, count: u64) {
        self.left_out = self.left_out.saturating_add(count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_a_trickle_passes() {
        let second = Duration::from_secs(1);
        let mut flood = Flood::new(3, second);
        let admitted = (0..1000).filter(|_| flood.admit(second).is_some()).count();
        assert_eq!(admitted, 3);
        assert_eq!(flood.admit(second * 2), Some(997));
        assert_eq!(flood.admit(second * 2), None);
        assert_eq!(flood.admit(second * 100), Some(1));
        assert_eq!((0..10).filter(|_| flood.admit(second * 100).is_some()).count(), 2);
    }

    #[test]
    fn years_of_silence_refill_it() {
        let mut flood = Flood::new(2, Duration::from_nanos(1));
        assert!((0..5).filter(|_| flood.admit(Duration::ZERO).is_some()).count() == 2);
        assert!(flood.admit(Duration::from_secs(1 << 40)).is_some());
    }
}
