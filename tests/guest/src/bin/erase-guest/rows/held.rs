//! Drives with something standing on them: an array, a volume, somebody who uses it.

use std::{fs, fs::File, path::Path};

use erase::Policy;
use model::inventory::Disk;
use serde_json::{Value, json};

use super::{Named, mapped::Mapped, scsi_debug::ScsiDebug};
use crate::{
    bench::{Bench, plant, survivors},
    modules,
};

pub(crate) const ROWS: &[Named] = &[("held-by-an-array", array_and_volume), ("held-open", open_volume)];

/// A mirror over two drives, until it is stopped.
struct Mirror;

impl Mirror {
    const NAME: &str = "md_old";

    /// By sysfs, without a superblock: Documentation/admin-guide/md.rst.
    fn over(disks: &[Disk]) -> Self {
        modules::load("raid1", "");
        fs::write("/sys/module/md_mod/parameters/new_array", Self::NAME).expect("md makes an array");
        for (name, value) in [("metadata_version", "none"), ("level", "raid1"), ("raid_disks", "2")] {
            Self::set(name, value);
        }
        Self::set("component_size", "8192");
        for (slot, disk) in disks.iter().enumerate() {
            let number = fs::read_to_string(format!("/sys/block/{}/dev", disk.name)).expect("a number");
            Self::set("new_dev", number.trim());
            Self::set(&format!("dev-{}/slot", disk.name), &slot.to_string());
        }
        Self::set("array_state", "active");
        Self
    }

    fn set(name: &str, value: &str) {
        let path = Self::folder().join("md").join(name);
        fs::write(&path, value).unwrap_or_else(|err| panic!("{}: {value}: {err}", path.display()));
    }

    fn folder() -> &'static Path {
        Path::new("/sys/block/md_old")
    }

    fn runs(&self) -> bool {
        let state = fs::read_to_string(Self::folder().join("md/array_state")).unwrap_or_default();
        !state.is_empty() && state.trim() != "clear"
    }
}

/// An array over two drives, a volume on it: both are stopped, and each drive is erased.
fn array_and_volume(bench: &Bench) -> Value {
    let module = ScsiDebug::load("dev_size_mb=16 add_host=2 per_host_store=1");
    let disks = module.drives(bench, 2);
    disks.iter().for_each(plant);
    let mirror = Mirror::over(&disks);
    let volume = Mapped::volume("vg-lv", "0 8192 linear /dev/md_old 1024");
    assert!(mirror.runs() && volume.exists());
    let plan = bench.plan(&disks[0], Policy::FULL).expect("what stands on it can be stopped");
    assert!(mirror.runs() && volume.exists(), "planning stops nothing");
    let notes = plan.notes().to_vec();
    for disk in &disks {
        let _proof = bench.erase(disk, Policy::FULL).expect("an erased drive");
        assert!(survivors(disk).is_none(), "{}: {:?}", disk.name, survivors(disk));
    }
    assert!(!mirror.runs() && !volume.exists());
    json!({"notes": notes})
}

/// Somebody has a volume of it open: nothing is stopped, nothing is written.
fn open_volume(bench: &Bench) -> Value {
    let module = ScsiDebug::load("dev_size_mb=16");
    let disk = &module.drives(bench, 1)[0];
    plant(disk);
    let before = survivors(disk);
    let volume = Mapped::volume("vg-lv", &format!("0 8192 linear {} 1024", disk.path()));
    let open = File::open(volume.disk(bench).path()).expect("a volume");
    let plan = bench.plan(disk, Policy::FULL).expect("nobody mounted it");
    let error = plan.release().expect_err("a volume that is open");
    assert_eq!(survivors(disk), before, "nothing was to be written");
    drop(open);
    plan.release().expect("nobody has it open any more");
    assert!(!volume.exists());
    json!({"error": init::chain(&error)})
}
