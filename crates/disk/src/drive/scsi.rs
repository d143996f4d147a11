//! SANITIZE of a SCSI drive (SBC-4), and how to ask whether it has it (SPC-5, 6.36).

use super::Sanitize;

/// Room for the answer to [`ask_for`].
pub const ANSWER: usize = ALLOCATED as usize;
const ALLOCATED: u8 = 64;

/// The service action of SANITIZE.
#[must_use]
pub fn service_action(how: Sanitize) -> u8 {
    match how {
        Sanitize::Overwrite => 0x01,
        Sanitize::Block => 0x02,
        Sanitize::Crypto => 0x03,
    }
}

/// REPORT SUPPORTED OPERATION CODES, about SANITIZE with one service action.
#[must_use]
pub fn ask_for(how: Sanitize) -> [u8; 12] {
    /// One command with its service action.
    const ONE_ACTION: u8 = 0b010;
    [0xa3, 0x0c, ONE_ACTION, 0x48, 0, service_action(how), 0, 0, 0, ALLOCATED, 0, 0]
}

/// Whether the answer says that the drive has it as the standard defines it.
#[must_use]
pub fn has(answer: &[u8]) -> bool {
    const AS_STANDARD: u8 = 0b011;
    answer.get(1).is_some_and(|support| support & 0b111 == AS_STANDARD)
}
