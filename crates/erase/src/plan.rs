//! Deciding whether and how a disk is erased. Pure: every safety rule is here.

use serde::Serialize;

use crate::{Abilities, Level, Method, Subject, zones::Zones};

/// What is to be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// No byte of the old tenant may be readable through the device.
    Full,
    /// Partition tables and signatures.
    Metadata,
}

/// How much is read back after a full erase. Metadata is always read back whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verify {
    /// Some 5,000 blocks, stratified: finds a leftover of 0.1 % with 99 %.
    Sample,
    /// Every block.
    Full,
}

/// What to do with a disk that refuses writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadOnly {
    /// Fail (Ironic's default).
    Refuse,
    /// Leave it alone and record so (`agent_erase_skip_read_only`).
    Skip,
}

/// What the operator asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What is to be gone.
    pub mode: Mode,
    /// The least a full erase must be worth.
    pub min_level: Level,
    /// Whether a drive's own erase may be used at all (`agent_enable_nvme_secure_erase`).
    pub device_erase: bool,
    /// Whether a failed erase by the drive may be followed by overwriting
    /// (`agent_continue_if_secure_erase_failed`).
    pub allow_fallback: bool,
    /// Passes over every block when overwriting: all but the last are random.
    pub passes: u8,
    /// How much is read back.
    pub verify: Verify,
    /// What to do with a disk that refuses writes.
    pub read_only: ReadOnly,
}

impl Policy {
    /// A full erase: the drive's own where it has one, else zeros; clear at least; sampled.
    pub const FULL: Policy = Policy {
        mode: Mode::Full,
        min_level: Level::Clear,
        device_erase: true,
        allow_fallback: false,
        passes: 1,
        verify: Verify::Sample,
        read_only: ReadOnly::Refuse,
    };
    /// Partition tables and signatures only.
    pub const METADATA: Policy = Policy { mode: Mode::Metadata, min_level: Level::None, ..Self::FULL };
}

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
    /// The agent runs from it.
    #[error("{disk} is what this agent was started from; it is not a tenant's disk")]
    BootMedium {
        /// Device node.
        disk: String,
    },
    /// The management controller lends it.
    #[error("{disk} is virtual media of the BMC; eject it if it should not be there")]
    VirtualMedia {
        /// Device node.
        disk: String,
    },
    /// It has no bytes.
    #[error("{disk} has no capacity; it may be broken or locked: replace it or set it aside")]
    Empty {
        /// Device node.
        disk: String,
    },
    /// Nothing this program can do reaches the level asked for.
    #[error(
        "{disk} can be erased to {best:?} here, and the policy wants {wanted:?}; lower min_level or destroy it"
    )]
    BelowMinimum {
        /// Device node.
        disk: String,
        /// What is possible.
        best: Level,
        /// What is asked for.
        wanted: Level,
    },
    /// A policy without passes would overwrite nothing.
    #[error("a policy of 0 passes erases nothing; ask for at least 1")]
    NoPasses,
}

impl Refusal {
    /// True when the disk is rightly no part of the erasure: recorded as skipped
    /// ([`Subject::skipped`](crate::Subject::skipped)) and no reason to fail the others.
    #[must_use]
    pub fn is_skip(&self) -> bool {
        match self {
            Refusal::SkippedReadOnly { .. } | Refusal::BootMedium { .. } | Refusal::VirtualMedia { .. } => {
                true
            }
            Refusal::ReadOnly { .. }
            | Refusal::InUse { .. }
            | Refusal::Empty { .. }
            | Refusal::BelowMinimum { .. }
            | Refusal::NoPasses => false,
        }
    }
}

/// Permission to erase one disk in one way. Made only by [`plan`], and not
/// `Clone`: a plan is spent by executing it.
///
/// ```compile_fail
/// fn twice(plan: erase::Plan, drive: &mut disk::FakeDisk, now: &mut erase::Conditions) {
///     let _ = erase::execute(plan, drive, now);
///     let _ = erase::execute(plan, drive, now);
/// }
/// ```
///
/// ```compile_fail
/// fn copy(plan: &erase::Plan) -> erase::Plan {
///     plan.clone()
/// }
/// ```
///
/// ```
/// fn once(plan: erase::Plan, drive: &mut disk::FakeDisk, now: &mut erase::Conditions) {
///     let _ = erase::execute(plan, drive, now);
/// }
/// ```
#[derive(Debug, PartialEq, Eq)]
#[must_use = "planning erases nothing"]
pub struct Plan {
    pub(crate) subject: Subject,
    pub(crate) policy: Policy,
    /// Tried in this order until one is proven; never empty.
    pub(crate) methods: Vec<Method>,
    pub(crate) zones: Zones,
    /// Why not something better.
    pub(crate) notes: Vec<String>,
}

impl Plan {
    /// What would be tried, in order.
    #[must_use]
    pub fn methods(&self) -> &[Method] {
        &self.methods
    }

    /// Why nothing better is tried.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// Decide how to erase `subject`.
///
/// # Errors
/// [`Refusal`] when the disk must not, or cannot, be erased as the policy asks.
pub fn plan(subject: Subject, abilities: &Abilities, policy: Policy) -> Result<Plan, Refusal> {
    refuse(&subject, policy)?;
    let mut notes = Vec::new();
    let (methods, zones) = match policy.mode {
        Mode::Metadata => (vec![Method::Metadata], Zones::of_metadata(&subject)),
        Mode::Full => (full_methods(abilities, policy, &mut notes), Zones::whole(&subject)),
    };
    // The list is in order of preference, and a fallback must not fall below the minimum either.
    let best = methods.iter().map(|method| method.level().0).max().unwrap_or(Level::None);
    let methods: Vec<_> = methods.into_iter().filter(|method| method.level().0 >= policy.min_level).collect();
    if methods.is_empty() {
        return Err(Refusal::BelowMinimum { disk: subject.path(), best, wanted: policy.min_level });
    }
    Ok(Plan { subject, policy, methods, zones, notes })
}

fn refuse(subject: &Subject, policy: Policy) -> Result<(), Refusal> {
    let disk = subject.path();
    if subject.boot_medium {
        return Err(Refusal::BootMedium { disk });
    }
    if subject.is_virtual_media() {
        return Err(Refusal::VirtualMedia { disk });
    }
    if subject.disk.read_only {
        return Err(match policy.read_only {
            ReadOnly::Refuse => Refusal::ReadOnly { disk },
            ReadOnly::Skip => Refusal::SkippedReadOnly { disk },
        });
    }
    if !subject.users.is_empty() {
        return Err(Refusal::InUse { disk, users: subject.users.clone() });
    }
    if subject.disk.size.0 < subject.disk.logical_block.get() {
        return Err(Refusal::Empty { disk });
    }
    if policy.passes == 0 {
        return Err(Refusal::NoPasses);
    }
    Ok(())
}

fn full_methods(abilities: &Abilities, policy: Policy, notes: &mut Vec<String>) -> Vec<Method> {
    let by_host = if policy.passes > 1 {
        notes.push(format!("{} passes are written by the host", policy.passes));
        vec![Method::Overwrite]
    } else {
        vec![Method::ZeroOut, Method::Overwrite]
    };
    let mut methods = by_drive(abilities, policy, notes);
    if methods.is_empty() || policy.allow_fallback {
        methods.extend(by_host);
    }
    methods
}

fn by_drive(abilities: &Abilities, policy: Policy, notes: &mut Vec<String>) -> Vec<Method> {
    let erases = abilities.erases(notes);
    if !policy.device_erase && !erases.is_empty() {
        notes.push("the drive's own erase is switched off by the policy".to_owned());
        return Vec::new();
    }
    erases.into_iter().map(Method::ByDrive).collect()
}

#[cfg(test)]
pub(crate) mod tests;
