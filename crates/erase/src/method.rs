//! The ways to make data unreadable, and what each is worth.

use serde::Serialize;

/// How a sanitize destroys the data; the same three in NVMe, ATA and SCSI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Sanitize {
    /// The media encryption key is changed.
    Crypto,
    /// Every block of flash is erased, the spare ones too.
    Block,
    /// The drive writes a pattern over everything once.
    Overwrite,
}

/// Format's secure erase setting (SES), NVM Express Base Specification 5.14.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecureErase {
    /// SES 1: all user data is erased.
    UserData,
    /// SES 2: the key is destroyed. Real only when FNA bit 2 says so.
    Cryptographic,
}

/// The two modes of ATA's SECURITY ERASE UNIT (ACS-4 7.42).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecurityErase {
    /// With the vendor's pattern, remapped sectors included.
    Enhanced,
    /// Zeros over the user area.
    Normal,
}

/// An erase that the drive's firmware does by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelfErase {
    /// NVMe Sanitize: the whole subsystem, in the background, also across a power loss.
    NvmeSanitize(Sanitize),
    /// NVMe Format with a secure erase setting.
    NvmeFormat(SecureErase),
    /// ATA SANITIZE DEVICE: in the background, also across a power loss.
    AtaSanitize(Sanitize),
    /// ATA SECURITY ERASE UNIT: one long command, and a locked drive if it is cut off.
    AtaSecurity(SecurityErase),
    /// SCSI SANITIZE, immediate.
    ScsiSanitize(Sanitize),
    /// TCG Opal: the drive is reverted to its factory state, its keys with it.
    OpalRevert,
}

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

impl SelfErase {
    /// As certificates and commands name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            SelfErase::NvmeSanitize(Sanitize::Crypto) => "nvme.sanitize.crypto",
            SelfErase::NvmeSanitize(Sanitize::Block) => "nvme.sanitize.block",
            SelfErase::NvmeSanitize(Sanitize::Overwrite) => "nvme.sanitize.overwrite",
            SelfErase::NvmeFormat(SecureErase::Cryptographic) => "nvme.format.crypto",
            SelfErase::NvmeFormat(SecureErase::UserData) => "nvme.format.user-data",
            SelfErase::AtaSanitize(Sanitize::Crypto) => "ata.sanitize.crypto",
            SelfErase::AtaSanitize(Sanitize::Block) => "ata.sanitize.block",
            SelfErase::AtaSanitize(Sanitize::Overwrite) => "ata.sanitize.overwrite",
            SelfErase::AtaSecurity(SecurityErase::Enhanced) => "ata.security-erase.enhanced",
            SelfErase::AtaSecurity(SecurityErase::Normal) => "ata.security-erase.normal",
            SelfErase::ScsiSanitize(Sanitize::Crypto) => "scsi.sanitize.crypto",
            SelfErase::ScsiSanitize(Sanitize::Block) => "scsi.sanitize.block",
            SelfErase::ScsiSanitize(Sanitize::Overwrite) => "scsi.sanitize.overwrite",
            SelfErase::OpalRevert => "opal.revert",
        }
    }

    fn level(self) -> (Level, &'static str) {
        match self {
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
            Method::ByDrive(erase) => erase.level(),
            Method::ZeroOut | Method::Overwrite => (
                Level::Clear,
                "every addressable block overwritten; spare and remapped blocks keep their data",
            ),
            Method::Metadata => (Level::None, "only partition tables and signatures were overwritten"),
        }
    }
}
