//! What a drive's firmware offers. Each bus has its part: what it can do, and
//! in which order that is tried.

mod nvme;

use std::path::Path;

pub use nvme::{Format, Namespaces, NvmeAbilities, Sanitizes, in_turns};
use sys::nvme::AdminError;

use crate::{Method, SelfErase};

/// What a drive can do by itself; nothing, for a virtual disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// Of an NVMe namespace and its controller.
    pub nvme: NvmeAbilities,
}

impl Abilities {
    /// Ask the drive at `path`.
    ///
    /// # Errors
    /// What the kernel or the controller answered; the drive's abilities are
    /// unknown then, which is not the same as none.
    pub fn read(path: &Path) -> Result<Self, AdminError> {
        Ok(Self { nvme: NvmeAbilities::read(path)? })
    }

    /// The drive's own erases, best first, and in `notes` why one that it has is not among them.
    pub(crate) fn erases(&self, notes: &mut Vec<String>) -> Vec<SelfErase> {
        let mut erases = self.nvme.erases(notes);
        // The order within a bus is its own; between them the level decides.
        erases.sort_by_key(|erase| std::cmp::Reverse(Method::ByDrive(*erase).level().0));
        erases
    }
}
