//! The report of a write, for programs and in one sentence.

use image::Report;
use serde_json::{Map, Value, json};

use super::args::{Args, ReadBack};

/// Everything that is known of a write that worked. Fields are only ever added.
pub(super) fn json(args: &Args, report: &Report) -> Value {
    let [write, verify, commit] = report.seconds;
    let total = write + verify + commit;
    let parts: Map<String, Value> = report
        .parts
        .iter()
        .map(|time| {
            (time.part.name().to_owned(), json!({"busy_s": rounded(time.busy_s), "threads": time.threads}))
        })
        .collect();
    json!({
        "ok": true,
        "image": args.shown_images(),
        "target": args.target.display().to_string(),
        "format": report.format.to_string(),
        "compression": report.compression.suffix().trim_start_matches('.'),
        "digests": report.digests.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "content_digest": report.content.as_ref().map(ToString::to_string),
        "bytes": {
            "fetched": report.read.0,
            "refetched": report.refetched.0,
            "image": report.image_size.0,
            "written": report.written.0,
            "zeroed": report.zeroed.0,
            "skipped": report.skipped.0,
            "verified": report.verified.0,
        },
        "retries": report.retries,
        "verify": args.verify.name(),
        "proven": args.verify == ReadBack::Full,
        "config_drive_partition": report.config_drive_partition,
        "rewritten_from_sectors": report.rewritten_from,
        "disk_id": report.disk_id,
        "seconds": {"write": rounded(write), "verify": rounded(verify), "commit": rounded(commit), "total": rounded(total)},
        "parts": parts,
        "bottleneck": bottleneck(report),
        "bytes_per_s": per_second(report.image_size.0, total),
    })
}

/// The part that was busy for most of the time.
fn bottleneck(report: &Report) -> Option<&'static str> {
    let share = |busy: f64, threads: u32| busy / f64::from(threads.max(1));
    let busiest = report
        .parts
        .iter()
        .filter(|time| time.busy_s > 0.0)
        .max_by(|a, b| share(a.busy_s, a.threads).total_cmp(&share(b.busy_s, b.threads)));
    busiest.map(|time| time.part.name())
}

/// The same in one sentence.
pub(super) fn sentence(args: &Args, report: &Report) -> String {
    let read_back = match args.verify {
        ReadBack::Full => format!("{} read back and right", report.verified),
        ReadBack::Sample => format!("a sample of {} read back and right", report.verified),
        ReadBack::None => "NOT READ BACK: nothing proves that the disk holds it".to_owned(),
    };
    let skipped = match report.skipped.0 {
        0 => String::new(),
        _ => format!(" ({} were there already, {} fetched)", report.skipped, report.read),
    };
    format!(
        "{}: {}{} image of {}{skipped} written in {:.1} s; {read_back}\n",
        args.target.display(),
        report.format,
        report.compression.suffix(),
        report.image_size,
        report.seconds.iter().sum::<f64>(),
    )
}

fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// Bytes a second, for people.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "for people, not for arithmetic"
)]
pub(super) fn per_second(bytes: u64, seconds: f64) -> u64 {
    (bytes as f64 / seconds.max(0.001)) as u64
}
