//! Sense data: why a SCSI command did not end well, and what a drive is busy
//! with. SPC-5, clause 4.4; the ATA descriptor: SAT-4, clause 12.2.2.7.

use std::fmt;

use crate::{Fraction, ata::Registers};

/// What a drive tells about a command, or about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sense {
    pub(crate) code: Code,
    /// How far a long operation is.
    pub(crate) progress: Option<Fraction>,
    /// What an ATA command left in the drive's registers.
    pub(crate) registers: Option<Registers>,
}

/// Sense key, additional sense code and its qualifier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Code(pub(crate) u8, pub(crate) u8, pub(crate) u8);

impl Code {
    pub(crate) const NONE: Code = Code(0, 0, 0);
    pub(crate) const SANITIZING: Code = Code(0x2, 0x04, 0x1b);
    pub(crate) const SANITIZE_FAILED: Code = Code(0x3, 0x31, 0x03);
    /// Recovered error, ATA pass-through information available.
    pub(crate) const ATA_REGISTERS: Code = Code(0x1, 0x00, 0x1d);

    /// The drive was reset, or changed: the command was not run and is to be sent again.
    pub(crate) fn is_attention(self) -> bool {
        self.0 == 0x6
    }

    /// The drive has no such command.
    pub(crate) fn is_unknown_command(self) -> bool {
        (self.0, self.1) == (0x5, 0x20)
    }

    /// What the key means, for people.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::SANITIZING => "it is being sanitized; wait until that is done",
            Self::SANITIZE_FAILED => "its last sanitize failed; it takes nothing but another one",
            Code(0x2, ..) => "it is not ready; power-cycle it",
            Code(0x3, ..) => "its medium failed; replace it",
            Code(0x4, ..) => "its hardware failed; replace it",
            Code(0x5, ..) => "it has no such command, or not with these parameters",
            Code(0x7, ..) => "it is write-protected; lift that",
            Code(0xb, ..) => "it aborted the command",
            Code(..) => "it did not carry out the command",
        }
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}/{:02x}/{:02x}", self.0, self.1, self.2)
    }
}

/// Read `sense` in either format. Data that is cut off says what it holds;
/// `None` where it is no sense data at all.
pub(crate) fn parse(sense: &[u8]) -> Option<Sense> {
    match sense.first()? & 0x7f {
        0x70 | 0x71 => Some(fixed(sense)),
        0x72 | 0x73 => Some(with_descriptors(sense)),
        _ => None,
    }
}

fn fixed(sense: &[u8]) -> Sense {
    let byte = |at: usize| sense.get(at).copied().unwrap_or(0);
    let code = Code(byte(2) & 0xf, byte(12), byte(13));
    Sense {
        code,
        progress: progress([byte(15), byte(16), byte(17)]),
        // Linux before 6.10 puts the registers elsewhere, but only when the command failed.
        // Nor do they fit: SAT-5 only says in byte 8 that there is more of count (0x40) or address (0x20).
        registers: (code == Code::ATA_REGISTERS && byte(8) & 0x60 == 0).then(|| Registers {
            error: byte(3),
            status: byte(4),
            count: u16::from(byte(6)),
            lba: u64::from_le_bytes([byte(9), byte(10), byte(11), 0, 0, 0, 0, 0]),
        }),
    }
}

fn with_descriptors(sense: &[u8]) -> Sense {
    let byte = |at: usize| sense.get(at).copied().unwrap_or(0);
    let mut found = Sense { code: Code(byte(1) & 0xf, byte(2), byte(3)), ..Sense::default() };
    let mut rest = sense.get(8..).unwrap_or_default();
    while let [kind, length, ..] = *rest {
        let (descriptor, after) = rest.split_at(rest.len().min(2 + usize::from(length)));
        match (kind, descriptor) {
            (0x02, [_, _, _, _, a, b, c, ..]) => found.progress = progress([*a, *b, *c]),
            (0x09, &[_, _, _, error, c1, c0, l3, l0, l4, l1, l5, l2, _, status]) => {
                found.registers = Some(Registers {
                    error,
                    status,
                    count: u16::from_be_bytes([c1, c0]),
                    lba: u64::from_le_bytes([l0, l1, l2, l3, l4, l5, 0, 0]),
                });
            }
            _ => {}
        }
        rest = after;
    }
    found
}

/// The sense-key specific field, if its first bit says that it is one.
fn progress([valid, high, low]: [u8; 3]) -> Option<Fraction> {
    (valid & 0x80 != 0).then(|| Fraction(u16::from_be_bytes([high, low])))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_formats_tell_code_and_progress() {
        let mut fixed = [0; 18];
        (fixed[0], fixed[2], fixed[12], fixed[13]) = (0x70, 0x02, 0x04, 0x1b);
        (fixed[15], fixed[16], fixed[17]) = (0x80, 0x80, 0x01);
        let descriptor = [0x72, 0x02, 0x04, 0x1b, 0, 0, 0, 8, 0x02, 6, 0, 0, 0x80, 0x80, 0x01, 0];
        let want = Sense { code: Code::SANITIZING, progress: Some(Fraction(0x8001)), registers: None };
        assert_eq!(parse(&fixed), Some(want));
        assert_eq!(parse(&descriptor), Some(want));
    }

    #[test]
    fn the_registers_come_with_all_their_bytes() {
        // As Linux 6.1 answered READ NATIVE MAX ADDRESS EXT of a drive of 0x123456789a blocks.
        let mut sense = vec![0x72, 0x01, 0x00, 0x1d, 0, 0, 0, 14, 0x09, 0x0c, 0x01, 0x00];
        sense.extend([0x40, 0x01, 0x34, 0x9a, 0x12, 0x78, 0x00, 0x56, 0x40, 0x50]);
        let found = parse(&sense).expect("sense data");
        let want = Registers { error: 0, status: 0x50, count: 0x4001, lba: 0x12_3456_789a };
        assert_eq!(found.registers, Some(want));
    }

    #[test]
    fn registers_that_do_not_fit_into_fixed_data_are_none() {
        let mut sense = [0; 18];
        (sense[0], sense[2], sense[12], sense[13]) = (0x70, 0x01, 0x00, 0x1d);
        (sense[4], sense[9]) = (0x50, 7);
        // SAT-5: extended; upper half of the count, of the address, that is not told.
        for (flags, told) in [(0, true), (0x80, true), (0xc0, false), (0xa0, false)] {
            sense[8] = flags;
            let registers = parse(&sense).expect("fixed").registers;
            assert_eq!(registers.map(|registers| registers.lba), told.then_some(7), "{flags:#x}");
        }
    }

    #[test]
    fn sense_that_is_cut_off_or_hostile_is_read_as_far_as_it_goes() {
        assert_eq!(parse(&[]), None);
        assert_eq!(parse(&[0x00; 18]), None);
        assert_eq!(parse(&[0x70]).expect("fixed").code, Code::NONE);
        assert_eq!(parse(&[0x72, 0x05, 0x20]).expect("descriptors").code, Code(5, 0x20, 0));
        let whole = [0x72, 0x01, 0x00, 0x1d, 0, 0, 0, 255, 0x09, 0x0c, 1, 2, 3, 0x02, 0xff, 0, 0x80];
        for end in 0..whole.len() {
            let _ = parse(&whole[..end]);
        }
    }
}
