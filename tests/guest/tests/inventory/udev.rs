//! What the agent found, against what Debian's udev says in the same guest.

use serde_json::Value;

/// Paths, serial numbers and world wide names of every disk are udev's.
pub(crate) fn compare(udev: &Value, inventory: &Value) {
    for disk in inventory["disks"].as_array().expect("disks") {
        let node = format!("/dev/{}", disk["name"].as_str().expect("a name"));
        let device = udev.as_array().and_then(|all| all.iter().find(|device| device["DEVNAME"] == *node));
        let device = device.unwrap_or_else(|| panic!("udev knows no {node}"));
        if disk["kind"] == "disk" {
            of_one(device, disk);
        }
    }
}

fn of_one(udev: &Value, disk: &Value) {
    let both = || format!("udev: {udev:#}\nagent: {disk:#}");
    let path = udev["ID_PATH"].as_str().map(|path| format!("/dev/disk/by-path/{path}"));
    assert_eq!(disk["by_path"].as_str(), path.as_deref(), "{}", both());
    assert_eq!(disk["wwn"]["id"], udev["ID_WWN"], "{}", both());
    assert_eq!(disk["wwn"]["with_extension"], udev["ID_WWN_WITH_EXTENSION"], "{}", both());
    let serials: Vec<&Value> =
        ["ID_SERIAL_SHORT", "ID_SCSI_SERIAL", "ID_SERIAL"].map(|name| &udev[name]).into_iter().collect();
    assert!(serials.contains(&&disk["serial"]), "{}", both());
    assert_eq!(disk["wwn"]["vendor_extension"], udev["ID_WWN_VENDOR_EXTENSION"], "{}", both());
    // Every spelling that hints may use.
    let among = |name: &str, names: &str, text: &Value| {
        disk[name] == *text || disk[names].as_array().is_some_and(|names| names.contains(text))
    };
    let serial = &udev["ID_SERIAL"];
    assert!(serial.is_null() || among("serial", "serial_aliases", serial), "{}", both());
    let links = udev["DEVLINKS"].as_str().unwrap_or_default().split(' ');
    for link in links.filter(|link| link.starts_with("/dev/disk/by-path/")) {
        assert!(among("by_path", "by_path_aliases", &Value::from(link)), "{link}: {}", both());
    }
}
