//! Board, firmware, processors, memory and management controller.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::{Bytes, Mac};

/// Who made the machine. From SMBIOS types 0 and 1 (`/sys/class/dmi/id`);
/// vendors' placeholders ("To be filled by O.E.M.") count as absent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemVendor {
    /// Such as `Dell Inc.`.
    pub manufacturer: Option<String>,
    /// Such as `PowerEdge R640`.
    pub product_name: Option<String>,
    /// The serial number or service tag.
    pub serial_number: Option<String>,
    /// The BIOS or UEFI.
    pub firmware: Firmware,
}

/// The BIOS or UEFI. From SMBIOS type 0.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firmware {
    /// Who made it.
    pub vendor: Option<String>,
    /// Its version, in the vendor's notation.
    pub version: Option<String>,
    /// When it was built, in the vendor's notation (usually `MM/DD/YYYY`).
    pub build_date: Option<String>,
}

/// How the machine booted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// BIOS or UEFI.
    pub mode: BootMode,
    /// `BOOTIF` of the kernel command line, as given: `01-52-54-00-aa-bb-01`
    /// from PXELINUX, a plain MAC from iPXE.
    pub interface: Option<String>,
}

/// The firmware interface the kernel was started through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BootMode {
    /// Legacy BIOS, or no firmware interface at all.
    Bios,
    /// UEFI: `/sys/firmware/efi` exists.
    Uefi,
}

/// The processors, taken together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cpu {
    /// As the kernel names it: `x86_64`, `aarch64`.
    pub architecture: Option<String>,
    /// Marketing name, from `/proc/cpuinfo`.
    pub model_name: Option<String>,
    /// The highest frequency, from cpufreq, else the present one.
    pub frequency: Option<Frequency>,
    /// Feature flags in the kernel's order.
    pub flags: Vec<String>,
    /// Populated sockets.
    pub sockets: u32,
    /// Physical cores.
    pub cores: u32,
    /// Logical processors present, offline ones too.
    pub threads: u32,
    /// Logical processors online.
    pub online: u32,
}

/// A clock rate, in kilohertz, as cpufreq counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Frequency(pub u64);

impl std::fmt::Display for Frequency {
    /// Megahertz with four decimals, as `lscpu` and so Ironic write it: `3000.0000`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:03}0", self.0 / 1000, self.0 % 1000)
    }
}

/// The memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// What the kernel can use. From `MemTotal` of `/proc/meminfo`.
    pub total: Option<Bytes>,
    /// What is installed: the sum of the DIMMs (SMBIOS type 17), else of the
    /// kernel's memory blocks.
    pub physical: Option<Bytes>,
}

/// The management controller, as seen from inside the machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bmc {
    /// Its IPv4 address, when configured.
    pub ipv4: Option<Ipv4Addr>,
    /// Its IPv6 address, when configured.
    pub ipv6: Option<Ipv6Addr>,
    /// Its MAC address.
    pub mac: Option<Mac>,
}
