//! Progress of the running command: to the conductor with every report, to
//! the console now and then.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use model::Bytes;
use serde_json::Value;
use wire::ipa::Progress;

use super::Board;

/// How often the conductor's view changes; it polls about once a second.
const REPORT_EVERY: Duration = Duration::from_millis(250);

/// How often the console says how far it is.
const SAY_EVERY: Duration = Duration::from_secs(5);

/// Where a step says how far it is.
#[derive(Clone)]
pub(crate) struct Reporter {
    publish: Arc<dyn Fn(&Progress) + Send + Sync>,
    keep: Arc<Keep>,
    pace: Arc<Mutex<Pace>>,
}

/// Takes the document of one device.
type Keep = dyn Fn(&str, &Value) + Send + Sync;

#[derive(Default)]
struct Pace {
    step: String,
    reported: Option<(Instant, u64)>,
    said: Option<Instant>,
    bytes_per_s: u64,
}

impl Reporter {
    /// For command `id` of `board`.
    pub(crate) fn new<M: 'static>(board: Arc<Board<M>>, id: String) -> Self {
        let (papers, name) = (Arc::clone(&board), id.clone());
        Self {
            publish: Arc::new(move |progress| board.report(&id, progress)),
            keep: Arc::new(move |device, document| papers.evidence(&name, device, document)),
            pace: Arc::default(),
        }
    }

    /// Show the document of `device` now, while others are still being worked on.
    pub(crate) fn evidence(&self, device: &str, document: &Value) {
        (self.keep)(device, document);
    }

    /// How far several devices are. `progress` is asked for as often as
    /// somebody looks.
    pub(crate) fn report_devices(&self, progress: impl FnOnce() -> Progress) {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        if pace.reported.is_some_and(|(then, _)| now.duration_since(then) < REPORT_EVERY) {
            return;
        }
        let progress = progress();
        pace.reported = Some((now, progress.bytes));
        (self.publish)(&progress);
        if pace.said.is_none_or(|then| now.duration_since(then) >= SAY_EVERY) {
            pace.said = Some(now);
            tracing::info!(step = progress.step, "{}", progress.message);
        }
    }

    /// `bytes` of `total` are done. Cheap enough to call for every block.
    pub(crate) fn report(&self, step: &str, bytes: Bytes, total: Option<Bytes>, message: &str) {
        let mut pace = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let fresh = pace.step != step;
        let due = match pace.reported {
            Some((then, _)) => fresh || now.duration_since(then) >= REPORT_EVERY,
            None => true,
        };
        let done = total == Some(bytes);
        if !due && !done {
            return;
        }
        pace.advance(step, fresh, now, bytes.0);
        let progress = Progress {
            step: step.to_owned(),
            bytes: bytes.0,
            total: total.map(|total| total.0),
            bytes_per_s: pace.bytes_per_s,
            message: message.to_owned(),
            devices: Vec::new(),
        };
        (self.publish)(&progress);
        if pace.said.is_none_or(|then| now.duration_since(then) >= SAY_EVERY) {
            pace.said = Some(now);
            say(&progress);
        }
    }
}

impl Pace {
    fn advance(&mut self, step: &str, fresh: bool, now: Instant, bytes: u64) {
        if fresh {
            *self = Self { step: step.to_owned(), ..Self::default() };
        }
        if let Some((then, before)) = self.reported {
            let elapsed_ms = now.duration_since(then).as_millis().max(1);
            let speed = u128::from(bytes.saturating_sub(before)) * 1000 / elapsed_ms;
            self.bytes_per_s = u64::try_from(speed).unwrap_or(u64::MAX);
        }
        self.reported = Some((now, bytes));
    }
}

fn say(progress: &Progress) {
    let done = Bytes(progress.bytes);
    let speed = Bytes(progress.bytes_per_s);
    match progress.total.filter(|total| *total > 0) {
        Some(total) => {
            let percent = u128::from(progress.bytes) * 100 / u128::from(total);
            tracing::info!(
                step = progress.step,
                "{}: {percent} % ({done} of {}, {speed}/s)",
                progress.message,
                Bytes(total)
            );
        }
        None => tracing::info!(step = progress.step, "{}: {done} ({speed}/s)", progress.message),
    }
}
