//! What IDENTIFY DEVICE says: ACS-4, clause 7.12.

use crate::Drive;

/// The 512 bytes.
pub(crate) fn identify(drive: &Drive) -> Vec<u8> {
    let mut words = [0_u16; 256];
    text(&mut words[10..20], "BILLET0001");
    text(&mut words[23..27], "1.0");
    text(&mut words[27..47], "Fake SATA drive");
    words[49] = 0x0f00; // LBA, DMA
    let blocks = drive.blocks();
    let short = u32::try_from(blocks).unwrap_or(u32::MAX).min(0x0fff_ffff);
    [words[60], words[61]] = halves(short);
    if drive.sanitize_supported {
        words[59] |= 0b1111 << 12;
    }
    let hidden = drive.native_blocks.is_some() && !drive.amax;
    words[119] = 1 << 14 | u16::from(drive.native_blocks.is_some() && drive.amax) << 8;
    let (security, set) = (&drive.security, u16::from(drive.security.password.is_some()));
    words[82] = u16::from(security.supported) << 1 | u16::from(hidden) << 10;
    words[83] = 1 << 14 | 1 << 10; // 48-bit addresses
    words[84] = 1 << 14;
    words[85] = set << 1 | u16::from(hidden) << 10;
    words[86] = 1 << 10;
    words[87] = 1 << 14;
    words[89] = 2; // 4 minutes
    words[90] = 1;
    words[92] = 0xfffe;
    for (word, value) in words[100..104].iter_mut().zip(parts(blocks)) {
        *word = value;
    }
    words[128] = security.word();
    words[217] = 1; // no platters
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes[510] = 0xa5;
    bytes[511] = bytes[..511].iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg();
    bytes
}

/// ATA strings have the first character in the high half of each word.
fn text(words: &mut [u16], text: &str) {
    let mut bytes = text.bytes().chain(std::iter::repeat(b' '));
    for word in words {
        let mut next = || u16::from(bytes.next().unwrap_or(b' '));
        *word = next() << 8 | next();
    }
}

fn halves(value: u32) -> [u16; 2] {
    let [a, b, ..] = parts(value.into());
    [a, b]
}

/// Lowest word first.
fn parts(value: u64) -> [u16; 4] {
    let bytes = value.to_le_bytes();
    std::array::from_fn(|index| u16::from_le_bytes([bytes[2 * index], bytes[2 * index + 1]]))
}
