//! Drives of the device mapper and of `null_blk` that fail or lie.

use std::{fs, path::Path};

use erase::{AttemptError, CanaryError, EraseError, Phase, Policy, Progress, Verdict};
use guest::secret::Survivors;
use model::inventory::Disk;
use serde_json::{Value, json};

use super::{Named, mapped::Mapped, scsi_debug::ScsiDebug};
use crate::{
    bench::{Bench, plant, survivors},
    modules,
};

pub(crate) const ROWS: &[Named] = &[
    ("dm-error", unwritable),
    ("dm-drops-writes", liar),
    ("dm-drops-writes-later", later_liar),
    ("dm-shrinks", shrinks),
    ("null-blk-bad-blocks", bad_blocks),
];

/// Sectors of 512 bytes of the drives of these rows.
const SECTORS: u64 = 16 << 11;
/// The first of the bad sectors.
const BAD: u64 = 9_000;
/// How many there are.
const BAD_COUNT: u64 = 8;

/// Sectors in the middle that take no data: not clean, and all others are.
fn unwritable(bench: &Bench) -> Value {
    let module = ScsiDebug::load("dev_size_mb=16");
    let below = &module.drives(bench, 1)[0];
    plant(below);
    let (node, after) = (below.path(), BAD + BAD_COUNT);
    let mapped = Mapped::new(
        "bad",
        &format!(
            "0 {BAD} linear {node} 0\n{BAD} {BAD_COUNT} error\n{after} {} linear {node} {after}",
            SECTORS - after
        ),
    );
    let error = bench.erase(&mapped.disk(bench), Policy::FULL).expect_err("sectors that take no data");
    drop(mapped);
    assert_eq!(
        survivors(below),
        Survivors { sectors: BAD_COUNT, first: (BAD..after).map(|lba| lba * 512).collect() }
    );
    incomplete(bench, &error)
}

/// The error says that exactly the bad sectors are not known to be gone.
fn incomplete(bench: &Bench, error: &EraseError) -> Value {
    assert_eq!(error.verdict(), Verdict::Incomplete, "{error:?}");
    let (unwritten, _) = error.bad_blocks();
    assert_eq!(unwritten.ranges(), [BAD * 512..(BAD + BAD_COUNT) * 512; 1]);
    json!({"error": bench.words(error)})
}

/// A drive that says it wrote, and did not, is found out.
fn liar(bench: &Bench) -> Value {
    modules::load("dm_flakey", "");
    let module = ScsiDebug::load("dev_size_mb=16");
    let below = &module.drives(bench, 1)[0];
    plant(below);
    let before = survivors(below).sectors;
    let node = below.path();
    let mapped = Mapped::new("liar", &format!("0 {SECTORS} flakey {node} 0 0 1000 1 drop_writes"));
    let error = bench.erase(&mapped.disk(bench), Policy::FULL).expect_err("a drive that drops writes");
    let caught = |error: &EraseError| match error {
        EraseError::NotErased { last: AttemptError::Canary(CanaryError::NotKept { .. }), .. } => true,
        EraseError::NotErased { .. } | EraseError::AnotherDisk { .. } => false,
    };
    assert!(caught(&error), "{error:?}");
    assert_eq!(survivors(below).sectors, before, "it was to drop every write");
    mapped.change(&format!("0 {SECTORS} linear {node} 0"));
    let _proof = bench.erase(&mapped.disk(bench), Policy::FULL).expect("honest now");
    drop(mapped);
    assert!(survivors(below).is_none(), "{:?}", survivors(below));
    json!({"error": bench.words(&error)})
}

/// A drive that is honest until the canaries are placed, and begins to lie in the middle.
fn later_liar(bench: &Bench) -> Value {
    modules::load("dm_flakey", "");
    let module = ScsiDebug::load("dev_size_mb=16");
    let below = &module.drives(bench, 1)[0];
    plant(below);
    let node = below.path();
    let mapped = Mapped::new("liar", &format!("0 {SECTORS} linear {node} 0"));
    let mut honest = true;
    let begin_to_lie = &mut |progress: Progress| {
        if honest && progress.phase == Phase::Overwrite {
            honest = false;
            mapped.change(&format!("0 {SECTORS} flakey {node} 0 0 1000 1 drop_writes"));
        }
    };
    let policy = Policy { passes: 2, ..Policy::FULL };
    let error = bench.erase_watched(&mapped.disk(bench), policy, begin_to_lie).expect_err("a liar");
    assert!(!honest, "it was never asked to overwrite");
    let caught = |error: &EraseError| match error {
        EraseError::NotErased { last: AttemptError::Unproven(_), .. } => true,
        EraseError::NotErased { .. } | EraseError::AnotherDisk { .. } => false,
    };
    assert!(caught(&error), "{error:?}");
    json!({"error": bench.words(&error)})
}

/// Another size than was planned for: nothing is written.
fn shrinks(bench: &Bench) -> Value {
    let module = ScsiDebug::load("dev_size_mb=16");
    let below = &module.drives(bench, 1)[0];
    plant(below);
    let before = survivors(below);
    let node = below.path();
    let mapped = Mapped::new("small", &format!("0 {SECTORS} linear {node} 0"));
    let disk = mapped.disk(bench);
    let plan = bench.plan(&disk, Policy::FULL).expect("a plan");
    mapped.change(&format!("0 {} linear {node} 0", SECTORS / 2));
    let error = bench.carry_out(plan, &disk, &mut |_| ()).expect_err("another size");
    assert!(matches!(error, EraseError::AnotherDisk { .. }), "{error:?}");
    assert_eq!(survivors(below), before, "nothing was to be written");
    json!({"error": bench.words(&error)})
}

/// Blocks that can neither be written nor read.
fn bad_blocks(bench: &Bench) -> Value {
    let drive = NullBlk::new(&[("size", "16"), ("memory_backed", "1"), ("badblocks", "+9000-9007")]);
    let disk = drive.disk(bench);
    let error = bench.erase(&disk, Policy::FULL).expect_err("bad blocks");
    incomplete(bench, &error)
}

/// A drive of `null_blk`, until dropped.
struct NullBlk;

impl NullBlk {
    /// Of the folder, and of the drive.
    const NAME: &str = "nullb-bad";
    const FOLDER: &str = "/sys/kernel/config/nullb/nullb-bad";

    fn new(attributes: &[(&str, &str)]) -> Self {
        modules::load("null_blk", "nr_devices=0");
        modules::mount_configfs();
        fs::create_dir(Self::FOLDER).expect("null_blk makes a drive");
        for (name, value) in attributes.iter().chain(&[("power", "1")]) {
            let path = format!("{}/{name}", Self::FOLDER);
            fs::write(&path, value).unwrap_or_else(|err| panic!("{path}: {err}"));
        }
        Self
    }

    fn disk(&self, bench: &Bench) -> Disk {
        bench.disk_at(Path::new("/dev").join(Self::NAME).as_path())
    }
}

impl Drop for NullBlk {
    fn drop(&mut self) {
        let _ = fs::remove_dir(Self::FOLDER);
    }
}
