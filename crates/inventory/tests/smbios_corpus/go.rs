//! What go-smbios decoded, as the blocks `dmidecode` would print.

use serde_json::Value;

use crate::dmidecode::Block;

/// Type, key in JSON, and of each field the key there and `dmidecode`'s.
type Kind = (u8, &'static str, &'static [(&'static str, &'static str)]);

const KINDS: [Kind; 6] = [
    (0, "BIOSInformation", &[("Vendor", "Vendor"), ("Version", "Version"), ("ReleaseDate", "Release Date")]),
    (
        1,
        "SystemInformation",
        &[
            ("Manufacturer", "Manufacturer"),
            ("ProductName", "Product Name"),
            ("Version", "Version"),
            ("SerialNumber", "Serial Number"),
            ("UUID", "UUID"),
            ("SKUNumber", "SKU Number"),
            ("Family", "Family"),
        ],
    ),
    (
        2,
        "BaseboardInformation",
        &[
            ("Manufacturer", "Manufacturer"),
            ("Product", "Product Name"),
            ("Version", "Version"),
            ("SerialNumber", "Serial Number"),
            ("AssetTag", "Asset Tag"),
            ("LocationInChassis", "Location In Chassis"),
        ],
    ),
    (
        3,
        "SystemEnclosure",
        &[("Manufacturer", "Manufacturer"), ("Version", "Version"), ("SerialNumber", "Serial Number")],
    ),
    (
        4,
        "ProcessorInformation",
        &[
            ("SocketDesignation", "Socket Designation"),
            ("ProcessorManufacturer", "Manufacturer"),
            ("ProcessorVersion", "Version"),
            ("MaxSpeed", "Max Speed"),
            ("CurrentSpeed", "Current Speed"),
            ("SerialNumber", "Serial Number"),
            ("AssetTag", "Asset Tag"),
            ("PartNumber", "Part Number"),
            ("CoreCount", "Core Count"),
            ("CoreEnabled", "Core Enabled"),
            ("ThreadCount", "Thread Count"),
        ],
    ),
    (
        17,
        "MemoryDevices",
        &[
            ("TotalWidth", "Total Width"),
            ("DataWidth", "Data Width"),
            ("DeviceLocator", "Locator"),
            ("BankLocator", "Bank Locator"),
            ("Speed", "Speed"),
            ("Manufacturer", "Manufacturer"),
            ("SerialNumber", "Serial Number"),
            ("AssetTag", "Asset Tag"),
            ("PartNumber", "Part Number"),
            ("ConfiguredMemorySpeed", "Configured Memory Speed"),
        ],
    ),
];

pub(crate) fn parse(text: &str) -> Vec<Block> {
    let json: Value = serde_json::from_str(text).expect("JSON");
    let mut blocks = Vec::new();
    for (kind, name, keys) in KINDS {
        let all = match &json[name] {
            Value::Array(all) => all.clone(),
            Value::Null => Vec::new(),
            one @ (Value::Object(_) | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
                vec![one.clone()]
            }
        };
        blocks.extend(all.iter().map(|one| block(kind, one, keys)));
    }
    blocks
}

fn block(kind: u8, one: &Value, keys: &[(&str, &str)]) -> Block {
    let shown = |value: &Value| match (value.as_str(), value.as_u64()) {
        (Some(text), _) => text.to_owned(),
        (None, None | Some(0)) => "Unknown".to_owned(),
        (None, Some(number)) => number.to_string(),
    };
    let mut values: Vec<_> =
        keys.iter().map(|(theirs, key)| ((*key).to_owned(), shown(&one[*theirs]))).collect();
    match kind {
        4 => values.push(("Type".to_owned(), "Central Processor".to_owned())),
        17 => values.push(("Size".to_owned(), size(one))),
        _ => {}
    }
    Block { kind, handle: 0, values }
}

/// In MiB, or elsewhere when too large.
fn size(one: &Value) -> String {
    match (one["Size"].as_u64().expect("a number"), one["ExtendedSize"].as_u64()) {
        (0, _) => "No Module Installed".to_owned(),
        (0x7fff, Some(large)) => format!("{large} MB"),
        (size, _) => format!("{size} MB"),
    }
}
