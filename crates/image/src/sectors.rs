//! A partition table made for other sectors than the disk has: what it was made
//! for, and whether rewriting it would leave partitions that can be mounted.

use std::ops::Range;

use disk::{
    Target,
    gpt::{self, Partition, Table},
    mbr,
};
use model::Bytes;

use crate::{
    commit::{CommitError, Failed, as_partition},
    writer::Writer,
};

/// Bytes of a partition's start that tell its file system.
const START: usize = 34 << 10;

/// The GPT of the disk's start in the disk's own sectors, rewritten. The old one is gone from
/// the held start.
pub(crate) fn rewritten_gpt<T: Target>(writer: &mut Writer<'_, T>) -> Result<Table, Failed> {
    let block = writer.block();
    let made_for = gpt::made_for(&writer.head).unwrap_or(block);
    if mbr::partitions(&writer.head).len() > 1 {
        return Err(CommitError::Hybrid.into());
    }
    let old = Table::parse(&writer.head, made_for)?;
    let stale = old.stale_backup();
    for partition in old.partitions() {
        check(writer, &partition)?;
    }
    let table = old.clone().recounted(block)?;
    old.take_out(&mut writer.head);
    if let Some((at, length)) = stale {
        take_out(writer, at, length)?;
    }
    Ok(table)
}

/// Zero the backup copy of a table that has moved, if there is one.
pub(crate) fn take_out<T: Target>(
    writer: &mut Writer<'_, T>,
    at: Bytes,
    length: Bytes,
) -> Result<(), Failed> {
    let end = at.0.checked_add(length.0).filter(|&end| end <= writer.size().0);
    let Some(end) = end else { return Ok(()) };
    let mut signature = [0; 8];
    for sector in [512, 4096] {
        let Some(header) = end.checked_sub(sector).filter(|&header| header >= at.0) else { continue };
        writer.read(Bytes(header), &mut signature)?;
        if &signature == b"EFI PART" {
            return zero(writer, at.0..end);
        }
    }
    Ok(())
}

/// Zero a small range, which need not be whole sectors of the disk.
fn zero<T: Target>(writer: &mut Writer<'_, T>, range: Range<u64>) -> Result<(), Failed> {
    let block = writer.block().get();
    let whole = range.start / block * block..range.end.next_multiple_of(block).min(writer.size().0);
    let place = |at: u64| usize::try_from(at - whole.start).expect("at most a table's length");
    let mut bytes = vec![0; place(whole.end)];
    writer.read(Bytes(whole.start), &mut bytes)?;
    bytes[place(range.start)..place(range.end)].fill(0);
    Ok(writer.put_data(Bytes(whole.start), &bytes)?)
}

/// True when the MBR of an image of `image` bytes was made for 512-byte sectors
/// and the disk has larger ones: it says so by where partitions end, or there
/// are file systems where 512-byte sectors put them and none where the disk's do.
pub(crate) fn is_mbr_for_small<T: Target>(writer: &mut Writer<'_, T>, image: Bytes) -> Result<bool, Failed> {
    let block = writer.block().get();
    if mbr::is_for_small_sectors(&writer.head, image, block) {
        return Ok(true);
    }
    Ok(block > 512 && has_file_systems(writer, 512)? && !has_file_systems(writer, block)?)
}

/// Whether a primary partition starts with a file system, counted in sectors of `unit` bytes.
fn has_file_systems<T: Target>(writer: &mut Writer<'_, T>, unit: u64) -> Result<bool, Failed> {
    for primary in mbr::partitions(&writer.head) {
        let partition = as_partition(primary, unit);
        if primary.start_blocks > 0 && file_system(&start_of(writer, &partition)?).is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The first bytes of `partition`, as far as the disk has them.
fn start_of<T: Target>(writer: &mut Writer<'_, T>, partition: &Partition) -> Result<Vec<u8>, Failed> {
    let inside = writer.size().0.saturating_sub(partition.start.0);
    let mut start = vec![0; usize::try_from(inside.min(partition.length.0)).unwrap_or(START).min(START)];
    if !start.is_empty() {
        writer.read(partition.start, &mut start)?;
    }
    Ok(start)
}

/// Rewrite the MBR in the held start for the disk's sectors.
pub(crate) fn rewrite_mbr<T: Target>(writer: &mut Writer<'_, T>) -> Result<(), Failed> {
    let block = writer.block().get();
    for primary in mbr::partitions(&writer.head) {
        check(writer, &as_partition(primary, 512))?;
    }
    mbr::recount(&mut writer.head[..512], block).map_err(|err| CommitError::Recount(err).into())
}

/// Refuse a partition whose file system nobody mounts from this disk.
fn check<T: Target>(writer: &mut Writer<'_, T>, partition: &Partition) -> Result<(), Failed> {
    let start = start_of(writer, partition)?;
    let block = writer.block().get();
    match file_system(&start).filter(|(_, sectors)| *sectors < block) {
        Some((name, sectors)) => {
            Err(CommitError::SmallSectors { number: partition.number, name, sectors, block }.into())
        }
        None => Ok(()),
    }
}

/// The file system that starts with `start`, and the largest sectors that Linux
/// mounts it from.
fn file_system(start: &[u8]) -> Option<(&'static str, u64)> {
    let at = |at: usize, magic: &[u8]| start.get(at..at + magic.len()) == Some(magic);
    let byte = |at: usize| u64::from(start.get(at).copied().unwrap_or(0));
    let is_fat = at(510, &[0x55, 0xaa]) && matches!(start.first(), Some(0xeb | 0xe9));
    if is_fat && (at(54, b"FAT") || at(82, b"FAT")) {
        // Microsoft's FAT specification: BPB_BytsPerSec.
        Some(("FAT", byte(11) | byte(12) << 8))
    } else if at(0x438, &[0x53, 0xef]) {
        // Linux fs/ext4/ext4.h: s_log_block_size; a device's sectors may not be larger.
        Some(("ext", 1024 << byte(0x418).min(16)))
    } else if at(0, b"XFSB") {
        // Linux fs/xfs/libxfs/xfs_format.h: sb_sectsize.
        Some(("XFS", byte(102) << 8 | byte(103)))
    } else if at(0x8001, b"CD001") {
        Some(("ISO 9660", 2048))
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::file_system;

    #[test]
    fn file_systems_tell_the_sectors_that_they_take() {
        let with = |parts: &[(usize, &[u8])]| {
            let mut start = vec![0; super::START];
            for (at, bytes) in parts {
                start[*at..at + bytes.len()].copy_from_slice(bytes);
            }
            file_system(&start)
        };
        let fat = |sectors: &[u8]| with(&[(0, &[0xeb]), (11, sectors), (82, b"FAT32"), (510, &[0x55, 0xaa])]);
        assert_eq!(fat(&[0, 2]), Some(("FAT", 512)));
        assert_eq!(fat(&[0, 16]), Some(("FAT", 4096)));
        assert_eq!(with(&[(0x438, &[0x53, 0xef]), (0x418, &[2])]), Some(("ext", 4096)));
        assert_eq!(with(&[(0x438, &[0x53, 0xef]), (0x418, &[255])]), Some(("ext", 64 << 20)));
        assert_eq!(with(&[(0, b"XFSB"), (102, &[2, 0])]), Some(("XFS", 512)));
        assert_eq!(with(&[(0x8001, b"CD001")]), Some(("ISO 9660", 2048)));
        assert_eq!(with(&[]), None);
        assert_eq!(file_system(&[0xeb]), None);
    }
}
