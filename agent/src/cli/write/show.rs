//! What a person, or a program, sees of a write.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use image::{Part, Progress, Report, Stage};
use model::Bytes;
use serde_json::{Map, Value, json};

use super::{
    super::screen::{Screen, bar, duration, percent},
    Args,
    report::{self, per_second},
};

/// The shortest time between two progress lines.
const INTERVAL: Duration = Duration::from_millis(500);

/// Where progress goes, and how far it was.
pub(super) struct Show {
    json: bool,
    screen: Screen,
    stage: Option<Stage>,
    since: Instant,
    shown: Option<Instant>,
}

impl Show {
    pub(super) fn new(json: bool, terminal: bool) -> Self {
        Self { json, screen: Screen::new(terminal), stage: None, since: Instant::now(), shown: None }
    }

    /// Take note of progress; show it when it is time.
    pub(super) fn progress(&mut self, progress: Progress) {
        if self.stage != Some(progress.stage) {
            (self.stage, self.since, self.shown) = (Some(progress.stage), Instant::now(), None);
        }
        if self.shown.is_some_and(|shown| shown.elapsed() < INTERVAL) {
            return;
        }
        self.shown = Some(Instant::now());
        self.screen.draw(&[line(progress, self.since.elapsed())]);
        if self.json {
            print(&event(progress, self.since.elapsed()));
        }
    }

    /// What would be done, when that is all that is wanted.
    pub(super) fn plan(&mut self, text: &str, json: &Value) {
        self.screen.clear();
        if self.json {
            return print(json);
        }
        std::io::stdout().write_all(text.as_bytes()).ok();
    }

    /// The last word when it worked.
    pub(super) fn written(&mut self, args: &Args, report: &Report) {
        self.screen.clear();
        if self.json {
            return print(&report::json(args, report));
        }
        std::io::stdout().write_all(report::sentence(args, report).as_bytes()).ok();
    }

    /// The last word when it did not.
    pub(super) fn failed(&mut self, args: &Args, error: &anyhow::Error, refused: bool) {
        self.screen.clear();
        // `eprintln!` panics when nobody reads any more, and the report would be lost.
        writeln!(std::io::stderr(), "billet-agent: {error:#}").ok();
        if self.json {
            print(&json!({
                "ok": false,
                "refused": refused,
                "error": format!("{error:#}"),
                "image": args.shown_images(),
                "target": args.target.display().to_string(),
            }));
        }
    }
}

/// One event of progress.
fn event(progress: Progress, passed: Duration) -> Value {
    let rate = per_second(progress.done.0, passed.as_secs_f64());
    // Before anything is done nobody knows.
    let total = progress.total.filter(|_| rate > 0);
    let eta = total.map(|total| total.0.saturating_sub(progress.done.0) / rate);
    let busy: Map<String, Value> = Part::ALL
        .into_iter()
        .map(|part| (part.name().to_owned(), progress.utilisation.of(part).into()))
        .collect();
    json!({
        "event": "progress",
        "step": progress.stage.name(),
        "bytes": progress.done.0,
        "total": progress.total.map(|total| total.0),
        "read": progress.read.0,
        "read_total": progress.read_total.map(|total| total.0),
        "bytes_per_s": rate,
        "eta_s": eta,
        "busy_percent": busy,
        "bottleneck": progress.utilisation.bottleneck().map(Part::name),
    })
}

/// `waits for net (98 %)`, or nothing while nothing is known.
fn waits_for(progress: Progress) -> String {
    let part = progress.utilisation.bottleneck();
    part.map(|part| format!("waits for {} ({} %)", part.name(), progress.utilisation.of(part)))
        .unwrap_or_default()
}

/// `  write ███████░░░░ 23% 1.1 GiB/4.7 GiB 812.0 MiB/s ETA 4s waits for net (98 %)`
fn line(progress: Progress, passed: Duration) -> String {
    let (stage, done) = (progress.stage.name(), progress.done);
    let rate = per_second(done.0, passed.as_secs_f64());
    let waits = waits_for(progress);
    let Some(total) = progress.total else {
        let passed = duration(passed.as_secs());
        return format!("{stage:>7} {done} {}/s {passed} {waits}", Bytes(rate));
    };
    let eta = total.0.saturating_sub(done.0).checked_div(rate).map(duration).unwrap_or_default();
    format!(
        "{stage:>7} {} {:>3}% {done}/{total} {}/s ETA {eta} {waits}",
        bar(done.0, total.0),
        percent(done.0, total.0),
        Bytes(rate)
    )
}

/// One line of JSON. A reader that is gone does not stop a write.
fn print(line: &Value) {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).ok();
}
