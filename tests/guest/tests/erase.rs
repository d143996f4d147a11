//! Erasing through the real kernel's drivers, in guests: each row's drive is read
//! whole from outside when the guest is off, for the secret that was on it.

use std::{path::Path, sync::LazyLock};

use guest::{boot::Boot, drive::Drive, machine::Machine};

/// Programs of this machine that rows run.
const PROGRAMS: [&str; 2] = ["/usr/sbin/dmsetup", "/usr/sbin/blkdiscard"];

static BOOT: LazyLock<Boot> =
    LazyLock::new(|| Boot::new(Path::new(env!("CARGO_BIN_EXE_erase-guest")), &PROGRAMS.map(Path::new)));

#[test]
fn drives_that_ignore_discards_are_overwritten_and_proven() {
    let names = ["VIRTIO", "SCSI", "SATA", "NVME", "NVME4KN", "NS1", "NS2"];
    let drives = names.map(|name| Drive::used(name, 16));
    let [virtio, scsi, sata, nvme, nvme_4kn, namespace_1, namespace_2] = &drives;
    let _ = Machine::new()
        .drive(virtio, "virtio-blk-pci")
        .arguments(&["-device", "virtio-scsi-pci,id=scsi"])
        .drive(scsi, "scsi-hd,bus=scsi.0")
        .drive(sata, "ide-hd,bus=ide.0")
        .drive(nvme, "nvme")
        .drive(nvme_4kn, "nvme,logical_block_size=4096,physical_block_size=4096")
        .arguments(&["-device", "nvme,id=namespaces,serial=NAMESPACES"])
        .backing(namespace_1)
        .arguments(&["-device", "nvme-ns,drive=NS1,bus=namespaces,nsid=1"])
        .backing(namespace_2)
        .arguments(&["-device", "nvme-ns,drive=NS2,bus=namespaces,nsid=10"])
        .run(&BOOT, &["virtio", "scsi", "sata", "nvme", "nvme-4kn", "nvme-namespaces"]);
    for drive in &drives {
        assert!(drive.survivors().is_none(), "{}: {:?}", drive.name(), drive.survivors());
    }
}

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
        "null-blk-bad-blocks",
        "scsi-debug-zoned",
        "held-by-an-array",
        "held-open",
    ];
    let _ = Machine::new().run(&BOOT, &rows);
}

#[test]
fn a_drive_that_is_pulled_out_while_it_is_written_is_never_clean() {
    let drives = ["PULLNVME", "PULLVIRTIO", "PULLSCSI"].map(|name| Drive::used(name, 32));
    let [nvme, virtio, scsi] = &drives;
    let mut guest = Machine::new()
        .arguments(&["-device", "pcie-root-port,id=port1,chassis=1,slot=1"])
        .arguments(&["-device", "pcie-root-port,id=port2,chassis=2,slot=2"])
        .drive(nvme, "nvme,bus=port1,id=nvme-PULLNVME")
        .drive(virtio, "virtio-blk-pci,bus=port2,id=virtio-PULLVIRTIO")
        .arguments(&["-device", "virtio-scsi-pci,id=scsi"])
        .drive(scsi, "scsi-hd,bus=scsi.0,id=scsi-PULLSCSI")
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
