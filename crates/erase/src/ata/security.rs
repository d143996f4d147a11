//! SECURITY ERASE UNIT and the passwords around it (ACS-4, clause 4.18). No
//! path leaves a password behind without saying so.
//!
//! ```text
//! SET PASSWORD ──▶ ERASE PREPARE ──▶ ERASE UNIT ──▶ none left?
//!       └─────────────────┴───────────────┴──fails──▶ UNLOCK, DISABLE PASSWORD
//! ```

use std::time::Duration;

use super::{
    command::{SECTOR, Task},
    identify::{self, Identify, Security},
};
use crate::{Answer, CommandError, SecurityErase, scsi::Wire};

const SET_PASSWORD: (&str, u8) = ("SECURITY SET PASSWORD", 0xf1);
const UNLOCK: (&str, u8) = ("SECURITY UNLOCK", 0xf2);
const ERASE_PREPARE: (&str, u8) = ("SECURITY ERASE PREPARE", 0xf3);
const ERASE_UNIT: (&str, u8) = ("SECURITY ERASE UNIT", 0xf4);
const DISABLE_PASSWORD: (&str, u8) = ("SECURITY DISABLE PASSWORD", 0xf6);

/// Ours. It is no secret: any agent has to get into a drive whose erase lost its power.
const OURS: Password = Password { name: "billet's", bytes: b"billet" };
/// What erasing programs leave behind when they are cut off: ours, ironic-python-agent,
/// hdparm without one, MAAS, NVIDIA's.
pub(super) const KNOWN: [Password; 5] = [
    OURS,
    Password { name: "\"NULL\"", bytes: b"NULL" },
    Password { name: "32 zero bytes", bytes: b"" },
    Password { name: "\"maas\"", bytes: b"maas" },
    Password { name: "\"p\"", bytes: b"p" },
];
/// A drive takes five wrong passwords a power cycle; the last is left to its owner.
const GUESSES_LIMIT: usize = 4;
/// The command is never broken off: this is longer than any drive, and a drive
/// that says how long it takes gets four times that.
const ERASE_TIMEOUT: Duration = Duration::from_secs(48 * 60 * 60);

/// Up to 32 bytes, padded with zeros.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Password {
    name: &'static str,
    bytes: &'static [u8],
}

impl Password {
    /// The parameters of a command with the user's password.
    fn sector(self, enhanced: bool) -> [u8; SECTOR] {
        let mut sector = [0; SECTOR];
        sector[0] = u8::from(enhanced) << 1;
        sector[2..2 + self.bytes.len()].copy_from_slice(self.bytes);
        sector
    }

    fn send(self, wire: &mut dyn Wire, (name, code): (&'static str, u8)) -> Result<Answer, CommandError> {
        Task::new(name, code).write(wire, &self.sector(false))
    }
}

/// Erase the drive. Returns when it says it is done, which may take hours.
pub(crate) fn erase(wire: &mut dyn Wire, how: SecurityErase) -> Result<Answer, CommandError> {
    let identify = identify::read(wire)?;
    let before = open_to_erase(&identify, how)?;
    // Even a SET PASSWORD that failed may have set it.
    let erased = OURS
        .send(wire, SET_PASSWORD)
        .and_then(|_| Task::new(ERASE_PREPARE.0, ERASE_PREPARE.1).run(wire))
        .and_then(|_| {
            let timeout_ms = timeout_ms(identify.estimate(how));
            let sector = OURS.sector(how == SecurityErase::Enhanced);
            Task { timeout_ms, ..Task::new(ERASE_UNIT.0, ERASE_UNIT.1) }.write(wire, &sector)
        });
    let cleared = clear(wire, &[OURS]);
    match (erased, cleared) {
        (Ok(answer), Ok(cleared)) => {
            Ok(answer.with("security_before", format_args!("{:#06x}", before.word)).and(cleared))
        }
        (Ok(answer), Err(error)) => Err(still_set(ERASE_UNIT.0, answer, &error)),
        (Err(error), Ok(_)) => Err(error),
        (Err(error), Err(left)) => Err(still_set(ERASE_UNIT.0, error.answer(), &left)),
    }
}

/// Refuse by name what the drive would only abort.
fn open_to_erase(identify: &Identify, how: SecurityErase) -> Result<Security, CommandError> {
    let command = ERASE_UNIT.0;
    let Some(security) = identify.security() else { return Err(CommandError::Unsupported { command }) };
    if how == SecurityErase::Enhanced && !security.enhanced {
        return Err(CommandError::Unsupported { command: "enhanced SECURITY ERASE UNIT" });
    }
    may_change(security, command)?;
    match security.enabled {
        true => Err(refused(command, security, "somebody's password is set on it; clear that first")),
        false => Ok(security),
    }
}

/// Whether the drive would take a password at all now.
fn may_change(security: Security, command: &'static str) -> Result<(), CommandError> {
    if security.frozen {
        let why = "its security is frozen, by the firmware of the machine as a rule: \
                   power-cycle the drive (hot-plug it, or suspend and resume), or switch the freeze off in the firmware setup";
        return Err(refused(command, security, why));
    }
    if security.expired {
        let why = "it was given too many wrong passwords; power-cycle it";
        return Err(refused(command, security, why));
    }
    Ok(())
}

fn refused(command: &'static str, security: Security, why: &str) -> CommandError {
    let answer = Answer::default().with("security", format_args!("{:#06x}", security.word));
    CommandError::Refused { command, reason: why.to_owned(), answer }
}

fn still_set(command: &'static str, answer: Answer, left: &CommandError) -> CommandError {
    CommandError::Refused {
        command,
        reason: format!("billet's password may still be set on it ({left}); erase it again, which clears it"),
        answer: answer.and(left.answer()),
    }
}

/// Four times what the drive says, and never less than [`ERASE_TIMEOUT`].
fn timeout_ms(estimate: Option<Duration>) -> u32 {
    let timeout = ERASE_TIMEOUT.max(estimate.unwrap_or_default() * 4);
    u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX)
}

/// Take away a password that an erasing program left, as far as it is known.
/// `left_out` is one of [`KNOWN`] that is not tried: drives count wrong ones.
pub(super) fn unlock(wire: &mut dyn Wire, left_out: usize) -> Result<Answer, CommandError> {
    let known = KNOWN.iter().enumerate().filter(|(index, _)| *index != left_out);
    let passwords: Vec<_> = known.map(|(_, password)| *password).take(GUESSES_LIMIT).collect();
    clear(wire, &passwords)
}

/// Have no password on the drive, trying `passwords` in order.
fn clear(wire: &mut dyn Wire, passwords: &[Password]) -> Result<Answer, CommandError> {
    let mut answer = Answer::default();
    for password in passwords {
        let security = security_now(wire)?;
        if !security.enabled {
            return Ok(answer.with("security_after", format_args!("{:#06x}", security.word)));
        }
        may_change(security, DISABLE_PASSWORD.0)?;
        match open(wire, security, *password) {
            Ok(()) => answer = answer.with("password_removed", password.name),
            // A wrong one: the next. Anything else is not about passwords.
            Err(CommandError::Refused { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    let security = security_now(wire)?;
    if !security.enabled {
        return Ok(answer.with("security_after", format_args!("{:#06x}", security.word)));
    }
    let tried: Vec<_> = passwords.iter().map(|password| password.name).collect();
    let why = format!(
        "a password that is not known is set on it (tried: {}); remove it, revert the drive by its label, or destroy it",
        tried.join(", ")
    );
    Err(refused(UNLOCK.0, security, &why))
}

fn open(wire: &mut dyn Wire, security: Security, password: Password) -> Result<(), CommandError> {
    if security.locked {
        password.send(wire, UNLOCK)?;
    }
    password.send(wire, DISABLE_PASSWORD)?;
    Ok(())
}

fn security_now(wire: &mut dyn Wire) -> Result<Security, CommandError> {
    identify::read(wire)?.security().ok_or(CommandError::Unsupported { command: "ATA security" })
}
