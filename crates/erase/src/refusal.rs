//! Why a disk is left alone, in words for the person who has to decide.

use crate::Level;

/// Why a disk is left alone. Shown and recorded, never a success.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It refuses writes.
    #[error("{disk} is read-only: lift its write protection, or set agent_erase_skip_read_only")]
    ReadOnly {
        /// Device node.
        disk: String,
    },
    /// It refuses writes, and the policy says to leave such disks alone.
    #[error("{disk} is read-only and was skipped as the policy says; its data is still there")]
    SkippedReadOnly {
        /// Device node.
        disk: String,
    },
    /// Something uses it.
    #[error("{disk} is in use by {}; unmount or stop that first", users.join(", "))]
    InUse {
        /// Device node.
        disk: String,
        /// Mount points and holders.
        users: Vec<String>,
    },
    /// The policy's skip list names it.
    #[error("{disk} was skipped as the policy says ({hints}); its data is still there")]
    SkippedByHints {
        /// Device node.
        disk: String,
        /// The entry of the list that matches.
        hints: String,
    },
    /// The agent was started from this stick.
    #[error("{disk} is what this agent was started from ({why}); it is not a tenant's disk")]
    BootMedium {
        /// Device node.
        disk: String,
        /// How that is known.
        why: String,
    },
    /// The agent was started from this disk, and it stays in the machine.
    #[error(
        "{disk} is what this agent was started from ({why}); start it from elsewhere, or put the disk on the skip list"
    )]
    BootDisk {
        /// Device node.
        disk: String,
        /// How that is known.
        why: String,
    },
    /// The management controller lends it.
    #[error("{disk} is virtual media of the BMC ({why}); eject it if it should not be there")]
    VirtualMedia {
        /// Device node.
        disk: String,
        /// How that is known.
        why: String,
    },
    /// Somebody else may reach it.
    #[error("{disk} may be somebody else's too: {}; make sure it is not, then force_shared", why.join("; "))]
    Shared {
        /// Device node.
        disk: String,
        /// Every reason.
        why: Vec<String>,
    },
    /// Other machines may have it mounted.
    #[error(
        "{disk} holds a cluster file system: {}; take it out of its cluster, then force_cluster_file_systems \
         (Ironic: wipe_special_filesystems)",
        signs.join("; ")
    )]
    ClusterFileSystem {
        /// Device node.
        disk: String,
        /// Every sign.
        signs: Vec<String>,
    },
    /// It takes writes only in order.
    #[error(
        "{disk} is a host-managed zoned disk, which cannot be stamped and overwritten; destroy it or set it aside"
    )]
    HostManaged {
        /// Device node.
        disk: String,
    },
    /// It has no bytes.
    #[error("{disk} has no capacity; it may be broken or locked: replace it or set it aside")]
    Empty {
        /// Device node.
        disk: String,
    },
    /// The drive has namespaces that no disk of this machine shows, and nothing reaches them.
    #[error(
        "{disk} is on a drive with {hidden}, which no disk of this machine shows and no erase of the whole drive \
         may reach; attach or delete it first"
    )]
    HiddenNamespaces {
        /// Device node.
        disk: String,
        /// Their numbers.
        hidden: String,
    },
    /// Nothing this program can do reaches the level asked for.
    #[error(
        "{disk} can be erased to {} here, and the policy wants {}{}; lower min_level or destroy it",
        best.name(), wanted.name(), in_brackets(why)
    )]
    BelowMinimum {
        /// Device node.
        disk: String,
        /// What is possible.
        best: Level,
        /// What is asked for.
        wanted: Level,
        /// Why nothing better, and what else is known of the disk.
        why: Vec<String>,
    },
    /// A policy without passes would overwrite nothing.
    #[error("a policy of 0 passes erases nothing; ask for at least 1")]
    NoPasses,
}

fn in_brackets(words: &[String]) -> String {
    if words.is_empty() { String::new() } else { format!(" ({})", words.join("; ")) }
}

impl Refusal {
    /// True when the disk is rightly no part of the erasure: recorded as skipped
    /// ([`Subject::skipped`](crate::Subject::skipped)) and no reason to fail the others.
    #[must_use]
    pub fn is_skip(&self) -> bool {
        match self {
            Refusal::SkippedReadOnly { .. }
            | Refusal::SkippedByHints { .. }
            | Refusal::BootMedium { .. }
            | Refusal::VirtualMedia { .. } => true,
            Refusal::ReadOnly { .. }
            | Refusal::BootDisk { .. }
            | Refusal::Shared { .. }
            | Refusal::ClusterFileSystem { .. }
            | Refusal::HostManaged { .. }
            | Refusal::InUse { .. }
            | Refusal::Empty { .. }
            | Refusal::HiddenNamespaces { .. }
            | Refusal::BelowMinimum { .. }
            | Refusal::NoPasses => false,
        }
    }
}
