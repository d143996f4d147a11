//! Carrying out a plan: canaries, the method, the proof, and the next method
//! when there is no proof.

use disk::Target;
use model::Bytes;

use crate::{
    Drive, Method, Plan, Policy, Proof, Seed, Subject, Unproven,
    canary::{Canaries, CanaryError},
    prove::{Attempt, Expectation, Memory, Search, UNIT},
    seed::Draw,
    wipe::{WipeError, wipe, zero_out},
    zones::Zones,
};

/// What an erasure is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Writing the canaries.
    Canaries,
    /// The drive erases itself; there is no number until it is done.
    Format,
    /// Zeros by the kernel or the device.
    Zero,
    /// Writing.
    Overwrite,
    /// Reading back.
    Verify,
}

impl Phase {
    /// As progress reports name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Phase::Canaries => "canaries",
            Phase::Format => "format",
            Phase::Zero => "zero",
            Phase::Overwrite => "overwrite",
            Phase::Verify => "verify",
        }
    }
}

/// How far one phase is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The phase.
    pub phase: Phase,
    /// Bytes done in it.
    pub done: Bytes,
    /// Bytes to be done in it.
    pub total: Bytes,
}

/// The world a plan is carried out in.
pub struct Conditions<'a> {
    /// What the sample is drawn with: [`Seed::random`], or a chosen one in a test.
    pub seed: Seed,
    /// The time, RFC 3339.
    pub clock: &'a mut dyn FnMut() -> String,
    /// Told after every step.
    pub progress: &'a mut dyn FnMut(Progress),
}

impl Conditions<'_> {
    fn tell(&mut self, phase: Phase, done: Bytes, total: Bytes) {
        (self.progress)(Progress { phase, done, total });
    }
}

/// Proof that a disk was erased, and read back as erased.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "report the proof: without it the disk counts as dirty"]
pub struct Erased {
    /// The disk.
    pub subject: Subject,
    /// What was asked for.
    pub policy: Policy,
    /// What did it; the last of the attempts.
    pub method: Method,
    /// Everything that was tried.
    pub attempts: Vec<Attempt>,
    /// What was read back.
    pub proof: Proof,
    /// Why nothing better was done, and what else is worth knowing.
    pub notes: Vec<String>,
}

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
    #[error("{disk} is not erased after {} attempts; do not reuse it: retry, or destroy it", attempts.len())]
    NotErased {
        /// Device node.
        disk: String,
        /// Everything that was tried.
        attempts: Vec<Attempt>,
        /// Why the last one failed.
        #[source]
        last: AttemptError,
    },
}

/// Why one method is not proven.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    /// The canaries could not be placed; nothing was erased.
    #[error("the disk could not be prepared for proof")]
    Canary(#[from] CanaryError),
    /// The method failed.
    #[error("the erase failed")]
    Wipe(#[from] WipeError),
    /// The method claims success and the disk shows otherwise.
    #[error("the erase is not proven")]
    Unproven(#[from] Unproven),
}

/// Carry out `plan` on `drive`.
///
/// # Errors
/// [`EraseError`]; the disk then counts as dirty.
pub fn execute<D: Drive>(
    plan: Plan,
    drive: &mut D,
    conditions: &mut Conditions,
) -> Result<Erased, EraseError> {
    let Plan { subject, policy, methods, zones, mut notes } = plan;
    same_disk(&subject, drive)?;
    let mut attempts = Vec::new();
    let mut last = None;
    for method in methods {
        let start = (conditions.clock)();
        let outcome = attempt(method, policy, drive, &zones, conditions);
        let error = outcome.as_ref().err().map(chain);
        attempts.push(Attempt { method, start, end: (conditions.clock)(), error });
        match outcome {
            Ok(proof) => {
                notes.extend(forget_partitions(drive));
                return Ok(Erased { subject, policy, method, attempts, proof, notes });
            }
            Err(error) => {
                tracing::warn!(
                    disk = subject.path(),
                    method = method.name(),
                    error = chain(&error),
                    "not erased"
                );
                last = Some(error);
            }
        }
    }
    let last = last.expect("INVARIANT: a plan has at least one method");
    Err(EraseError::NotErased { disk: subject.path(), attempts, last })
}

fn same_disk(subject: &Subject, drive: &impl Target) -> Result<(), EraseError> {
    let (planned, actual) = (subject.disk.size, drive.size());
    if planned == actual && subject.disk.logical_block == drive.block() {
        return Ok(());
    }
    Err(EraseError::AnotherDisk { disk: subject.path(), planned, actual, block: drive.block().get() })
}

fn attempt<D: Drive>(
    method: Method,
    policy: Policy,
    drive: &mut D,
    zones: &Zones,
    conditions: &mut Conditions,
) -> Result<Proof, AttemptError> {
    let unit = UNIT.max(drive.block().get());
    let seed = conditions.seed;
    // Not the sample's own draw: its places would then be stamped and not sampled.
    let mut draw = Draw::after(seed);
    conditions.tell(Phase::Canaries, Bytes(0), zones.bytes());
    let expectation = Expectation::of(method);
    let memory = match expectation {
        Expectation::Changed | Expectation::Blank => Memory::of(drive, zones, unit, seed),
        Expectation::Zeros => Memory::default(),
    };
    let canaries = Canaries::place(drive, zones, unit, &mut draw)?;
    wipe(method, drive, zones, policy.passes, &mut draw, &mut |phase, done, total| {
        conditions.tell(phase, done, total);
    })?;
    let search = Search {
        zones,
        unit,
        verify: policy.verify,
        expectation,
        seed,
        canaries: &canaries,
        memory: &memory,
    };
    let proof = search.run(drive, &mut |phase, done, total| conditions.tell(phase, done, total))?;
    if expectation != Expectation::Zeros {
        scrub(drive, unit, &search, conditions)?;
    }
    Ok(proof)
}

/// After a drive erased itself its ends hold anything; nothing may take that for
/// a partition table.
fn scrub<D: Drive>(
    drive: &mut D,
    unit: u64,
    search: &Search,
    conditions: &mut Conditions,
) -> Result<(), AttemptError> {
    let zones = Zones::of_scrub(drive.size(), drive.block());
    let mut tell = |phase, done, total| conditions.tell(phase, done, total);
    zero_out(drive, &zones, &mut tell)?;
    let ends = Search {
        zones: &zones,
        unit,
        verify: crate::Verify::Full,
        expectation: Expectation::Zeros,
        memory: &Memory::default(),
        ..*search
    };
    ends.run(drive, &mut tell)?;
    Ok(())
}

/// The kernel may keep showing partitions that are gone; that is worth a note,
/// and takes nothing from the proof. `EINVAL`: the device cannot have any.
fn forget_partitions(drive: &mut impl Drive) -> Option<String> {
    match drive.reread_partitions() {
        Ok(()) => None,
        Err(err) if err.raw_os_error() == Some(22 /* EINVAL */) => None,
        Err(err) => Some(format!("the kernel kept its old view of the partitions: {err}")),
    }
}

/// An error and its causes in one line, for records that outlive it.
fn chain(error: &AttemptError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests;
