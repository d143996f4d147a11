//! Drives that are pulled out while they are written: the test on the host does it.

use std::{path::Path, time::Instant};

use erase::{Method, Phase, Policy, Progress, Verdict};
use serde_json::{Value, json};

use super::Named;
use crate::bench::{Bench, wait_for};

pub(crate) const ROWS: &[Named] = &[
    ("pulled-nvme", |bench| pulled(bench, "PULLNVME")),
    ("pulled-virtio", |bench| pulled(bench, "PULLVIRTIO")),
    ("pulled-scsi", |bench| pulled(bench, "PULLSCSI")),
];

/// The drive with this serial number is pulled out at the first step of its overwrite.
fn pulled(bench: &Bench, serial: &str) -> Value {
    let disk = bench.disk(serial);
    let policy = Policy { device_erase: false, passes: 2, ..Policy::FULL };
    assert_eq!(bench.plan(&disk, policy).expect("a plan").methods(), [Method::Overwrite]);
    let folder = format!("/sys/block/{}", disk.name);
    let mut gone = None;
    let pull = &mut |progress: Progress| {
        if gone.is_none() && progress.phase == Phase::Overwrite && progress.done.0 > 0 {
            bench.mark(serial);
            wait_for("its end", || (!Path::new(&folder).exists()).then_some(()));
            gone = Some(Instant::now());
        }
    };
    let error = bench.erase_watched(&disk, policy, pull).expect_err("a drive that is gone");
    let noticed = gone.expect("it was to be pulled out").elapsed();
    assert_eq!(error.verdict(), Verdict::DestroyRequired, "{error:?}");
    json!({"error": bench.words(&error), "noticed_ms": noticed.as_millis()})
}
