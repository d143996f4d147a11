//! Who is asked for the next chunk: the mirror with the least to do, those that
//! failed after a rest, those that lied or said no never again.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use reqwest::header::HeaderValue;

use super::MirrorError;
use crate::{
    error::{FetchError, without_secrets},
    request::Pace,
};

/// The longest rest of a mirror.
const LONGEST_REST: Duration = Duration::from_secs(10);
/// The longest rest that a server may ask for.
const LONGEST_WANTED: Duration = Duration::from_secs(60);
/// A try that brought so many bytes before it failed was no bad one.
const GOOD: u64 = 64 << 10;

/// One place the image is at.
struct Mirror {
    url: String,
    token: Option<HeaderValue>,
    in_flight: u32,
    /// In a row.
    failures: u32,
    rests_until: Option<Instant>,
    struck: bool,
}

/// All mirrors.
pub(super) struct Pool {
    mirrors: Vec<Mirror>,
    /// Where to begin looking, so that equals are asked in turn.
    turn: usize,
    retries: u32,
    /// Why the last mirror was struck out.
    last: Arc<MirrorError>,
}

/// Whom to ask.
pub(super) enum Ask {
    /// This one, after a pause.
    Mirror { place: usize, pause: Duration },
    /// All are struck out, the last one because of this.
    Nobody(Arc<MirrorError>),
}

impl Pool {
    pub(super) fn new(urls: &[String]) -> Self {
        let mirror = |url: &String| Mirror {
            url: url.clone(),
            token: None,
            in_flight: 0,
            failures: 0,
            rests_until: None,
            struck: false,
        };
        Self {
            mirrors: urls.iter().map(mirror).collect(),
            turn: 0,
            retries: 0,
            last: Arc::new(MirrorError::None),
        }
    }

    /// How often a try failed.
    pub(super) fn retries(&self) -> u32 {
        self.retries
    }

    /// Whom to ask `now`. Every `Mirror` is answered by `good` or `failed`.
    pub(super) fn next(&mut self, now: Instant) -> Ask {
        let count = self.mirrors.len();
        let rest =
            |mirror: &Mirror| mirror.rests_until.map_or(Duration::ZERO, |until| until - now.min(until));
        let places = (self.turn..self.turn + count).map(|place| place % count);
        let alive = places.filter(|&place| !self.mirrors[place].struck);
        let best = alive.min_by_key(|&place| {
            let mirror = &self.mirrors[place];
            (rest(mirror), mirror.in_flight + mirror.failures)
        });
        let Some(place) = best else {
            return Ask::Nobody(Arc::clone(&self.last));
        };
        self.turn = place + 1;
        self.mirrors[place].in_flight += 1;
        Ask::Mirror { place, pause: rest(&self.mirrors[place]) }
    }

    /// `place` gave what was asked for.
    pub(super) fn good(&mut self, place: usize) {
        let mirror = &mut self.mirrors[place];
        mirror.in_flight -= 1;
        (mirror.failures, mirror.rests_until) = (0, None);
    }

    /// `place` failed with `err` after `brought` bytes.
    pub(super) fn failed(&mut self, place: usize, err: FetchError, brought: u64, pace: &Pace) {
        self.retries += 1;
        let mirror = &mut self.mirrors[place];
        mirror.in_flight -= 1;
        if brought >= GOOD {
            mirror.failures = 0;
        }
        mirror.failures += 1;
        if err.is_final() || mirror.failures > pace.retries {
            return self.strike(place, err.into());
        }
        let after = if let FetchError::Refused { after, .. } = err { after } else { None };
        let wanted = after.unwrap_or_default().min(LONGEST_WANTED);
        let doubled = pace.delay.saturating_mul(1 << (mirror.failures - 1).min(8)).min(LONGEST_REST);
        let rest = if brought >= GOOD { Duration::ZERO } else { doubled.max(wanted) };
        mirror.rests_until = Some(Instant::now() + rest);
    }

    /// `place` is not asked again, because of `err`.
    pub(super) fn strike(&mut self, place: usize, err: MirrorError) {
        if let Some(mirror) = self.mirrors.get_mut(place) {
            mirror.struck = true;
        }
        self.last = Arc::new(err);
    }

    /// The URL of `place`, as errors may tell it.
    pub(super) fn url(&self, place: usize) -> String {
        without_secrets(&self.full_url(place))
    }

    /// The URL of `place`, which may have secrets.
    pub(super) fn full_url(&self, place: usize) -> String {
        self.mirrors.get(place).map(|mirror| mirror.url.clone()).unwrap_or_default()
    }

    /// What the registry at `place` gave us.
    pub(super) fn token(&self, place: usize) -> Option<HeaderValue> {
        self.mirrors.get(place)?.token.clone()
    }

    /// The registry at `place` gave us `token`.
    pub(super) fn set_token(&mut self, place: usize, token: HeaderValue) {
        if let Some(mirror) = self.mirrors.get_mut(place) {
            mirror.token = Some(token);
        }
    }
}
