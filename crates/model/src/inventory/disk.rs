//! Disks: what they are called, what they hold, where they sit.

use serde::{Deserialize, Serialize};

use crate::{BlockSize, Bytes};

/// One disk an image may be written to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
}

impl Disk {
    /// The device node: `/dev/nvme0n1`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/dev/{}", self.name)
    }
}

/// What sort of block device a [`Disk`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DiskKind {
    /// A whole disk.
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
