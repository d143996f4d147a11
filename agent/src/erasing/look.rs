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

#[cfg(test)]
mod tests {
    use ::erase::{Format, Medium, Namespaces, NvmeAbilities, Sanitizes, Zoned};
    use model::{
        Bytes,
        inventory::{DiskKind, Transport},
    };

    use super::*;

    fn subject(name: &str) -> Subject {
        let block = 512.try_into().unwrap();
        let disk = Disk {
            name: name.to_owned(),
            kind: DiskKind::Disk,
            size: Bytes(64 << 20),
            logical_block: block,
            physical_block: block,
            rotational: false,
            read_only: false,
            removable: false,
            model: Some("Fake".to_owned()),
            vendor: None,
            serial: Some("S1".to_owned()),
            serial_aliases: Vec::new(),
            wwn: None,
            hctl: None,
            by_path: None,
            by_path_aliases: Vec::new(),
            transport: Some(Transport::Nvme),
            ..Disk::default()
        };
        Subject {
            disk,
            firmware: None,
            partitions: Vec::new(),
            users: Vec::new(),
            stack: Vec::new(),
            shared: Vec::new(),
            cluster: Vec::new(),
            zoned: Zoned::No,
            integrity: None,
            medium: Medium::Installed,
            unread: Vec::new(),
        }
    }

    /// Namespace `own` of a drive with namespaces 1 and 2 that sanitizes.
    fn namespace(index: usize, own: u32) -> Looked {
        let namespaces =
            Namespaces { drive: "nqn S1".to_owned(), own, attached: vec![1, 2], ..Namespaces::default() };
        let sanitize = Sanitizes { crypto: true, ..Sanitizes::default() };
        let format = Some(Format { cryptographic: false, reaches_all: false, erases_all: false });
        let nvme = NvmeAbilities { sanitize, format, namespaces };
        Looked {
            index,
            subject: subject(&format!("nvme0n{own}")),
            abilities: Abilities { nvme, ..Abilities::default() },
        }
    }

    fn wish(policy: Policy, express: bool) -> Wish {
        Wish { request: policy.into(), express }
    }

    fn methods(planned: &Planned) -> Vec<Vec<(usize, String)>> {
        let names = |ready: &Ready| {
            let names: Vec<&str> = ready.plan.methods().iter().map(|method| method.name()).collect();
            (ready.looked.index, names.join(" > "))
        };
        planned.groups.iter().map(|group| group.iter().map(names).collect()).collect()
    }

    #[test]
    fn a_whole_drive_is_erased_only_when_all_its_namespaces_are() {
        let full = wish(Policy { allow_fallback: true, ..Policy::FULL }, false);
        let both = plan(vec![namespace(0, 1), namespace(1, 2)], &full);
        let whole = "nvme.sanitize.crypto > nvme.format.user-data > zero-out > overwrite";
        assert_eq!(methods(&both), [[(0, whole.to_owned()), (1, whole.to_owned())]]);
        // The other is not asked for; in use; or left alone by the policy.
        let own = "nvme.format.user-data > zero-out > overwrite";
        let mut mounted = namespace(1, 2);
        mounted.subject.users.push("the mount /srv".to_owned());
        let mut skipping = full.clone();
        skipping.request.skip.push(serde_json::from_str(r#"{"name": "/dev/nvme0n2"}"#).unwrap());
        for (looked, wish) in [
            (vec![namespace(0, 1)], &full),
            (vec![namespace(0, 1), mounted], &full),
            (vec![namespace(0, 1), namespace(1, 2)], &skipping),
        ] {
            let others = looked.len() - 1;
            let planned = plan(looked, wish);
            assert_eq!(methods(&planned), [[(0, own.to_owned())]]);
            assert_eq!(planned.refused.len(), others);
        }
    }

    /// Ironic's agent calls the express step a success when the drive's own erase
    /// failed and the partition table alone is gone.
    #[test]
    fn an_express_erase_by_the_drive_has_no_lesser_one_behind_it() {
        let express = wish(Policy { allow_fallback: true, ..Policy::FULL }, true);
        let drive = plan(vec![namespace(0, 1), namespace(1, 2)], &express);
        let own = "nvme.sanitize.crypto".to_owned();
        assert_eq!(methods(&drive), [[(0, own.clone()), (1, own)]]);
        let plain = Looked { index: 0, subject: subject("sda"), abilities: Abilities::default() };
        assert_eq!(methods(&plan(vec![plain], &express)), [[(0, "metadata".to_owned())]]);
    }
}
