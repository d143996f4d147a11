//! Progress of several disks, for a person or a program.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};
use wire::ipa::DeviceProgress;

use super::print;
use crate::erasing::{End, Event, Meter};

/// The shortest time between two looks at the meter.
const INTERVAL: Duration = Duration::from_millis(500);
/// A screen has so many lines for disks.
const MOST_BARS: usize = 32;

/// Where progress goes.
pub(super) struct Show {
    json: bool,
    terminal: bool,
    screen: MultiProgress,
    bars: BTreeMap<String, ProgressBar>,
    shown: Option<Instant>,
}

impl Show {
    pub(super) fn new(json: bool, terminal: bool) -> Self {
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let screen = MultiProgress::with_draw_target(target);
        Self { json, terminal, screen, bars: BTreeMap::new(), shown: None }
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
            progress.devices.iter().take(MOST_BARS).for_each(|device| self.bar(device));
        }
    }

    fn bar(&mut self, device: &DeviceProgress) {
        let bar = self.bars.entry(device.device.clone()).or_insert_with(|| {
            let bar = self.screen.add(ProgressBar::new(1)).with_prefix(device.device.clone());
            let style = ProgressStyle::with_template(
                "{prefix} {msg:13} {bar:30} {percent:>3}% {bytes_per_sec} {eta}",
            );
            match style {
                Ok(style) => bar.with_style(style),
                Err(_) => bar,
            }
        });
        bar.set_length(device.total.max(1));
        bar.set_position(device.bytes);
        bar.set_message(device.phase.clone());
    }

    /// One is done with: its line goes, a program hears of it.
    fn end(&mut self, device: &str, end: &End) {
        if let Some(bar) = self.bars.remove(device) {
            bar.finish_and_clear();
            self.screen.remove(&bar);
        }
        if self.json {
            let error = end.words.as_ref().err();
            let document = end.document.as_ref().unwrap_or(&Value::Null);
            print(&json!({ "event": "end", "device": device, "error": error, "document": document }));
        }
    }
}
