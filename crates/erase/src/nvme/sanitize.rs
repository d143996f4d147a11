//! NVMe Sanitize: begin it, see how it is, leave the state in which a failed one
//! holds the drive.

use disk::Device;
use sys::nvme::AdminError;

use super::{
    log::{SanitizeLog, Status},
    status::{IN_PROGRESS, failed},
};
use crate::{Answer, CommandError, Sanitize, SelfErase, State};

const COMMAND: &str = "NVMe Sanitize";
const EXIT_FAILURE: u32 = 1;
/// After a failure the drive may be told to take reads and writes again. Without
/// this bit, one that fails for good refuses them for ever (2.0, 8.21).
const ALLOW_UNRESTRICTED_EXIT: u32 = 1 << 3;
/// Zero would be sixteen.
const ONE_PASS: u32 = 1 << 4;
/// What an overwrite writes. The bits are not inverted, so it reads as zeros.
const PATTERN: u32 = 0;

/// The sanitize action (SANACT) of the command.
pub(super) fn number(sanitize: Sanitize) -> u32 {
    match sanitize {
        Sanitize::Block => 2,
        Sanitize::Overwrite => 3,
        Sanitize::Crypto => 4,
    }
}

fn cdw10(sanitize: Sanitize) -> u32 {
    let passes = match sanitize {
        Sanitize::Overwrite => ONE_PASS,
        Sanitize::Crypto | Sanitize::Block => 0,
    };
    number(sanitize) | ALLOW_UNRESTRICTED_EXIT | passes
}

fn read_log(device: &Device) -> Result<SanitizeLog, CommandError> {
    const COMMAND: &str = "NVMe Get Log Page 81h (sanitize status)";
    let page = sys::nvme::sanitize_log(device).map_err(|error| failed(COMMAND, Answer::default(), error))?;
    Ok(SanitizeLog::parse(&page))
}

/// What the drive is doing, by its log.
pub(super) fn state(device: &Device) -> Result<State, CommandError> {
    let log = read_log(device)?;
    Ok(match log.status {
        Status::Never => State::Ready,
        Status::Done => State::Done { answer: log.answer() },
        Status::Failed => State::Failed { answer: log.answer() },
        Status::Running => State::Erasing {
            // What we do not know counts as the one whose end is never taken on its word.
            erase: SelfErase::NvmeSanitize(log.action().unwrap_or(Sanitize::Crypto)),
            done: Some(log.progress),
            estimate: log.estimate,
        },
    })
}

/// Begin. Returns at once.
pub(super) fn begin(device: &Device, sanitize: Sanitize) -> Result<Answer, CommandError> {
    let command = cdw10(sanitize);
    let before = read_log(device)?;
    let asked = Answer::default()
        .with("cdw10", format_args!("{command:#x}"))
        .with("sstat_before", format_args!("{:#x}", before.sstat));
    match sys::nvme::sanitize(device, command, PATTERN) {
        Ok(()) => Ok(asked.with("status", "0x0")),
        Err(error) if runs(device, command) && is_about_that(&error) => {
            Ok(asked.with("status", error).with("begun", "its log says so"))
        }
        Err(error) => Err(failed(COMMAND, asked, error)),
    }
}

/// The answer was lost, or says that a sanitize runs.
fn is_about_that(error: &AdminError) -> bool {
    match error {
        AdminError::Kernel(_) => true,
        AdminError::Status(status) => super::status::code(*status) == IN_PROGRESS,
    }
}

/// The very same operation runs: what was written before it is gone after it.
fn runs(device: &Device, command: u32) -> bool {
    read_log(device).is_ok_and(|log| log.status == Status::Running && log.cdw10 == command)
}

/// Have a drive whose sanitize failed take reads and writes again.
///
/// One that was begun without [`ALLOW_UNRESTRICTED_EXIT`] ends that state only by a sanitize that
/// goes well; the same one is begun once more.
pub(super) fn recover(device: &Device) -> Result<Answer, CommandError> {
    let log = read_log(device)?;
    let restricted = log.status == Status::Failed && log.cdw10 & ALLOW_UNRESTRICTED_EXIT == 0;
    let command = if restricted { log.cdw10 } else { EXIT_FAILURE };
    let asked = Answer::default()
        .with("cdw10", format_args!("{command:#x}"))
        .with("sstat_before", format_args!("{:#x}", log.sstat));
    match sys::nvme::sanitize(device, command, PATTERN) {
        Ok(()) => Ok(asked.with("status", "0x0")),
        Err(error) => Err(failed("NVMe Sanitize (exit failure mode)", asked, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_can_be_left_after_a_failure_and_overwrites_once() {
        for (sanitize, want) in
            [(Sanitize::Block, 0x0a), (Sanitize::Overwrite, 0x1b), (Sanitize::Crypto, 0x0c)]
        {
            assert_eq!(cdw10(sanitize), want);
        }
    }
}
