//! Serial numbers and world wide names by udev's rules.

use model::inventory::Disk;

use crate::tree::{SCSI, SCSI_DEVICE, Tree};

const USB: &str = "pci0000:00/0000:00:14.0=pci/usb2=usb/2-3=usb/2-3:1.0=usb/host6=scsi/target6:0:0=scsi/6:0:0:0=scsi/block/sda";
const USB_DEVICE: &str = "sys/devices/pci0000:00/0000:00:14.0/usb2/2-3";
const USB_SCSI: &str = "sys/devices/pci0000:00/0000:00:14.0/usb2/2-3/2-3:1.0/host6/target6:0:0/6:0:0:0";

fn page(code: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).expect("short").to_be_bytes();
    [&[0, code, length[0], length[1]], body].concat()
}

fn descriptor(code_set: u8, kind: u8, bytes: &[u8]) -> Vec<u8> {
    [&[code_set, kind, 0, u8::try_from(bytes.len()).expect("short")], bytes].concat()
}

/// IDENTIFY DEVICE of a drive with these names.
pub(crate) fn identify(model: &str, serial: &str, name: u64) -> Vec<u8> {
    let mut data = vec![0; 512];
    let mut put = |word: usize, length: usize, text: &str| {
        for (place, pair) in data[word * 2..word * 2 + length]
            .chunks_exact_mut(2)
            .zip(format!("{text:<length$}").as_bytes().chunks(2))
        {
            place.copy_from_slice(&[pair[1], pair[0]]);
        }
    };
    put(10, 20, serial);
    put(23, 8, "SVT02B6Q");
    put(27, 40, model);
    for (nth, word) in name.to_be_bytes().chunks(2).enumerate() {
        data[(108 + nth) * 2..][..2].copy_from_slice(&[word[1], word[0]]);
    }
    data
}

fn names(disk: &Disk) -> (Option<&str>, Vec<&str>, Option<&str>) {
    let aliases = disk.serial_aliases.iter().map(String::as_str).collect();
    (disk.serial.as_deref(), aliases, disk.wwn.as_ref().map(|wwn| wwn.id.as_str()))
}

#[test]
fn a_scsi_disk_is_named_by_its_pages() {
    let maker = Tree::default()
        .disk(SCSI)
        .text(&format!("{SCSI_DEVICE}/vendor"), "QEMU")
        .text(&format!("{SCSI_DEVICE}/model"), "QEMU HARDDISK");
    let own = descriptor(2, 0, b"drive-scsi0");
    let tree = maker.bytes(&format!("{SCSI_DEVICE}/vpd_pg83"), &page(0x83, &own));
    assert_eq!(
        names(&tree.only_disk()),
        (Some("drive-scsi0"), vec!["0QEMU_QEMU_HARDDISK_drive-scsi0"], None)
    );

    let tree = tree.bytes(&format!("{SCSI_DEVICE}/vpd_pg80"), &page(0x80, b"ABC 123 "));
    assert_eq!(
        names(&tree.only_disk()),
        (Some("ABC 123"), vec!["drive-scsi0", "0QEMU_QEMU_HARDDISK_drive-scsi0"], None)
    );
    let naa = descriptor(1, 3, &[0x50, 0, 0xc5, 0, 0xa1, 0xb2, 0xc3, 0xd4]);
    let tree = tree.bytes(&format!("{SCSI_DEVICE}/vpd_pg83"), &page(0x83, &[own, naa].concat()));
    assert_eq!(
        names(&tree.only_disk()),
        (Some("ABC 123"), vec!["5000c500a1b2c3d4", "35000c500a1b2c3d4"], Some("0x5000c500a1b2c3d4"))
    );
}

#[test]
fn a_serial_number_without_other_names_is_one_with_its_maker() {
    let tree = Tree::default()
        .disk(SCSI)
        .text(&format!("{SCSI_DEVICE}/vendor"), "LIO-ORG")
        .text(&format!("{SCSI_DEVICE}/model"), "disk0");
    let tree = tree.bytes(&format!("{SCSI_DEVICE}/vpd_pg80"), &page(0x80, b"beaf11"));
    assert_eq!(names(&tree.only_disk()), (Some("beaf11"), vec!["SLIO-ORG_disk0_beaf11"], None));
}

#[test]
fn pages_that_sysfs_lacks_are_the_drive_s_own_answers() {
    let naa = descriptor(1, 3, &[0x50, 0, 0xc5, 0, 0xa1, 0xb2, 0xc3, 0xd4]);
    let tree = Tree::default()
        .disk(SCSI)
        .bytes("kernel/block/sda/vpd_pg80", &page(0x80, b"ASKED"))
        .bytes("kernel/block/sda/vpd_pg83", &page(0x83, &naa));
    let want = (Some("ASKED"), vec!["5000c500a1b2c3d4", "35000c500a1b2c3d4"], Some("0x5000c500a1b2c3d4"));
    assert_eq!(names(&tree.only_disk()), want);
}

#[test]
fn an_ata_disk_is_named_by_its_identify_data() {
    let data =
        [vec![0; 60], identify("WDC WD40EFRX-68N32N0", "WD-WCC7K1234567", 0x5001_4ee2_6540_1234)].concat();
    let tree = Tree::default()
        .disk("pci0000:00/0000:00:17.0=pci/ata3=/host2=scsi/target2:0:0=scsi/2:0:0:0=scsi/block/sda")
        .text("sys/devices/pci0000:00/0000:00:17.0/ata3/host2/target2:0:0/2:0:0:0/vendor", "ATA     ")
        .text("sys/devices/pci0000:00/0000:00:17.0/ata3/host2/target2:0:0/2:0:0:0/model", "WDC WD40EFRX-68N")
        .bytes("sys/devices/pci0000:00/0000:00:17.0/ata3/host2/target2:0:0/2:0:0:0/vpd_pg89", &data);
    let disk = tree.only_disk();
    assert_eq!(
        names(&disk),
        (Some("WD-WCC7K1234567"), vec!["WDC_WD40EFRX-68N32N0_WD-WCC7K1234567"], Some("0x50014ee265401234"))
    );
    assert_eq!(disk.model.as_deref(), Some("WDC WD40EFRX-68N32N0"), "not cut at 16 letters");
    assert_eq!(disk.firmware.as_deref(), Some("SVT02B6Q"));
}

fn usb() -> Tree {
    Tree::default()
        .disk(USB)
        .text(&format!("{USB_DEVICE}/idVendor"), "0781")
        .text(&format!("{USB_DEVICE}/idProduct"), "5583")
        .text(&format!("{USB_DEVICE}/2-3:1.0/bInterfaceSubClass"), "06")
        .text(&format!("{USB_SCSI}/vendor"), "SanDisk")
        .text(&format!("{USB_SCSI}/model"), "Ultra  Fit")
}

#[test]
fn a_disk_behind_usb_is_named_by_its_usb_device() {
    let long = "SanDisk_Ultra_Fit-0:0";
    assert_eq!(names(&usb().only_disk()), (Some(long), vec![], None));
    let stick = usb().text(&format!("{USB_DEVICE}/serial"), "4C530001230523117212");
    let long = "SanDisk_Ultra_Fit_4C530001230523117212-0:0";
    assert_eq!(names(&stick.only_disk()), (Some("4C530001230523117212"), vec![long], None));
    assert_eq!(stick.only_disk().model.as_deref(), Some("Ultra  Fit"));
}

#[test]
fn a_fixed_disk_behind_usb_that_is_an_ata_disk_is_named_as_one() {
    let data = identify("Samsung SSD 870 EVO 500GB", "S5STNF0", 0x5002_538e_40b4_d2f1);
    let bridge = usb()
        .text(&format!("{USB_DEVICE}/serial"), "BRIDGE01")
        .bytes("kernel/block/sda/identify_device", &data);
    let want = (Some("S5STNF0"), vec!["Samsung_SSD_870_EVO_500GB_S5STNF0"], Some("0x5002538e40b4d2f1"));
    assert_eq!(names(&bridge.only_disk()), want);
    // A stick is never asked.
    let stick = bridge.text(&format!("{USB_SCSI}/block/sda/removable"), "1");
    assert_eq!(names(&stick.only_disk()).0, Some("BRIDGE01"));
}
