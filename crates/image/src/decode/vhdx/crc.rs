//! The checksum of headers and region tables.

use super::super::{fields::le32, flaw::Flaw};

/// Castagnoli's polynomial, reflected.
const POLYNOMIAL: u32 = 0x82f6_3b78;

const TABLE: [u32; 256] = table();

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0_u32;
    while byte < 256 {
        let mut crc = byte;
        let mut bit = 0;
        while bit < 8 {
            crc = crc >> 1 ^ (crc & 1).wrapping_neg() & POLYNOMIAL;
            bit += 1;
        }
        table[byte as usize] = crc;
        byte += 1;
    }
    table
}

fn update(crc: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(crc, |crc, &byte| crc >> 8 ^ TABLE[usize::from(crc.to_le_bytes()[0] ^ byte)])
}

/// True when the CRC-32C at byte 4 of `part` is that of `part` without it.
pub(super) fn is_sound(part: &[u8]) -> Result<bool, Flaw> {
    let rest = part.get(8..).unwrap_or_default();
    let crc = update(update(update(u32::MAX, &part[..part.len().min(4)]), &[0; 4]), rest);
    Ok(!crc == le32(part, 4)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_everybody_means() {
        assert_eq!(!update(u32::MAX, b"123456789"), 0xe306_9283);
    }
}
