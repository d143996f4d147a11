//! IDENTIFY DEVICE: what an ATA drive says of itself. ACS-4, clause 7.12; the
//! words on HPA and DCO: ACS-2.

use std::time::Duration;

use super::command::{SECTOR, Task};
use crate::{CommandError, Sanitize, SecurityErase, scsi::Wire};

/// The words. Only those of a whole, plausible answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identify([u16; 256]);

impl Identify {
    /// Ask the drive.
    pub(crate) fn read(wire: &mut dyn Wire) -> Result<Self, CommandError> {
        let data = Task::new("IDENTIFY DEVICE", 0xec).read(wire)?;
        Self::parse(&data).ok_or(CommandError::Unsupported { command: "IDENTIFY DEVICE" })
    }

    /// From the 512 bytes; `None` for an answer without content or with a wrong
    /// checksum, as bridges give that only pretend to pass the command on.
    pub(crate) fn parse(data: &[u8]) -> Option<Self> {
        let data: &[u8; SECTOR] = data.try_into().ok()?;
        let mut words = [0; 256];
        for (word, bytes) in words.iter_mut().zip(data.chunks_exact(2)) {
            *word = u16::from_le_bytes([bytes[0], bytes[1]]);
        }
        let sum = data.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
        let signed = data[510] == 0xa5;
        let empty = words[27..47].iter().all(|word| *word == 0);
        (!empty && (!signed || sum == 0)).then_some(Self(words))
    }

    fn bit(&self, word: usize, bit: u32) -> bool {
        self.0[word] >> bit & 1 != 0
    }

    /// The ways of SANITIZE DEVICE that it has, best first (word 59).
    pub(crate) fn sanitize(&self) -> Vec<Sanitize> {
        let ways = [(13, Sanitize::Crypto), (15, Sanitize::Block), (14, Sanitize::Overwrite)];
        let has = |(bit, _): &(u32, Sanitize)| self.bit(59, 12) && self.bit(59, *bit);
        ways.into_iter().filter(has).map(|(_, how)| how).collect()
    }

    /// Its security state (word 128), if it has the feature set.
    pub(crate) fn security(&self) -> Option<Security> {
        let bit = |bit| self.bit(128, bit);
        (self.bit(82, 1) && bit(0)).then(|| Security {
            enabled: bit(1),
            locked: bit(2),
            frozen: bit(3),
            expired: bit(4),
            enhanced: bit(5),
            word: self.0[128],
        })
    }

    /// How long SECURITY ERASE UNIT takes (words 89 and 90), where the drive knows.
    pub(crate) fn estimate(&self, erase: SecurityErase) -> Option<Duration> {
        let word = match erase {
            SecurityErase::Normal => self.0[89],
            SecurityErase::Enhanced => self.0[90],
        };
        let units = if word & 0x8000 != 0 { word & 0x7fff } else { word & 0xff };
        (units != 0).then(|| Duration::from_secs(u64::from(units) * 120))
    }

    /// The sectors that it shows: words 100 to 103, or 60 and 61 without 48-bit addresses.
    pub(crate) fn sectors(&self) -> u64 {
        let join = |words: &[u16]| words.iter().rev().fold(0, |sum, word| sum << 16 | u64::from(*word));
        if self.bit(83, 10) { join(&self.0[100..104]) } else { join(&self.0[60..62]) }
    }

    /// Whether it has a host protected area and 48-bit addresses (words 82 and 83).
    pub(crate) fn has_protected_area(&self) -> bool {
        self.bit(82, 10) && self.bit(83, 10)
    }

    /// Whether it has ACCESSIBLE MAX ADDRESS CONFIGURATION (word 119).
    pub(crate) fn has_accessible_max(&self) -> bool {
        self.bit(119, 8)
    }

    /// Whether it has DEVICE CONFIGURATION OVERLAY (word 83), which may hide more.
    pub(crate) fn has_overlay(&self) -> bool {
        self.bit(83, 11)
    }
}

/// The bits of word 128.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Security {
    /// A password is set.
    pub(crate) enabled: bool,
    /// Data is refused until it is given.
    pub(crate) locked: bool,
    /// Nothing may be changed until the next power cycle.
    pub(crate) frozen: bool,
    /// Too many wrong passwords since the last power cycle.
    pub(crate) expired: bool,
    /// The enhanced erase is there.
    pub(crate) enhanced: bool,
    /// The word itself, for the record.
    pub(crate) word: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drive(words: &[(usize, u16)]) -> Identify {
        let mut all = [0; 256];
        words.iter().for_each(|(word, value)| all[*word] = *value);
        Identify(all)
    }

    #[test]
    fn sanitize_is_what_word_59_lists_and_only_with_the_feature_set() {
        use Sanitize::{Block, Crypto, Overwrite};
        for (word, want) in [
            (0x0000, vec![]),
            (0xe000, vec![]), // the ways without the feature set
            (0x1000, vec![]),
            (0x7000, vec![Crypto, Overwrite]),
            (0xf000, vec![Crypto, Block, Overwrite]),
        ] {
            assert_eq!(drive(&[(59, word)]).sanitize(), want, "{word:#x}");
        }
    }

    #[test]
    fn estimates_have_two_formats_and_may_be_missing() {
        for (word, minutes) in [(0, None), (5, Some(10)), (0x00ff, Some(510)), (0x8000 | 600, Some(1200))] {
            let want = minutes.map(|minutes| Duration::from_secs(minutes * 60));
            assert_eq!(drive(&[(89, word)]).estimate(SecurityErase::Normal), want);
            assert_eq!(drive(&[(90, word)]).estimate(SecurityErase::Enhanced), want);
        }
    }

    #[test]
    fn capacity_has_28_or_48_bits() {
        let words = [(60, 0x5678), (61, 0x0234), (100, 1), (101, 2), (102, 3), (103, 0)];
        assert_eq!(drive(&words).sectors(), 0x0234_5678);
        let mut wide = words.to_vec();
        wide.push((83, 1 << 10));
        assert_eq!(drive(&wide).sectors(), 0x3_0002_0001);
    }

    #[test]
    fn an_answer_without_content_or_with_a_wrong_sum_is_no_answer() {
        assert_eq!(Identify::parse(&[0; 512]), None);
        assert_eq!(Identify::parse(&[1; 100]), None);
        let mut data = [0; 512];
        (data[54], data[510]) = (b'X', 0xa5);
        assert_eq!(Identify::parse(&data), None);
        data[511] = 0_u8.wrapping_sub(b'X').wrapping_sub(0xa5);
        assert!(Identify::parse(&data).is_some());
    }
}
