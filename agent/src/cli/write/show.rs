//! What a person, or a program, sees of a write.

use std::{
    io::Write,
    time::{Duration, Instant},
};

use image::{Progress, Report, Stage};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::Args;

/// The shortest time between two progress lines.
const INTERVAL: Duration = Duration::from_millis(500);

/// Where progress goes, and how far it was.
pub(super) struct Show {
    json: bool,
    bar: ProgressBar,
    stage: Option<Stage>,
    since: Instant,
    shown: Option<Instant>,
}

impl Show {
    pub(super) fn new(json: bool, terminal: bool) -> Self {
        let target = if terminal { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(None, target);
        Self { json, bar, stage: None, since: Instant::now(), shown: None }
    }

    /// Take note of progress; show it when it is time.
    pub(super) fn progress(&mut self, progress: Progress) {
        if self.stage != Some(progress.stage) {
            (self.stage, self.since, self.shown) = (Some(progress.stage), Instant::now(), None);
            self.bar.set_style(style(progress.total.is_some()));
            self.bar.set_message(progress.stage.name());
            self.bar.reset();
        }
        if self.shown.is_some_and(|shown| shown.elapsed() < INTERVAL) {
            return;
        }
        self.shown = Some(Instant::now());
        if let Some(total) = progress.total {
            self.bar.set_length(total.0);
        }
        self.bar.set_position(progress.done.0);
        if self.json {
            print(&json!({
                "event": "progress",
                "step": progress.stage.name(),
                "bytes": progress.done.0,
                "total": progress.total.map(|total| total.0),
                "read": progress.read.0,
                "bytes_per_s": per_second(progress.done.0, self.since.elapsed().as_secs_f64()),
            }));
        }
    }

    /// The last word when it worked.
    pub(super) fn written(&mut self, args: &Args, report: &Report) {
        self.bar.finish_and_clear();
        if self.json {
            return print(&report_json(args, report));
        }
        let [write, verify, commit] = report.seconds;
        let line = format!(
            "{}: {}{} image of {} written in {:.1} s; {} read back and right\n",
            args.target.display(),
            report.format,
            report.compression.suffix(),
            report.image_size,
            write + verify + commit,
            report.verified,
        );
        std::io::stdout().write_all(line.as_bytes()).ok();
    }

    /// The last word when it did not.
    pub(super) fn failed(&mut self, args: &Args, error: &anyhow::Error, refused: bool) {
        self.bar.finish_and_clear();
        eprintln!("billet-agent: {error:#}");
        if self.json {
            print(&json!({
                "ok": false,
                "refused": refused,
                "error": format!("{error:#}"),
                "image": args.image,
                "target": args.target,
            }));
        }
    }
}

fn report_json(args: &Args, report: &Report) -> Value {
    let [write, verify, commit] = report.seconds;
    let total = write + verify + commit;
    json!({
        "ok": true,
        "image": args.image,
        "target": args.target,
        "format": report.format.to_string(),
        "compression": report.compression.suffix().trim_start_matches('.'),
        "digests": report.digests.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "bytes": {
            "fetched": report.read.0,
            "image": report.image_size.0,
            "written": report.written.0,
            "zeroed": report.zeroed.0,
            "verified": report.verified.0,
        },
        "verify": args.verify,
        "config_drive_partition": report.config_drive_partition,
        "disk_id": report.disk_id,
        "seconds": {"write": write, "verify": verify, "commit": commit, "total": total},
        "bytes_per_s": per_second(report.image_size.0, total),
    })
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "for people, not for arithmetic"
)]
fn per_second(bytes: u64, seconds: f64) -> u64 {
    (bytes as f64 / seconds.max(0.001)) as u64
}

fn style(with_total: bool) -> ProgressStyle {
    let template = if with_total {
        "{msg:>7} {bar:30} {percent:>3}% {bytes}/{total_bytes} {bytes_per_sec} ETA {eta}"
    } else {
        "{msg:>7} {spinner} {bytes} {bytes_per_sec} {elapsed}"
    };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// One line of JSON. A reader that is gone does not stop a write.
fn print(line: &Value) {
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).ok();
}
