//! The PCI bus.

use serde::{Deserialize, Serialize};

/// Vendor and device numbers, as sysfs writes them: `0x8086`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PciIds {
    /// Vendor.
    pub vendor: String,
    /// Device.
    pub product: String,
}

/// A function on the PCI bus.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PciDevice {
    /// Domain, bus, device and function: `0000:3b:00.0`.
    pub address: String,
    /// Who made it and what.
    pub ids: PciIds,
    /// Who built the card and which.
    pub subsystem: Option<PciIds>,
    /// Class, subclass and interface: `0x020000`.
    pub class: String,
    /// `0x01`.
    pub revision: Option<String>,
    /// Its driver.
    pub driver: Option<String>,
    /// The NUMA node it is near.
    pub numa_node: Option<u32>,
    /// The vendor in words, for vendors that are common in servers.
    pub vendor_name: Option<String>,
    /// The link as it is.
    pub link: Option<PciLink>,
    /// The best the link could be.
    pub best_link: Option<PciLink>,
    /// For a virtual function: the address of its physical one.
    pub physical_function: Option<String>,
}

/// A PCI Express link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PciLink {
    /// Of one lane, in the kernel's words: `16.0 GT/s PCIe`.
    pub speed: String,
    /// Lanes.
    pub width: u32,
}

/// A GPU or another accelerator: a PCI function by its class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accelerator {
    /// Where it sits on the PCI bus.
    pub pci_address: String,
    /// Who made it and what.
    pub ids: PciIds,
    /// `gpu`, `display`, `accelerator`, `coprocessor`.
    pub kind: String,
    /// The vendor in words.
    pub vendor_name: Option<String>,
}
