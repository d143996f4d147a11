//! Moments as RFC 3339 writes them. Own, because it is little: certificates and their
//! checking need no calendar but this one.

use std::{
    fmt,
    str::FromStr,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// A moment, to the nanosecond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timestamp {
    /// Since 1970, UTC, without leap seconds.
    seconds: i64,
    nanoseconds: u32,
}

/// A text that is no moment.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a moment as RFC 3339 writes it, like 2026-11-23T01:19:00Z")]
pub(crate) struct NotATimestamp;

const DAY: i64 = 86_400;

impl Timestamp {
    /// What this machine's clock says; 1970 when it is set before that.
    pub(crate) fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { seconds: i64::try_from(since.as_secs()).unwrap_or(0), nanoseconds: since.subsec_nanos() }
    }

    /// Whether it is later than `other` by more than `by`.
    pub(crate) fn is_after(self, other: Self, by: Duration) -> bool {
        let by = i64::try_from(by.as_secs()).unwrap_or(i64::MAX);
        let limit = Self { seconds: other.seconds.saturating_add(by), ..other };
        self > limit
    }
}

/// Days since 1970 of a day of the Gregorian calendar: years begin in March, so that a leap
/// day is the last of its year, and 400 years are one period.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * month + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Year, month and day: [`days`] backwards.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, day)
}

impl fmt::Display for Timestamp {
    /// With as many digits behind the second as it has, or the precision asked for, at most nine.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (year, month, day) = date(self.seconds.div_euclid(DAY));
        let second = self.seconds.rem_euclid(DAY);
        let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}")?;
        let digits = format!("{:09}", self.nanoseconds);
        let shown = match f.precision() {
            Some(precision) => &digits[..precision.min(9)],
            None => digits.trim_end_matches('0'),
        };
        if !shown.is_empty() {
            write!(f, ".{shown}")?;
        }
        f.write_str("Z")
    }
}

impl FromStr for Timestamp {
    type Err = NotATimestamp;

    fn from_str(text: &str) -> Result<Self, NotATimestamp> {
        parse(text).ok_or(NotATimestamp)
    }
}

fn parse(text: &str) -> Option<Timestamp> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let [year, month, day] = numbers(date, '-', [4, 2, 2])?;
    let at = time.find(['Z', 'z', '+', '-'])?;
    let (time, zone) = time.split_at(at);
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let [hour, minute, second] = numbers(time, ':', [2, 2, 2])?;
    let offset = match zone.split_at(1) {
        ("Z" | "z", "") => 0,
        (sign, zone) => {
            let [hours, minutes] = numbers(zone, ':', [2, 2])?;
            let seconds = (hours < 24 && minutes < 60).then_some(hours * 3600 + minutes * 60)?;
            if sign == "-" { -seconds } else { seconds }
        }
    };
    // A leap second is the one after it, for want of better.
    let real = (1..=12).contains(&month) && hour < 24 && minute < 60 && second <= 60;
    let days = days(year, month, day);
    let digits =
        !fraction.is_empty() && fraction.len() <= 9 && fraction.bytes().all(|digit| digit.is_ascii_digit());
    (real && digits && self::date(days) == (year, month, day)).then_some(Timestamp {
        seconds: days * DAY + hour * 3600 + minute * 60 + second - offset,
        nanoseconds: format!("{fraction:0<9}").parse().ok()?,
    })
}

/// As many numbers as `lengths`, each of so many digits, with `mark` between them.
fn numbers<const N: usize>(text: &str, mark: char, lengths: [usize; N]) -> Option<[i64; N]> {
    let mut found = [0; N];
    let mut parts = text.split(mark);
    for (number, length) in found.iter_mut().zip(lengths) {
        let part = parts.next().filter(|part| part.len() == length)?;
        *number = part.bytes().all(|digit| digit.is_ascii_digit()).then(|| part.parse().ok())??;
    }
    parts.next().is_none().then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_written_as_they_were_read() {
        for text in [
            "1970-01-01T00:00:00Z",
            "2000-02-29T23:59:59.5Z",
            "2026-11-23T01:19:00.123456789Z",
            "1969-12-31T23:59:59Z",
            "2100-03-01T00:00:00Z",
            "0001-01-01T00:00:00Z",
            "9999-12-31T23:59:59.999999999Z",
        ] {
            assert_eq!(text.parse::<Timestamp>().expect(text).to_string(), text);
        }
        let exact: Timestamp = "2026-11-23T01:19:00.1239Z".parse().expect("a moment");
        assert_eq!(
            (format!("{exact:.0}"), format!("{exact:.2}")),
            ("2026-11-23T01:19:00Z".to_owned(), "2026-11-23T01:19:00.12Z".to_owned())
        );
        let zoned: Timestamp = "2026-11-23t01:19:00+02:30".parse().expect("a moment");
        assert_eq!(zoned.to_string(), "2026-11-22T22:49:00Z");
    }

    #[test]
    fn every_day_is_itself_again() {
        for day in (-800_000..800_000).step_by(13) {
            let (year, month, of_month) = date(day);
            assert_eq!(days(year, month, of_month), day, "{year}-{month}-{of_month}");
        }
        assert_eq!(date(19_782), (2024, 2, 29));
    }

    #[test]
    fn what_is_no_moment_is_refused() {
        for text in [
            "",
            "now",
            "2026-11-23",
            "2026-11-23T01:19:00",
            "2026-02-29T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-11-23T24:00:00Z",
            "2026-11-23T01:60:00Z",
            "2026-11-23T01:19:61Z",
            "2026-11-23T01:19:00.Z",
            "2026-11-23T01:19:00.0000000001Z",
            "2026-11-23T01:19:00Zx",
            "26-11-23T01:19:00Z",
            "2026-11-23T01:19:00+2:30",
            "2026-11-23T01:19:00+24:00",
            "+026-11-23T01:19:00Z",
            "2026-11-23T01:19:00ä",
        ] {
            assert_eq!(text.parse::<Timestamp>(), Err(NotATimestamp), "{text:?}");
        }
    }

    #[test]
    fn later_is_later_by_more_than_that() {
        let [early, late] =
            ["2026-11-23T01:19:00Z", "2026-11-24T01:19:00.1Z"].map(|text| text.parse().expect(text));
        let (early, late): (Timestamp, Timestamp) = (early, late);
        assert!(late.is_after(early, Duration::from_hours(24)));
        assert!(!late.is_after(early, Duration::from_hours(25)) && !early.is_after(late, Duration::ZERO));
        assert!(Timestamp::now() > early);
    }
}
