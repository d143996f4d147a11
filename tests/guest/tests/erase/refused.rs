//! Disks that others use, as the real kernel shows them.

use guest::{drive::Drive, machine::Machine};

use crate::BOOT;

#[test]
fn cluster_file_systems_and_second_paths_are_refused() {
    let _ = Machine::new().run(&BOOT, &["cluster-file-system", "two-paths", "multipath-map"]);
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
