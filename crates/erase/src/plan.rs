//! Deciding whether and how a disk is erased. Pure: every safety rule is here.

use std::path::Path;

use disk::{TearDownError, Tree, TreeError, tear_down};

use crate::{
    Abilities, Hidden, Level, Medium, Method, Mode, Namespaces, Opal, OpalKeys, Policy, ReadOnly, Refusal,
    SelfErase, Subject, Zoned, opal::Ownership, zones::Zones,
};

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
    /// To be reverted before anything else.
    pub(crate) opal: Option<Ownership>,
    /// Of its drive, where that is an NVMe drive.
    pub(crate) namespaces: Namespaces,
    /// What the drive hides, to be shown first.
    pub(crate) hidden: Option<Hidden>,
    /// Why not something better.
    pub(crate) notes: Vec<String>,
}

/// Why a disk is not free.
#[derive(Debug, thiserror::Error)]
pub enum ReleaseError {
    /// It is not known what stands on it now.
    #[error("{disk} is not free: what stands on it is not known")]
    Unknown {
        /// Device node.
        disk: String,
        /// What could not be read.
        #[source]
        err: TreeError,
    },
    /// Something on it does not stop.
    #[error("{disk} is not free")]
    Held {
        /// Device node.
        disk: String,
        /// What, and why.
        #[source]
        err: TearDownError,
    },
}

impl Plan {
    /// What it is about.
    #[must_use]
    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    /// Stop the arrays and volumes that stand on the disk of this machine, so
    /// that it can be opened. Changes nothing on any medium; nothing is stopped
    /// below a mount.
    ///
    /// # Errors
    /// [`ReleaseError`]; the disk is still held.
    pub fn release(&self) -> Result<(), ReleaseError> {
        if self.subject.stack.is_empty() {
            return Ok(());
        }
        let disk = || self.subject.path();
        let tree = Tree::read(Path::new("/"), &self.subject.disk.name)
            .map_err(|err| ReleaseError::Unknown { disk: disk(), err })?;
        tear_down(&tree).map(drop).map_err(|err| ReleaseError::Held { disk: disk(), err })
    }

    /// With what was given to open an Opal drive that somebody owns.
    pub(crate) fn with_keys(mut self, asked: &Opal) -> Self {
        if let Some(ownership) = &mut self.opal {
            ownership.keys = OpalKeys::of(&self.subject.disk, asked);
        }
        self
    }

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
    let mut notes = notes_on(&subject);
    let (methods, zones) = match policy.mode {
        Mode::Metadata => (vec![Method::Metadata], Zones::of_metadata(&subject)),
        Mode::Full => (full_methods(abilities, policy, &mut notes), Zones::whole(&subject)),
    };
    let methods = of_hidden_namespaces(&subject, abilities, policy.mode, methods, &mut notes)?;
    // The list is in order of preference, and a fallback must not fall below the minimum either.
    let best = methods.iter().map(|method| method.level().0).max().unwrap_or(Level::None);
    let first = methods.first().map(|method| method.level().0);
    let allowed = |method: &Method| {
        let level = method.level().0;
        // A fallback that lowers the level is said by the policy or not done.
        level >= policy.min_level && (policy.allow_fallback || Some(level) >= first)
    };
    let methods: Vec<_> = methods.into_iter().filter(allowed).collect();
    if methods.is_empty() {
        return Err(Refusal::BelowMinimum {
            disk: subject.path(),
            best,
            wanted: policy.min_level,
            why: notes,
        });
    }
    let opal = ownership(abilities, policy, &mut notes);
    let namespaces = abilities.nvme.namespaces.clone();
    let hidden = abilities.ata.hidden;
    if policy.mode == Mode::Full {
        notes.extend(hidden.map(Hidden::note));
    }
    Ok(Plan { subject, policy, methods, zones, opal, namespaces, hidden, notes })
}

fn refuse(subject: &Subject, policy: Policy) -> Result<(), Refusal> {
    not_ours(subject)?;
    let disk = subject.path();
    if subject.disk.read_only {
        return Err(match policy.read_only {
            ReadOnly::Refuse => Refusal::ReadOnly { disk },
            ReadOnly::Skip => Refusal::SkippedReadOnly { disk },
        });
    }
    if !subject.users.is_empty() {
        return Err(Refusal::InUse { disk, users: subject.users.clone() });
    }
    if !policy.force_shared && !subject.shared.is_empty() {
        return Err(Refusal::Shared { disk, why: subject.shared.clone() });
    }
    if !policy.force_cluster && !subject.cluster.is_empty() {
        return Err(Refusal::ClusterFileSystem { disk, signs: subject.cluster.clone() });
    }
    if subject.zoned == Zoned::HostManaged {
        return Err(Refusal::HostManaged { disk });
    }
    if subject.disk.size.0 < subject.disk.logical_block.get() {
        return Err(Refusal::Empty { disk });
    }
    if policy.passes == 0 {
        return Err(Refusal::NoPasses);
    }
    Ok(())
}

/// No force reaches these.
fn not_ours(subject: &Subject) -> Result<(), Refusal> {
    let (disk, why) = (subject.path(), Clone::clone);
    match &subject.medium {
        Medium::Installed => Ok(()),
        Medium::Virtual(reason) => Err(Refusal::VirtualMedia { disk, why: why(reason) }),
        Medium::BootStick(reason) => Err(Refusal::BootMedium { disk, why: why(reason) }),
        Medium::BootDisk(reason) => Err(Refusal::BootDisk { disk, why: why(reason) }),
    }
}

/// What people should know of the disk beside how it is erased.
fn notes_on(subject: &Subject) -> Vec<String> {
    let mut notes = Vec::new();
    let list = |what: &str, names: &[String]| format!("{what}: {}", names.join(", "));
    if !subject.stack.is_empty() {
        notes.push(list("stopped first", &subject.stack));
    }
    if !subject.shared.is_empty() {
        notes.push(list("erased though it may be shared, as the policy says", &subject.shared));
    }
    if !subject.cluster.is_empty() {
        notes.push(list("erased with its cluster file system, as the policy says", &subject.cluster));
    }
    if !subject.unread.is_empty() {
        notes.push(list("could not be searched for cluster file systems", &subject.unread));
    }
    if subject.zoned == Zoned::HostAware {
        notes.push("it is host-aware zoned; it was written like any other disk".to_owned());
    }
    notes.extend(
        subject.integrity.iter().map(|format| format!("its protection information {format} stays on")),
    );
    notes
}

/// A full erase leaves no old data on the drive, also where no disk of this machine shows it.
fn of_hidden_namespaces(
    subject: &Subject,
    abilities: &Abilities,
    mode: Mode,
    methods: Vec<Method>,
    notes: &mut Vec<String>,
) -> Result<Vec<Method>, Refusal> {
    let Some(hidden) = abilities.nvme.namespaces.hidden() else { return Ok(methods) };
    if mode == Mode::Metadata {
        notes.push(format!("left as it is, as no disk of this machine shows it: {hidden}"));
        return Ok(methods);
    }
    let all = |method: &Method| abilities.nvme.left_by(*method).is_empty();
    let methods: Vec<_> = methods.into_iter().filter(all).collect();
    if methods.is_empty() {
        return Err(Refusal::HiddenNamespaces { disk: subject.path(), hidden });
    }
    notes.push(format!("erased with the whole drive and not read back, as no disk shows it: {hidden}"));
    Ok(methods)
}

fn full_methods(abilities: &Abilities, policy: Policy, notes: &mut Vec<String>) -> Vec<Method> {
    let mut methods = by_drive(abilities, policy, notes);
    if !methods.is_empty() && !policy.allow_fallback {
        return methods;
    }
    if policy.passes > 1 {
        notes.push(format!("{} passes are written by the host", policy.passes));
        methods.push(Method::Overwrite);
    } else {
        methods.extend([Method::ZeroOut, Method::Overwrite]);
    }
    methods
}

fn by_drive(abilities: &Abilities, policy: Policy, notes: &mut Vec<String>) -> Vec<Method> {
    let erases = abilities.erases(notes);
    if !policy.device_erase && !erases.is_empty() {
        notes.push("the drive's own erase is switched off by the policy".to_owned());
        return Vec::new();
    }
    let (on, off): (Vec<_>, Vec<_>) = erases.into_iter().partition(|erase| is_switched_on(*erase, policy));
    notes.extend(off.iter().map(|erase| format!("{} is switched off by the policy", erase.name())));
    on.into_iter().map(Method::ByDrive).collect()
}

/// A full erase reverts a drive that somebody owns: it may refuse everything else.
fn ownership(abilities: &Abilities, policy: Policy, notes: &mut Vec<String>) -> Option<Ownership> {
    let words = abilities.opal.words()?;
    if let Some(others) = abilities.nvme.namespaces.not_asked_for() {
        notes.push(format!("{words}; it is not reverted, which would also erase {others}"));
        return None;
    }
    let reverted = policy.mode == Mode::Full && policy.device_erase;
    notes.push(format!("{words}; it is {}reverted first", if reverted { "" } else { "not " }));
    reverted.then(|| Ownership { keys: OpalKeys::default(), hides: abilities.opal.hides() })
}

fn is_switched_on(erase: SelfErase, policy: Policy) -> bool {
    match erase {
        SelfErase::NvmeSanitize(_) | SelfErase::NvmeFormat(_) => policy.nvme_erase,
        SelfErase::AtaSanitize(_) | SelfErase::AtaSecurity(_) => policy.ata_erase,
        SelfErase::ScsiSanitize(_) | SelfErase::OpalRevert => true,
    }
}

#[cfg(test)]
mod properties;
#[cfg(test)]
pub(crate) mod tests;
