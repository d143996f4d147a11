//! Level 0 Discovery, which any drive with security commands tells anybody: TCG Core
//! 3.3.6; Block SID: TCG Storage Feature Set "Block SID Authentication" 1.01.

use std::os::fd::AsFd;

/// Longer than any drive's.
const LIMIT: usize = 4096;
/// Length, revision, reserved, vendor.
const HEADER: usize = 48;
/// Code, version, length.
const FEATURE: usize = 4;
const BLOCK_SID: u16 = 0x0402;

/// Whose password the owner (SID) has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sid {
    /// Drive or kernel do not tell.
    Unknown,
    /// Still the factory's (MSID).
    Factory,
    /// Somebody's.
    Changed,
    /// Nobody is let in with it until the next power cycle; firmware does so at boot.
    Blocked,
}

impl Sid {
    /// As certificates name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Sid::Unknown => "unknown",
            Sid::Factory => "factory",
            Sid::Changed => "changed",
            Sid::Blocked => "blocked",
        }
    }
}

/// What the drive behind `node` tells; unknown before Linux 6.6.
pub(crate) fn sid(node: impl AsFd) -> Sid {
    let mut buffer = [0; LIMIT];
    let length = sys::opal::discovery(node, &mut buffer).unwrap_or(0);
    parse(&buffer[..length])
}

/// From the drive's answer, which may be anything.
pub(super) fn parse(answer: &[u8]) -> Sid {
    let length = answer.first_chunk().map_or(0, |length| u32::from_be_bytes(*length) as usize);
    // The length does not count itself.
    let end = length.saturating_add(4).min(answer.len());
    let mut rest = answer.get(HEADER..end).unwrap_or_default();
    while let Some((head, tail)) = rest.split_at_checked(FEATURE) {
        // Linux keeps the last four bytes to itself: the length it goes by does not count itself.
        let (data, next) = tail.split_at_checked(usize::from(head[3])).unwrap_or((tail, &[]));
        if u16::from_be_bytes([head[0], head[1]]) == BLOCK_SID {
            return of_bits(data.first().copied());
        }
        rest = next;
    }
    Sid::Unknown
}

fn of_bits(bits: Option<u8>) -> Sid {
    match bits {
        None => Sid::Unknown,
        Some(bits) if bits & 0b10 != 0 => Sid::Blocked,
        Some(bits) if bits & 0b01 != 0 => Sid::Changed,
        Some(_) => Sid::Factory,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer with a TPer feature, a Locking feature and `features`.
    fn answer(features: &[&[u8]]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER];
        let first: [&[u8]; 2] = [&[0, 1, 0x10, 1, 0x11], &[0, 2, 0x10, 4, 0x07, 0, 0, 0]];
        first.iter().chain(features).for_each(|feature| bytes.extend(*feature));
        let length = u32::try_from(bytes.len() - 4).expect("short");
        bytes[..4].copy_from_slice(&length.to_be_bytes());
        bytes
    }

    #[test]
    fn the_owner_is_known_where_the_drive_tells() {
        for (bits, want) in [(0b00, Sid::Factory), (0b01, Sid::Changed), (0b11, Sid::Blocked)] {
            assert_eq!(parse(&answer(&[&[4, 2, 0x10, 2, bits, 0]])), want, "{bits:#b}");
        }
        assert_eq!(parse(&answer(&[])), Sid::Unknown);
        assert_eq!(parse(&answer(&[&[4, 2, 0x10, 0]])), Sid::Unknown, "a feature without content");
    }

    #[test]
    fn an_answer_cut_off_or_bent_is_unknown_and_no_panic() {
        let whole = answer(&[&[4, 2, 0x10, 1, 1]]);
        for length in 0..whole.len() {
            assert_eq!(parse(&whole[..length]), Sid::Unknown, "{length}");
        }
        for at in 0..whole.len() {
            for value in [0, 1, 0x7f, 0xff] {
                let mut bent = whole.clone();
                bent[at] = value;
                let _ = parse(&bent);
            }
        }
    }

    #[test]
    fn the_last_feature_may_lack_four_bytes() {
        let whole = answer(&[&[4, 2, 0x10, 12, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]]);
        assert_eq!(parse(&whole[..whole.len() - 4]), Sid::Changed);
    }

    #[test]
    fn what_lies_behind_the_length_does_not_count() {
        let mut long = answer(&[]);
        long.extend([4, 2, 0x10, 1, 1]);
        assert_eq!(parse(&long), Sid::Unknown);
    }
}
