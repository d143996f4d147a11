//! What drives say of their health and of erasing, at full depth.

use model::inventory::AtaSecurity;

use crate::{
    identity::identify,
    tree::{SCSI, SCSI_DEVICE, Tree},
};

pub(crate) const NVME: &str = "pci0000:00/0000:00:03.0=pci/nvme/nvme0=nvme/nvme0n1";
pub(crate) const SATA: &str =
    "pci0000:00/0000:00:17.0=pci/ata3=/host2=scsi/target2:0:0=scsi/2:0:0:0=scsi/block/sda";
pub(crate) const SATA_DEVICE: &str = "sys/devices/pci0000:00/0000:00:17.0/ata3/host2/target2:0:0/2:0:0:0";

/// Identify data with these words set.
pub(crate) fn ata_drive(words: &[(usize, u16)]) -> Vec<u8> {
    let mut data = identify("A DRIVE", "SERIAL", 0);
    for (word, value) in words {
        data[word * 2..][..2].copy_from_slice(&value.to_le_bytes());
    }
    data
}

#[test]
fn an_nvme_drive_offers_what_its_controller_lists() {
    let mut controller = vec![0; 4096];
    (controller[256], controller[328], controller[524]) = (0b10, 0b011, 0b100);
    let tree = Tree::default().disk(NVME).bytes("kernel/block/nvme0n1/identify_controller", &controller);
    let disk = tree.only_disk();
    assert_eq!(disk.health, None, "it did not say");
    assert_eq!(
        disk.erase,
        ["nvme.sanitize.crypto", "nvme.sanitize.block", "nvme.format.crypto", "nvme.format.user-data"]
    );
    controller[256] = 0b11;
    let tree = tree.bytes("kernel/block/nvme0n1/identify_controller", &controller);
    let opal = tree.bytes("kernel/block/nvme0n1/opal", &1_u32.to_le_bytes());
    assert_eq!(opal.only_disk().erase.last().map(String::as_str), Some("opal.revert"));
}

#[test]
fn an_ata_drive_tells_its_erases_and_how_long_they_take() {
    // Security with the enhanced erase, frozen; SANITIZE with crypto and block erase.
    let words = [(59, 0xb000), (82, 0b10), (89, 60), (90, 0x8000 | 300), (128, 0b10_1001)];
    let tree = Tree::default()
        .disk(SATA)
        .text(&format!("{SATA_DEVICE}/vendor"), "ATA")
        .bytes("kernel/block/sda/identify_device", &ata_drive(&words));
    let disk = tree.only_disk();
    assert_eq!(
        disk.erase,
        [
            "ata.sanitize.crypto",
            "ata.sanitize.block",
            "ata.security-erase.enhanced",
            "ata.security-erase.normal"
        ]
    );
    let security = AtaSecurity {
        enabled: false,
        locked: false,
        frozen: true,
        erase_minutes: Some(120),
        enhanced_erase_minutes: Some(600),
    };
    assert_eq!((disk.security, disk.health), (Some(security), None));
}

#[test]
fn a_scsi_drive_tells_by_its_own_list_of_commands() {
    let tree = Tree::default()
        .disk(SCSI)
        .bytes("kernel/block/sda/sanitize_block", &[0, 3, 0, 10])
        .bytes("kernel/block/sda/sanitize_overwrite", &[0, 1, 0, 10]);
    assert_eq!(tree.only_disk().erase, ["scsi.sanitize.block"]);
}

#[test]
fn a_drive_that_does_not_answer_is_a_warning_and_otherwise_described() {
    let tree = Tree::default()
        .disk(SCSI)
        .text(&format!("{SCSI_DEVICE}/model"), "Slow")
        .broken("kernel/block/sda/log_00", 110);
    let inventory = tree.inventory();
    assert_eq!((inventory.disks[0].model.as_deref(), &inventory.disks[0].health), (Some("Slow"), &None));
    let told: Vec<_> = inventory.warnings.iter().filter(|warning| warning.path.contains("sda")).collect();
    assert!(told.len() == 1 && told[0].reason.contains("timed out"), "{told:?}");
}

/// Answers of any length and content: never a panic.
#[test]
fn bent_answers_are_no_answers() {
    let labels = [
        "identify_controller",
        "health_log",
        "identify_device",
        "smart_status",
        "smart_data",
        "log_00",
        "log_0d",
    ];
    let disks = [NVME, SATA, SCSI].map(|path| (path, path.rsplit('/').next().expect("a name")));
    for length in [0, 1, 3, 8, 60, 511, 512, 513, 4096] {
        for byte in [0x00, 0x01, 0x72, 0xa5, 0xff] {
            for (path, name) in disks {
                let mut tree = Tree::default().disk(path).text(&format!("{SATA_DEVICE}/vendor"), "ATA");
                for label in labels {
                    tree = tree.bytes(&format!("kernel/block/{name}/{label}"), &vec![byte; length]);
                }
                assert_eq!(tree.inventory().disks.len(), 1);
            }
        }
    }
}
