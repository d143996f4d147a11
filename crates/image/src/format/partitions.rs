//! Where an image's partition table puts its partitions, read from its first
//! bytes alone, and whether one of them is a disk image itself.

use std::ops::Range;

use model::Bytes;

use super::{
    FormatError,
    sniff::{has, nested},
};

/// A GPT has 128 partitions; one that claims more is not looked into further.
const MAX_PARTITIONS: usize = 128;
/// The bytes of a partition's start that tell a format.
pub(crate) const SEEN: usize = 512;

fn u32_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|&bytes| u32::from_le_bytes(bytes).into())
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|&bytes| u64::from_le_bytes(bytes))
}

/// What the partition table at the start of `content` covers, in bytes: of a
/// GPT in 512-byte or 4096-byte sectors, else of an MBR.
pub(super) fn of(content: &[u8]) -> Vec<Range<u64>> {
    let of_gpt = [512, 4096].into_iter().find(|&block| has(content, block, b"EFI PART"));
    match of_gpt {
        Some(block) => gpt(content, block).unwrap_or_default(),
        None if has(content, 510, &[0x55, 0xaa]) => mbr(content),
        None => Vec::new(),
    }
}

/// UEFI 2.10, 5.3: the header names where the entries are and how many.
fn gpt(content: &[u8], block: usize) -> Option<Vec<Range<u64>>> {
    let sector = block as u64;
    let table = usize::try_from(u64_at(content, block + 72)?.checked_mul(sector)?).ok()?;
    let count = usize::try_from(u32_at(content, block + 80)?).ok()?.min(MAX_PARTITIONS);
    let size = usize::try_from(u32_at(content, block + 84)?).ok()?;
    let entry = |index: usize| {
        let entry = content.get(table.checked_add(index.checked_mul(size)?)?..)?;
        let used = entry.get(..16)?.iter().any(|&byte| byte != 0);
        let (first, last) = (u64_at(entry, 32)?, u64_at(entry, 40)?);
        used.then_some(first.checked_mul(sector)?..last.checked_add(1)?.checked_mul(sector)?)
    };
    Some((0..count).filter_map(entry).collect())
}

/// The four primary partitions; a protective one (0xee) covers nothing.
fn mbr(content: &[u8]) -> Vec<Range<u64>> {
    let entry = |at: usize| {
        let kind = *content.get(at + 4)?;
        let (first, length) = (u32_at(content, at + 8)? * 512, u32_at(content, at + 12)? * 512);
        (!matches!(kind, 0xee) && length > 0).then_some(first..first + length)
    };
    [446, 462, 478, 494].into_iter().filter_map(entry).collect()
}

/// Looks for disk images within the partitions of one.
#[derive(Debug, Default)]
pub(crate) struct Inside {
    starts: Vec<u64>,
}

impl Inside {
    /// What to look at in the disk that starts with `content`.
    pub(crate) fn of(content: &[u8]) -> Self {
        let starts = of(content).into_iter().map(|range| range.start).filter(|&start| start > 0);
        Self { starts: starts.collect() }
    }

    /// Where to look, in bytes of the disk; [`SEEN`] bytes are enough.
    pub(crate) fn starts(&self) -> impl Iterator<Item = Bytes> {
        self.starts.iter().copied().map(Bytes)
    }

    /// Look at the `bytes` at `at` of the disk.
    ///
    /// # Errors
    /// [`FormatError::Inside`] when a partition that starts there is an image.
    pub(crate) fn check(&self, at: Bytes, bytes: &[u8]) -> Result<(), FormatError> {
        for &start in &self.starts {
            let content = start
                .checked_sub(at.0)
                .and_then(|offset| usize::try_from(offset).ok())
                .and_then(|offset| bytes.get(offset..));
            if let Some(found) = content.and_then(nested) {
                return Err(FormatError::Inside { found, at: Bytes(start) });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A GPT disk with one partition of 64 KiB at `first` sectors.
    fn disk(block: usize, first: u64) -> Vec<u8> {
        let mut disk = vec![0; 64 << 10];
        disk[510..512].copy_from_slice(&[0x55, 0xaa]);
        disk[block..block + 8].copy_from_slice(b"EFI PART");
        disk[block + 72] = 2;
        disk[block + 80] = 128;
        disk[block + 84] = 128;
        let entry = 2 * block;
        disk[entry] = 1;
        disk[entry + 32..entry + 40].copy_from_slice(&first.to_le_bytes());
        disk[entry + 40..entry + 48].copy_from_slice(&(first + 65536 / block as u64 - 1).to_le_bytes());
        disk
    }

    #[test]
    fn partitions_are_found_in_both_tables_and_both_sectors() {
        assert_eq!(of(&disk(512, 64)).as_slice(), std::slice::from_ref(&(32768..98304)));
        assert_eq!(of(&disk(4096, 6)).as_slice(), std::slice::from_ref(&(24576..90112)));
        let mut mbr = vec![0; 512];
        mbr[510..512].copy_from_slice(&[0x55, 0xaa]);
        (mbr[450], mbr[454], mbr[458]) = (0x83, 4, 8);
        assert_eq!(of(&mbr).as_slice(), std::slice::from_ref(&(2048..6144)));
        mbr[450] = 0xee;
        assert_eq!(of(&mbr), [], "a protective entry covers nothing");
        assert_eq!(of(b"short"), []);
    }

    #[test]
    fn a_table_that_lies_about_itself_is_not_followed() {
        for lie in [72..80, 80..84, 84..88] {
            let mut disk = disk(512, 64);
            disk[512..][lie].fill(0xff);
            of(&disk);
        }
        let mut disk = disk(512, 64);
        disk[1024 + 32..1024 + 48].fill(0xff);
        assert_eq!(of(&disk), []);
    }

    #[test]
    fn an_image_in_a_partition_is_found_where_it_starts_only() {
        let disk = disk(512, 64);
        let inside = Inside::of(&disk);
        assert_eq!(inside.starts().collect::<Vec<_>>(), [Bytes(32768)]);
        let mut chunk = vec![0; 4096];
        chunk[..4].copy_from_slice(b"QFI\xfb");
        assert_eq!(inside.check(Bytes(28672), &chunk), Ok(()));
        let found = inside.check(Bytes(32768), &chunk).expect_err("it is qcow2");
        assert!(found.to_string().contains("partition at byte 32768 is qcow2"), "{found}");
    }
}
