//! Checksums made right after a mutation, so that what lies behind them is
//! reached too.

use model::BlockSize;

/// GPT's, by its reflected polynomial.
const CRC32: [u32; 256] = table(0xedb8_8320);
/// VHDX's.
const CRC32C: [u32; 256] = table(0x82f6_3b78);

const fn table(polynomial: u32) -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0_u32;
    while byte < 256 {
        let mut crc = byte;
        let mut bit = 0;
        while bit < 8 {
            crc = crc >> 1 ^ (crc & 1).wrapping_neg() & polynomial;
            bit += 1;
        }
        table[byte as usize] = crc;
        byte += 1;
    }
    table
}

fn crc(table: &[u32; 256], bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| crc >> 8 ^ table[usize::from(crc.to_le_bytes()[0] ^ byte)];
    !bytes.iter().fold(u32::MAX, step)
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    let word: [u8; 4] = bytes.get(at..at.checked_add(4)?)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(word)).ok()
}

/// `disk`, whose GPT is right if it has one.
pub(crate) fn gpt(disk: &[u8], block: BlockSize) -> Vec<u8> {
    let mut disk = disk.to_vec();
    let _ = seal_gpt(&mut disk, usize::try_from(block.get()).unwrap_or_default());
    disk
}

fn seal_gpt(disk: &mut [u8], block: usize) -> Option<()> {
    let at = block.checked_mul(word(disk, block + 72)?)?;
    let length = word(disk, block + 80)?.checked_mul(word(disk, block + 84)?)?;
    let entries = crc(&CRC32, disk.get(at..at.checked_add(length.min(1 << 20))?)?);
    let header = disk.get_mut(block..block + 92)?;
    header[88..92].copy_from_slice(&entries.to_le_bytes());
    header[16..20].fill(0);
    let sum = crc(&CRC32, header);
    header[16..20].copy_from_slice(&sum.to_le_bytes());
    Some(())
}

/// `file`, whose checksums are those of a VHD.
pub(crate) fn vhd(file: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    let end = file.len().saturating_sub(512);
    for (at, length, place) in [(0, 512, 64), (512, 1024, 36), (end, 512, 64)] {
        let Some(part) = file.get_mut(at..at + length) else { continue };
        if part.starts_with(b"conectix") || part.starts_with(b"cxsparse") {
            part[place..place + 4].fill(0);
            let sum = !part.iter().map(|&byte| u32::from(byte)).sum::<u32>();
            part[place..place + 4].copy_from_slice(&sum.to_be_bytes());
        }
    }
    file
}

/// `file`, whose checksums are those of a VHDX.
pub(crate) fn vhdx(file: &[u8]) -> Vec<u8> {
    let mut file = file.to_vec();
    for (at, length) in [(64, 4), (128, 4), (192, 64), (256, 64)] {
        let Some(part) = file.get_mut(at << 10..(at + length) << 10) else { continue };
        part[4..8].fill(0);
        let sum = crc(&CRC32C, part);
        part[4..8].copy_from_slice(&sum.to_le_bytes());
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_the_one_everybody_means() {
        assert_eq!(crc(&CRC32, b"123456789"), 0xcbf4_3926);
    }
}
