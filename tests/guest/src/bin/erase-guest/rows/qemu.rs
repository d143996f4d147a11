//! QEMU's own drives. They ignore discards and keep every byte; the host reads
//! their files afterwards.

use erase::{Mode, Policy};
use serde_json::{Value, json};

use super::Named;
use crate::bench::Bench;

pub(crate) const ROWS: &[Named] = &[
    ("virtio", |bench| overwritten(bench, "VIRTIO")),
    ("scsi", |bench| overwritten(bench, "SCSI")),
    ("sata", |bench| overwritten(bench, "SATA")),
];

/// The drive has no erase of its own: zeros, and the proof.
fn overwritten(bench: &Bench, serial: &str) -> Value {
    let disk = bench.disk(serial);
    let erased = bench.erase(&disk, Policy::FULL).expect("an erased drive");
    assert_eq!(erased.policy.mode, Mode::Full);
    json!({"method": erased.method.name(), "read_back": erased.proof.bytes})
}
