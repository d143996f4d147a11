//! The metadata of a VHDX: how large the disk and its blocks are.

use model::Bytes;

use super::super::{
    fields::{bytes, le16, le32, le64},
    flaw::Flaw,
};

/// The table, behind which the items are.
const TABLE: usize = 64 << 10;
const MOST_ENTRIES: u16 = 2047;
/// The largest disk, by the specification.
const MOST_SIZE: u64 = 64 << 40;
/// The smallest and the largest block, by the specification.
const BLOCKS: std::ops::RangeInclusive<u64> = 1 << 20..=256 << 20;
const IS_USERS: u32 = 1;
const IS_REQUIRED: u32 = 4;
const HAS_PARENT: u32 = 2;

const FILE: [u8; 16] = *b"\x37\x67\xa1\xca\x36\xfa\x43\x4d\xb3\xb6\x33\xf0\xaa\x44\xe7\x6b";
const SIZE: [u8; 16] = *b"\x24\x42\xa5\x2f\x1b\xcd\x76\x48\xb2\x11\x5d\xbe\xd8\x3b\xf4\xb8";
const SECTOR: [u8; 16] = *b"\x1d\xbf\x41\x81\x6f\xa9\x09\x47\xba\x47\xf2\x33\xa8\xfa\xab\x5f";
const PHYSICAL: [u8; 16] = *b"\xc7\x48\xa3\xcd\x5d\x44\x71\x44\x9c\xc9\xe9\x88\x52\x51\xc5\x56";
const IDENTITY: [u8; 16] = *b"\xab\x12\xca\xbe\xe6\xb2\x23\x45\x93\xef\xc3\x09\xe0\x00\xc7\x46";
const PARENT: [u8; 16] = *b"\x2d\x5f\xd3\xa8\x0b\xb3\x4d\x45\xab\xf7\xd3\xd8\x48\x34\xab\x0c";

/// What a reader needs of the metadata.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Metadata {
    /// Length of the disk.
    pub(super) size: Bytes,
    /// Bytes of the disk in a block.
    pub(super) block: u64,
    /// Bytes in a logical sector, 512 or 4096.
    pub(super) sector: u64,
}

impl Metadata {
    /// What the metadata region `region`, found at `at`, says.
    pub(super) fn parse(region: &[u8], at: u64) -> Result<Self, Flaw> {
        let lie = |what| Err(Flaw::Lie { what, at });
        if bytes(region, 0)? != *b"metadata" {
            return lie("there is no metadata table");
        }
        let count = le16(region, 10)?;
        if count > MOST_ENTRIES {
            return lie("the metadata table has too many entries");
        }
        let (mut file, mut size, mut sector) = (None, None, None);
        for entry in region.get(32..TABLE).unwrap_or_default().as_chunks::<32>().0.iter().take(count.into()) {
            let flags = le32(entry, 24)?;
            let known = match bytes(entry, 0)? {
                _ if flags & IS_USERS != 0 => continue,
                FILE => &mut file,
                SIZE => &mut size,
                SECTOR => &mut sector,
                PHYSICAL | IDENTITY => continue,
                PARENT => return Err(Flaw::NotAlone { what: "a parent disk (it is differencing)" }),
                _ if flags & IS_REQUIRED == 0 => continue,
                _ => return Err(Flaw::Unknown { what: "metadata of its own, and requires it".to_owned() }),
            };
            if known.replace(item(region, entry, at)?).is_some() {
                return lie("an item of the metadata is there twice");
            }
        }
        let (Some(file), Some(size), Some(sector)) = (file, size, sector) else {
            return lie("an item of the metadata is missing");
        };
        Self::check(file, size, sector.to_le_bytes(), at)
    }

    /// `file` is the file parameters: the block size and flags.
    fn check(file: u64, size: u64, sector: [u8; 8], at: u64) -> Result<Self, Flaw> {
        let lie = |what| Err(Flaw::Lie { what, at });
        let (block, flags) = (file & u64::from(u32::MAX), file >> 32);
        let sector = u64::from(le32(&sector, 0)?);
        if flags & u64::from(HAS_PARENT) != 0 {
            return Err(Flaw::NotAlone { what: "a parent disk (it is differencing)" });
        }
        if !block.is_power_of_two() || !BLOCKS.contains(&block) {
            return lie("the block size is no power of two from 1 to 256 MiB");
        }
        if sector != 512 && sector != 4096 {
            return lie("the logical sector size is neither 512 nor 4096");
        }
        if size == 0 || size > MOST_SIZE || !size.is_multiple_of(sector) {
            return lie("the size of the disk is absurd");
        }
        Ok(Self { size: Bytes(size), block, sector })
    }
}

/// The first eight bytes of the item of `entry`; shorter ones are followed by
/// something else, or nought.
fn item(region: &[u8], entry: &[u8], at: u64) -> Result<u64, Flaw> {
    let (offset, length) = (le32(entry, 16)? as usize, le32(entry, 20)? as usize);
    let lie = Flaw::Lie { what: "an item of the metadata is not where items are", at };
    let end = offset.checked_add(length).filter(|_| offset >= TABLE && (4..=8).contains(&length));
    let Some(found) = end.and_then(|end| region.get(offset..end)) else { return Err(lie) };
    let mut wide = [0; 8];
    wide[..length].copy_from_slice(found);
    le64(&wide, 0)
}
