//! Who made the machine and what is on its board. From SMBIOS; vendors'
//! placeholders ("To be filled by O.E.M.") count as absent.

use serde::{Deserialize, Serialize};

use crate::Bytes;

/// Who made the machine (SMBIOS types 0 and 1).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemVendor {
    /// Such as `Dell Inc.`.
    pub manufacturer: Option<String>,
    /// Such as `PowerEdge R640`.
    pub product_name: Option<String>,
    /// The serial number or service tag.
    pub serial_number: Option<String>,
    /// The maker's revision of the product.
    pub version: Option<String>,
    /// The maker's order number.
    pub sku: Option<String>,
    /// The family of products.
    pub family: Option<String>,
    /// The machine's UUID, as `dmidecode` writes it.
    pub uuid: Option<String>,
    /// What switched it on: `Power Switch`, `AC Power Restored`.
    pub wake_up: Option<String>,
    /// The BIOS or UEFI.
    pub firmware: Firmware,
}

/// The BIOS or UEFI (SMBIOS type 0).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firmware {
    /// Who made it.
    pub vendor: Option<String>,
    /// Its version, in the vendor's notation.
    pub version: Option<String>,
    /// When it was built, in the vendor's notation (usually `MM/DD/YYYY`).
    pub build_date: Option<String>,
    /// Its release: `2.19`.
    pub release: Option<String>,
    /// Release of the embedded controller's firmware.
    pub controller_release: Option<String>,
    /// Size of its ROM.
    pub rom_size: Option<Bytes>,
}

/// What SMBIOS tells of the hardware around the processors.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hardware {
    /// Version of SMBIOS: `3.2`.
    pub smbios: Option<String>,
    /// Boards, the motherboard first (type 2).
    pub boards: Vec<Board>,
    /// Enclosures (type 3).
    pub chassis: Vec<Chassis>,
    /// Sockets for processors, empty ones too (type 4).
    pub sockets: Vec<Socket>,
    /// Slots for cards (type 9).
    pub slots: Vec<Slot>,
    /// Devices soldered to the board (type 41).
    pub onboard: Vec<OnboardDevice>,
    /// How the firmware says the management controller is reached (type 38):
    /// `KCS`, `SSIF`.
    pub ipmi: Option<String>,
}

/// A board.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Board {
    /// Who made it.
    pub manufacturer: Option<String>,
    /// Such as `0H21J3`.
    pub product_name: Option<String>,
    /// Its revision.
    pub version: Option<String>,
    /// Its serial number.
    pub serial_number: Option<String>,
    /// The owner's name for it.
    pub asset_tag: Option<String>,
    /// Where in the enclosure: `Slot 02`.
    pub location: Option<String>,
    /// `Motherboard`, `Server Blade`, `Processor Module`.
    pub kind: Option<String>,
}

/// An enclosure.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chassis {
    /// Who made it.
    pub manufacturer: Option<String>,
    /// `Rack Mount Chassis`, `Blade`.
    pub kind: Option<String>,
    /// Its revision.
    pub version: Option<String>,
    /// Its serial number.
    pub serial_number: Option<String>,
    /// The owner's name for it.
    pub asset_tag: Option<String>,
    /// The maker's order number.
    pub sku: Option<String>,
    /// In rack units.
    pub height: Option<u32>,
}

/// A socket for a processor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Socket {
    /// As printed on the board: `CPU1`.
    pub designation: Option<String>,
    /// False for an empty one.
    pub populated: bool,
    /// False when the user or the firmware, which found an error, switched it off.
    pub enabled: Option<bool>,
    /// Who made what is in it.
    pub manufacturer: Option<String>,
    /// What is in it: `Intel(R) Xeon(R) Gold 6130 CPU @ 2.10GHz`.
    pub version: Option<String>,
    /// Its serial number.
    pub serial_number: Option<String>,
    /// The maker's name for it.
    pub part_number: Option<String>,
    /// The owner's name for it.
    pub asset_tag: Option<String>,
    /// In MHz.
    pub maximum_speed: Option<u32>,
    /// In MHz, when the machine started.
    pub current_speed: Option<u32>,
    /// Cores in it.
    pub cores: Option<u32>,
    /// Cores that are switched on.
    pub enabled_cores: Option<u32>,
    /// Threads in it.
    pub threads: Option<u32>,
}

/// A slot for a card.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    /// As printed on the board: `PCIe Slot 3`.
    pub designation: Option<String>,
    /// `PCI Express 4 x16`.
    pub kind: Option<String>,
    /// Lanes that are wired: fewer than would fit, sometimes.
    pub lanes: Option<u8>,
    /// Whether a card is in it, where the firmware knows.
    pub in_use: Option<bool>,
    /// Where its card sits on the PCI bus.
    pub pci_address: Option<String>,
}

/// A device soldered to the board.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnboardDevice {
    /// As printed on the board: `Integrated NIC 1`.
    pub designation: Option<String>,
    /// `Ethernet`, `Video`.
    pub kind: Option<String>,
    /// The number among those of its kind.
    pub instance: Option<u32>,
    /// False when the firmware turned it off.
    pub enabled: bool,
    /// Where it sits on the PCI bus.
    pub pci_address: Option<String>,
}
