//! What a machine is made of. Plain data: `inventory::scan` fills it from what
//! the kernel says, `wire` and the command line write it down. A field that is
//! `None` could not be read; nothing here is ever guessed.

mod bmc;
mod board;
mod boot;
mod cpu;
mod disk;
mod lldp;
mod memory;
mod nic;
mod pci;
mod platform;
mod tpm;
mod usb;

use serde::{Deserialize, Serialize};

pub use bmc::{Bmc, BmcIpv6, BmcLan};
pub use board::{Board, Chassis, Firmware, Hardware, OnboardDevice, Slot, Socket, SystemVendor};
pub use boot::{Boot, BootEntry, BootMode};
pub use cpu::{Cache, Core, CoreKind, Cpu, Frequency, NumaNode, Vulnerability};
pub use disk::{AtaSecurity, Disk, DiskKind, Health, Namespace, Partition, Transport, Wwn};
pub use lldp::{Neighbour, NeighbourVlan, Tlv};
pub use memory::{CxlMemory, Memory, MemoryModule, PersistentMemory};
pub use nic::{Bond, Duplex, Infiniband, Medium, Nic, Onboard, Sriov, Vlan};
pub use pci::{Accelerator, AcceleratorKind, PciDevice, PciIds, PciLink};
pub use platform::{Platform, Watchdog};
pub use tpm::{EndorsementKey, Tpm};
pub use usb::UsbDevice;

/// Everything that was found out about one machine.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// The host name as the kernel has it; `(none)` in a ramdisk nobody named.
    pub hostname: String,
    /// Who made the machine.
    pub system_vendor: SystemVendor,
    /// What is on its board.
    pub hardware: Hardware,
    /// How it booted.
    pub boot: Boot,
    /// Its processors.
    pub cpu: Cpu,
    /// Its memory.
    pub memory: Memory,
    /// Nodes of processors and memory, by number.
    pub numa: Vec<NumaNode>,
    /// Disks an image may be written to, by device number. Partitions, optical
    /// and RAM disks and members of a multipath map are left out.
    pub disks: Vec<Disk>,
    /// Network interfaces backed by hardware, bonds and VLANs, by name.
    pub nics: Vec<Nic>,
    /// Functions on the PCI bus, by address.
    pub pci: Vec<PciDevice>,
    /// Devices on the USB bus, by place.
    pub usb: Vec<UsbDevice>,
    /// GPUs and other accelerators, by address.
    pub accelerators: Vec<Accelerator>,
    /// The trusted platform module.
    pub tpm: Option<Tpm>,
    /// The management controller, where the machine reaches one in band.
    pub bmc: Option<Bmc>,
    /// The kernel and what it stands on.
    pub platform: Platform,
    /// What could not be read, and why.
    pub warnings: Vec<Warning>,
}

impl Inventory {
    /// The disk whose device node is `path`, such as `/dev/sda`.
    #[must_use]
    pub fn disk(&self, path: &str) -> Option<&Disk> {
        self.disks.iter().find(|disk| disk.path() == path)
    }

    /// The NIC the firmware booted from: the one whose MAC `BOOTIF` names. Bonds
    /// and VLANs borrow their MACs, so one with hardware below it goes first.
    #[must_use]
    pub fn boot_nic(&self) -> Option<&Nic> {
        let mac: crate::Mac = self.boot.interface.as_deref()?.parse().ok()?;
        let named = || self.nics.iter().filter(|nic| nic.mac == mac);
        named().find(|nic| nic.device.is_some()).or_else(|| named().next())
    }
}

/// One source that is missing or does not hold what it should.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Warning {
    /// The file, from the root of the tree: `sys/block/sda/size`.
    pub path: String,
    /// What is wrong with it.
    pub reason: String,
}
