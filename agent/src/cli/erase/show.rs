//! Progress of several disks, for a person or a program.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use model::Bytes;
use serde_json::{Value, json};
use wire::ipa::DeviceProgress;

use super::{
    super::screen::{Screen, bar, duration, percent},
    print,
};
use crate::erasing::{End, Event, Meter};

/// The shortest time between two looks at the meter.
const INTERVAL: Duration = Duration::from_millis(500);
/// A screen has so many lines for disks.
const MOST_BARS: usize = 32;

/// Where progress goes.
pub(super) struct Show {
    json: bool,
    terminal: bool,
    screen: Screen,
    ended: BTreeSet<String>,
    shown: Option<Instant>,
}

impl Show {
    pub(super) fn new(json: bool, terminal: bool) -> Self {
        Self { json, terminal, screen: Screen::new(terminal), ended: BTreeSet::new(), shown: None }
    }

    /// Show what happens.
    pub(super) fn see(&mut self, event: &Event) {
        match event {
            Event::Progress(meter) => self.meter(meter),
            Event::Ended { device, end } => self.end(device, end),
        }
    }

    /// How far all of them are, when it is time.
    fn meter(&mut self, meter: &Mutex<Meter>) {
        let wanted = self.json || self.terminal;
        if !wanted || self.shown.is_some_and(|shown| shown.elapsed() < INTERVAL) {
            return;
        }
        self.shown = Some(Instant::now());
        let progress = meter.lock().unwrap_or_else(PoisonError::into_inner).progress(Instant::now());
        if self.json {
            let mut event = json!(progress);
            event["event"] = "progress".into();
            print(&event);
        }
        if self.terminal {
            let at_work = progress.devices.iter().filter(|device| !self.ended.contains(&device.device));
            let lines: Vec<String> = at_work.take(MOST_BARS).map(line).collect();
            self.screen.draw(&lines);
        }
    }

    /// One is done with: its line goes, a program hears of it.
    fn end(&mut self, device: &str, end: &End) {
        self.ended.insert(device.to_owned());
        // What is said of it stands above; the others are drawn again soon.
        self.screen.clear();
        self.shown = None;
        if self.json {
            let error = end.words.as_ref().err();
            let document = end.document.as_ref().unwrap_or(&Value::Null);
            print(&json!({ "event": "end", "device": device, "error": error, "document": document }));
        }
    }
}

/// `/dev/sda overwrite     ███████░░░░ 23% 180.0 MiB/s 3m 07s`
fn line(device: &DeviceProgress) -> String {
    let remaining = device.remaining_s.map(duration).unwrap_or_default();
    format!(
        "{} {:13} {} {:>3}% {}/s {remaining}",
        device.device,
        device.phase,
        bar(device.bytes, device.total),
        percent(device.bytes, device.total),
        Bytes(device.bytes_per_s)
    )
}
