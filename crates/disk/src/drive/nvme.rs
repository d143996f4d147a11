//! Identify Controller: what an NVMe drive says of itself. Offsets: NVM Express
//! Base Specification 2.0, figure 275.

use super::{Sanitize, SecureErase, SelfErase};

/// The sanitize actions that a drive has (SANICAP bits 2:0).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sanitizes {
    /// The key is changed.
    pub crypto: bool,
    /// Every block of flash is erased.
    pub block: bool,
    /// A pattern is written over everything.
    pub overwrite: bool,
}

/// How this controller formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Format {
    /// SES 2 destroys a key (FNA bit 2). Without this bit the setting is a lie.
    pub cryptographic: bool,
    /// One namespace's format or secure erase reaches all of them (FNA bits 0 and 1).
    pub reaches_all: bool,
    /// One namespace's secure erase erases all of them (FNA bit 1). Bit 0 alone promises that
    /// they are formatted too, not that they are erased.
    pub erases_all: bool,
}

impl Sanitizes {
    /// From Identify Controller; short data offers nothing.
    #[must_use]
    pub fn of_identify(controller: &[u8]) -> Self {
        const SANICAP: usize = 328;
        let bits = controller.get(SANICAP).copied().unwrap_or(0);
        Self { crypto: bits & 1 != 0, block: bits & 0b10 != 0, overwrite: bits & 0b100 != 0 }
    }
}

impl Format {
    /// From Identify Controller; `None` for a controller without it (OACS bit 1).
    #[must_use]
    pub fn of_identify(controller: &[u8]) -> Option<Self> {
        const OACS: usize = 256;
        const FNA: usize = 524;
        let (oacs, fna) = (controller.get(OACS)?, controller.get(FNA)?);
        (oacs & 0b10 != 0).then_some(Self {
            cryptographic: fna & 0b100 != 0,
            reaches_all: fna & 0b11 != 0,
            erases_all: fna & 0b10 != 0,
        })
    }
}

/// The erases that a controller has, best first, whatever else they would reach.
#[must_use]
pub fn erases(sanitizes: Sanitizes, format: Option<Format>) -> Vec<SelfErase> {
    let Sanitizes { crypto, block, overwrite } = sanitizes;
    let sanitizes = [(crypto, Sanitize::Crypto), (block, Sanitize::Block), (overwrite, Sanitize::Overwrite)]
        .into_iter()
        .filter_map(|(has, sanitize)| has.then_some(SelfErase::NvmeSanitize(sanitize)));
    let formats = format.iter().flat_map(|format| {
        let cryptographic = format.cryptographic.then_some(SecureErase::Cryptographic);
        cryptographic.into_iter().chain([SecureErase::UserData]).map(SelfErase::NvmeFormat)
    });
    sanitizes.chain(formats).collect()
}
