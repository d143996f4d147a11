//! Partition tables, and the boot sectors that look like one.
//! Layouts are those of `libblkid/src/partitions/`.

use std::ops::Range;

use crate::{gpt::crc32, mbr};

use super::View;

/// A floppy has no GPT.
const FLOPPY: u64 = 1440 << 10;
/// A GPT with more entries is no table of anybody's.
const ENTRIES_LIMIT: u64 = 1024;
const GPT: u8 = 0xee;
/// Identifiers of Atari partitions. libblkid takes any three letters or digits,
/// which noise has once in twenty disks.
const ATARI: [&[u8]; 6] = [b"GEM", b"BGM", b"LNX", b"SWP", b"RAW", b"XGM"];

/// The partition table at the start of `view`, if there is one.
pub(super) fn name(view: &View<'_>) -> Option<&'static str> {
    let sector = view.bytes(0, 512)?;
    let is_label = |at| view.has(at, &[0x57, 0x45, 0x56, 0x82]);
    if sector.starts_with(&[0xc9, 0xc2, 0xd4, 0xc1]) {
        Some("aix")
    } else if sector.starts_with(&[0x0b, 0xe5, 0xa9, 0x41]) && sgi_sum(&sector) == 0 {
        Some("sgi")
    } else if sector[508..510] == [0xda, 0xbe] && sun_sum(&sector) == [0, 0] {
        Some("sun")
    } else if is_dos(view, &sector) {
        Some("dos")
    } else if gpt_entries(view).is_some() {
        Some("gpt")
    } else if is_protected(&sector) {
        Some("PMBR")
    } else if is_mac(view, &sector) {
        Some("mac")
    } else if [512, 64, 128].into_iter().any(is_label) {
        Some("bsd")
    } else if is_atari(view, &sector) {
        Some("atari")
    } else {
        is_dasd(view).then_some("dasd")
    }
}

fn sgi_sum(sector: &[u8]) -> u32 {
    let words = sector.as_chunks().0.iter().map(|word| u32::from_be_bytes(*word));
    words.fold(0, u32::wrapping_add)
}

fn sun_sum(sector: &[u8]) -> [u8; 2] {
    sector.as_chunks().0.iter().fold([0, 0], |[one, other], [a, b]| [one ^ a, other ^ b])
}

fn is_protected(sector: &[u8]) -> bool {
    mbr::partitions(sector).iter().any(|primary| primary.kind == GPT)
}

/// A boot sector ends in the same two bytes; entries are bootable or not.
fn is_dos(view: &View<'_>, sector: &[u8]) -> bool {
    let flags = (446..510).step_by(16).all(|at| matches!(sector[at], 0 | 0x80));
    let is_boot_sector = || is_vfat(view) || is_ntfs(view) || is_exfat(view);
    mbr::is_present(sector) && flags && !is_protected(sector) && !is_boot_sector()
}

/// First and last block of each partition of a GPT that is intact, at the start
/// or else at the end, and that an MBR protects.
fn gpt_entries(view: &View<'_>) -> Option<Vec<(u64, u64)>> {
    let last = (view.size / view.block).checked_sub(1)?;
    if view.size <= FLOPPY || !is_protected(&view.bytes(0, 512)?) {
        return None;
    }
    entries_of(view, 1, last).or_else(|| entries_of(view, last, last))
}

fn entries_of(view: &View<'_>, lba: u64, last: u64) -> Option<Vec<(u64, u64)>> {
    let at = lba.checked_mul(view.block)?;
    let length = view.le(at + 12, 4).filter(|length| (92..=view.block).contains(length))?;
    let mut header = view.bytes(at, usize::try_from(length).ok()?)?;
    let sum = u64::from(crc32(&{
        header[16..20].fill(0);
        header
    }));
    let (first, end, count) = (view.le(at + 40, 8)?, view.le(at + 48, 8)?, view.le(at + 80, 4)?);
    let sane = view.has(at, b"EFI PART") && view.le(at + 16, 4)? == sum && view.le(at + 24, 8)? == lba;
    let shaped = first <= end && end <= last && (1..=ENTRIES_LIMIT).contains(&count);
    if !sane || !shaped || (first < lba && lba < end) || view.le(at + 84, 4)? != 128 {
        return None;
    }
    let entries = view.le(at + 72, 8)?.checked_mul(view.block)?;
    let table = view.bytes(entries, usize::try_from(count).ok()? * 128)?;
    if u64::from(crc32(&table)) != view.le(at + 88, 4)? {
        return None;
    }
    let number =
        |entry: &[u8; 128], at: usize| u64::from_le_bytes(std::array::from_fn(|byte| entry[at + byte]));
    let used = table.as_chunks::<128>().0.iter().filter(|entry| entry[..16] != [0; 16]);
    Some(used.map(|entry| (number(entry, 32), number(entry, 40))).collect())
}

/// True when a partition covers `bytes`: what is there is the partition's.
pub(super) fn is_in_a_partition(view: &View<'_>, bytes: Range<u64>) -> bool {
    let (start, end) = (bytes.start / view.block, bytes.end.div_ceil(view.block));
    if let Some(entries) = gpt_entries(view) {
        return entries.iter().any(|(first, last)| *first <= start && end <= last.saturating_add(1));
    }
    let sector = view.bytes(0, 512).unwrap_or_default();
    let covers = |primary: &mbr::Primary| {
        let first = u64::from(primary.start_blocks);
        first <= start && end <= first + u64::from(primary.length_blocks)
    };
    mbr::is_present(&sector) && is_dos(view, &sector) && mbr::partitions(&sector).iter().any(covers)
}

fn is_mac(view: &View<'_>, sector: &[u8]) -> bool {
    let block = view.be(2, 2).unwrap_or(0);
    sector.starts_with(b"ER") && block >= 512 && (view.has(block, b"PM") || view.has(block, b"TS"))
}

fn is_atari(view: &View<'_>, sector: &[u8]) -> bool {
    let sectors = view.size / 512;
    let is = |entry: &[u8]| {
        let number = |at: usize| u64::from(u32::from_be_bytes(std::array::from_fn(|byte| entry[at + byte])));
        entry[0] & 1 == 1 && ATARI.contains(&&entry[1..4]) && number(4) + number(8) <= sectors
    };
    view.block == 512 && sector[454..502].chunks(12).any(is)
}

/// IBM's labels, in EBCDIC: `VOL1`, `LNX1`, `CMS1`.
fn is_dasd(view: &View<'_>) -> bool {
    [512, 1024, 2048, 4096].into_iter().any(|block| {
        view.has(2 * block + 4, &[0xe5, 0xd6, 0xd3, 0xf1])
            || view.has(2 * block, &[0xd3, 0xd5, 0xe7, 0xf1])
            || view.has(2 * block, &[0xc3, 0xd4, 0xe2, 0xf1])
    })
}

fn is_size(bytes: u64) -> bool {
    bytes.is_power_of_two() && (512..=4096).contains(&bytes)
}

/// A boot sector of FAT, named in it or not. OS/2 puts one before HPFS and JFS.
pub(super) fn is_vfat(view: &View<'_>) -> bool {
    const NAMES: [(u64, &[u8]); 6] = [
        (0x52, b"MSWIN"),
        (0x52, b"FAT32   "),
        (0x36, b"MSDOS"),
        (0x36, b"FAT16   "),
        (0x36, b"FAT12   "),
        (0x36, b"FAT     "),
    ];
    let named = NAMES.iter().any(|(at, name)| view.has(*at, name));
    let others = view.has(0x36, b"JFS     ") || view.has(0x36, b"HPFS    ");
    (named || (view.has(510, &[0x55, 0xaa]) && !others)) && fat_geometry(view).unwrap_or(false)
}

fn fat_geometry(view: &View<'_>) -> Option<bool> {
    let field = |at, length| view.le(at, length);
    let (sector, cluster, reserved, fats) = (field(0xb, 2)?, field(0xd, 1)?, field(0xe, 2)?, field(0x10, 1)?);
    let media = field(0x15, 1)?;
    let shaped = is_size(sector) && cluster.is_power_of_two() && reserved > 0 && fats > 0;
    if !shaped || (media < 0xf8 && media != 0xf0) {
        return Some(false);
    }
    let or = |small, large| field(small, 2).filter(|number| *number > 0).or(field(large, 4));
    let (sectors, length, is_32) = (or(0x13, 0x20)?, or(0x16, 0x24)?, field(0x16, 2)? == 0);
    let directory = (field(0x11, 2)? * 32).div_ceil(sector);
    let clusters = sectors.checked_sub(reserved + length * fats + directory).map(|data| data / cluster);
    let most = if is_32 { 0x0fff_fff6 } else { 0xfff4 };
    Some(clusters.is_some_and(|clusters| clusters <= most) && (!is_32 || fat32_info(view, sector)?))
}

/// FAT32's information sector is marked, or zero.
fn fat32_info(view: &View<'_>, sector: u64) -> Option<bool> {
    let at = view.le(0x30, 2)? * sector;
    if at == 0 {
        return Some(true);
    }
    let (first, second) = (view.bytes(at, 4)?, view.bytes(at + 484, 4)?);
    let is_first = [b"RRaA", b"RRdA", &[0; 4]].iter().any(|mark| first == *mark);
    Some(is_first && [b"rrAa", &[0; 4]].iter().any(|mark| second == *mark))
}

pub(super) fn is_ntfs(view: &View<'_>) -> bool {
    let field = |at, length| view.le(at, length).unwrap_or(1);
    let (sector, cluster) = (field(0xb, 2), field(0xd, 1));
    let unused = [(0xe, 2), (0x10, 1), (0x11, 2), (0x13, 2), (0x16, 2), (0x20, 4)];
    view.has(3, b"NTFS    ")
        && (256..=4096).contains(&sector)
        && (cluster.is_power_of_two() || cluster >= 240)
        && unused.iter().all(|(at, length)| field(*at, *length) == 0)
}

pub(super) fn is_exfat(view: &View<'_>) -> bool {
    let zero = view.bytes(11, 53).is_some_and(|bytes| bytes.iter().all(|byte| *byte == 0));
    view.has(0, b"\xeb\x76\x90EXFAT   ") && view.has(510, &[0x55, 0xaa]) && zero
}
