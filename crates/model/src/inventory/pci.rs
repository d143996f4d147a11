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
    /// The class in words, for classes that are common in servers.
    pub class_name: Option<String>,
    /// The link to what is above it, as it is now. To save power, idle devices slow theirs down.
    pub link: Option<PciLink>,
    /// The best link that the device and what is above it can have together. A card with fewer
    /// lanes than that sits badly in its slot.
    pub best_link: Option<PciLink>,
    /// The address of the port or bridge above it.
    pub upstream: Option<String>,
    /// Devices that cannot be kept apart from it (IOMMU group).
    pub iommu_group: Option<u32>,
    /// For a virtual function: the address of its physical one.
    pub physical_function: Option<String>,
}

impl PciDevice {
    /// True when its link has fewer lanes than it could have.
    #[must_use]
    pub fn is_narrowed(&self) -> bool {
        let width = |link: &Option<PciLink>| link.as_ref().map(|link| link.width);
        width(&self.link).zip(width(&self.best_link)).is_some_and(|(now, best)| now < best)
    }
}

/// A PCI Express link.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PciLink {
    /// Of one lane, in millions of transfers a second: 16000 is PCIe 4.
    pub speed_mts: u32,
    /// Lanes.
    pub width: u32,
}

/// A GPU or another accelerator: a PCI function by its class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accelerator {
    /// Where it sits on the PCI bus.
    pub pci_address: String,
    /// Who made it and what.
    pub ids: PciIds,
    /// What it is good for.
    pub kind: AcceleratorKind,
    /// The vendor in words.
    pub vendor_name: Option<String>,
}

/// What an accelerator is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AcceleratorKind {
    /// A GPU: a display controller of a maker of GPUs, with or without a display.
    Gpu,
    /// Anything that calls itself a processing accelerator: AI, FPGA.
    Accelerator,
    /// A co-processor: compression and encryption, Xeon Phi.
    Coprocessor,
}

impl AcceleratorKind {
    /// In one word: `gpu`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gpu => "gpu",
            Self::Accelerator => "accelerator",
            Self::Coprocessor => "coprocessor",
        }
    }
}
