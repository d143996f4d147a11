//! Kinds that write at the end of a device, or in several places.

use super::{View, tables};

/// The sum of `length` bytes at `at`, as little-endian numbers of `width` bytes.
pub(super) fn sum(view: &View<'_>, at: u64, length: usize, width: usize) -> u64 {
    let bytes = view.bytes(at, length).unwrap_or_default();
    let number = |bytes: &[u8]| bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte));
    bytes.chunks(width).map(number).sum()
}

/// Linux software RAID: 0.90 and 1.0 at the end, 1.1 at the start, 1.2 at 4 KiB.
pub(super) fn md(view: &View<'_>) -> Option<bool> {
    const MAGIC: u64 = 0xa92b_4efc;
    const RESERVED: u64 = 0x10000;
    let is_1 = |at: u64| {
        let field = |offset, length| view.le(at + offset, length);
        field(0, 4) == Some(MAGIC) && field(4, 4) == Some(1) && field(144, 8) == Some(at >> 9)
    };
    let old = (view.size / RESERVED * RESERVED).checked_sub(RESERVED)?;
    for number in [View::le, View::be] {
        let size = number(view, old + 32, 4)? << 10;
        let fits = view.size >= size + RESERVED && old >= size;
        if number(view, old, 4)? == MAGIC
            && fits
            && !tables::is_in_a_partition(view, old - size..old + RESERVED)
        {
            return Some(true);
        }
    }
    let late = (view.size / 0x1000 * 0x1000).checked_sub(0x2000)?;
    Some([late, 0, 0x1000].into_iter().any(is_1))
}

/// Where Promise's firmware writes, in sectors from the end.
const PROMISE: [u64; 13] = [63, 255, 256, 16, 399, 591, 675, 735, 911, 974, 991, 951, 3087];

pub(super) fn promise(view: &View<'_>) -> bool {
    let is = |sectors: &u64| {
        view.before_end(sectors * 512).is_some_and(|at| view.has(at, b"Promise Technology, Inc."))
    };
    PROMISE.iter().any(is)
}

/// Versions 8, 8.4 not shut down cleanly, and 9.
pub(super) fn drbd(view: &View<'_>) -> bool {
    let magic = view.size.checked_sub(4096 - 60).and_then(|at| view.be(at, 4));
    magic.is_some_and(|magic| (0x8374_026b..=0x8374_026d).contains(&magic))
}

/// Both superblocks say how large the device is.
pub(super) fn nilfs2(view: &View<'_>) -> bool {
    let is = |at: u64| view.le(at + 6, 2) == Some(0x3434) && view.le(at + 32, 8) == Some(view.size);
    is(1024) || view.before_end(8 * 512).is_some_and(is)
}

/// Four uberblocks in the four labels; of the two at the end, those in a
/// partition are the partition's.
pub(super) fn zfs(view: &View<'_>) -> bool {
    const LABEL: u64 = 256 << 10;
    const WANTED: usize = 4;
    let Some(last) = (view.size / LABEL * LABEL).checked_sub(LABEL) else { return false };
    let mut found = 0;
    for label in [0, LABEL, last.saturating_sub(LABEL), last] {
        if label > LABEL && tables::is_in_a_partition(view, label..label + LABEL) {
            continue;
        }
        found += uberblocks(view, label + LABEL / 2);
        if found >= WANTED {
            return true;
        }
    }
    false
}

fn uberblocks(view: &View<'_>, at: u64) -> usize {
    const MAGIC: [u8; 8] = 0x00ba_b10c_u64.to_le_bytes();
    const SWAPPED: [u8; 8] = 0x00ba_b10c_u64.to_be_bytes();
    let is = |number: &u64| view.has(at + number * 1024, &MAGIC) || view.has(at + number * 1024, &SWAPPED);
    (0..128).filter(is).count()
}
