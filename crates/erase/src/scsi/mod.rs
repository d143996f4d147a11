//! SCSI drives: commands and their answers, SANITIZE. SPC-5, SBC-4.

mod sanitize;
mod sense;

use std::{fs::File, io};

use disk::Device;
use sys::sg::{Reply, Transfer};

use crate::{Answer, CommandError, State, ata};

pub(crate) use self::{
    sanitize::begin as sanitize,
    sense::{Code, Sense, parse},
};

/// A command that only asks answers at once; a drive that takes longer is gone.
pub(crate) const ASK_TIMEOUT_MS: u32 = 30_000;
/// A command that begins an erase in the background answers in seconds; some drives take a minute.
pub(crate) const BEGIN_TIMEOUT_MS: u32 = 300_000;
/// A drive tells of one event a command; there are never so many.
const ATTENTIONS_LIMIT: usize = 8;
/// The bus was reset, or so: nobody knows whether the command ran.
const RESET: io::ErrorKind = io::ErrorKind::ConnectionReset;
/// `GOOD` and `CHECK CONDITION`.
const GOOD: u8 = 0;
const CHECK: u8 = 2;

/// What a drive that takes SCSI commands is doing, an ATA drive among them; any
/// other disk reads and writes.
pub(crate) fn state_of_any(wire: &mut dyn Wire) -> Result<State, CommandError> {
    let state = match ata::state(wire) {
        Ok(Some(state)) => Ok(state),
        Ok(None) => sanitize::state(wire),
        // A SCSI drive says more in its own words.
        Err(not_ready @ CommandError::Refused { .. }) => {
            let state = sanitize::state(wire)?;
            if state == State::Ready { Err(not_ready) } else { Ok(state) }
        }
        Err(error) => Err(error),
    };
    match state {
        Err(error) if is_no_answer(&error) => Ok(State::Ready),
        state => state,
    }
}

/// Out of a failed sanitize or a password.
pub(crate) fn recover_any(wire: &mut dyn Wire) -> Result<Answer, CommandError> {
    ata::recover(wire).transpose().unwrap_or_else(|| sanitize::recover(wire))
}

/// Where commands go.
pub(crate) trait Wire {
    /// Send one and wait for its answer.
    fn send(&mut self, command: &[u8], transfer: Transfer<'_>, timeout_ms: u32) -> io::Result<Reply>;
}

impl Wire for Device {
    fn send(&mut self, command: &[u8], transfer: Transfer<'_>, timeout_ms: u32) -> io::Result<Reply> {
        // The descriptor that is held, not the name: a name may pass to another drive.
        sys::sg::run(&*self, command, transfer, timeout_ms)
    }
}

impl Wire for File {
    fn send(&mut self, command: &[u8], transfer: Transfer<'_>, timeout_ms: u32) -> io::Result<Reply> {
        sys::sg::run(&*self, command, transfer, timeout_ms)
    }
}

/// What came of a command that the drive got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Good,
    Sense(Sense),
    /// Busy, a reservation conflict, a full queue: a status without sense data.
    Status(u8),
}

/// Send `cdb`, again if the drive had something else to tell first.
pub(crate) fn run(
    wire: &mut dyn Wire,
    command: &'static str,
    cdb: &[u8],
    transfer: &mut Transfer<'_>,
    timeout_ms: u32,
) -> Result<Outcome, CommandError> {
    let failed = |err| CommandError::Kernel { command, err };
    let mut outcome = Ok(Outcome::Good);
    for _ in 0..ATTENTIONS_LIMIT {
        let reply = wire.send(cdb, again(transfer), timeout_ms).map_err(failed)?;
        outcome = read(&reply);
        match &outcome {
            Ok(Outcome::Sense(sense)) if sense.code.is_attention() => {}
            // What begins an erase may have begun it.
            Err(err) if err.kind() == RESET && timeout_ms == ASK_TIMEOUT_MS => {}
            Ok(Outcome::Good | Outcome::Sense(_) | Outcome::Status(_)) | Err(_) => break,
        }
    }
    outcome.map_err(failed)
}

/// The same transfer once more.
fn again<'a>(transfer: &'a mut Transfer<'_>) -> Transfer<'a> {
    match transfer {
        Transfer::None => Transfer::None,
        Transfer::In(data) => Transfer::In(data),
        Transfer::Out(data) => Transfer::Out(data),
    }
}

/// A short status decides. Host codes: `DID_*` of `<scsi/scsi_status.h>`.
fn read(reply: &Reply) -> io::Result<Outcome> {
    match reply.host {
        0 => {}
        0x01 => return Err(io::Error::from_raw_os_error(19 /* ENODEV */)),
        // Busy, reset, transport trouble: it was not the drive that answered (`DID_BUS_BUSY`,
        // `RESET`, `SOFT_ERROR`, `IMM_RETRY`, `REQUEUE`, `TRANSPORT_DISRUPTED`).
        0x02 | 0x08 | 0x0b..=0x0e => return Err(RESET.into()),
        0x03 => return Err(io::ErrorKind::TimedOut.into()),
        host => return Err(io::Error::other(format!("the host adapter failed with {host:#x}"))),
    }
    match (reply.status, parse(&reply.sense)) {
        (GOOD, _) => Ok(Outcome::Good),
        (CHECK, Some(sense)) => Ok(Outcome::Sense(sense)),
        (status, _) => Ok(Outcome::Status(status)),
    }
}

/// `outcome` as success or as what the drive refused.
pub(crate) fn expect_good(
    command: &'static str,
    cdb: &[u8],
    outcome: Outcome,
) -> Result<Answer, CommandError> {
    let answer = Answer::default().with("cdb", hex(cdb));
    match outcome {
        Outcome::Good => Ok(answer.with("status", "0x0")),
        Outcome::Sense(sense) if sense.code.is_unknown_command() => {
            Err(CommandError::Unsupported { command })
        }
        Outcome::Sense(sense) => Err(CommandError::Refused {
            command,
            reason: sense.code.meaning().to_owned(),
            answer: answer.with("status", "0x2").with("sense", sense.code),
        }),
        Outcome::Status(status) => Err(CommandError::Refused {
            command,
            reason: "it is busy, or reserved by another host; release it".to_owned(),
            answer: answer.with("status", format_args!("{status:#x}")),
        }),
    }
}

/// `48 a3 00`, for the record.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
}

/// True when there is no SCSI device behind the disk, or none that hears:
/// the block driver knows no SCSI commands, or the adapter fails on them.
pub(crate) fn is_no_answer(error: &CommandError) -> bool {
    match error {
        CommandError::Kernel { err, .. } => {
            err.kind() == io::ErrorKind::Other
                || matches!(err.raw_os_error(), Some(22 /* EINVAL */ | 25 /* ENOTTY */ | 95 /* EOPNOTSUPP */))
        }
        CommandError::Unsupported { .. } | CommandError::Refused { .. } => false,
    }
}

#[cfg(test)]
pub(crate) mod tests;
