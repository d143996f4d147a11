//! QEMU's own drives.

use guest::{drive::Drive, machine::Machine};

use crate::BOOT;

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
