//! How the machine booted, and how it would.

use serde::{Deserialize, Serialize};

/// How the machine booted. What only the firmware's variables tell is there after a scan that
/// asked devices too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// BIOS or UEFI.
    pub mode: BootMode,
    /// `BOOTIF` of the kernel command line, as given: `01-52-54-00-aa-bb-01`
    /// from PXELINUX, a plain MAC from iPXE.
    pub interface: Option<String>,
    /// Whether the firmware checks signatures before it boots anything. `None`
    /// where the firmware has no such thing or could not be asked.
    pub secure_boot: Option<bool>,
    /// True while the firmware's keys can be set by anyone.
    pub setup_mode: Option<bool>,
    /// The firmware's boot entries, in its boot order; one that is not in it but was
    /// booted from, or is next, follows.
    pub entries: Vec<BootEntry>,
    /// Number of the entry this boot came from.
    pub current: Option<u16>,
    /// Number of the entry the next boot tries first, once.
    pub next: Option<u16>,
    /// Width of the firmware's own words, in bits: 32-bit UEFI runs no 64-bit loader.
    pub firmware_bits: Option<u8>,
}

/// The firmware interface the kernel was started through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BootMode {
    /// Legacy BIOS, or no firmware interface at all.
    #[default]
    Bios,
    /// UEFI: `/sys/firmware/efi` exists.
    Uefi,
}

/// A `Boot####` variable of UEFI.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootEntry {
    /// The four digits of its name.
    pub number: u16,
    /// What people read in the firmware's menu.
    pub label: String,
    /// False when the firmware skips it.
    pub active: bool,
    /// Its place in `BootOrder`, from 0; `None` when it is not in it.
    pub order: Option<u32>,
    /// Its device path as UEFI writes it.
    pub path: Option<String>,
}
