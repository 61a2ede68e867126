//! Times as log and audit trail write them: RFC 3339, in UTC, to the microsecond.
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// A point in time; displayed as `2026-01-31T23:59:59.000001Z`.
#[derive(Clone, Copy, Debug)]
pub struct Timestamp(pub SystemTime);

impl Timestamp {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        Self(SystemTime::now())
    }

    /// Whole seconds since 1970.
    #[must_use]
    pub fn unix_seconds(self) -> u64 {
        self.0.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
    }
}

impl fmt::Display for Timestamp {
    #[allow(
        clippy::arithmetic_side_effects,
        reason = "the seconds of a SystemTime divided by 86,400 leave room for all of it"
    )]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.0.duration_since(UNIX_EPOCH).unwrap_or_default();
        let (days, second) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
        // Days counted from 1 March of year 0, in eras of 400 years of 146,097 days: the leap day is then a year's last.
        let days = days + 719_468;
        let (era, day_of_era) = (days / 146_097, days % 146_097);
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * shifted + 2) / 5 + 1;
        let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
        let year = 400 * era + year_of_era + u64::from(month <= 2);
        let (hour, minute, second) = (second / 3_600, second % 3_600 / 60, second % 60);
        let micros = since.subsec_micros();
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{micros:06}Z")
    }
}

#[cfg(test)]
#[allow(clippy::arithmetic_side_effects, reason = "a test")]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn times_are_those_that_date_prints() {
        // date -u -d @N +%FT%T
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00.000000Z"),
            (951_782_399, "2000-02-28T23:59:59.000000Z"),
            (951_782_400, "2000-02-29T00:00:00.000000Z"),
            (1_735_689_599, "2024-12-31T23:59:59.000000Z"),
            (4_107_542_400, "2100-03-01T00:00:00.000000Z"),
        ] {
            let time = Timestamp(UNIX_EPOCH + Duration::from_secs(seconds));
            assert_eq!(time.to_string(), text);
            assert_eq!(time.unix_seconds(), seconds);
        }
        assert_eq!(Timestamp(UNIX_EPOCH + Duration::from_micros(7)).to_string(), "1970-01-01T00:00:00.000007Z");
    }
}
