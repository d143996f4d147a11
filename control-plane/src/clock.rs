//! Times as the API and the store write them: RFC 3339, UTC, with an offset.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// A point in time, to the microsecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Time(jiff::Timestamp);

impl Time {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        Self(jiff::Timestamp::now())
    }

    /// How much later than `earlier` this is; negative when it is before.
    #[must_use]
    pub fn since(self, earlier: Self) -> jiff::SignedDuration {
        self.0.duration_since(earlier.0)
    }

    /// How long ago this was; zero if it is in the future (a clock was set).
    #[must_use]
    pub fn elapsed(self) -> Duration {
        Duration::try_from(jiff::Timestamp::now().duration_since(self.0)).unwrap_or_default()
    }
}

impl fmt::Display for Time {
    /// `2026-01-01T00:00:00.123456+00:00`: Go's and Python's parsers both want
    /// the offset in digits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.6}", self.0);
        write!(f, "{}+00:00", text.trim_end_matches('Z'))
    }
}

impl FromStr for Time {
    type Err = jiff::Error;

    fn from_str(text: &str) -> Result<Self, jiff::Error> {
        text.parse().map(Self)
    }
}

impl TryFrom<String> for Time {
    type Error = jiff::Error;

    fn try_from(text: String) -> Result<Self, jiff::Error> {
        text.parse()
    }
}

impl From<Time> for String {
    fn from(time: Time) -> String {
        time.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_carry_a_numeric_offset_and_round_trip() {
        let time: Time = "2026-01-01T00:00:00.5Z".parse().expect("a time");
        assert_eq!(time.to_string(), "2026-01-01T00:00:00.500000+00:00");
        assert_eq!(time.to_string().parse::<Time>().expect("a time"), time);
    }
}
