//! Who made a machine: from its SMBIOS table, from what the kernel kept of one,
//! and from the device tree.

use inventory::{Options, Root, scan};
use model::inventory::{Inventory, SystemVendor};

fn scanned(listing: &str) -> Inventory {
    let root = tempfile::tempdir().expect("temporary directory");
    std::fs::write(root.path().join("sysfs.txt"), listing).expect("temporary file");
    scan(&Root::open(root.path()).expect("a recording"), &Options::default())
}

const KEPT: &str = "sys/class/dmi/id/sys_vendor = Supermicro\nsys/class/dmi/id/product_name = To be filled by O.E.M.\n\
    sys/class/dmi/id/product_serial = A7\nsys/class/dmi/id/product_uuid = 00020003-0004-0005-0006-000700080009\n\
    sys/class/dmi/id/bios_version = 3.2\nsys/class/dmi/id/bios_release = 5.22\n";

const DEVICE_TREE: &str = "sys/firmware/devicetree/base/model = Raspberry Pi 4 Model B Rev 1.4\\x00\n\
    sys/firmware/devicetree/base/serial-number = 10000000a1b2c3d4\\x00\n\
    sys/firmware/devicetree/base/compatible = raspberrypi,4-model-b\\x00brcm,bcm2711\\x00\n";

/// One system whose product is named, and no firmware.
const TABLE: &str = "sys/firmware/dmi/tables/DMI = \\x01\\x06\\x00\\x00\\x00\\x01R640\\x00\\x00\n";

fn told(inventory: &Inventory) -> [Option<&str>; 4] {
    let SystemVendor { manufacturer, product_name, serial_number, firmware, .. } = &inventory.system_vendor;
    [manufacturer.as_deref(), product_name.as_deref(), serial_number.as_deref(), firmware.version.as_deref()]
}

#[test]
fn the_best_source_is_taken() {
    let pi = [Some("raspberrypi"), Some("Raspberry Pi 4 Model B Rev 1.4"), Some("10000000a1b2c3d4"), None];
    for (listing, expected) in [
        (DEVICE_TREE.to_owned(), pi),
        (KEPT.to_owned(), [Some("Supermicro"), None, Some("A7"), Some("3.2")]),
        (DEVICE_TREE.to_owned() + KEPT, [Some("Supermicro"), None, Some("A7"), Some("3.2")]),
        (DEVICE_TREE.to_owned() + TABLE, [None, Some("R640"), None, None]),
        // What the table does not tell at all is taken from the kernel.
        (KEPT.to_owned() + TABLE, [None, Some("R640"), None, Some("3.2")]),
        ("sys/class/net/\n".to_owned(), [None; 4]),
    ] {
        let inventory = scanned(&listing);
        assert_eq!(told(&inventory), expected, "{listing}");
        assert_eq!(inventory.system_vendor.uuid, None, "the kernel's of nobody is nobody's");
    }
}

#[test]
fn what_is_wrong_with_a_table_is_a_warning() {
    let inventory = scanned("sys/firmware/dmi/tables/DMI = \\x01\\x06\\x00\\x00\\x00\\x01R640\n");
    let warning = inventory.warnings.iter().find(|warning| warning.path == "sys/firmware/dmi/tables/DMI");
    assert_eq!(warning.expect("a warning").reason, "ends within structure 1, of type 1");
    let inventory = scanned("sys/firmware/dmi/tables/DMI ! 5\nsys/class/dmi/id/sys_vendor = Supermicro\n");
    assert_eq!(told(&inventory)[0], Some("Supermicro"), "unreadable: the next source");
    assert!(inventory.warnings.iter().any(|warning| warning.path.ends_with("tables/DMI")));
}
