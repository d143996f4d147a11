//! IDENTIFY DEVICE: what an ATA drive says of itself. ACS-4, clause 7.12; the
//! words on HPA and DCO: ACS-2.

use std::{ops::Range, time::Duration};

use super::{Sanitize, SecurityErase, SelfErase};

/// Bytes of the answer.
pub const LENGTH: usize = 512;

/// The words. Only those of a whole, plausible answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identify([u16; 256]);

impl Identify {
    /// From the 512 bytes; `None` for an answer without content or with a wrong
    /// checksum, as bridges give that only pretend to pass the command on.
    #[must_use]
    pub fn parse(data: &[u8]) -> Option<Self> {
        let data: &[u8; LENGTH] = data.try_into().ok()?;
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

    /// Letters, the first of each word above the second; `None` for none.
    fn text(&self, words: Range<usize>) -> Option<String> {
        let letters = self.0[words].iter().flat_map(|word| word.to_be_bytes()).collect();
        let text = String::from_utf8(letters).ok()?;
        let text = text.trim_matches([' ', '\0']);
        (!text.is_empty() && !text.contains(char::is_control)).then(|| text.to_owned())
    }

    /// Words 10 to 19.
    #[must_use]
    pub fn serial(&self) -> Option<String> {
        self.text(10..20)
    }

    /// The revision of its firmware, words 23 to 26.
    #[must_use]
    pub fn firmware(&self) -> Option<String> {
        self.text(23..27)
    }

    /// Words 27 to 46.
    #[must_use]
    pub fn model(&self) -> Option<String> {
        self.text(27..47)
    }

    /// Its world wide name, words 108 to 111: IEEE's NAA 5 and nothing else.
    #[must_use]
    pub fn world_wide_name(&self) -> Option<u64> {
        let name = self.0[108..112].iter().fold(0, |name, word| name << 16 | u64::from(*word));
        (name >> 60 == 5).then_some(name)
    }

    /// Whether it watches its own health now (word 85).
    #[must_use]
    pub fn smart_enabled(&self) -> bool {
        self.bit(85, 0) && self.valid(87)
    }

    /// Whether it has logs that are read by READ LOG EXT (word 84, or 87).
    #[must_use]
    pub fn has_logs(&self) -> bool {
        self.bit(84, 5) && self.valid(84) || self.bit(87, 5) && self.valid(87)
    }

    /// Words 83, 84, 87 and 106 say that they are, and their neighbours with them.
    fn valid(&self, word: usize) -> bool {
        self.0[word] >> 14 == 0b01
    }

    /// The erases that it has, best first; whether security is frozen is another matter.
    #[must_use]
    pub fn erases(&self) -> Vec<SelfErase> {
        let mut erases: Vec<_> = self.sanitize().into_iter().map(SelfErase::AtaSanitize).collect();
        if let Some(security) = self.security() {
            let enhanced = security.enhanced.then_some(SecurityErase::Enhanced);
            erases.extend(enhanced.into_iter().chain([SecurityErase::Normal]).map(SelfErase::AtaSecurity));
        }
        erases
    }

    /// The ways of SANITIZE DEVICE that it has, best first (word 59).
    #[must_use]
    pub fn sanitize(&self) -> Vec<Sanitize> {
        let ways = [(13, Sanitize::Crypto), (15, Sanitize::Block), (14, Sanitize::Overwrite)];
        let has = |(bit, _): &(u32, Sanitize)| self.bit(59, 12) && self.bit(59, *bit);
        ways.into_iter().filter(has).map(|(_, how)| how).collect()
    }

    /// Its security state (word 128), if it has the feature set.
    #[must_use]
    pub fn security(&self) -> Option<Security> {
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
    #[must_use]
    pub fn estimate(&self, erase: SecurityErase) -> Option<Duration> {
        let word = match erase {
            SecurityErase::Normal => self.0[89],
            SecurityErase::Enhanced => self.0[90],
        };
        let units = if word & 0x8000 != 0 { word & 0x7fff } else { word & 0xff };
        (units != 0).then(|| Duration::from_secs(u64::from(units) * 120))
    }

    /// The sectors that it shows: words 100 to 103, or 60 and 61 without 48-bit addresses.
    #[must_use]
    pub fn sectors(&self) -> u64 {
        let join = |words: &[u16]| words.iter().rev().fold(0, |sum, word| sum << 16 | u64::from(*word));
        if self.bit(83, 10) { join(&self.0[100..104]) } else { join(&self.0[60..62]) }
    }

    /// The length of one of them in bytes (words 106, 117 and 118).
    #[must_use]
    pub fn sector_length(&self) -> u64 {
        let words = u64::from(self.0[118]) << 16 | u64::from(self.0[117]);
        if self.valid(106) && self.bit(106, 12) && words > 256 { words * 2 } else { 512 }
    }

    /// Whether it has a host protected area and 48-bit addresses (words 82 and 83).
    #[must_use]
    pub fn has_protected_area(&self) -> bool {
        self.bit(82, 10) && self.bit(83, 10)
    }

    /// Whether it has ACCESSIBLE MAX ADDRESS CONFIGURATION (word 119).
    #[must_use]
    pub fn has_accessible_max(&self) -> bool {
        self.bit(119, 8)
    }

    /// Whether it has DEVICE CONFIGURATION OVERLAY (word 83), which may hide more.
    #[must_use]
    pub fn has_overlay(&self) -> bool {
        self.bit(83, 11)
    }
}

/// The bits of word 128.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Security {
    /// A password is set.
    pub enabled: bool,
    /// Data is refused until it is given.
    pub locked: bool,
    /// Nothing may be changed until the next power cycle.
    pub frozen: bool,
    /// Too many wrong passwords since the last power cycle.
    pub expired: bool,
    /// The enhanced erase is there.
    pub enhanced: bool,
    /// The word itself, for the record.
    pub word: u16,
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
    fn names_are_letters_in_pairs_and_a_world_wide_name_is_ieee_s() {
        let words = |at: usize, text: &[u8]| -> Vec<(usize, u16)> {
            let pairs = text.chunks(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            pairs.enumerate().map(|(nth, word)| (at + nth, word)).collect()
        };
        let mut all =
            [words(10, b"  S5STNF0K1 "), words(23, b"SVT02B6Q"), words(27, b"Samsung SSD 870 ")].concat();
        all.extend([(108, 0x5002), (109, 0x538e), (110, 0x40b4), (111, 0xd2f1)]);
        let found = drive(&all);
        assert_eq!(found.serial().as_deref(), Some("S5STNF0K1"));
        assert_eq!(found.firmware().as_deref(), Some("SVT02B6Q"));
        assert_eq!(found.model().as_deref(), Some("Samsung SSD 870"));
        assert_eq!(found.world_wide_name(), Some(0x5002_538e_40b4_d2f1));
        assert_eq!(drive(&[(108, 0x6002)]).world_wide_name(), None);
        assert_eq!(drive(&[(10, 0x0141)]).serial(), None, "a control character");
        assert_eq!(drive(&[(10, 0xff41)]).serial(), None, "no UTF-8");
    }

    #[test]
    fn words_of_features_count_only_when_they_say_so() {
        assert!(drive(&[(85, 1), (87, 0x4000)]).smart_enabled());
        assert!(!drive(&[(85, 0xffff), (87, 0xffff)]).smart_enabled());
        assert!(drive(&[(84, 0x4020)]).has_logs() && drive(&[(87, 0x4020)]).has_logs());
        assert!(!drive(&[(84, 0xffff), (87, 0)]).has_logs());
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
    fn sectors_are_longer_than_512_bytes_where_two_words_say_so() {
        for (words, want) in [
            (vec![], 512),
            (vec![(106, 0x5000), (117, 2048), (118, 0)], 4096),
            (vec![(106, 0x4000), (117, 2048)], 512),
            (vec![(106, 0xffff), (117, 0xffff), (118, 0xffff)], 512), // not valid
            (vec![(106, 0x5000)], 512),                               // nothing said
        ] {
            assert_eq!(drive(&words).sector_length(), want, "{words:?}");
        }
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
