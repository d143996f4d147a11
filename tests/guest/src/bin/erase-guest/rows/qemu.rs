//! QEMU's own drives. They ignore discards and keep every byte; the host reads
//! their files afterwards.

use erase::{Erased, Policy};
use model::inventory::Disk;
use serde_json::{Value, json};

use super::Named;
use crate::{
    bench::{Bench, survivors, wait_for},
    programs,
};

pub(crate) const ROWS: &[Named] = &[
    ("virtio", |bench| found(&overwritten(bench, "VIRTIO"))),
    ("scsi", |bench| found(&overwritten(bench, "SCSI"))),
    ("sata", |bench| found(&overwritten(bench, "SATA"))),
    ("nvme", |bench| formatted(bench, "NVME")),
    ("nvme-4kn", |bench| formatted(bench, "NVME4KN")),
    ("nvme-namespaces", namespaces),
];

/// The drive has no erase of its own: a discard that erases nothing, zeros, and the proof.
fn overwritten(bench: &Bench, serial: &str) -> Erased {
    let disk = bench.disk(serial);
    let before = survivors(&disk).sectors;
    programs::run("blkdiscard", &["--force", &disk.path()]);
    assert_eq!(survivors(&disk).sectors, before, "this drive was to ignore discards");
    bench.erase(&disk, Policy::FULL).expect("an erased drive")
}

/// The drive formats itself. Its FNA says that it has no keys to destroy, so
/// SES 2, which it accepts, must not be asked for.
fn formatted(bench: &Bench, serial: &str) -> Value {
    let disk = bench.disk(serial);
    let erased = bench.erase(&disk, Policy::FULL).expect("an erased drive");
    assert_eq!(erased.method.name(), "nvme.format.user-data");
    assert!(survivors(&disk).is_none(), "{:?}", survivors(&disk));
    found(&erased)
}

/// One namespace is erased and the other keeps its data, until it is erased too.
fn namespaces(bench: &Bench) -> Value {
    let [one, two] = &wait_for("two namespaces", || {
        let mut disks = bench.disks();
        disks.retain(|disk| disk.serial.as_deref() == Some("NAMESPACES"));
        <[Disk; 2]>::try_from(disks).ok()
    });
    let first = bench.erase(one, Policy::FULL).expect("an erased namespace");
    assert!(survivors(one).is_none(), "{:?}", survivors(one));
    assert!(!survivors(two).is_none(), "FNA says that a namespace is erased alone");
    let second = bench.erase(two, Policy::FULL).expect("an erased namespace");
    json!([found(&first), found(&second)])
}

fn found(erased: &Erased) -> Value {
    let block = erased.subject.disk.logical_block.get();
    json!({"method": erased.method.name(), "block": block, "read_back": erased.proof.bytes})
}
