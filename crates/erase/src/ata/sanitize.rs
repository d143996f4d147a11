//! SANITIZE DEVICE (ACS-4, clause 7.36): in the background, on through power cycles.

use super::{
    command::{Registers, Task},
    identify::Identify,
};
use crate::{
    Answer, CommandError, Fraction, Sanitize, SelfErase, State,
    scsi::{BEGIN_TIMEOUT_MS, Wire},
};

const SANITIZE_DEVICE: u8 = 0xb4;
/// In the count of a command that begins: a failure may be left again.
const FAILURE_MODE: u16 = 1 << 4;
/// In the count of a status question: leave the failure mode.
const CLEAR_FAILED: u16 = 1;
/// In the count of a status answer.
const COMPLETED: u16 = 1 << 15;
const IN_PROGRESS: u16 = 1 << 14;
const FROZEN: u16 = 1 << 13;

/// Begin in the background. The drive takes it only with the right letters in the address.
pub(crate) fn begin(wire: &mut dyn Wire, how: Sanitize) -> Result<Answer, CommandError> {
    let once = 1;
    let (feature, lba, passes) = match how {
        Sanitize::Crypto => (0x0011, 0x4372_7970, 0),            // "Cryp"
        Sanitize::Block => (0x0012, 0x426b_4572, 0),             // "BkEr"
        Sanitize::Overwrite => (0x0014, 0x4f57_0000_0000, once), // "OW", and a pattern of zeros
    };
    let task = Task {
        feature,
        lba,
        count: FAILURE_MODE | passes,
        timeout_ms: BEGIN_TIMEOUT_MS,
        ..Task::extended("SANITIZE DEVICE", SANITIZE_DEVICE)
    };
    match task.run(wire) {
        Ok((_, answer)) => Ok(answer),
        Err(CommandError::Refused { command, answer, .. }) => {
            let reason = why_refused(wire).to_owned();
            Err(CommandError::Refused { command, reason, answer })
        }
        Err(error) => Err(error),
    }
}

fn why_refused(wire: &mut dyn Wire) -> &'static str {
    match status(wire, 0) {
        Ok((Some(registers), _)) if registers.count & FROZEN != 0 => {
            "its sanitize feature is frozen; power-cycle the machine"
        }
        Ok(_) | Err(_) => "it aborted the command; power-cycle the machine and try again",
    }
}

/// What the drive is doing. It does not tell which sanitize it is at: crypto is
/// said, the one whose end alone proves least.
pub(crate) fn state(wire: &mut dyn Wire, identify: &Identify) -> Result<State, CommandError> {
    if identify.sanitize().is_empty() {
        return Ok(State::Ready);
    }
    match status(wire, 0) {
        Ok((Some(Registers { count, lba, .. }), answer)) => Ok(if count & IN_PROGRESS != 0 {
            let erase = SelfErase::AtaSanitize(Sanitize::Crypto);
            State::Erasing { erase, done: Some(progress(lba)), estimate: None }
        } else if count & COMPLETED != 0 {
            State::Done { answer: only_said(answer) }
        } else {
            State::Ready
        }),
        // Nothing is known of a drive whose adapter keeps its registers.
        Ok((None, _)) => Err(CommandError::Unsupported { command: "the registers after SANITIZE STATUS" }),
        // Only in its failure mode does a drive with the feature abort the question.
        Err(CommandError::Refused { answer, .. }) => Ok(State::Failed { answer: only_said(answer) }),
        Err(error) => Err(error),
    }
}

/// Without the question: in a record stands the command that erases.
fn only_said(mut answer: Answer) -> Answer {
    answer.0.remove("ata");
    answer
}

/// In the lowest 16 bits of the address.
fn progress(lba: u64) -> Fraction {
    let [low, high, ..] = lba.to_le_bytes();
    Fraction(u16::from_le_bytes([low, high]))
}

/// Leave the failure mode, so that the drive reads and writes again.
pub(crate) fn leave_failure(wire: &mut dyn Wire) -> Result<Answer, CommandError> {
    Ok(status(wire, CLEAR_FAILED)?.1)
}

fn status(wire: &mut dyn Wire, count: u16) -> Result<(Option<Registers>, Answer), CommandError> {
    Task { count, ..Task::extended("SANITIZE STATUS", SANITIZE_DEVICE) }.run(wire)
}
