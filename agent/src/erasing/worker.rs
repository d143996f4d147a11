//! The disks of one group: opened for us alone, looked at again, erased one
//! after another.

use std::{error::Error, path::Path};

use disk::Device;
use erase::{
    Clock, Conditions, EraseError, Erased, Journal, Phase, Progress, RateLimit, Refusal, ReleaseError, Seed,
    Subject, SubjectError, Throttled,
};
use inventory::Root;
use model::Bytes;

use super::look::{Planned, Ready, Wish, plan};
use crate::chosen::{self, OpenChosenError};

/// Less than this is written or read in a moment, and waits for nobody's turn.
const LITTLE: Bytes = Bytes(1 << 30);

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

/// How the host's own writes are done.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    /// With one, an overwrite that was cut off goes on where it was.
    pub(crate) journal: Option<Journal>,
    /// One for all disks: it is the host that is spared.
    pub(crate) limit: Option<RateLimit>,
}

/// Where a group reports to.
pub(crate) trait Listener {
    /// The disk of this number is so far.
    fn progress(&mut self, index: usize, progress: Progress);
    /// The disk of this number is done with.
    fn ended(&mut self, index: usize, outcome: Result<Erased, NotErased>);
}

/// Erase a group. All its disks are held before the first is begun, and until
/// the last is done: an erase of the whole drive reaches each of them.
pub(crate) fn carry_out(
    root: &Root,
    group: Vec<Ready>,
    wish: &Wish,
    writes: &Writes,
    listener: &mut dyn Listener,
) {
    let mut devices = Vec::new();
    let (mut held, mut all) = (Vec::new(), true);
    for ready in group {
        match hold(root, &ready) {
            Ok(device) => {
                devices.push((ready.looked.index, Throttled::new(device, writes.limit.as_ref())));
                held.push(ready);
            }
            Err(err) => {
                all = false;
                listener.ended(ready.looked.index, Err(err));
            }
        }
    }
    if !all {
        held = without_the_others(held, wish, listener);
    }
    for ready in held {
        let Some((index, drive)) = devices.iter_mut().find(|(index, _)| *index == ready.looked.index) else {
            continue;
        };
        let outcome = erase_one(ready, drive, writes.journal.as_ref(), &mut |progress| {
            listener.progress(*index, progress)
        });
        listener.ended(*index, outcome);
    }
}

/// Plan the rest of a group anew: it must reach nothing that is not held.
fn without_the_others(held: Vec<Ready>, wish: &Wish, listener: &mut dyn Listener) -> Vec<Ready> {
    let Planned { groups, refused } = plan(held.into_iter().map(|ready| ready.looked).collect(), wish);
    refused.into_iter().for_each(|(index, err)| listener.ended(index, Err(err)));
    groups.into_iter().flatten().collect()
}

/// The disk, ours alone, if it still is what it was.
fn hold(root: &Root, ready: &Ready) -> Result<Device, NotErased> {
    let subject = &ready.looked.subject;
    ready.plan.release()?;
    let device = chosen::open(root, &subject.disk)?;
    // Nobody else can change it any more; what was planned must still hold.
    if !subject.still_is(&Subject::read(Path::new("/"), &subject.disk)?) {
        return Err(NotErased::Changed);
    }
    Ok(device)
}

fn erase_one(
    ready: Ready,
    drive: &mut Throttled<Device>,
    journal: Option<&Journal>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Erased, NotErased> {
    let seed = Seed::random().map_err(NotErased::Random)?;
    let mut conditions = Conditions { seed, time: &mut Clock::new(now), progress };
    erase::execute_with_journal(ready.plan, drive, &mut conditions, journal)
        .map_err(|err| NotErased::Failed { subject: Box::new(ready.looked.subject), err: Box::new(err) })
}

/// RFC 3339, UTC.
pub(super) fn now() -> String {
    crate::timestamp::Timestamp::now().to_string()
}

/// What a disk costs the host while it is so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// It keeps the host busy for long.
    Heavy,
    /// A moment's work.
    Light,
    /// The drive works by itself.
    ByDrive,
}

/// What `progress` costs the host.
pub(super) fn load(progress: &Progress) -> Load {
    match progress.phase {
        // It has ended: nothing that comes next has a time limit of its own.
        Phase::ByDrive if progress.done >= progress.total => Load::Light,
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
        // What is asked of it from here on must be answered within the time that any disk has.
        let ended = Progress { phase: Phase::ByDrive, done: huge, total: huge, estimate: None };
        assert_eq!(load(&ended), Load::Light);
    }
}
