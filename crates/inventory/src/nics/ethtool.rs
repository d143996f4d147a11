//! Answers of a NIC's driver: its versions, and what its link can do. Bytes of
//! `<linux/ethtool.h>`, from the running kernel or a recording.

use model::inventory::Duplex;

use crate::reader::Reader;

/// What a driver says of itself and of its hardware.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Driver {
    pub(super) version: Option<String>,
    pub(super) firmware: Option<String>,
}

/// What a link does and could do.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Link {
    pub(super) speed_mbps: Option<u32>,
    pub(super) maximum_speed_mbps: Option<u32>,
    pub(super) duplex: Option<Duplex>,
    pub(super) autonegotiation: Option<bool>,
}

/// `struct ethtool_drvinfo`: command, driver, version and firmware, 32 bytes each.
const VERSION: usize = 36;
const FIRMWARE: usize = 68;
const TEXT: usize = 32;

/// `struct ethtool_link_settings`: where its fields stand, in bytes.
const SPEED: usize = 4;
const DUPLEX: usize = 8;
const AUTONEGOTIATION: usize = 11;
const WORDS: usize = 15;
/// The fixed part, behind which the mask of supported modes begins.
const SUPPORTED: usize = 48;
/// `SPEED_UNKNOWN`.
const UNKNOWN: u32 = u32::MAX;

/// Bits of `enum ethtool_link_mode_bit_indices`, first and last, and their speed in Mbit/s.
/// The kernel adds at the end and changes nothing.
const MODES: [(u8, u8, u32); 35] = [
    (0, 1, 10),
    (2, 3, 100),
    (4, 5, 1_000),
    (12, 12, 10_000),
    (15, 15, 2_500),
    (17, 17, 1_000),
    (18, 20, 10_000),
    (21, 22, 20_000),
    (23, 26, 40_000),
    (27, 30, 56_000),
    (31, 33, 25_000),
    (34, 35, 50_000),
    (36, 39, 100_000),
    (40, 40, 50_000),
    (41, 41, 1_000),
    (42, 46, 10_000),
    (47, 47, 2_500),
    (48, 48, 5_000),
    (52, 56, 50_000),
    (57, 61, 100_000),
    (62, 66, 200_000),
    (67, 67, 100),
    (68, 68, 1_000),
    (69, 73, 400_000),
    (75, 79, 100_000),
    (80, 84, 200_000),
    (85, 89, 400_000),
    (90, 91, 100),
    (92, 92, 10),
    (93, 98, 800_000),
    (99, 102, 10),
    (103, 108, 200_000),
    (109, 114, 400_000),
    (115, 120, 800_000),
    (121, 124, 1_600_000),
];

/// Ask the driver of `nic`. Drivers without ethtool are silent.
pub(super) fn driver(reader: &Reader<'_>, nic: &str) -> Driver {
    let path = format!("kernel/net/{nic}/driver");
    let Some(answer) = reader.ask(&path, &|| sys::ethtool::driver(nic)) else { return Driver::default() };
    if answer.len() < FIRMWARE + TEXT {
        reader.warn(path, "is shorter than the answer of a driver");
        return Driver::default();
    }
    Driver { version: text(&answer[VERSION..][..TEXT]), firmware: text(&answer[FIRMWARE..][..TEXT]) }
}

/// Ask for the link of `nic`. Drivers that have none are silent.
pub(super) fn link(reader: &Reader<'_>, nic: &str) -> Link {
    let path = format!("kernel/net/{nic}/link");
    let Some(answer) = reader.ask(&path, &|| sys::ethtool::link(nic)) else { return Link::default() };
    parse_link(&answer).unwrap_or_else(|| {
        reader.warn(path, "is not the description of a link");
        Link::default()
    })
}

fn parse_link(answer: &[u8]) -> Option<Link> {
    let words = usize::from(*answer.get(WORDS)?);
    let supported = answer.get(SUPPORTED..SUPPORTED + 4 * words)?;
    let speed = u32::from_ne_bytes(answer.get(SPEED..SPEED + 4)?.try_into().ok()?);
    Some(Link {
        speed_mbps: Some(speed).filter(|speed| *speed != 0 && *speed != UNKNOWN),
        maximum_speed_mbps: maximum(supported),
        duplex: match answer.get(DUPLEX)? {
            0 => Some(Duplex::Half),
            1 => Some(Duplex::Full),
            _ => None,
        },
        autonegotiation: answer.get(AUTONEGOTIATION).map(|on| *on == 1),
    })
}

/// The fastest mode of a mask of 32-bit words.
fn maximum(mask: &[u8]) -> Option<u32> {
    let word = |bit: u8| mask.chunks_exact(4).nth(usize::from(bit) / 32);
    let is_set = |bit: u8| {
        let bytes: Option<[u8; 4]> = word(bit).and_then(|word| word.try_into().ok());
        bytes.is_some_and(|bytes| u32::from_ne_bytes(bytes) >> (bit % 32) & 1 == 1)
    };
    let modes = MODES.iter().filter(|(first, last, _)| (*first..=*last).any(is_set));
    modes.map(|(_, _, speed)| *speed).max()
}

/// Up to a zero. `N/A` and blanks are no version.
fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let text = std::str::from_utf8(&bytes[..end]).ok()?.trim();
    let known = !text.is_empty() && text != "N/A" && !text.chars().any(char::is_control);
    known.then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A link of `speed` whose driver supports the modes `bits`.
    fn answer(speed: u32, duplex: u8, bits: &[usize]) -> Vec<u8> {
        let mut answer = vec![0; SUPPORTED + 3 * 4 * 4];
        answer[SPEED..SPEED + 4].copy_from_slice(&speed.to_ne_bytes());
        answer[DUPLEX] = duplex;
        answer[AUTONEGOTIATION] = 1;
        answer[WORDS] = 4;
        for word in 0..4 {
            let here = bits.iter().filter(|bit| *bit / 32 == word);
            let value = here.fold(0_u32, |value, bit| value | 1 << (bit % 32));
            answer[SUPPORTED + 4 * word..][..4].copy_from_slice(&value.to_ne_bytes());
        }
        answer
    }

    #[test]
    fn the_fastest_mode_is_known_without_a_link() {
        for (bits, maximum) in [
            (vec![0, 1, 2, 3, 5, 6, 7, 9], Some(1_000)), // igb
            (vec![12, 13, 10], Some(10_000)),
            (vec![31, 32, 33, 18], Some(25_000)),
            (vec![36, 37, 62, 63], Some(200_000)),
            (vec![121], Some(1_600_000)),
            (vec![6, 7, 13, 49], None), // ways to spell modes, no modes
            (vec![127], None),          // of the future
            (vec![], None),             // virtio
        ] {
            let link = parse_link(&answer(UNKNOWN, 0xff, &bits)).expect("a link");
            assert_eq!((link.speed_mbps, link.duplex), (None, None));
            assert_eq!(link.maximum_speed_mbps, maximum, "{bits:?}");
        }
    }

    #[test]
    fn speed_duplex_and_negotiation_are_read() {
        let link = parse_link(&answer(10_000, 1, &[12])).expect("a link");
        assert_eq!(link.speed_mbps, Some(10_000));
        assert_eq!(link.duplex, Some(Duplex::Full));
        assert_eq!(link.autonegotiation, Some(true));
    }

    #[test]
    fn an_answer_cut_anywhere_is_none_and_no_panic() {
        let whole = answer(10_000, 1, &[12]);
        for length in 0..SUPPORTED + 16 {
            assert_eq!(parse_link(&whole[..length]), None, "{length}");
        }
    }

    #[test]
    fn no_bit_is_two_speeds_and_none_is_left_out() {
        // Connectors, pauses and codes.
        const NO_MODES: [u8; 14] = [6, 7, 8, 9, 10, 11, 13, 14, 16, 49, 50, 51, 74, 125];
        for bit in 0..=125 {
            let speeds = MODES.iter().filter(|(first, last, _)| (*first..=*last).contains(&bit)).count();
            assert_eq!(speeds, usize::from(!NO_MODES.contains(&bit)), "bit {bit}");
        }
    }

    #[test]
    fn versions_end_at_a_zero_and_may_be_absent() {
        for (bytes, version) in [
            (b"5.14.0\0garbage".as_slice(), Some("5.14.0")),
            (b"N/A\0", None),
            (b"\0\0\0", None),
            (b"  \0", None),
            (b"0x800006d6, 1.1\x1b[2J", None),
            (b"\xff\xfe", None),
            (b"22.31.1014 (MT_0000000359)", Some("22.31.1014 (MT_0000000359)")),
        ] {
            assert_eq!(text(bytes).as_deref(), version);
        }
    }
}
