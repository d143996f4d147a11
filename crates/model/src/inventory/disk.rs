//! Disks: what they are called, what they hold, where they sit.

use serde::{Deserialize, Serialize};

use crate::{BlockSize, Bytes};

/// One disk an image may be written to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Kernel name, such as `nvme0n1`; changes from boot to boot.
    pub name: String,
    /// A whole disk, a software RAID or a multipath map.
    pub kind: DiskKind,
    /// Capacity.
    pub size: Bytes,
    /// The smallest write it takes.
    pub logical_block: BlockSize,
    /// The smallest write it does without reading first.
    pub physical_block: BlockSize,
    /// True for spinning media.
    pub rotational: bool,
    /// True when it refuses writes.
    pub read_only: bool,
    /// True for media that can be taken out (USB sticks, virtual media).
    pub removable: bool,
    /// The vendor's name for it.
    pub model: Option<String>,
    /// SCSI vendor, or the PCI vendor of a virtio disk: `ATA`, `0x1af4`.
    pub vendor: Option<String>,
    /// The serial number (udev: `ID_SERIAL_SHORT`).
    pub serial: Option<String>,
    /// Other names udev gives the same serial (`ID_SERIAL`): model and serial
    /// in one. Root device hints match these too.
    pub serial_aliases: Vec<String>,
    /// World wide name.
    pub wwn: Option<Wwn>,
    /// SCSI host, channel, target and LUN: `0:0:0:0`.
    pub hctl: Option<String>,
    /// `/dev/disk/by-path/…` as udev builds it from the device tree.
    pub by_path: Option<String>,
    /// Other links udev makes for the same path (old spellings).
    pub by_path_aliases: Vec<String>,
    /// How it is attached.
    pub transport: Option<Transport>,
    /// Revision of its firmware.
    pub firmware: Option<String>,
    /// Where its controller sits on the PCI bus.
    pub pci_address: Option<String>,
    /// The NUMA node its controller is near.
    pub numa_node: Option<u32>,
    /// Where a person finds it: `Slot 01` of an enclosure, or the name of a PCI slot.
    pub slot: Option<String>,
    /// `host-aware` or `host-managed`; `None` for a disk without zones.
    pub zoned: Option<String>,
    /// How it guards each block, such as `T10-DIF-TYPE1-CRC`; `None` where it does not.
    pub integrity: Option<String>,
    /// True when it acknowledges writes before they are durable.
    pub write_cache: Option<bool>,
    /// How much one discard covers; `None` where it knows none. A hint, and no erase.
    pub discard: Option<Bytes>,
    /// How much one command makes zero; `None` where the kernel has to write zeros.
    pub write_zeroes: Option<Bytes>,
    /// What it is as an NVMe namespace.
    pub namespace: Option<Namespace>,
    /// Disks it is made of: members of a RAID, paths of a multipath map.
    pub members: Vec<String>,
    /// What stands on it: software RAIDs, volumes, maps.
    pub holders: Vec<String>,
    /// Its partitions, as the kernel knows them.
    pub partitions: Vec<Partition>,
    /// What is written on it as a whole, as libblkid names it: `gpt`, `LVM2_member`.
    /// Several that exclude each other have a question mark each: `ext4?`, `zfs_member?`.
    pub signatures: Vec<String>,
    /// How it is, as it says itself.
    pub health: Option<Health>,
    /// How it erases itself, best first: `nvme.sanitize.crypto`, `ata.security-erase.normal`.
    pub erase: Vec<String>,
    /// What an ATA drive says of its passwords.
    pub security: Option<AtaSecurity>,
}

/// A partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Kernel name, such as `nvme0n1p1`.
    pub name: String,
    /// Its number in the table.
    pub number: u32,
    /// Where it begins.
    pub start: Bytes,
    /// How long it is.
    pub size: Bytes,
    /// Its name in a GPT.
    pub label: Option<String>,
    /// Its UUID in a GPT.
    pub uuid: Option<String>,
    /// What stands on it.
    pub holders: Vec<String>,
    /// What is written on it, as libblkid names it: `ext4`.
    pub signatures: Vec<String>,
}

/// An NVMe namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    /// Its number in the subsystem.
    pub id: u32,
    /// The subsystem's qualified name: namespaces with the same one share hardware.
    pub subsystem: Option<String>,
    /// Controllers that reach it: `nvme0`.
    pub controllers: Vec<String>,
    /// IEEE extended unique identifier.
    pub eui64: Option<String>,
    /// Globally unique identifier, 128 bits.
    pub nguid: Option<String>,
    /// UUID.
    pub uuid: Option<String>,
}

/// The security feature set of an ATA drive, as it is now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AtaSecurity {
    /// A password is set.
    pub enabled: bool,
    /// Data is refused until it is given.
    pub locked: bool,
    /// No password can be set before the next power cycle, and so nothing erased with one.
    pub frozen: bool,
    /// How long SECURITY ERASE takes by the drive's own word, in minutes.
    pub erase_minutes: Option<u64>,
    /// The same for the enhanced one.
    pub enhanced_erase_minutes: Option<u64>,
}

/// How a disk is, as it says itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// False when it expects to fail. `None` when it does not say.
    pub passed: Option<bool>,
    /// Why not, in the standard's words.
    pub complaints: Vec<String>,
    /// In degrees Celsius.
    pub temperature: Option<i32>,
    /// How much of its life is used, in percent; may exceed 100.
    pub percentage_used: Option<u32>,
    /// Spare blocks left, in percent.
    pub available_spare: Option<u32>,
    /// Hours it was on.
    pub power_on_hours: Option<u64>,
    /// How often it was switched on.
    pub power_cycles: Option<u64>,
    /// Losses of power it was not told of.
    pub unsafe_shutdowns: Option<u64>,
    /// Reads and writes it could not do.
    pub media_errors: Option<u64>,
    /// Sectors taken from the spare ones, or waiting for it.
    pub reallocated_sectors: Option<u64>,
    /// What was written to it in its life.
    pub written: Option<Bytes>,
}

impl Disk {
    /// The device node: `/dev/nvme0n1`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/dev/{}", self.name)
    }
}

/// What sort of block device a [`Disk`] is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskKind {
    /// A whole disk.
    #[default]
    Disk,
    /// A running software RAID (`md`).
    Raid,
    /// A device-mapper multipath map, standing for its member disks.
    Multipath,
    /// A loop device; only when asked for by name (tests).
    Loop,
}

/// How a disk is attached; `lsblk`'s `TRAN`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Transport {
    /// Serial ATA.
    Sata,
    /// Parallel ATA.
    Ata,
    /// Serial attached SCSI.
    Sas,
    /// Parallel SCSI.
    Spi,
    /// Fibre Channel.
    Fc,
    /// iSCSI.
    Iscsi,
    /// USB.
    Usb,
    /// NVMe over PCIe or fabrics.
    Nvme,
    /// A virtio block device.
    Virtio,
    /// An MMC or SD card.
    Mmc,
}

impl Transport {
    /// As `lsblk` writes it: `sata`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Sata => "sata",
            Self::Ata => "ata",
            Self::Sas => "sas",
            Self::Spi => "spi",
            Self::Fc => "fc",
            Self::Iscsi => "iscsi",
            Self::Usb => "usb",
            Self::Nvme => "nvme",
            Self::Virtio => "virtio",
            Self::Mmc => "mmc",
        }
    }
}

/// A world wide name, in the three spellings that udev and Ironic know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wwn {
    /// udev's `ID_WWN`: the first 64 bits, `0x5002538e40b4d2f1`, or NVMe's
    /// `eui.…` or `uuid.…`.
    pub id: String,
    /// udev's `ID_WWN_VENDOR_EXTENSION`: the second 64 bits of a 128-bit name.
    pub vendor_extension: Option<String>,
    /// udev's `ID_WWN_WITH_EXTENSION`: all of it.
    pub with_extension: Option<String>,
}
