//! Why a disk is not clean, and what is to be done with it.

use std::io;

use model::Bytes;

use crate::{BadBlocks, CanaryError, Condition, SelfEraseError, Unproven, WipeError, prove::Attempt};

/// Why a disk is not clean. It must not be given to another tenant.
#[derive(Debug, thiserror::Error)]
pub enum EraseError {
    /// What is behind the device node is not what was planned for.
    #[error("{disk} is now {actual} in blocks of {block}, and the plan was made for {planned}; plan again")]
    AnotherDisk {
        /// Device node.
        disk: String,
        /// Planned size.
        planned: Bytes,
        /// Size now.
        actual: Bytes,
        /// Block size now, in bytes.
        block: u64,
    },
    /// Every method was tried and none is proven.
    #[error(
        "{disk} is not erased after {} attempts{}; do not reuse it: retry, or destroy it",
        attempts.len(), now.as_ref().map(|now| format!("; {now}")).unwrap_or_default()
    )]
    NotErased {
        /// Device node.
        disk: String,
        /// What the drive is like now, where the last error leaves that open.
        now: Option<Box<Condition>>,
        /// Everything that was tried.
        attempts: Vec<Attempt>,
        /// Why the last one failed.
        #[source]
        last: AttemptError,
    },
}

/// What is to be done with a disk that is not erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may be tried again.
    Failed,
    /// All but some blocks is gone; those are listed.
    Incomplete,
    /// It is broken, with data on it.
    DestroyRequired,
}

impl Verdict {
    /// As certificates name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Failed => "failed",
            Verdict::Incomplete => "incomplete",
            Verdict::DestroyRequired => "destroy_required",
        }
    }
}

impl EraseError {
    /// What is to be done with the disk.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        match self {
            EraseError::AnotherDisk { .. } => Verdict::Failed,
            EraseError::NotErased { last, .. } => last.verdict(),
        }
    }

    /// Blocks that could not be written, and blocks that could not be read back.
    #[must_use]
    pub fn bad_blocks(&self) -> (BadBlocks, BadBlocks) {
        match self {
            EraseError::AnotherDisk { .. } => Default::default(),
            EraseError::NotErased { last, .. } => last.bad_blocks(),
        }
    }
}

/// Why one method is not proven.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    /// The canaries could not be placed; nothing was erased.
    #[error("the disk could not be prepared for proof")]
    Canary(#[from] CanaryError),
    /// The drive did not erase itself.
    #[error("the drive's own erase failed")]
    ByDrive(#[from] SelfEraseError),
    /// The host could not overwrite it.
    #[error("the erase failed")]
    Wipe(#[from] WipeError),
    /// The method claims success and the disk shows otherwise.
    #[error("the erase is not proven")]
    Unproven(#[from] Unproven),
    /// All is gone but some blocks that could not be written.
    #[error(
        "{} in {} places cannot be written, the first at {}, and still hold what they held: destroy the disk",
        unwritten.bytes(), unwritten.ranges().len(), unwritten.first()
    )]
    Incomplete {
        /// Blocks that could not be written.
        unwritten: BadBlocks,
        /// Blocks that could not be read back, these among them or not.
        unreadable: BadBlocks,
        /// What the kernel answered to the first write that failed.
        #[source]
        err: io::Error,
    },
}

impl AttemptError {
    /// True when the host could not write to all of the disk: no other way of writing will do better.
    pub(crate) fn is_the_disk_s_fault(&self) -> bool {
        match self {
            AttemptError::Incomplete { .. } => true,
            AttemptError::Wipe(error) => error.is_dead(),
            AttemptError::Canary(_) | AttemptError::ByDrive(_) | AttemptError::Unproven(_) => false,
        }
    }

    /// True when the drive goes on erasing itself: nothing else can be tried.
    pub(crate) fn is_still_running(&self) -> bool {
        matches!(self, AttemptError::ByDrive(SelfEraseError::Stalled { .. } | SelfEraseError::TooLong { .. }))
    }

    fn verdict(&self) -> Verdict {
        match self {
            AttemptError::Incomplete { .. } | AttemptError::Unproven(Unproven::Unreadable { .. }) => {
                Verdict::Incomplete
            }
            AttemptError::Unproven(Unproven::Gone { .. }) => Verdict::DestroyRequired,
            AttemptError::Wipe(error) if error.is_dead() => Verdict::DestroyRequired,
            AttemptError::Wipe(_)
            | AttemptError::Canary(_)
            | AttemptError::ByDrive(_)
            | AttemptError::Unproven(
                Unproven::CanaryFound { .. } | Unproven::StillThere { .. } | Unproven::TooLong { .. },
            ) => Verdict::Failed,
        }
    }

    fn bad_blocks(&self) -> (BadBlocks, BadBlocks) {
        match self {
            AttemptError::Incomplete { unwritten, unreadable, .. } => (unwritten.clone(), unreadable.clone()),
            AttemptError::Unproven(Unproven::Unreadable { blocks, .. }) => {
                (BadBlocks::default(), blocks.clone())
            }
            AttemptError::Unproven(_)
            | AttemptError::Wipe(_)
            | AttemptError::Canary(_)
            | AttemptError::ByDrive(_) => Default::default(),
        }
    }
}
