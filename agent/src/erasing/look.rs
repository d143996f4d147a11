//! Which disk is erased how: looked at one by one, planned all together, since
//! an erase of a whole NVMe drive reaches each of its namespaces.

use std::{error::Error, path::Path};

use erase::{Abilities, Method, Mode, Plan, Policy, Refusal, Request, Sanitize, SelfErase, Subject};
use model::inventory::Disk;

use super::NotErased;

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    /// The policy, and which disks it is not for.
    pub(crate) request: Request,
    /// What a drive erases by itself within seconds, and of the other disks their
    /// partition tables and signatures, whatever the policy's mode is.
    pub(crate) express: bool,
}

/// A disk that was looked at.
pub(crate) struct Looked {
    /// Which of the disks.
    pub(crate) index: usize,
    pub(super) subject: Subject,
    pub(super) abilities: Abilities,
}

/// A disk that may be erased.
pub(crate) struct Ready {
    pub(crate) looked: Looked,
    pub(crate) plan: Plan,
}

/// What all the disks together come to.
pub(crate) struct Planned {
    /// One list after the other or at once, as one likes; those of one list one after another.
    pub(crate) groups: Vec<Vec<Ready>>,
    /// Which of the disks will not be erased, and why.
    pub(crate) refused: Vec<(usize, NotErased)>,
}

/// Look at `disk`, the one of number `index`. Writes nothing.
///
/// # Errors
/// [`NotErased`]: nothing is known about it.
pub(crate) fn look(index: usize, disk: &Disk, wish: &Wish) -> Result<Looked, NotErased> {
    let subject = Subject::read(Path::new("/"), disk)?;
    // A disk that is left alone is not asked anything.
    let left_alone = wish.request.skip.iter().any(|hints| hints.match_disk(disk));
    let abilities =
        if left_alone { Ok(Abilities::default()) } else { Abilities::read(Path::new(&disk.path())) };
    let abilities =
        abilities.map_err(|err| NotErased::Abilities(Box::<dyn Error + Send + Sync>::from(err)))?;
    Ok(Looked { index, subject, abilities })
}

/// Plan the erasure of all of them. What is refused is not erased, so nothing
/// that reaches it may be done to the others: they are planned anew without it.
pub(crate) fn plan(mut looked: Vec<Looked>, wish: &Wish) -> Planned {
    let mut refused = Vec::new();
    // Each round refuses one disk at least, or is the last.
    loop {
        let mut abilities: Vec<Abilities> = looked.iter().map(|one| one.abilities.clone()).collect();
        let turns = erase::in_turns(&mut abilities);
        let plans = looked.into_iter().zip(&abilities).map(|(one, abilities)| {
            let plan = planned(&one.subject, abilities, wish);
            (one, plan)
        });
        let (good, bad): (Vec<_>, Vec<_>) = plans.partition(|(_, plan)| plan.is_ok());
        if bad.is_empty() {
            let ready =
                good.into_iter().filter_map(|(looked, plan)| Some(Ready { looked, plan: plan.ok()? }));
            return Planned { groups: grouped(ready.collect(), &turns), refused };
        }
        refused.extend(bad.into_iter().filter_map(|(one, plan)| {
            let refusal = plan.err()?;
            Some((one.index, NotErased::Refused { subject: Box::new(one.subject), refusal }))
        }));
        looked = good.into_iter().map(|(one, _)| one).collect();
    }
}

fn grouped(ready: Vec<Ready>, turns: &[Vec<usize>]) -> Vec<Vec<Ready>> {
    let mut ready: Vec<Option<Ready>> = ready.into_iter().map(Some).collect();
    let mut take = |place: &usize| ready.get_mut(*place).and_then(Option::take);
    turns.iter().map(|turn| turn.iter().filter_map(&mut take).collect()).collect()
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
