//! A drive whose power is cut while it is erased: what the test on the host does
//! to this guest. The next guest finds the drive as it is, and begins here.

use erase::{Policy, Progress};
use serde_json::{Value, json};

use super::Named;
use crate::bench::{Bench, plant, survivors};

pub(crate) const ROWS: &[Named] = &[("cut", cut), ("finish", finish)];

/// Finish what was cut before; then plant the secret again and erase until the
/// power fails, telling every step.
fn cut(bench: &Bench) -> Value {
    finish(bench);
    bench.mark_and_wait("finished");
    let disk = bench.disk("CUT");
    plant(&disk);
    let steps = &mut |progress: Progress| bench.mark(progress.phase.name());
    let _never_told = bench.erase_watched(&disk, Policy::FULL, steps);
    panic!("the power was to fail");
}

/// A fresh agent finds the drive, whatever is on it, and erases it.
fn finish(bench: &Bench) -> Value {
    let disk = bench.disk("CUT");
    let erased = bench.erase(&disk, Policy::FULL).expect("an erased drive");
    assert!(survivors(&disk).is_none(), "{:?}", survivors(&disk));
    json!({"method": erased.method.name(), "read_back": erased.proof.bytes})
}
