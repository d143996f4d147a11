//! Drives that are pulled out by QEMU's control socket.

use guest::{drive::Drive, machine::Machine};

use crate::BOOT;

/// What the drives write in a second: a quarter of them, so that none is done before it is gone.
const MIB_EACH_SECOND: u64 = 8;

#[test]
fn a_drive_that_is_pulled_out_while_it_is_written_is_never_clean() {
    let drives = ["PULLNVME", "PULLVIRTIO", "PULLSCSI"].map(|name| Drive::used(name, 32));
    let [nvme, virtio, scsi] = &drives;
    let mut guest = Machine::new()
        .arguments(&["-device", "pcie-root-port,id=port1,chassis=1,slot=1"])
        .arguments(&["-device", "pcie-root-port,id=port2,chassis=2,slot=2"])
        .slow_drive(nvme, MIB_EACH_SECOND, "nvme,bus=port1,id=nvme-PULLNVME")
        .slow_drive(virtio, MIB_EACH_SECOND, "virtio-blk-pci,bus=port2,id=virtio-PULLVIRTIO")
        .arguments(&["-device", "virtio-scsi-pci,id=scsi"])
        .slow_drive(scsi, MIB_EACH_SECOND, "scsi-hd,bus=scsi.0,id=scsi-PULLSCSI")
        .start(&BOOT, &["pulled-nvme", "pulled-virtio", "pulled-scsi"]);
    for (drive, kind) in drives.iter().zip(["nvme", "virtio", "scsi"]) {
        guest.wait_for(drive.name());
        guest.qmp().unplug(&format!("{kind}-{}", drive.name()));
    }
    let _ = guest.end();
    for drive in &drives {
        assert!(!drive.survivors().is_none(), "{} was erased before it was pulled out", drive.name());
    }
}
