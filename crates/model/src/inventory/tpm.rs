//! The trusted platform module.

use serde::{Deserialize, Serialize};

/// A TPM: one that the kernel has a driver for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tpm {
    /// `1.2` or `2.0`.
    pub version: Option<String>,
    /// The maker's four letters: `INTC`, `IFX`.
    pub manufacturer: Option<String>,
    /// The maker's name for it.
    pub model: Option<String>,
    /// Its firmware.
    pub firmware: Option<String>,
    /// What its platform configuration registers are kept in: `sha1`, `sha256`.
    pub pcr_banks: Vec<String>,
    /// SHA-256 of each endorsement key certificate (DER), in hex.
    pub endorsement: Vec<EndorsementKey>,
}

/// An endorsement key's certificate, by digest.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndorsementKey {
    /// `rsa-2048`, `ecc-p256`.
    pub kind: String,
    /// SHA-256 of the certificate (DER, without what pads it), in hex.
    pub sha256: String,
}
