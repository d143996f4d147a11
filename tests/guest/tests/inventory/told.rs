//! What the agent found, against what QEMU was told.

use serde_json::Value;

use crate::{hardware::Hardware, smbios::Board};

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
        // A bond borrows the address of its first member.
        let is = |found: &&Value| found["mac"] == nic.mac && found["driver"] == nic.driver;
        let nics = inventory["nics"].as_array().expect("interfaces");
        assert!(nics.iter().any(|found| is(&found)), "{} {}: {nics:#?}", nic.mac, nic.driver);
    }
    if let Some((sockets, cores, threads)) = hardware.processors {
        let cpu = &inventory["cpu"];
        let found = [&cpu["sockets"], &cpu["threads"]];
        assert_eq!(found, [&Value::from(sockets), &Value::from(sockets * cores * threads)], "{cpu:#}");
    }
}

/// The server is called what its board says, and has the modules that it tells of.
pub(crate) fn compare_board(board: &Board, inventory: &Value) {
    let vendor = &inventory["system_vendor"];
    assert_eq!(vendor["product_name"].as_str(), board.product.as_deref(), "{vendor:#}");
    let modules = inventory["memory"]["modules"].as_array().expect("modules");
    let Some(told) = &board.modules else {
        // QEMU tells of its own memory, in one piece, where a table tells of none.
        return assert_eq!(modules.len(), 1, "{modules:#?}");
    };
    let found = |module: &Value| {
        let size = module["size"].as_u64().unwrap_or_default() >> 20;
        (module["locator"].as_str().unwrap_or_default().to_owned(), size)
    };
    assert_eq!(&modules.iter().map(found).collect::<Vec<_>>(), told);
}

/// The management controller is the one that QEMU was told of.
pub(crate) fn compare_controller(inventory: &Value) {
    let bmc = &inventory["bmc"];
    let found = [&bmc["manufacturer"], &bmc["product"], &bmc["firmware"], &bmc["ipmi"]];
    assert_eq!(found.map(Value::to_string), ["674", "256", "\"2.85\"", "\"2.0\""], "{bmc:#}");
    assert!(inventory["platform"]["watchdogs"].to_string().contains("i6300ESB"), "{inventory:#}");
}

/// A replay is the scan, but for what passes while one looks; one without identifiers
/// has stand-ins, and otherwise as much to tell.
pub(crate) fn same(scan: &Value, replay: &Value) {
    let (scan, kept, given) = (lasting(scan), lasting(&replay["kept"]), lasting(&replay["given"]));
    for (key, value) in scan.as_object().expect("an inventory") {
        assert_eq!(value, &kept[key], "{key} is another in the replay");
        let (before, after) = (shape(value), shape(&given[key]));
        assert_eq!(before, after, "{key} has another shape: {value:#} became {:#}", given[key]);
    }
}

/// Every place that holds something, and texts by their length.
fn shape(value: &Value) -> Vec<String> {
    match value {
        Value::Null => Vec::new(),
        Value::String(text) => vec![format!("text {}", text.len())],
        Value::Bool(_) | Value::Number(_) => vec![value.to_string()],
        Value::Array(items) => items.iter().flat_map(shape).collect(),
        Value::Object(members) => {
            let member = |(key, value): (&String, &Value)| {
                // Addresses and command lines have other lengths.
                let any = ["hostname", "ipv4", "ipv6", "addresses", "command_line", "warnings"];
                let places = if any.contains(&key.as_str()) { Vec::new() } else { shape(value) };
                places.into_iter().map(|place| format!("{key}/{place}")).collect::<Vec<_>>()
            };
            members.iter().flat_map(member).collect()
        }
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
