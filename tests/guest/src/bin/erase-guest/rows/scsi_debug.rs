//! Drives of the kernel's own `scsi_debug`, whose content is in the guest's
//! memory: the guest plants the secret and looks for it.

use std::{fs, thread};

use erase::{Method, Policy, Progress, Verdict};
use model::inventory::Disk;
use serde_json::{Value, json};

use super::Named;
use crate::{
    bench::{Bench, plant, survivors, wait_for},
    modules,
};

pub(crate) const ROWS: &[Named] = &[
    ("scsi-debug-4kn", |bench| whole(bench, "sector_size=4096")),
    ("scsi-debug-dif", |bench| whole(bench, "dif=1 dix=1")),
    ("scsi-debug-24", all_at_once),
    ("scsi-debug-unreadable", unreadable),
    ("scsi-debug-removed", removed),
    ("scsi-debug-zoned", zoned),
];

/// Disks that are erased at the same time.
const MANY: usize = 24;
/// The first LBA that cannot be read, and how many there are.
const BAD: (u64, u64) = (0x1234, 16);

/// `scsi_debug` loaded with options, until dropped.
pub(super) struct ScsiDebug;

impl ScsiDebug {
    pub(super) fn load(options: &str) -> Self {
        modules::load("scsi_debug", &format!("delay=0 {options}"));
        Self
    }

    pub(super) fn drives(&self, bench: &Bench, count: usize) -> Vec<Disk> {
        wait_for("the drives of scsi_debug", || {
            let mut disks = bench.disks();
            disks.retain(|disk| disk.model.as_deref() == Some("scsi_debug"));
            (disks.len() == count).then_some(disks)
        })
    }
}

impl Drop for ScsiDebug {
    fn drop(&mut self) {
        modules::unload("scsi_debug");
    }
}

/// One drive, erased and gone.
fn whole(bench: &Bench, options: &str) -> Value {
    let module = ScsiDebug::load(&format!("dev_size_mb=16 {options}"));
    let disk = &module.drives(bench, 1)[0];
    plant(disk);
    let erased = bench.erase(disk, Policy::FULL).expect("an erased drive");
    assert!(survivors(disk).is_none(), "{:?}", survivors(disk));
    json!({"method": erased.method.name(), "block": disk.logical_block.get(), "read_back": erased.proof.bytes})
}

/// 24 drives, each with a memory of its own, erased by as many threads.
fn all_at_once(bench: &Bench) -> Value {
    let module = ScsiDebug::load(&format!("dev_size_mb=2 per_host_store=1 add_host={MANY}"));
    let disks = module.drives(bench, MANY);
    disks.iter().for_each(plant);
    let erased = thread::scope(|scope| {
        let erase = |disk| scope.spawn(move || bench.erase(disk, Policy::FULL));
        let threads: Vec<_> = disks.iter().map(erase).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
    });
    let erased = erased.into_iter().collect::<Result<Vec<_>, _>>().expect("erased drives");
    for disk in &disks {
        assert!(survivors(disk).is_none(), "{}: {:?}", disk.name, survivors(disk));
    }
    json!({"erased": erased.len()})
}

/// Blocks that cannot be read: nobody knows what they hold, so the drive is not clean.
fn unreadable(bench: &Bench) -> Value {
    const MEDIUM_ERRORS: u32 = 2;
    let (first, count) = BAD;
    let module =
        ScsiDebug::load(&format!("dev_size_mb=16 medium_error_start={first} medium_error_count={count}"));
    let disk = &module.drives(bench, 1)[0];
    plant(disk);
    option("opts", &MEDIUM_ERRORS.to_string());
    let error = bench.erase(disk, Policy::FULL).expect_err("blocks that cannot be read");
    option("opts", "0");
    // Each was overwritten nevertheless: only the proof is missing.
    assert!(survivors(disk).is_none(), "{:?}", survivors(disk));
    assert_eq!(error.verdict(), Verdict::Incomplete, "{error:?}");
    let (unwritten, unread) = error.bad_blocks();
    assert!(unwritten.is_empty(), "{unwritten:?}");
    assert_eq!(unread.ranges(), [first * 512..(first + count) * 512; 1]);
    json!({"error": bench.words(&error)})
}

/// The drive is taken away while it is written.
fn removed(bench: &Bench) -> Value {
    let module = ScsiDebug::load("dev_size_mb=64");
    let disk = &module.drives(bench, 1)[0];
    let mut present = true;
    let take_away = &mut |progress: Progress| {
        if present && progress.done.0 > 0 {
            present = false;
            let delete = format!("/sys/block/{}/device/delete", disk.name);
            fs::write(&delete, "1").unwrap_or_else(|err| panic!("{delete}: {err}"));
        }
    };
    let policy = Policy { passes: 2, ..Policy::FULL };
    assert_eq!(bench.plan(disk, policy).expect("a plan").methods(), [Method::Overwrite]);
    let error = bench.erase_watched(disk, policy, take_away).expect_err("a drive that is gone");
    assert!(!present, "it was never taken away");
    assert_eq!(error.verdict(), Verdict::DestroyRequired, "{error:?}");
    json!({"error": bench.words(&error)})
}

/// Zones that are written in order only: refused as long as nothing here can erase them.
fn zoned(bench: &Bench) -> Value {
    let module = ScsiDebug::load("dev_size_mb=64 zbc=managed zone_size_mb=4 zone_max_open=4");
    let disk = &module.drives(bench, 1)[0];
    let refusal = bench.plan(disk, Policy::FULL).expect_err("a zoned drive");
    json!({"refusal": refusal.to_string()})
}

/// Change an option of the loaded module.
fn option(name: &str, value: &str) {
    let path = format!("/sys/bus/pseudo/drivers/scsi_debug/{name}");
    fs::write(&path, value).unwrap_or_else(|err| panic!("{path}: {err}"));
}
