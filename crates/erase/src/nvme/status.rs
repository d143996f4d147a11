//! What a controller's status means, in words for people. Numbers: NVM Express
//! Base Specification 2.0, figures 92 to 96.

use std::io;

use sys::nvme::AdminError;

use crate::{Answer, CommandError};

/// The status code type and code: what says whether to try again is left out.
pub(super) fn code(status: u16) -> u16 {
    status & 0x7ff
}

/// A sanitize runs.
pub(super) const IN_PROGRESS: u16 = 0x01d;
/// Path related: the kernel's own words for a connection that was lost.
const PATH: std::ops::RangeInclusive<u16> = 0x370..=0x37f;

/// The error of `command`, of which `asked` is known.
pub(super) fn failed(command: &'static str, asked: Answer, error: AdminError) -> CommandError {
    match error {
        AdminError::Kernel(err) => CommandError::Kernel { command, err },
        AdminError::Status(status) if PATH.contains(&code(status)) => {
            CommandError::Kernel { command, err: io::ErrorKind::ConnectionReset.into() }
        }
        AdminError::Status(status) => CommandError::Refused {
            command,
            reason: format!("{} (status {status:#06x})", reason(code(status))),
            answer: asked.with("status", format_args!("{status:#x}")),
        },
    }
}

fn reason(code: u16) -> &'static str {
    match code {
        0x001 => "it has no such command",
        0x002 => "it does not take this form of it",
        0x006 => "an error inside the drive: try again, or replace it",
        0x00b => "it does not have this namespace",
        0x00c => "not at this time: power the drive off and on",
        0x015 => "the operation is denied",
        0x01c => "its last sanitize failed",
        IN_PROGRESS => "another sanitize runs: wait for its end",
        0x020 => "the namespace is write protected: lift that",
        0x023 => "the command is locked out: lift that",
        0x084 => "a format runs: wait for its end",
        0x10a => "it does not have this block format",
        0x10b | 0x110 => "new firmware waits for a reset: power the drive off and on",
        0x123 => "its persistent memory region is enabled: disable that",
        _ => "it does not say why",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_an_answer_and_a_lost_connection_is_none() {
        let refused = failed("NVMe Format", Answer::default(), AdminError::Status(0x4002));
        assert_eq!(
            refused.to_string(),
            "the drive refused NVMe Format: it does not take this form of it (status 0x4002)"
        );
        assert_eq!(refused.answer(), Answer::default().with("status", "0x4002"));
        let lost = failed("NVMe Format", Answer::default(), AdminError::Status(0x371));
        assert!(matches!(lost, CommandError::Kernel { .. }), "{lost}");
    }
}
