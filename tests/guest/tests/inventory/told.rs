//! What the agent found, against what QEMU was told.

use serde_json::Value;

use crate::hardware::Hardware;

/// The member of `list` whose `key` is `value`.
fn find<'a>(list: &'a Value, key: &str, value: &str) -> &'a Value {
    let found = list.as_array().and_then(|all| all.iter().find(|one| one[key] == value));
    found.unwrap_or_else(|| panic!("no {key} {value} in {list:#}"))
}

/// Every disk, card and processor that QEMU was told of is in `inventory`.
pub(crate) fn compare(hardware: &Hardware, inventory: &Value) {
    for disk in &hardware.disks {
        let found = find(&inventory["disks"], "serial", &disk.serial);
        assert_eq!(found["size"], disk.mib << 20, "{found:#}");
        if let Some(transport) = disk.transport {
            assert_eq!(found["transport"], transport, "{found:#}");
        }
        if let Some(wwn) = &disk.wwn {
            let digits = wwn.trim_start_matches("0x");
            assert_eq!(found["wwn"]["id"], format!("0x{digits:0>16}"), "{found:#}");
        }
    }
    for nic in &hardware.nics {
        let found = find(&inventory["nics"], "mac", &nic.mac);
        assert_eq!(found["driver"], nic.driver, "{found:#}");
    }
    if let Some((sockets, cores, threads)) = hardware.processors {
        let cpu = &inventory["cpu"];
        let found = [&cpu["sockets"], &cpu["threads"]];
        assert_eq!(found, [&Value::from(sockets), &Value::from(sockets * cores * threads)], "{cpu:#}");
    }
}

/// A replay is the scan, but for what passes while one looks.
pub(crate) fn same(scan: &Value, replay: &Value) {
    let (scan, replay) = (lasting(scan), lasting(replay));
    for (key, value) in scan.as_object().expect("an inventory") {
        assert_eq!(value, &replay[key], "{key} is another in the replay");
    }
}

/// Without rates and temperatures.
fn lasting(inventory: &Value) -> Value {
    let mut lasting = inventory.clone();
    lasting["cpu"]["frequency"] = Value::Null;
    for disk in lasting["disks"].as_array_mut().into_iter().flatten() {
        disk["health"] = Value::Null;
    }
    lasting
}
