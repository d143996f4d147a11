//! The port to a disk that can erase itself.

use std::io;

use disk::{Device, FakeDisk, Target};
use sys::nvme::AdminError;

use crate::abilities::format_command;

/// Format's secure erase setting (SES), NVM Express Base Specification 5.14.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecureErase {
    /// SES 1: all user data is erased.
    UserData,
    /// SES 2: the key is destroyed. Real only when FNA bit 2 says so.
    Cryptographic,
}

/// A format may take hours on a large drive; the block layer's own limit is a
/// minute. Four hours is longer than any drive's stated time known to us.
const FORMAT_TIMEOUT_MS: u32 = 4 * 60 * 60 * 1000;

/// Why a drive did not format itself.
#[derive(Debug, thiserror::Error)]
pub enum FormatError {
    /// It is no NVMe drive.
    #[error("this disk has no NVMe Format")]
    Unsupported,
    /// The controller or the kernel said no.
    #[error("NVMe Format failed")]
    Failed(#[source] AdminError),
}

/// A disk that is written, read back, and asked to erase itself.
pub trait Drive: Target {
    /// Format the namespace, keeping its block format and protection settings.
    /// Returns when the drive says it is done, which proves nothing.
    ///
    /// # Errors
    /// [`FormatError`]; the content is undefined then.
    fn nvme_format(&mut self, erase: SecureErase) -> Result<(), FormatError>;

    /// Have the kernel forget the partitions that are gone.
    ///
    /// # Errors
    /// Whatever the kernel reports.
    fn reread_partitions(&mut self) -> io::Result<()>;
}

impl Drive for Device {
    fn nvme_format(&mut self, erase: SecureErase) -> Result<(), FormatError> {
        // The descriptor that is held, not the name: a name may pass to another drive.
        let id = sys::nvme::namespace_id(&*self).map_err(|_| FormatError::Unsupported)?;
        let namespace = sys::nvme::identify_namespace(&*self, id).map_err(FormatError::Failed)?;
        let command = format_command(&namespace, erase);
        sys::nvme::format(&*self, id, command, FORMAT_TIMEOUT_MS).map_err(FormatError::Failed)
    }

    fn reread_partitions(&mut self) -> io::Result<()> {
        Device::reread_partitions(self)
    }
}

impl Drive for FakeDisk {
    fn nvme_format(&mut self, _erase: SecureErase) -> Result<(), FormatError> {
        Err(FormatError::Unsupported)
    }

    fn reread_partitions(&mut self) -> io::Result<()> {
        Ok(())
    }
}
