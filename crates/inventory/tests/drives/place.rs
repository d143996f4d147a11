//! Where a disk sits, what it is part of, what it is divided into.

use model::{Bytes, inventory::Partition};

use crate::tree::{SCSI, SCSI_DEVICE, Tree};

const NVME: &str = "pci0000:5d/0000:5d:02.0=pci/0000:5e:00.0=pci/nvme/nvme0=nvme/nvme0n1";
const NVME_DIR: &str = "sys/devices/pci0000:5d/0000:5d:02.0/0000:5e:00.0/nvme/nvme0/nvme0n1";

#[test]
fn an_nvme_drive_has_a_slot_a_node_and_names() {
    let tree = Tree::default()
        .disk(NVME)
        .text("sys/devices/pci0000:5d/0000:5d:02.0/0000:5e:00.0/numa_node", "1")
        .text("sys/bus/pci/slots/12/address", "0000:5e:00")
        .text("sys/bus/pci/slots/13/address", "0000:5f:00")
        .text(&format!("{NVME_DIR}/nsid"), "2")
        .text(&format!("{NVME_DIR}/eui"), "00 25 38 b5 21 a0 1c 2d")
        .text(&format!("{NVME_DIR}/nguid"), "00000000-0000-0000-0000-000000000000")
        .text(&format!("{NVME_DIR}/uuid"), "5f6a1b2c-0000-4000-8000-00259038b521")
        .text(&format!("{NVME_DIR}/queue/zoned"), "none")
        .text(&format!("{NVME_DIR}/queue/write_cache"), "write back")
        .text(&format!("{NVME_DIR}/queue/discard_max_bytes"), "2199023255040")
        .text(&format!("{NVME_DIR}/queue/write_zeroes_max_bytes"), "0")
        .text(&format!("{NVME_DIR}/integrity/format"), "T10-DIF-TYPE1-CRC")
        .link(&format!("{NVME_DIR}/device"), "sys/devices/pci0000:5d/0000:5d:02.0/0000:5e:00.0/nvme/nvme0")
        .text(
            "sys/devices/pci0000:5d/0000:5d:02.0/0000:5e:00.0/nvme/nvme0/subsysnqn",
            "nqn.1994-11.com.samsung:nvme:PM1733:X",
        );
    let disk = tree.only_disk();
    assert_eq!(
        (disk.pci_address.as_deref(), disk.numa_node, disk.slot.as_deref()),
        (Some("0000:5e:00.0"), Some(1), Some("12"))
    );
    assert_eq!(
        (disk.write_cache, disk.discard, disk.write_zeroes),
        (Some(true), Some(Bytes(2_199_023_255_040)), None)
    );
    assert_eq!((disk.zoned, disk.integrity.as_deref()), (None, Some("T10-DIF-TYPE1-CRC")));
    let namespace = disk.namespace.expect("NVMe");
    assert_eq!((namespace.id, namespace.controllers), (2, vec!["nvme0".to_owned()]));
    assert_eq!(namespace.subsystem.as_deref(), Some("nqn.1994-11.com.samsung:nvme:PM1733:X"));
    assert_eq!((namespace.eui64.as_deref(), namespace.nguid), (Some("002538b521a01c2d"), None));
    assert_eq!(namespace.uuid.as_deref(), Some("5f6a1b2c-0000-4000-8000-00259038b521"));
}

#[test]
fn a_disk_in_an_enclosure_has_the_slot_s_name() {
    let component = "sys/devices/pci0000:00/enclosure/0:0:8:0/Slot 03";
    let tree = Tree::default()
        .disk(SCSI)
        .link("sys/class/enclosure/0:0:8:0", "sys/devices/pci0000:00/enclosure/0:0:8:0")
        .link(&format!("{component}/device"), SCSI_DEVICE)
        .text(&format!("{component}/slot"), "3");
    assert_eq!(tree.only_disk().slot.as_deref(), Some("Slot 03"));
}

#[test]
fn an_unknown_node_is_none() {
    let tree =
        Tree::default().disk(NVME).text("sys/devices/pci0000:5d/0000:5d:02.0/0000:5e:00.0/numa_node", "-1");
    assert_eq!(
        (
            tree.only_disk().numa_node,
            tree.inventory().warnings.iter().any(|warning| warning.path.contains("numa"))
        ),
        (None, false)
    );
}

#[test]
fn partitions_are_those_of_the_disk_and_of_no_other() {
    let sda = "sys/devices/pci0000:00/0000:00:05.0/host0/target0:0:0/0:0:0:0/block/sda";
    let mut tree =
        Tree::default().disk(SCSI).disk(&SCSI.replace("sda", "sdaa").replace("0:0:0:0", "0:0:0:1"));
    for (name, number, start) in [("sda10", "10", "8192"), ("sda2", "2", "2048")] {
        let dir = format!("{sda}/{name}");
        tree = tree
            .link(&format!("sys/class/block/{name}"), &dir)
            .text(&format!("{dir}/partition"), number)
            .text(&format!("{dir}/start"), start)
            .text(&format!("{dir}/size"), "1024");
    }
    let event = "MAJOR=8\\nPARTN=2\\nPARTNAME=EFI System\\nPARTUUID=0fc63daf-8483-4772-8e79-3d69d8477de4";
    let tree = tree.text(&format!("{sda}/sda2/uevent"), event).text(&format!("{sda}/sda2/holders/dm-3"), "");
    let inventory = tree.inventory();
    let numbers: Vec<u32> = inventory.disks[0].partitions.iter().map(|partition| partition.number).collect();
    assert_eq!(numbers, [2, 10]);
    let want = Partition {
        name: "sda2".to_owned(),
        number: 2,
        start: Bytes(1 << 20),
        size: Bytes(512 << 10),
        label: Some("EFI System".to_owned()),
        uuid: Some("0fc63daf-8483-4772-8e79-3d69d8477de4".to_owned()),
        holders: vec!["dm-3".to_owned()],
        signatures: vec![],
    };
    assert_eq!(inventory.disks[0].partitions[0], want);
    assert!(inventory.disks[1].partitions.is_empty());
}
