//! SMBIOS: what the firmware tells of the machine it was built for.
//!
//! sys/firmware/dmi/tables ─▶ [`table`]: structures ─▶ system, processor, memory, slots ─▶ [`Smbios`]
//!
//! Firmware is written by hundreds of vendors, and a guest's by whoever made the
//! guest: every number is checked, and the time and memory spent are bounded by
//! the length of the table.

mod memory;
mod names;
mod processor;
mod recorded;
mod slots;
mod system;
mod table;

use std::path::Path;

use model::inventory::{Firmware, Hardware, Memory, SystemVendor};

use crate::{limits, reader::Reader};

pub(crate) use recorded::recorded_part;
pub(crate) use system::is_nobodys_uuid;
pub(crate) use table::readable;
use table::{Structure, Version};

/// The structures, one after another, as the firmware left them.
pub(crate) const TABLE: &str = "sys/firmware/dmi/tables/DMI";

/// The version of SMBIOS they follow.
const ENTRY_POINT: &str = "sys/firmware/dmi/tables/smbios_entry_point";

/// Types of structures (DSP0134, chapter 7).
mod kind {
    pub(super) const FIRMWARE: u8 = 0;
    pub(super) const SYSTEM: u8 = 1;
    pub(super) const BOARD: u8 = 2;
    pub(super) const CHASSIS: u8 = 3;
    pub(super) const PROCESSOR: u8 = 4;
    pub(super) const SLOT: u8 = 9;
    pub(super) const MEMORY_ARRAY: u8 = 16;
    pub(super) const MEMORY_DEVICE: u8 = 17;
    pub(super) const IPMI: u8 = 38;
    pub(super) const ONBOARD: u8 = 41;
}

/// Everything a table tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Smbios {
    /// Who made the machine, without its firmware; `None` when there is no type 1.
    pub system: Option<SystemVendor>,
    /// Its firmware; `None` when there is no type 0.
    pub firmware: Option<Firmware>,
    /// What is on its board.
    pub hardware: Hardware,
    /// What is plugged in; `total` is the kernel's to tell.
    pub memory: Memory,
    /// What is wrong with the table.
    pub flaws: Vec<String>,
}

/// The table below the root; nothing when there is none.
pub(crate) fn read(reader: &Reader<'_>) -> Smbios {
    let Some(table) = reader.bytes(Path::new(TABLE), limits::SMBIOS_BYTES) else { return Smbios::default() };
    let entry_point = reader.bytes(Path::new(ENTRY_POINT), limits::FILE_BYTES).unwrap_or_default();
    let smbios = decode(&table, &entry_point);
    for flaw in &smbios.flaws {
        reader.warn(TABLE, flaw);
    }
    smbios
}

/// What `table` tells. `entry_point` says which version of SMBIOS it follows; an
/// empty one stands for 2.6 or later.
#[must_use]
pub fn decode(table: &[u8], entry_point: &[u8]) -> Smbios {
    let version = Version::of(entry_point);
    let mut found = Found::default();
    let end = table::walk(table, &mut |told| found.add(&told, version));
    let (memory, unknown_sizes) = found.memory.sum_up();
    let mut hardware = found.hardware;
    hardware.smbios = version.map(|version| format!("{}.{}", version.major, version.minor));
    model::order::sort_by_key(&mut hardware.boards, |board| !system::is_motherboard(board));
    Smbios {
        system: found.system,
        firmware: found.firmware,
        hardware,
        memory,
        flaws: end.err().into_iter().chain(unknown_sizes).collect(),
    }
}

/// What was found so far.
#[derive(Default)]
struct Found {
    firmware: Option<Firmware>,
    system: Option<SystemVendor>,
    hardware: Hardware,
    memory: memory::Found,
}

impl Found {
    /// There is one system and one firmware: the first counts, as for the kernel.
    fn add(&mut self, told: &Structure<'_>, version: Option<Version>) {
        let hardware = &mut self.hardware;
        match told.kind {
            kind::FIRMWARE if self.firmware.is_none() => self.firmware = Some(system::firmware(told)),
            kind::SYSTEM if self.system.is_none() => self.system = Some(system::vendor(told, version)),
            kind::BOARD => hardware.boards.push(system::board(told)),
            kind::CHASSIS => hardware.chassis.push(system::chassis(told)),
            kind::PROCESSOR => hardware.sockets.extend(processor::socket(told)),
            kind::SLOT => hardware.slots.push(slots::slot(told)),
            kind::MEMORY_ARRAY => self.memory.add_array(told),
            kind::MEMORY_DEVICE => self.memory.add_device(told),
            kind::IPMI if hardware.ipmi.is_none() => {
                hardware.ipmi = names::name(names::IPMI_INTERFACE, 1, told.byte(0x04));
            }
            kind::ONBOARD => hardware.onboard.extend(slots::onboard(told)),
            _ => {} // caches, ports, sensors: the kernel tells them better, or nobody asks
        }
    }
}
