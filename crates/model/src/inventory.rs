//! What a machine is made of. Plain data: `inventory::scan` fills it from what
//! the kernel says, `wire` and the command line write it down. A field that is
//! `None` could not be read; nothing here is ever guessed.

mod board;
mod disk;
mod nic;

use serde::{Deserialize, Serialize};

pub use board::{Bmc, Boot, BootMode, Cpu, Firmware, Frequency, Memory, SystemVendor};
pub use disk::{Disk, DiskKind, Transport, Wwn};
pub use nic::{Nic, PciIds};

/// Everything that was found out about one machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inventory {
    /// The host name as the kernel has it; `(none)` in a ramdisk nobody named.
    pub hostname: String,
    /// Who made the machine.
    pub system_vendor: SystemVendor,
    /// How it booted.
    pub boot: Boot,
    /// Its processors.
    pub cpu: Cpu,
    /// Its memory.
    pub memory: Memory,
    /// Disks an image may be written to, by device number. Partitions, optical
    /// and RAM disks and members of a multipath map are left out.
    pub disks: Vec<Disk>,
    /// Network interfaces backed by hardware, bonds and VLANs, by name.
    pub nics: Vec<Nic>,
    /// The management controller, where the machine reaches one in band.
    pub bmc: Option<Bmc>,
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
