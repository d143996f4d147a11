//! Erasing through the real kernel's drivers, in guests: each row's drive is read
//! whole from outside when the guest is off, for the secret that was on it.

use std::{path::Path, sync::LazyLock};

use guest::{boot::Boot, drive::Drive, machine::Machine};

static BOOT: LazyLock<Boot> = LazyLock::new(|| Boot::new(Path::new(env!("CARGO_BIN_EXE_erase-guest")), &[]));

#[test]
fn drives_that_ignore_discards_are_overwritten_and_proven() {
    let (virtio, scsi, sata) = (Drive::used("VIRTIO", 16), Drive::used("SCSI", 16), Drive::used("SATA", 16));
    let rows = Machine::new()
        .drive(&virtio, "virtio-blk-pci")
        .arguments(&["-device", "virtio-scsi-pci,id=scsi"])
        .drive(&scsi, "scsi-hd,bus=scsi.0")
        .drive(&sata, "ide-hd,bus=ide.0")
        .run(&BOOT, &["virtio", "scsi", "sata"]);
    assert_eq!(rows.len(), 3);
    for drive in [virtio, scsi, sata] {
        assert!(drive.survivors().is_none(), "{}: {:?}", drive.name(), drive.survivors());
    }
}

#[test]
fn drives_with_large_blocks_and_checksums_are_overwritten_and_proven() {
    let _ = Machine::new().run(&BOOT, &["scsi-debug-4kn", "scsi-debug-dif"]);
}
