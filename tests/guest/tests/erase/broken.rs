//! Drives made of the guest's own memory, which the guest searches itself.

use guest::machine::Machine;

use crate::BOOT;

#[test]
fn drives_that_fail_lie_or_vanish_are_never_clean() {
    let rows = [
        "scsi-debug-4kn",
        "scsi-debug-dif",
        "scsi-debug-24",
        "scsi-debug-unreadable",
        "scsi-debug-removed",
        "dm-error",
        "dm-drops-writes",
        "dm-drops-writes-later",
        "dm-shrinks",
        "null-blk-bad-blocks",
        "scsi-debug-zoned",
        "held-by-an-array",
        "held-open",
    ];
    let _ = Machine::new().run(&BOOT, &rows);
}
