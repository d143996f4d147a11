//! Memory: what can be used, what is plugged in.

use serde::{Deserialize, Serialize};

use crate::Bytes;

/// The memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// What the kernel can use. From `MemTotal` of `/proc/meminfo`.
    pub total: Option<Bytes>,
    /// What is installed: the sum of the modules (SMBIOS type 17), else of the
    /// kernel's memory blocks.
    pub physical: Option<Bytes>,
    /// How errors are corrected (SMBIOS type 16): `Multi-bit ECC`, `None`.
    pub error_correction: Option<String>,
    /// Slots for modules on the board, empty ones too.
    pub slots: Option<u32>,
    /// The most that can be plugged in.
    pub maximum: Option<Bytes>,
    /// Modules that are plugged in (SMBIOS type 17).
    pub modules: Vec<MemoryModule>,
    /// Persistent memory, by region (`/sys/bus/nd/devices/region*`).
    pub persistent: Vec<PersistentMemory>,
    /// Memory behind CXL, by device (`/sys/bus/cxl/devices/mem*`).
    pub cxl: Vec<CxlMemory>,
}

/// One module: a DIMM, or a stack of HBM.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemoryModule {
    /// Where it is plugged in, as printed on the board: `DIMM_A1`.
    pub locator: Option<String>,
    /// The bank: `NODE 1 CHANNEL 0`.
    pub bank: Option<String>,
    /// `None` when the firmware does not know.
    pub size: Option<Bytes>,
    /// `DDR4`, `HBM2`.
    pub kind: Option<String>,
    /// `DIMM`, `SODIMM`.
    pub form_factor: Option<String>,
    /// What it can do, in MT/s.
    pub speed: Option<u32>,
    /// What it is run at, in MT/s.
    pub configured_speed: Option<u32>,
    /// True when it carries more bits than data (total width over data width).
    pub ecc: Option<bool>,
    /// Bits, those for error correction among them.
    pub total_width: Option<u16>,
    /// Bits of data.
    pub data_width: Option<u16>,
    /// Its ranks.
    pub ranks: Option<u32>,
    /// Who made it.
    pub manufacturer: Option<String>,
    /// The maker's name for it.
    pub part_number: Option<String>,
    /// Its serial number.
    pub serial_number: Option<String>,
    /// The owner's name for it.
    pub asset_tag: Option<String>,
    /// `DRAM`, `NVDIMM-N`, `Intel Optane persistent memory`.
    pub technology: Option<String>,
    /// How much of it keeps its content without power.
    pub persistent: Option<Bytes>,
}

/// A region of persistent memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PersistentMemory {
    /// The kernel's name: `region0`.
    pub name: String,
    /// All of it.
    pub size: Option<Bytes>,
    /// The part no namespace uses.
    pub available: Option<Bytes>,
    /// `pmem`, `blk`, `volatile`, as the kernel calls it.
    pub kind: Option<String>,
    /// The NUMA node it is near.
    pub numa_node: Option<u32>,
}

/// A device that adds memory over CXL.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CxlMemory {
    /// The kernel's name: `mem0`.
    pub name: String,
    /// What forgets without power.
    pub volatile: Option<Bytes>,
    /// What does not.
    pub persistent: Option<Bytes>,
    /// Its serial number: `0x7f3a`.
    pub serial: Option<String>,
    /// Its firmware.
    pub firmware: Option<String>,
    /// The NUMA node it is plugged in at.
    pub numa_node: Option<u32>,
}
