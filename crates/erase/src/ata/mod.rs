//! ATA drives, by ATA PASS-THROUGH: SANITIZE DEVICE, SECURITY ERASE UNIT, and
//! the capacity that a drive hides. ACS-4.
//!
//! ```text
//! IDENTIFY ──▶ a password? ──▶ those that erasing programs leave ──▶ disabled
//!          └─▶ sanitize status: running, failed, done
//! ```

mod bridge;
mod capacity;
mod command;
mod identify;
mod sanitize;
mod security;
mod sysfs;

use disk::{Device, Target as _};

use self::security::KNOWN;
pub(crate) use self::{
    bridge::Bridge,
    capacity::{Capacity, made_with},
    command::Registers,
    identify::Identify,
    sanitize::begin as sanitize,
};
use crate::{
    Answer, CommandError, SecurityErase, State,
    scsi::{Wire, is_no_answer},
};

/// The drive, if it is an ATA drive.
pub(crate) fn identify(wire: &mut dyn Wire) -> Result<Option<Identify>, CommandError> {
    match identify::read(wire) {
        Ok(identify) => Ok(Some(identify)),
        Err(CommandError::Unsupported { .. } | CommandError::Refused { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Have the drive erase itself by SECURITY ERASE UNIT. The way to it is looked
/// at again: the plan may come from somewhere else.
pub(crate) fn security_erase(device: &mut Device, how: SecurityErase) -> Result<Answer, CommandError> {
    let failed = |err| CommandError::Kernel { command: "SECURITY ERASE UNIT", err };
    let bridge = Bridge::of(&*device).map_err(failed)?;
    match bridge.objection() {
        None => security::erase(device, how),
        Some(reason) => Err(CommandError::Refused {
            command: "SECURITY ERASE UNIT",
            reason: format!("it is not sent: {reason}"),
            answer: Answer::default(),
        }),
    }
}

/// Show every sector of the drive and have the kernel see them. Does nothing
/// for a drive that hides none.
pub(crate) fn restore_size(device: &mut Device) -> Result<Option<Answer>, CommandError> {
    let shown = match capacity::show_all(device) {
        Ok(Some(answer)) => answer,
        Ok(None) => return Ok(None),
        Err(CommandError::Unsupported { .. }) => return Ok(None),
        Err(error) if is_no_answer(&error) => return Ok(None),
        Err(error) => return Err(error),
    };
    let before = device.size();
    let failed = |err| CommandError::Kernel { command: "a larger size", err };
    sysfs::look_again(device, before).map_err(failed)?;
    Ok(Some(shown.with("bytes_before", before.0).with("bytes_after", device.size().0)))
}

/// What the drive is doing; `None` when it is no ATA drive.
pub(crate) fn state(wire: &mut dyn Wire) -> Result<Option<State>, CommandError> {
    let identify = match identify::read(wire) {
        Ok(identify) => identify,
        // It may be an ATA drive in the middle of something.
        Err(CommandError::Refused { command, reason, answer }) if is_not_ready(&answer) => {
            return Err(CommandError::Refused { command, reason, answer });
        }
        Err(CommandError::Unsupported { .. } | CommandError::Refused { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    // A drive with a password aborts everything else, or will after the next power cycle.
    if let Some(security) = identify.security().filter(|security| security.enabled) {
        let answer = Answer::default().with("security", format_args!("{:#06x}", security.word));
        return Ok(Some(State::Locked { answer }));
    }
    sanitize::state(wire, &identify).map(Some)
}

/// Sense key 2.
fn is_not_ready(answer: &Answer) -> bool {
    answer.0.get("sense").is_some_and(|sense| sense.starts_with("2/"))
}

/// Out of a password or a failed sanitize; `None` when it is no ATA drive.
pub(crate) fn recover(wire: &mut dyn Wire) -> Result<Option<Answer>, CommandError> {
    recover_without(wire, random_password()).map(Some).or_else(|error| match error {
        CommandError::Unsupported { .. } => Ok(None),
        CommandError::Refused { .. } | CommandError::Kernel { .. } => Err(error),
    })
}

fn recover_without(wire: &mut dyn Wire, left_out: usize) -> Result<Answer, CommandError> {
    let identify = identify::read(wire)?;
    if identify.security().is_some_and(|security| security.enabled) {
        return security::unlock(wire, left_out);
    }
    sanitize::leave_failure(wire)
}

/// One of those that are not ours: a drive takes four guesses, so that every try
/// after a power cycle leaves out another one.
fn random_password() -> usize {
    let random = getrandom::u32().unwrap_or(0);
    1 + random as usize % (KNOWN.len() - 1)
}

#[cfg(test)]
mod tests;
