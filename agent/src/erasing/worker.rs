//! One disk: looked at, planned, opened for us alone, looked at again, erased.

use std::{error::Error, path::Path};

use erase::{
    Abilities, Clock, Conditions, EraseError, Erased, Method, Mode, Phase, Plan, Policy, Progress, RateLimit,
    Refusal, ReleaseError, Request, Sanitize, Seed, SelfErase, Subject, SubjectError, Throttled,
};
use inventory::Root;
use model::{Bytes, inventory::Disk};

use crate::chosen::{self, OpenChosenError};

/// Less than this is written or read in a moment, and waits for nobody's turn.
const LITTLE: Bytes = Bytes(1 << 30);

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    /// The policy, and which disks it is not for.
    pub(crate) request: Request,
    /// What a drive erases by itself within seconds, and of the other disks their
    /// partition tables and signatures, whatever the policy's mode is.
    pub(crate) express: bool,
}

/// A disk that may be erased.
pub(crate) struct Ready {
    pub(crate) subject: Subject,
    pub(crate) plan: Plan,
}

/// Why a disk is not erased.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotErased {
    /// It may be gone.
    #[error("not looked at")]
    Look(#[from] SubjectError),
    /// It does not answer as its kind does.
    #[error("it does not say what it can")]
    Abilities(#[source] Box<dyn Error + Send + Sync>),
    /// It must not be erased, or not so.
    #[error("not erased")]
    Refused {
        /// The disk.
        subject: Box<Subject>,
        /// Why.
        #[source]
        refusal: Refusal,
    },
    /// An array or a volume on it does not stop.
    #[error("not erased")]
    Held(#[from] ReleaseError),
    /// It is in use, or another disk by now.
    #[error("not erased")]
    Open(#[from] OpenChosenError),
    /// Somebody was at it.
    #[error("not erased: its partitions changed while it was looked at; try again")]
    Changed,
    /// Nothing to prove it with.
    #[error("not erased: no random numbers to prove it with")]
    Random(#[source] getrandom::Error),
    /// It was tried.
    #[error("not erased")]
    Failed {
        /// The disk.
        subject: Box<Subject>,
        /// Why it is dirty.
        #[source]
        err: Box<EraseError>,
    },
}

impl NotErased {
    /// True when the disk is rightly no part of the erasure.
    pub(crate) fn is_skip(&self) -> bool {
        match self {
            NotErased::Refused { refusal, .. } => refusal.is_skip(),
            NotErased::Look(_)
            | NotErased::Abilities(_)
            | NotErased::Held(_)
            | NotErased::Open(_)
            | NotErased::Changed
            | NotErased::Random(_)
            | NotErased::Failed { .. } => false,
        }
    }
}

/// Look at `disk` and plan its erasure. Writes nothing.
///
/// # Errors
/// [`NotErased`]: it must not, or cannot, be erased so.
pub(crate) fn look(disk: &Disk, wish: &Wish) -> Result<Ready, NotErased> {
    let subject = Subject::read(Path::new("/"), disk)?;
    // A disk that is left alone is not asked anything.
    let left_alone = wish.request.skip.iter().any(|hints| hints.match_disk(disk));
    let abilities =
        if left_alone { Ok(Abilities::default()) } else { Abilities::read(Path::new(&disk.path())) };
    let abilities = abilities.map_err(|err| NotErased::Abilities(err.into()))?;
    match planned(&subject, &abilities, wish) {
        Ok(plan) => Ok(Ready { subject, plan }),
        Err(refusal) => Err(NotErased::Refused { subject: Box::new(subject), refusal }),
    }
}

/// Express is one of two policies: a drive whose own erase fails is not clean
/// because its partition table is gone.
fn planned(subject: &Subject, abilities: &Abilities, wish: &Wish) -> Result<Plan, Refusal> {
    let asked = wish.request.policy;
    let plan = |policy| Request { policy, ..wish.request.clone() }.plan(subject.clone(), abilities);
    if !wish.express {
        return plan(asked);
    }
    let by_drive = plan(Policy { mode: Mode::Full, allow_fallback: false, ..asked })?;
    if by_drive.methods().first().is_some_and(|method| is_quick(*method)) {
        return Ok(by_drive);
    }
    let Policy { mode, min_level, .. } = Policy::METADATA;
    plan(Policy { mode, min_level, ..asked })
}

/// Seconds, whatever the size of the drive.
fn is_quick(method: Method) -> bool {
    match method {
        Method::ByDrive(
            SelfErase::NvmeSanitize(how) | SelfErase::AtaSanitize(how) | SelfErase::ScsiSanitize(how),
        ) => how != Sanitize::Overwrite,
        Method::ByDrive(SelfErase::NvmeFormat(_) | SelfErase::OpalRevert) => true,
        Method::ByDrive(SelfErase::AtaSecurity(_))
        | Method::ZeroOut
        | Method::Overwrite
        | Method::Metadata => false,
    }
}

/// Erase a disk that was looked at, if it still is what it was.
///
/// # Errors
/// [`NotErased`]; after `Failed` it is dirty, else untouched.
pub(crate) fn carry_out(
    root: &Root,
    ready: Ready,
    limit: Option<&RateLimit>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Erased, NotErased> {
    let Ready { subject, plan } = ready;
    plan.release()?;
    let mut drive = Throttled::new(chosen::open(root, &subject.disk)?, limit);
    // Nobody else can change it any more; what was planned must still hold.
    if !subject.still_is(&Subject::read(Path::new("/"), &subject.disk)?) {
        return Err(NotErased::Changed);
    }
    let seed = Seed::random().map_err(NotErased::Random)?;
    let mut conditions = Conditions { seed, time: &mut Clock::new(now), progress };
    erase::execute(plan, &mut drive, &mut conditions)
        .map_err(|err| NotErased::Failed { subject: Box::new(subject), err: Box::new(err) })
}

/// RFC 3339, UTC.
pub(super) fn now() -> String {
    jiff::Timestamp::now().to_string()
}

/// What a disk costs the host while it is so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// It keeps the host busy for long.
    Heavy,
    /// A moment's work.
    Light,
    /// The drive works by itself.
    ByDrive,
}

/// What `progress` costs the host.
pub(crate) fn load(progress: &Progress) -> Load {
    match progress.phase {
        Phase::ByDrive => Load::ByDrive,
        Phase::Canaries => Load::Light,
        Phase::Zero | Phase::Overwrite | Phase::Verify if progress.total > LITTLE => Load::Heavy,
        Phase::Zero | Phase::Overwrite | Phase::Verify => Load::Light,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_waits_for_its_turn_and_what_does_not_never() {
        let huge = Bytes(20 << 40);
        for (phase, total, want) in [
            (Phase::Overwrite, huge, Load::Heavy),
            (Phase::Zero, huge, Load::Heavy),
            (Phase::Verify, huge, Load::Heavy),
            // A sample, and the ends of a disk that erased itself.
            (Phase::Verify, Bytes(5002 * 4096), Load::Light),
            (Phase::Zero, Bytes(16 << 20), Load::Light),
            (Phase::Canaries, huge, Load::Light),
            (Phase::ByDrive, huge, Load::ByDrive),
        ] {
            let progress = Progress { phase, done: Bytes(0), total, estimate: None };
            assert_eq!(load(&progress), want, "{progress:?}");
        }
    }
}
