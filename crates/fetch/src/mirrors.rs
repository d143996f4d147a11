//! Whom to ask next: mirrors in turn, those that said no struck out.

use std::time::Duration;

use reqwest::header::HeaderValue;

use crate::{
    error::{FetchError, without_secrets},
    request::Pace,
};

/// The longest pause between two tries, unless the server wants a longer one.
const LONGEST_DELAY: Duration = Duration::from_secs(10);
/// The longest pause a server may want.
const LONGEST_WANTED: Duration = Duration::from_secs(60);
/// A try that brought so many bytes was a good one: the next comes at once.
const GOOD: u64 = 64 << 10;

/// What tells this version of a mirror's file from another: a strong `ETag`,
/// else the date of the last change. Equal files of two mirrors have two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Validator {
    /// It has not answered yet.
    Unseen,
    /// It has none.
    Absent,
    /// For `If-Range`.
    Known(String),
}

impl Validator {
    /// True when both are known, and are not the same.
    pub(crate) fn differs(&self, now: &Validator) -> bool {
        match (self, now) {
            (Validator::Known(known), Validator::Known(now)) => known != now,
            (Validator::Unseen | Validator::Absent, _) | (_, Validator::Unseen | Validator::Absent) => false,
        }
    }
}

/// One place the image is at.
#[derive(Debug)]
pub(crate) struct Mirror {
    pub(crate) url: String,
    pub(crate) validator: Validator,
    /// False once it was seen not to give parts.
    pub(crate) ranges: bool,
    /// What its registry gave us: the value of an `Authorization` header.
    pub(crate) token: Option<HeaderValue>,
    struck: bool,
}

/// All mirrors, and how it went lately.
#[derive(Debug)]
pub(crate) struct Mirrors {
    list: Vec<Mirror>,
    /// Which one is asked.
    current: usize,
    /// In a row, without a byte.
    failures: u32,
    /// Slow windows in a row.
    slow: u32,
}

impl Mirrors {
    /// At least one; an empty list is asked as an empty URL, which fails.
    pub(crate) fn new(urls: &[String]) -> Self {
        let mirror = |url: &String| Mirror {
            url: url.clone(),
            validator: Validator::Unseen,
            ranges: true,
            token: None,
            struck: false,
        };
        let mut list: Vec<Mirror> = urls.iter().map(mirror).collect();
        if list.is_empty() {
            list.push(mirror(&String::new()));
        }
        Self { list, current: 0, failures: 0, slow: 0 }
    }

    /// The one to ask.
    pub(crate) fn current(&self) -> &Mirror {
        &self.list[self.current]
    }

    /// The one to ask, to note something of it.
    pub(crate) fn current_mut(&mut self) -> &mut Mirror {
        &mut self.list[self.current]
    }

    /// Which one is asked, for [`Mirrors::back_to`].
    pub(crate) fn place(&self) -> usize {
        self.current
    }

    /// Ask the one at `place` again.
    pub(crate) fn back_to(&mut self, place: usize) {
        if self.list.get(place).is_some_and(|mirror| !mirror.struck) {
            self.current = place;
        }
    }

    /// The one asked, as errors may tell it.
    pub(crate) fn told(&self) -> String {
        without_secrets(&self.current().url)
    }

    /// A new task: what failed before is forgotten, who said no is not.
    pub(crate) fn begin(&mut self) {
        (self.failures, self.slow) = (0, 0);
    }

    /// Enough came in time.
    pub(crate) fn fast(&mut self) {
        self.slow = 0;
    }

    /// A try that brought `brought` bytes ended with `err`: how long to wait
    /// before the next one, at whatever is current then; `None` to give up.
    pub(crate) fn failed(&mut self, err: &FetchError, brought: u64, pace: &Pace) -> Option<Duration> {
        if brought > 0 {
            self.failures = 0;
        }
        let left = self.left();
        let tries = pace.retries.max(u32::try_from(left).unwrap_or(u32::MAX).saturating_sub(1));
        if matches!(err, FetchError::TooLong { .. }) {
            return None;
        }
        if err.is_final() {
            self.list[self.current].struck = true;
            return self.turn().then_some(Duration::ZERO);
        }
        self.turn();
        if matches!(err, FetchError::Slow { .. }) {
            self.slow += 1;
            return (self.slow <= tries).then_some(Duration::ZERO);
        }
        if self.failures >= tries {
            return None;
        }
        let round = self.failures / u32::try_from(left).unwrap_or(u32::MAX).max(1);
        let asked_all = (self.failures as usize + 1) >= left;
        self.failures += 1;
        let wanted = wanted(err).filter(|_| asked_all);
        let pause =
            if asked_all && brought < GOOD { jittered(backoff(pace.delay, round)) } else { Duration::ZERO };
        Some(wanted.map_or(pause, |wanted| wanted.min(LONGEST_WANTED).max(pause)))
    }

    fn left(&self) -> usize {
        self.list.iter().filter(|mirror| !mirror.struck).count()
    }

    /// Go on to the next that is not struck out; false when there is none.
    fn turn(&mut self) -> bool {
        let count = self.list.len();
        let next = (1..=count).map(|step| (self.current + step) % count).find(|at| !self.list[*at].struck);
        self.current = next.unwrap_or(self.current);
        next.is_some()
    }
}

/// What the server itself wants.
fn wanted(err: &FetchError) -> Option<Duration> {
    match err {
        FetchError::Refused { after, .. } => *after,
        FetchError::Unaskable { .. }
        | FetchError::Broken { .. }
        | FetchError::Distrusted { .. }
        | FetchError::Redirected { .. }
        | FetchError::Stalled { .. }
        | FetchError::Slow { .. }
        | FetchError::TooLong { .. }
        | FetchError::NoToken { .. }
        | FetchError::WebPage { .. }
        | FetchError::Nonsense { .. }
        | FetchError::NoRange { .. }
        | FetchError::Changed { .. }
        | FetchError::Short { .. } => None,
    }
}

fn backoff(delay: Duration, round: u32) -> Duration {
    delay.saturating_mul(1 << round.min(8)).min(LONGEST_DELAY)
}

/// Between half of `pause` and all of it: a rack of servers that failed at
/// once does not come back at once.
fn jittered(pause: Duration) -> Duration {
    use std::hash::{BuildHasher as _, Hasher as _, RandomState};
    let random = u32::try_from(RandomState::new().build_hasher().finish() % 1024).unwrap_or(0);
    pause / 2 + pause / 2048 * random
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Duration = Duration::from_millis(500);

    fn pace(retries: u32) -> Pace {
        Pace { retries, delay: PACE, ..Pace::default() }
    }

    fn mirrors(urls: &[&str]) -> Mirrors {
        Mirrors::new(&urls.iter().map(ToString::to_string).collect::<Vec<_>>())
    }

    fn short() -> FetchError {
        FetchError::Short { url: String::new(), got: 0, length: 1 }
    }

    fn refused(status: u16, after: Option<u64>) -> FetchError {
        let status = reqwest::StatusCode::from_u16(status).expect("a status");
        FetchError::Refused { url: String::new(), status, after: after.map(Duration::from_secs) }
    }

    #[test]
    fn every_mirror_is_asked_before_anybody_waits() {
        let mut mirrors = mirrors(&["a", "b", "c"]);
        let mut asked = vec![mirrors.told()];
        for wait in [false, false, true, true] {
            let pause = mirrors.failed(&short(), 0, &pace(9)).expect("goes on");
            assert_eq!(pause > Duration::ZERO, wait, "{asked:?}");
            asked.push(mirrors.told());
        }
        assert_eq!(asked, ["a", "b", "c", "a", "b"]);
    }

    #[test]
    fn retries_are_counted_in_a_row() {
        let mut one = mirrors(&["a"]);
        let ends = |mirrors: &mut Mirrors, brought| mirrors.failed(&short(), brought, &pace(2)).is_none();
        assert_eq!(
            [0, 0, 5, 0, 0].map(|brought| ends(&mut one, brought)),
            [false, false, false, false, true]
        );
        let mut three = mirrors(&["a", "b", "c"]);
        let ends = [0, 0, 0].map(|_| three.failed(&short(), 0, &pace(0)).is_none());
        assert_eq!(ends, [false, false, true], "each is asked once even without retries");
    }

    #[test]
    fn who_says_no_is_not_asked_again() {
        let mut mirrors = mirrors(&["a", "b"]);
        assert_eq!(mirrors.failed(&refused(404, None), 0, &pace(0)), Some(Duration::ZERO));
        assert_eq!(mirrors.told(), "b");
        mirrors.failed(&short(), 5, &pace(1)).expect("goes on");
        assert_eq!(mirrors.told(), "b");
        assert_eq!(mirrors.failed(&refused(403, None), 0, &pace(9)), None);
    }

    #[test]
    fn a_server_may_ask_for_patience_within_limits() {
        for (after, want) in
            [(None, PACE), (Some(3), Duration::from_secs(3)), (Some(1 << 30), LONGEST_WANTED)]
        {
            let pause = mirrors(&["a"]).failed(&refused(503, after), 0, &pace(9)).expect("goes on");
            assert!(pause <= want && pause >= want / 2, "{after:?}: {pause:?}");
        }
        let elsewhere = mirrors(&["a", "b"]).failed(&refused(503, Some(9)), 0, &pace(9));
        assert_eq!(elsewhere, Some(Duration::ZERO), "the next mirror did not ask for it");
    }

    #[test]
    fn drips_end_although_they_progress() {
        let slow = FetchError::Slow { url: String::new(), got: 9, seconds: Duration::from_secs(1) };
        let mut one = mirrors(&["a"]);
        assert_eq!([0, 1, 2].map(|_| one.failed(&slow, 9, &pace(2)).is_some()), [true, true, false]);
    }
}
