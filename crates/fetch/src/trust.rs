//! Whose certificates are believed.

use std::path::PathBuf;

/// Where certificates of authorities are in our ramdisk and on Debian.
pub const CA_BUNDLE: &str = "/etc/ssl/certs/ca-certificates.crt";

/// Whose certificates are believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Anybody's; only when told so.
    Anybody,
    /// Those signed by an authority in this file (PEM). Without the file, nobody's.
    Bundle(PathBuf),
}

impl Trust {
    /// The bundle of this system.
    #[must_use]
    pub fn system() -> Self {
        Self::Bundle(PathBuf::from(CA_BUNDLE))
    }
}
