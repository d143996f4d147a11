//! Reclaiming a disk: decide, do, prove.
//!
//! ```text
//! Subject + Abilities + Policy ──plan()──▶ Plan ──execute()──▶ Erased ──certificate()──▶ JSON to sign
//!                                   └─▶ Refusal          └─▶ EraseError
//! ```
//!
//! [`plan`] is pure and is where every safety rule lives. [`execute`] is the
//! only destructive function, and only `plan` can make the [`Plan`] it eats.
//! What a device answers is never proof: canaries written before must be gone
//! after, and a sample with a recorded seed, or every block, is read back.

mod abilities;
mod ata;
mod bad;
mod canary;
mod cause;
mod certificate;
mod cluster;
mod conditions;
mod drive;
mod execute;
mod failure;
mod hidden;
mod lanes;
mod marker;
mod medium;
mod method;
mod noise;
mod nvme;
mod opal;
mod plan;
mod policy;
mod prove;
mod refusal;
mod scsi;
mod seed;
mod sharing;
mod subject;
mod throttle;
mod time;
mod watch;
mod wipe;
mod zones;

pub use abilities::{
    Abilities, AbilitiesError, AtaAbilities, Format, Hidden, Namespaces, NvmeAbilities, OpalAbilities,
    Sanitizes, ScsiAbilities, SecurityAbilities, in_turns,
};
pub use bad::BadBlocks;
pub use canary::CanaryError;
pub use cause::Condition;
pub use certificate::Context;
pub use conditions::{Conditions, Phase, Progress};
pub use drive::{Answer, CommandError, Drive, Fraction, State};
pub use execute::{Erased, execute, execute_with_journal};
pub use failure::{AttemptError, EraseError, Verdict};
pub use marker::{Journal, WeakKey};
pub use medium::Medium;
pub use method::{Level, Method, Sanitize, SecureErase, SecurityErase, SelfErase};
pub use opal::OpalKeys;
pub use plan::{Plan, ReleaseError, plan};
pub use policy::{FIELDS, Mode, Opal, Policy, PolicyError, ReadOnly, Request, Verify};
pub use prove::{Attempt, Expectation, Proof, ProofKind, Unproven};
pub use refusal::Refusal;
pub use seed::Seed;
pub use subject::{Subject, SubjectError, Zoned};
pub use throttle::{RateLimit, Throttled};
pub use time::{Clock, Time};
pub use watch::SelfEraseError;
pub use wipe::WipeError;
