//! Which bytes are to be gone: the whole disk, or the places where partition
//! tables and signatures live.

use std::ops::Range;

use model::{BlockSize, Bytes};

use crate::Subject;

/// At each end of the disk. GPT and its copy, md 0.9 to 1.2, LVM, ZFS (512 KiB
/// at each end), bcache and every boot loader's gap lie inside.
const DISK_END: u64 = 8 << 20;
/// At each end of a partition: the signatures libblkid knows there.
const PARTITION_END: u64 = 1 << 20;

/// Disjoint ranges of whole blocks, in order, not empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Zones(Vec<Range<u64>>);

impl Zones {
    /// Everything.
    pub(crate) fn whole(subject: &Subject) -> Self {
        Self::merged(std::iter::once(0..subject.disk.size.0), subject.disk.size, subject.disk.logical_block)
    }

    /// Both ends of the disk and of every partition.
    pub(crate) fn of_metadata(subject: &Subject) -> Self {
        let size = subject.disk.size;
        let mut ranges = ends(&(0..size.0), DISK_END).to_vec();
        ranges.extend(subject.partitions.iter().flat_map(|partition| ends(partition, PARTITION_END)));
        Self::merged(ranges, size, subject.disk.logical_block)
    }

    /// Both ends of a disk whose content has no meaning any more.
    pub(crate) fn of_scrub(size: Bytes, block: BlockSize) -> Self {
        Self::merged(ends(&(0..size.0), DISK_END), size, block)
    }

    /// Clipped to the disk, widened to whole blocks, overlaps joined.
    fn merged(ranges: impl IntoIterator<Item = Range<u64>>, size: Bytes, block: BlockSize) -> Self {
        let block = block.get();
        let whole = size.0 - size.0 % block;
        let mut ranges: Vec<_> = ranges
            .into_iter()
            .map(|range| range.start / block * block..range.end.min(whole).next_multiple_of(block))
            .filter(|range| range.start < range.end)
            .collect();
        model::order::sort_by_key(&mut ranges, |range| range.start);
        let mut merged: Vec<Range<u64>> = Vec::new();
        for range in ranges {
            match merged.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                Some(_) | None => merged.push(range),
            }
        }
        Self(merged)
    }

    /// Without `hole` (whole blocks).
    pub(crate) fn without(&self, hole: &Range<u64>) -> Self {
        let around = |range: &Range<u64>| {
            [range.start..range.end.min(hole.start), range.start.max(hole.end)..range.end]
        };
        Self(self.0.iter().flat_map(around).filter(|range| range.start < range.end).collect())
    }

    /// What is at or after `at` (a whole block).
    pub(crate) fn from(&self, at: u64) -> Self {
        self.without(&(0..at))
    }

    pub(crate) fn bytes(&self) -> Bytes {
        Bytes(self.0.iter().map(|range| range.end - range.start).sum())
    }

    /// All of it in steps of at most `step` bytes (whole blocks), cut at multiples of `step`.
    pub(crate) fn steps(&self, step: u64) -> impl Iterator<Item = Piece> {
        self.0.iter().flat_map(move |range| {
            (range.start / step..range.end.div_ceil(step)).map(move |n| {
                let at = range.start.max(n * step);
                Piece { at, length: range.end.min((n + 1).saturating_mul(step)) - at }
            })
        })
    }

    /// How many sample units there are.
    pub(crate) fn units(&self, unit: u64) -> u64 {
        self.0.iter().map(|range| (range.end - range.start).div_ceil(unit)).sum()
    }

    /// The `index`th sample unit; the last of a range is moved back to end with
    /// it, so that the end is covered, unless the range is shorter than a unit.
    pub(crate) fn unit(&self, mut index: u64, unit: u64) -> Option<Piece> {
        for range in &self.0 {
            let length = range.end - range.start;
            let here = length.div_ceil(unit);
            if index < here {
                let offset = (index * unit).min(length.saturating_sub(unit));
                return Some(Piece { at: range.start + offset, length: unit.min(length) });
            }
            index -= here;
        }
        None
    }
}

fn ends(range: &Range<u64>, length: u64) -> [Range<u64>; 2] {
    [
        range.start..range.end.min(range.start.saturating_add(length)),
        range.start.max(range.end.saturating_sub(length))..range.end,
    ]
}

/// Some whole blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Piece {
    pub(crate) at: u64,
    pub(crate) length: u64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::subject;

    const MIB: u64 = 1 << 20;

    #[test]
    fn metadata_is_both_ends_of_the_disk_and_of_every_partition() {
        let mut subject = subject("sda");
        subject.partitions = vec![MIB..20 * MIB, 20 * MIB..40 * MIB + 512, 40 * MIB + 512..1 << 60];
        let zones = Zones::of_metadata(&subject);
        let want = [0..8 * MIB, 19 * MIB..21 * MIB, 39 * MIB + 512..41 * MIB + 512, 56 * MIB..64 * MIB];
        assert_eq!(zones.0, want);
        assert_eq!(zones.bytes(), Bytes(20 * MIB));
    }

    #[test]
    fn a_small_disk_is_one_zone() {
        let mut subject = subject("sda");
        subject.disk.size = Bytes(3 * MIB);
        assert_eq!(Zones::of_metadata(&subject), Zones::whole(&subject));
    }

    fn zones_of(start: u64, end: u64) -> Zones {
        Zones(std::iter::once(start..end).collect())
    }

    #[test]
    fn a_hole_is_left_out_and_so_is_what_is_behind() {
        let zones = Zones(vec![0..100, 200..300]);
        for (hole, want) in [
            (10..20, vec![0..10, 20..100, 200..300]),
            (0..10, vec![10..100, 200..300]),
            (90..210, vec![0..90, 210..300]),
            (100..200, vec![0..100, 200..300]),
            (0..300, vec![]),
        ] {
            assert_eq!(zones.without(&hole).0, want, "{hole:?}");
        }
        assert_eq!(zones.from(250), zones.without(&(0..250)));
        assert_eq!(zones.from(0), zones);
    }

    #[test]
    fn steps_and_units_cover_everything_to_the_last_block() {
        let zones = Zones(vec![0..10_240, 20_480..20_992]);
        let steps: Vec<_> = zones.steps(4096).map(|piece| (piece.at, piece.length)).collect();
        let odd = zones_of(512, 9000);
        let odd: Vec<_> = odd.steps(4096).map(|piece| (piece.at, piece.length)).collect();
        assert_eq!(odd, [(512, 3584), (4096, 4096), (8192, 808)]);
        assert_eq!(steps, [(0, 4096), (4096, 4096), (8192, 2048), (20_480, 512)]);
        let units: Vec<_> =
            (0..zones.units(4096)).filter_map(|n| zones.unit(n, 4096)).map(|p| (p.at, p.length)).collect();
        assert_eq!(units, [(0, 4096), (4096, 4096), (6144, 4096), (20_480, 512)]);
        assert_eq!(zones.unit(4, 4096), None);
    }
}
