//! Opal drives that somebody owns: back to the factory, with the media keys.
//!
//! ```text
//! label's PSID ─▶ owner's password given ─▶ factory's (MSID) ─▶ ours, from a revert cut off
//! ```
//!
//! An owned drive may refuse its own erases and hide what is locked, and it can be
//! locked from afar for as long as its old owner's password is in it. Linux speaks
//! Opal 1 and 2 only: TCG Opal SSC 2.02, TCG Core 2.01.

mod discovery;

use std::{io, os::fd::AsFd};

use model::{Secret, inventory::Disk};
use sys::opal::{self, OpalError, Status};

pub(crate) use self::discovery::Sid;
use crate::{Answer, CommandError, Opal};

/// The command's name in records.
const REVERT: &str = "Opal RevertTPer";
/// What the owner's password is between taking ownership with the factory's password
/// and the revert. Known, so that a power cut between the two locks nobody out.
const OURS: &[u8] = b"billet";
/// `NOT_AUTHORIZED`: a wrong password. TCG Core 5.1.5.
const NOT_AUTHORIZED: u32 = 0x01;

/// What may open one Opal drive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OpalKeys {
    /// What is printed on its label (PSID).
    pub label: Option<Secret>,
    /// Its owner's password (SID).
    pub owner: Option<Secret>,
}

impl OpalKeys {
    /// Those of `disk`: its label's is found under any serial number it goes by.
    pub(crate) fn of(disk: &Disk, asked: &Opal) -> Self {
        let mut serials = disk.serial.iter().chain(&disk.serial_aliases);
        let label = serials.find_map(|serial| asked.psids.get(serial.trim()));
        Self { label: label.cloned(), owner: asked.msid.clone() }
    }
}

/// That a drive has to be reverted before anything else is done with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ownership {
    /// What may open it.
    pub(crate) keys: OpalKeys,
    /// Something of it cannot be reached before: without the revert nothing is proven.
    pub(crate) hides: bool,
}

/// A drive that can be asked and told about its owner.
pub(crate) trait Tper {
    fn status(&mut self) -> io::Result<Status>;
    /// Whose the owner's password is, where drive and kernel tell.
    fn sid(&mut self) -> Sid;
    fn take_ownership(&mut self, new: &[u8]) -> Result<(), OpalError>;
    fn revert(&mut self, owner: &[u8]) -> Result<(), OpalError>;
    fn psid_revert(&mut self, label: &[u8]) -> Result<(), OpalError>;
}

/// A block device.
pub(crate) struct Node<'a, F>(pub(crate) &'a F);

impl<F: AsFd> Tper for Node<'_, F> {
    fn status(&mut self) -> io::Result<Status> {
        opal::status(self.0)
    }
    fn sid(&mut self) -> Sid {
        discovery::sid(self.0)
    }
    fn take_ownership(&mut self, new: &[u8]) -> Result<(), OpalError> {
        opal::take_ownership(self.0, new)
    }
    fn revert(&mut self, owner: &[u8]) -> Result<(), OpalError> {
        opal::revert(self.0, owner)
    }
    fn psid_revert(&mut self, label: &[u8]) -> Result<(), OpalError> {
        opal::psid_revert(self.0, label)
    }
}

/// One way to be let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Label,
    Owner,
    Factory,
    Ours,
}

impl Way {
    /// As records name it.
    fn name(self) -> &'static str {
        match self {
            Way::Label => "psid",
            Way::Owner => "sid",
            Way::Factory => "msid",
            Way::Ours => "sid_of_cut_off_revert",
        }
    }
}

/// Revert the drive if somebody owns it, and see that nobody does any more.
///
/// # Errors
/// [`CommandError`]; it is still owned, or that is not known.
pub(crate) fn revert(tper: &mut impl Tper, keys: &OpalKeys) -> Result<Answer, CommandError> {
    let before = tper.status().map_err(kernel)?;
    let mut answer = described(Answer::default(), before);
    if !before.enabled {
        return Ok(answer);
    }
    let sid = tper.sid();
    answer = answer.with("sid_before", sid.name());
    for way in ways(sid, keys) {
        let tried = attempt(tper, way, keys);
        answer = answer.with(way.name(), words(&tried));
        match tried {
            Ok(()) => return settled(tper, way, answer),
            Err(OpalError::Status(NOT_AUTHORIZED)) => {}
            // The label has tries of its own.
            Err(OpalError::Status(_)) if way == Way::Label => {}
            // No question of this password any more: `AUTHORITY_LOCKED_OUT` (0x12) after
            // too many wrong ones lasts until the next power cycle.
            Err(OpalError::Status(_)) => break,
            Err(OpalError::Kernel(err)) => return Err(kernel(err)),
        }
    }
    Err(CommandError::Refused { command: REVERT, reason: advice(sid, keys), answer })
}

/// In which order it is tried. A label is tried first: it has tries of its own, and
/// no owner can change it. The others share some five tries until a power cycle.
fn ways(sid: Sid, keys: &OpalKeys) -> Vec<Way> {
    let label = keys.label.is_some().then_some(Way::Label);
    let owner = keys.owner.is_some().then_some(Way::Owner);
    let others = match sid {
        Sid::Blocked => vec![],
        Sid::Factory => vec![Way::Factory],
        Sid::Changed => owner.into_iter().chain([Way::Ours]).collect(),
        Sid::Unknown => owner.into_iter().chain([Way::Factory, Way::Ours]).collect(),
    };
    label.into_iter().chain(others).collect()
}

fn attempt(tper: &mut impl Tper, way: Way, keys: &OpalKeys) -> Result<(), OpalError> {
    let bytes = |secret: &Option<Secret>| secret.as_ref().map_or(Vec::new(), |key| key.expose().into());
    match way {
        Way::Label => tper.psid_revert(&bytes(&keys.label)),
        Way::Owner => tper.revert(&bytes(&keys.owner)),
        Way::Factory => {
            tper.take_ownership(OURS)?;
            tper.revert(OURS)
        }
        Way::Ours => tper.revert(OURS),
    }
}

/// The drive says yes; its own word on locking has to say so too.
fn settled(tper: &mut impl Tper, way: Way, answer: Answer) -> Result<Answer, CommandError> {
    let after = tper.status().map_err(kernel)?;
    let answer = answer.with("locking_after", locking(after)).with("reverted_by", way.name());
    if after.enabled || after.locked || after.mbr_enabled {
        let reason = "it said yes and is still owned; power-cycle it, or destroy it".to_owned();
        return Err(CommandError::Refused { command: REVERT, reason, answer });
    }
    Ok(answer)
}

fn described(answer: Answer, status: Status) -> Answer {
    answer.with("locking_before", locking(status)).with("shadow_mbr_before", shadow(status))
}

/// As certificates and notes put it.
pub(crate) fn locking(status: Status) -> &'static str {
    match (status.enabled, status.locked) {
        (false, _) => "off",
        (true, false) => "on, nothing locked",
        (true, true) => "on, locked",
    }
}

/// While it is shown, the first megabytes read as somebody's boot program, and what
/// lies beneath cannot be reached.
pub(crate) fn shadow(status: Status) -> &'static str {
    match (status.mbr_enabled, status.mbr_done) {
        (false, _) => "none",
        (true, false) => "shown",
        (true, true) => "stepped aside",
    }
}

fn words(tried: &Result<(), OpalError>) -> String {
    match tried {
        Ok(()) => "accepted".to_owned(),
        Err(OpalError::Status(status)) => format!("status {status:#04x}"),
        Err(OpalError::Kernel(err)) => err.to_string(),
    }
}

fn advice(sid: Sid, keys: &OpalKeys) -> String {
    let label = match keys.label {
        Some(_) => "the PSID given is not this drive's: read its label again",
        None => "give the PSID that is printed on its label (opal_psids)",
    };
    match sid {
        Sid::Blocked => format!(
            "the firmware blocks its owner until the next power cycle (Block SID), so that only the label counts: {label}"
        ),
        Sid::Factory | Sid::Changed | Sid::Unknown => {
            format!(
                "somebody owns it and no password fits: {label}; without it the drive can only be destroyed"
            )
        }
    }
}

fn kernel(err: io::Error) -> CommandError {
    CommandError::Kernel { command: REVERT, err }
}

#[cfg(test)]
mod tests;
