//! What drives say about themselves and do by themselves: answers of firmware,
//! taken apart. Nothing here talks to a drive.

pub mod ata;
pub mod nvme;
pub mod scsi;

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
}
