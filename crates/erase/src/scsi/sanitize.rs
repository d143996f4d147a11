//! SANITIZE (SBC-4, clause 5.31): begun, asked about, left after a failure.

use disk::drive::scsi::service_action;
use sys::sg::Transfer;

use super::{ASK_TIMEOUT_MS, BEGIN_TIMEOUT_MS, Code, Outcome, Sense, Wire, expect_good, parse, run};
use crate::{Answer, CommandError, Sanitize, SelfErase, State};

/// The command and its bits: return at once, and let a failure be left again.
const SANITIZE: u8 = 0x48;
const IMMEDIATE: u8 = 0x80;
const UNRESTRICTED_EXIT: u8 = 0x20;
const EXIT_FAILURE_MODE: u8 = 0x1f;
/// One pass with a pattern of four zeros: its header, then the pattern.
const OVERWRITE_ONCE: [u8; 8] = [1, 0, 0, 4, 0, 0, 0, 0];
/// The most sense data that REQUEST SENSE returns.
const SENSE_LENGTH: u8 = 252;
/// Events that a drive tells before its state.
const ATTENTIONS_LIMIT: usize = 8;

/// Begin in the background.
pub(crate) fn begin(wire: &mut dyn Wire, how: Sanitize) -> Result<Answer, CommandError> {
    let mut cdb = [0; 10];
    (cdb[0], cdb[1]) = (SANITIZE, IMMEDIATE | UNRESTRICTED_EXIT | service_action(how));
    let list = &OVERWRITE_ONCE[..];
    let mut transfer = Transfer::None;
    if how == Sanitize::Overwrite {
        cdb[8] = 8; // the parameter list's length
        transfer = Transfer::Out(list);
    }
    let outcome = run(wire, "SCSI SANITIZE", &cdb, &mut transfer, BEGIN_TIMEOUT_MS)?;
    expect_good("SCSI SANITIZE", &cdb, outcome)
}

/// What the drive is doing. It does not tell which sanitize it is at: crypto is
/// said, the one whose end alone proves least.
pub(super) fn state(wire: &mut dyn Wire) -> Result<State, CommandError> {
    let Sense { mut code, mut progress, .. } = request_sense(wire)?;
    if code == Code::NONE {
        // Some tell of a failure only to a command that wants the medium.
        let outcome = run(wire, "TEST UNIT READY", &[0; 6], &mut Transfer::None, ASK_TIMEOUT_MS)?;
        if let Outcome::Sense(sense) = outcome {
            (code, progress) = (sense.code, sense.progress);
        }
    }
    Ok(match code {
        Code::SANITIZING => State::Erasing {
            erase: SelfErase::ScsiSanitize(Sanitize::Crypto),
            done: progress,
            estimate: None,
        },
        Code::SANITIZE_FAILED => State::Failed { answer: Answer::default().with("sense", code) },
        _ => State::Ready,
    })
}

/// Sense data as data: what is, not what became of a command.
fn request_sense(wire: &mut dyn Wire) -> Result<Sense, CommandError> {
    const COMMAND: &str = "REQUEST SENSE";
    let cdb = [0x03, 0, 0, 0, SENSE_LENGTH, 0];
    let mut sense = Sense::default();
    for _ in 0..ATTENTIONS_LIMIT {
        let mut data = [0; SENSE_LENGTH as usize];
        let outcome = run(wire, COMMAND, &cdb, &mut Transfer::In(&mut data), ASK_TIMEOUT_MS)?;
        expect_good(COMMAND, &cdb, outcome)?;
        sense = parse(&data).unwrap_or_default();
        if !sense.code.is_attention() {
            break;
        }
    }
    Ok(sense)
}

/// Leave the failure mode, so that the drive reads and writes again.
pub(super) fn recover(wire: &mut dyn Wire) -> Result<Answer, CommandError> {
    let mut cdb = [0; 10];
    (cdb[0], cdb[1]) = (SANITIZE, EXIT_FAILURE_MODE);
    let outcome = run(wire, "SCSI SANITIZE (exit failure mode)", &cdb, &mut Transfer::None, ASK_TIMEOUT_MS)?;
    expect_good("SCSI SANITIZE (exit failure mode)", &cdb, outcome)
}
