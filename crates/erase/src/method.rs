//! The ways to make data unreadable, and what each is worth.

use serde::Serialize;

pub use disk::drive::{Sanitize, SecureErase, SecurityErase, SelfErase};

/// How the data is made unreadable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// The drive does it.
    ByDrive(SelfErase),
    /// Zeros over every addressable block, made by the kernel or the device
    /// (`BLKZEROOUT`, which forbids the device to merely unmap).
    ZeroOut,
    /// Zeros over every addressable block, written by us; random passes before them if the policy asks.
    Overwrite,
    /// Partition tables and signatures only. The data stays.
    Metadata,
}

/// What a method is worth, in the words of NIST SP 800-88.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing: the data is still there.
    None,
    /// Not readable through the device's own interface.
    Clear,
    /// Not readable with laboratory means.
    Purge,
}

impl Level {
    /// As certificates and policies name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Level::None => "none",
            Level::Clear => "clear",
            Level::Purge => "purge",
        }
    }
}

impl Method {
    /// As certificates and commands name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Method::ByDrive(erase) => erase.name(),
            Method::ZeroOut => "zero-out",
            Method::Overwrite => "overwrite",
            Method::Metadata => "metadata",
        }
    }

    /// What it is worth, and the rule that says so.
    #[must_use]
    pub fn level(self) -> (Level, &'static str) {
        match self {
            Method::ByDrive(erase) => level(erase),
            Method::ZeroOut | Method::Overwrite => (
                Level::Clear,
                "every addressable block overwritten; spare and remapped blocks keep their data",
            ),
            Method::Metadata => (Level::None, "only partition tables and signatures were overwritten"),
        }
    }
}

fn level(erase: SelfErase) -> (Level, &'static str) {
    match erase {
        SelfErase::NvmeSanitize(_) => {
            (Level::Purge, "IEEE 2883 names NVMe Sanitize (crypto, block, overwrite) a purge")
        }
        SelfErase::NvmeFormat(_) => {
            (Level::Clear, "NVMe Format is purge only where the vendor says so; unasked, it is clear")
        }
        SelfErase::AtaSanitize(_) => {
            (Level::Purge, "IEEE 2883 names ATA SANITIZE DEVICE (crypto, block, overwrite) a purge")
        }
        SelfErase::AtaSecurity(_) => (
            Level::Clear,
            "ATA SECURITY ERASE UNIT is purge only where the vendor says so; unasked, it is clear",
        ),
        SelfErase::ScsiSanitize(_) => {
            (Level::Purge, "IEEE 2883 names SCSI SANITIZE (crypto, block, overwrite) a purge")
        }
        SelfErase::OpalRevert => (
            Level::Clear,
            "an Opal revert destroys the drive's keys; what was written before they were made is unknown",
        ),
    }
}
