//! A table made for disks with other sectors, counted anew: the same partitions
//! at the same bytes.
//!
//! A GPT tells places in sectors and lies in the second one, so firmware finds
//! nothing on a disk whose sectors are 4096 bytes when the image was made for
//! 512, although every byte is where it was.

use model::{BlockSize, Bytes};

use super::{GptError, HEADER, Table, header_at, index, put, u64_at};

/// Sectors that images are made for.
const SECTORS: [u32; 2] = [512, 4096];
/// The first entries are in the third sector, after the MBR and the header.
const ENTRIES_AT: u64 = 2;

/// The sector size that the table at the start of a disk, `head`, was made for,
/// whatever the disk has.
#[must_use]
pub fn made_for(head: &[u8]) -> Option<BlockSize> {
    let found = SECTORS.into_iter().find(|&size| header_at(head, size as usize).is_some())?;
    BlockSize::try_from(found).ok()
}

impl Table {
    /// The bytes of the disk's start that hold the header and the entries.
    fn extent(&self) -> [std::ops::Range<usize>; 2] {
        let (header, entries) = (index(self.block), index(u64_at(&self.header, 72) * self.block));
        [header..header + HEADER, entries..entries + self.entries.len()]
    }

    /// Take the primary copy out of `head`, the disk's start that the table was parsed from.
    pub fn take_out(&self, head: &mut [u8]) {
        for range in self.extent() {
            if let Some(bytes) = head.get_mut(range) {
                bytes.fill(0);
            }
        }
    }

    /// Where the image has its backup copy, which is stale when the table moves
    /// to the end of a larger disk: nothing, when a partition lies there.
    #[must_use]
    pub fn stale_backup(&self) -> Option<(Bytes, Bytes)> {
        let header = u64_at(&self.header, 32);
        let first = header.checked_sub(self.entry_blocks())?;
        let end = header.checked_add(1)?;
        let free = self.used().all(|(_, entry)| u64_at(entry, 40) < first || u64_at(entry, 32) >= end);
        let (at, length) = (first.checked_mul(self.block)?, (end - first).checked_mul(self.block)?);
        (free && first > ENTRIES_AT + self.entry_blocks()).then_some((Bytes(at), Bytes(length)))
    }

    /// The same partitions on a disk of `block`-sized sectors. The last ends with
    /// the usable sectors in many images, which are no whole ones here: an end
    /// within a sector becomes that sector's, where nothing else can start.
    /// [`fit_to`](Self::fit_to) must follow: the table does not know yet where
    /// the disk ends.
    ///
    /// # Errors
    /// [`GptError::Misaligned`] when a partition starts within a sector,
    /// [`GptError::Crowded`] when one lies where the larger table must.
    pub fn recounted(mut self, block: BlockSize) -> Result<Self, GptError> {
        let (from, to) = (self.block, block.get());
        let entries = (self.entries.len() as u64).div_ceil(to);
        let first_usable = self.first_usable().saturating_mul(from).div_ceil(to).max(ENTRIES_AT + entries);
        for (place, entry) in self.entries.chunks_exact_mut(self.entry_size).enumerate() {
            if entry[..16] == super::Guid::UNUSED.0 {
                continue;
            }
            let number = u32::try_from(place + 1).expect("at most MOST_ENTRIES");
            // Saturated, a start is no whole sector and an end fits on no disk.
            let [start, end] = [u64_at(entry, 32), u64_at(entry, 40) + 1].map(|at| at.saturating_mul(from));
            if !start.is_multiple_of(to) {
                return Err(GptError::Misaligned { number, block: to });
            }
            if start / to < first_usable {
                return Err(GptError::Crowded { number, block: to });
            }
            put(entry, 32, &(start / to).to_le_bytes());
            put(entry, 40, &(end.div_ceil(to) - 1).to_le_bytes());
        }
        let last_usable = ((self.last_usable() + 1).saturating_mul(from) / to).saturating_sub(1);
        for (at, value) in [(32, 0), (40, first_usable), (48, last_usable), (72, ENTRIES_AT)] {
            put(&mut self.header, at, &value.to_le_bytes());
        }
        self.block = to;
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{
            Guid,
            tests::{BLOCKS, SIZE, block, disk},
        },
        *,
    };

    #[test]
    fn the_same_bytes_are_counted_in_other_sectors_and_back() {
        for (from, to) in [(512, 4096), (4096, 512)] {
            let mut head = disk(from);
            assert_eq!(made_for(&head), Some(block(from)));
            let table = Table::parse(&head, block(from)).expect("sound");
            let before = table.partitions();
            table.take_out(&mut head);
            assert!(head.iter().all(|&byte| byte == 0), "nothing of the old table stays");
            let mut table = table.recounted(block(to)).expect("aligned");
            table.fit_to(SIZE).expect("fits");
            table.write_primary(&mut head).expect("room");
            let again = Table::parse(&head, block(to)).expect("sound in its new sectors");
            assert_eq!(again.partitions(), before);
            let (at, backup) = again.backup();
            assert_eq!(at.0 + backup.len() as u64, SIZE.0);
            assert_eq!(made_for(&head), Some(block(to)));
        }
    }

    #[test]
    fn a_partition_that_starts_within_a_sector_is_named() {
        let mut table = Table::parse(&disk(512), block(512)).expect("sound");
        let free = table.partitions()[1].start.0 / 512 - 16;
        let entry = &mut table.entries[128 * 2..][..128];
        put(entry, 0, &Guid::LINUX.0);
        put(entry, 32, &(free + 1).to_le_bytes());
        put(entry, 40, &(free + 8).to_le_bytes());
        let error = table.recounted(block(4096)).expect_err("one sector off");
        assert_eq!(error, GptError::Misaligned { number: 3, block: 4096 });
    }

    #[test]
    fn a_partition_that_ends_within_a_sector_gets_all_of_it() {
        let mut table = Table::parse(&disk(512), block(512)).expect("sound");
        let last = table.last_usable();
        put(&mut table.entries, 40, &last.to_le_bytes());
        let end = |table: &Table| table.partitions()[0].start.0 + table.partitions()[0].length.0;
        let before = end(&table);
        assert_ne!(before % 4096, 0, "33 sectors before the disk's end");
        let mut table = table.recounted(block(4096)).expect("its start is aligned");
        assert_eq!(end(&table), before.next_multiple_of(4096));
        assert_eq!(table.fit_to(SIZE), Err(GptError::TooLarge { number: 1 }), "the new table needs more");
        table.fit_to(Bytes(SIZE.0 + (1 << 20))).expect("a larger disk has room");
    }

    #[test]
    fn a_partition_where_the_larger_table_must_lie_is_named() {
        let mut table = Table::parse(&disk(512), block(512)).expect("sound");
        let entry = &mut table.entries[128 * 2..][..128];
        put(entry, 0, &Guid::LINUX.0);
        put(entry, 32, &40_u64.to_le_bytes());
        put(entry, 40, &47_u64.to_le_bytes());
        let error = table.recounted(block(4096)).expect_err("LBA 40 of 512 is in the fifth sector of 4096");
        assert_eq!(error, GptError::Crowded { number: 3, block: 4096 });
    }

    #[test]
    fn the_stale_backup_is_what_lies_behind_the_partitions() {
        for size in BLOCKS {
            let mut table = Table::parse(&disk(size), block(size)).expect("sound");
            let (at, length) = table.stale_backup().expect("behind everything");
            assert_eq!(at.0 + length.0, SIZE.0);
            // A lying header names a place within a partition.
            let inside = table.partitions()[0].start.0 / u64::from(size) + 40;
            put(&mut table.header, 32, &inside.to_le_bytes());
            assert_eq!(table.stale_backup(), None);
            put(&mut table.header, 32, &u64::MAX.to_le_bytes());
            assert_eq!(table.stale_backup(), None);
        }
    }
}
