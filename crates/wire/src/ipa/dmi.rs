//! Tables of the firmware by the names `dmidecode` gives them, which is how the
//! collector `dmi-decode` of Ironic's agent has them. A field that the firmware
//! leaves empty is left out; all values are text, but the number of slots.

use model::{Bytes, inventory as facts};
use serde::Serialize;
use serde_json::{Map, Value};

/// Fields by name.
type Fields = Map<String, Value>;

/// What `dmidecode -t bios -t processor -t memory` tells.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Dmi {
    /// The BIOS or UEFI.
    pub bios: Map<String, Value>,
    /// Each socket for a processor.
    pub cpu: Vec<Map<String, Value>>,
    /// The memory in all; `devices` has a list of modules.
    pub memory: Map<String, Value>,
}

impl From<&facts::Inventory> for Dmi {
    fn from(found: &facts::Inventory) -> Self {
        Self {
            bios: bios(&found.system_vendor.firmware),
            cpu: found.hardware.sockets.iter().map(socket).collect(),
            memory: memory(&found.memory),
        }
    }
}

fn bios(firmware: &facts::Firmware) -> Fields {
    fields([
        ("Vendor", firmware.vendor.clone()),
        ("Version", firmware.version.clone()),
        ("Release Date", firmware.build_date.clone()),
        ("ROM Size", firmware.rom_size.map(size)),
        ("BIOS Revision", firmware.release.clone()),
        ("Firmware Revision", firmware.controller_release.clone()),
    ])
}

fn socket(socket: &facts::Socket) -> Fields {
    let megahertz = |speed: Option<u32>| speed.map(|speed| format!("{speed} MHz"));
    fields([
        ("Socket Designation", socket.designation.clone()),
        ("Status", Some(if socket.populated { "Populated" } else { "Unpopulated" }.to_owned())),
        ("Manufacturer", socket.manufacturer.clone()),
        ("Version", socket.version.clone()),
        ("Max Speed", megahertz(socket.maximum_speed)),
        ("Current Speed", megahertz(socket.current_speed)),
        ("Core Count", socket.cores.map(|cores| cores.to_string())),
        ("Thread Count", socket.threads.map(|threads| threads.to_string())),
        ("Serial Number", socket.serial_number.clone()),
        ("Asset Tag", socket.asset_tag.clone()),
        ("Part Number", socket.part_number.clone()),
    ])
}

fn memory(memory: &facts::Memory) -> Fields {
    let mut all = fields([
        ("Error Correction Type", memory.error_correction.clone()),
        ("Maximum Capacity", memory.maximum.map(size)),
    ]);
    if let Some(slots) = memory.slots {
        all.insert("Number Of Devices".to_owned(), slots.into());
    }
    let devices = memory.modules.iter().map(|module| Value::Object(device(module)));
    all.insert("devices".to_owned(), Value::Array(devices.collect()));
    all
}

fn device(module: &facts::MemoryModule) -> Fields {
    let transfers = |speed: Option<u32>| speed.map(|speed| format!("{speed} MT/s"));
    fields([
        ("Locator", module.locator.clone()),
        ("Bank Locator", module.bank.clone()),
        ("Size", module.size.map(size)),
        ("Type", module.kind.clone()),
        ("Form Factor", module.form_factor.clone()),
        ("Speed", transfers(module.speed)),
        ("Configured Memory Speed", transfers(module.configured_speed)),
        ("Rank", module.ranks.map(|ranks| ranks.to_string())),
        ("Manufacturer", module.manufacturer.clone()),
        ("Part Number", module.part_number.clone()),
        ("Serial Number", module.serial_number.clone()),
        ("Asset Tag", module.asset_tag.clone()),
        ("Memory Technology", module.technology.clone()),
    ])
}

fn fields<const N: usize>(all: [(&str, Option<String>); N]) -> Fields {
    let mut known = Fields::new();
    for (name, text) in all {
        put(&mut known, name, text);
    }
    known
}

fn put(fields: &mut Fields, name: &str, text: Option<String>) {
    if let Some(text) = text {
        fields.insert(name.to_owned(), Value::String(text));
    }
}

/// As `dmidecode` writes sizes: the largest unit that needs no fraction, each
/// 1024 of the one before: `32 GB`.
fn size(size: Bytes) -> String {
    const UNITS: [&str; 6] = ["bytes", "kB", "MB", "GB", "TB", "PB"];
    let mut number = size.0;
    let mut unit = 0;
    while number >= 1024 && number.is_multiple_of(1024) && unit + 1 < UNITS.len() {
        number >>= 10;
        unit += 1;
    }
    format!("{number} {}", UNITS[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_written_as_dmidecode_writes_them() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1 << 20, "1 MB"),
            (64 << 10, "64 kB"),
            (16 << 30, "16 GB"),
            (1536 << 20, "1536 MB"),
            (3 << 40, "3 TB"),
        ] {
            assert_eq!(size(Bytes(bytes)), text);
        }
    }
}
