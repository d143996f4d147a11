//! `/dev/disk/by-path`, as udev of systemd 257 builds it.

use crate::tree::Tree;

const PCI: &str = "pci0000:00/0000:00:14.0=pci";
const VMD: &str = "pci0000:d7/0000:d7:05.5=pci/pci10002:00/10002:00:02.0=pci/10002:81:00.0=pci";

fn links(tree: &Tree) -> Vec<String> {
    let disk = tree.only_disk();
    let all = disk.by_path.into_iter().chain(disk.by_path_aliases);
    all.map(|link| link.trim_start_matches("/dev/disk/by-path/").to_owned()).collect()
}

#[test]
fn every_bus_has_its_part() {
    for (path, files, want) in [
        (
            format!("{PCI}/usb2=usb/2-3=usb/2-3:1.0=usb/host6=scsi/target6:0:0=scsi/6:0:0:0=scsi/block/sda"),
            vec![("sys/devices/pci0000:00/0000:00:14.0/usb2/bDeviceProtocol", "03")],
            vec!["pci-0000:00:14.0-usb-0:3:1.0-scsi-0:0:0:0", "pci-0000:00:14.0-usbv3-0:3:1.0-scsi-0:0:0:0"],
        ),
        (
            format!("{PCI}/usb1=usb/1-4=usb/1-4.2=usb/1-4.2:1.0=usb/host6=scsi/target6:0:0=scsi/6:0:0:1=scsi/block/sda"),
            vec![],
            vec!["pci-0000:00:14.0-usb-0:4.2:1.0-scsi-0:0:0:1"],
        ),
        (
            format!("{PCI}/ata3=/host2=scsi/target2:2:0=scsi/2:2:0:0=scsi/block/sda"),
            vec![("sys/devices/pci0000:00/0000:00:14.0/ata3/ata_port/ata3/port_no", "3")],
            vec!["pci-0000:00:14.0-ata-3.2.0", "pci-0000:00:14.0-ata-3"],
        ),
        (
            format!("{VMD}/nvme/nvme0=nvme/nvme0n1"),
            vec![("sys/devices/pci0000:d7/0000:d7:05.5/pci10002:00/10002:00:02.0/10002:81:00.0/nvme/nvme0/nvme0n1/nsid", "1")],
            vec!["pci-0000:d7:05.5-pci-10002:81:00.0-nvme-1"],
        ),
        (
            "LNXSYSTM:00=acpi/LNXSYBUS:00=acpi/VMBUS:00=acpi/f8b3781a-1e82=vmbus/host0=scsi/target0:0:0=scsi/0:0:0:3=scsi/block/sda".to_owned(),
            vec![("sys/devices/LNXSYSTM:00/LNXSYBUS:00/VMBUS:00/f8b3781a-1e82/device_id", "{f8b3781a-1e82-4818-a1c3-63d806ec15bb}")],
            vec!["acpi-VMBUS:00-vmbus-f8b3781a1e824818a1c363d806ec15bb-lun-3"],
        ),
        ("css0/0.0.0010=css/0.0.1000=ccw/block/dasda".to_owned(), vec![], vec!["ccw-0.0.1000"]),
        (
            "css0/0.0.0012=css/0.0.1940=ccw/host0=scsi/rport-0:0-1/target0:0:1=scsi/0:0:1:1074741265=scsi/block/sda".to_owned(),
            vec![("sys/class/fc_transport/target0:0:1/port_name", "0x500507630300c562")],
            vec!["ccw-0.0.1940-fc-0x500507630300c562-lun-0x4011400f00000000"],
        ),
        (
            "platform/soc=platform/fe330000.mmc=platform/mmc_host/mmc0/mmc0:0001=mmc/block/mmcblk0/mmcblk0boot1".to_owned(),
            vec![],
            vec!["platform-fe330000.mmc-boot1"],
        ),
        ("vbd-51712=xen/block/xvda".to_owned(), vec![], vec![]),
        ("virtual/block/md127".to_owned(), vec![("sys/devices/virtual/block/md127/md/level", "raid1")], vec![]),
    ] {
        let mut tree = Tree::default().disk(&path);
        for (file, text) in files {
            tree = tree.text(file, text);
        }
        assert_eq!(links(&tree), want, "{path}");
    }
}

#[test]
fn a_shared_namespace_is_where_its_controller_is_and_nowhere_over_a_network() {
    let subsystem = "virtual/nvme-subsystem/nvme-subsys0=nvme-subsystem/nvme0n1";
    for (controller, want) in [
        ("pci0000:00/0000:00:03.0=pci/nvme/nvme0=nvme", vec!["pci-0000:00:03.0-nvme-7"]),
        ("virtual/nvme-fabrics/ctl/nvme0=nvme", vec![]),
    ] {
        let (tree, dir) = Tree::default().chain(controller);
        let nsid = "sys/devices/virtual/nvme-subsystem/nvme-subsys0/nvme0n1/nsid";
        let tree =
            tree.text(&format!("{dir}/cntlid"), "1").link("sys/class/nvme/nvme0", &dir).text(nsid, "7");
        assert_eq!(links(&tree.disk(subsystem)), want, "{controller}");
    }
    // Without native multipathing.
    let nsid = "sys/devices/virtual/nvme-fabrics/ctl/nvme0/nvme0n1/nsid";
    let tree = Tree::default().disk("virtual/nvme-fabrics/ctl/nvme0=nvme/nvme0n1").text(nsid, "1");
    assert!(links(&tree).is_empty());
}
