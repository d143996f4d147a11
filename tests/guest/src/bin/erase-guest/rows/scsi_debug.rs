//! Drives of the kernel's own `scsi_debug`, whose content is in the guest's
//! memory: the guest plants the secret and looks for it.

use erase::Policy;
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
];

/// `scsi_debug` loaded with `options`, until dropped.
struct ScsiDebug;

impl ScsiDebug {
    fn load(options: &str) -> Self {
        modules::load("scsi_debug", &format!("dev_size_mb=16 delay=0 {options}"));
        Self
    }

    fn drives(&self, bench: &Bench, count: usize) -> Vec<Disk> {
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
    let module = ScsiDebug::load(options);
    let disk = &module.drives(bench, 1)[0];
    plant(disk);
    let erased = bench.erase(disk, Policy::FULL).expect("an erased drive");
    assert!(survivors(disk).is_none(), "{:?}", survivors(disk));
    json!({"method": erased.method.name(), "block": disk.logical_block.get(), "read_back": erased.proof.bytes})
}
