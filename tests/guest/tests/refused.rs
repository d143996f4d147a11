//! Disks that something speaks against, as the real kernel shows them: layers of
//! md and the device mapper, cluster file systems, second paths, zones.

use std::{path::Path, sync::LazyLock};

use guest::{boot::Boot, drive::Drive, machine::Machine};

static BOOT: LazyLock<Boot> = LazyLock::new(|| {
    Boot::new(Path::new(env!("CARGO_BIN_EXE_erase-guest")), &[Path::new("/usr/sbin/dmsetup")])
});

#[test]
fn layers_are_stopped_first_and_other_owners_are_respected() {
    let rows = ["layers", "cluster-file-system", "two-paths", "multipath-map", "host-managed"];
    let _ = Machine::new().run(&BOOT, &rows);
}

#[test]
fn a_namespace_that_another_controller_may_have_is_erased_by_force_only() {
    let drive = Drive::used("SHARED", 16);
    let _ = Machine::new()
        .arguments(&["-device", "nvme-subsys,id=both,nqn=both"])
        .arguments(&["-device", "nvme,id=first,serial=BOTH,subsys=both"])
        .arguments(&["-device", "nvme,id=second,serial=BOTH,subsys=both"])
        .backing(&drive)
        .arguments(&["-device", "nvme-ns,drive=SHARED,bus=first,nsid=1,shared=on"])
        .run(&BOOT, &["nvme-shared"]);
    assert!(drive.survivors().is_none(), "{:?}", drive.survivors());
}
