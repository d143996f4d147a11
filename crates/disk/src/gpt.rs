//! GUID partition tables, UEFI specification 2.10 §5.3: read, moved to the end
//! of a larger disk, and given one more partition.
//!
//! A [`Table`] is a value: it is parsed from the start of a disk and says which
//! bytes belong where; nothing here writes. Images come from anywhere, so every
//! field is doubted.

use std::{fmt, io};

use model::{BlockSize, Bytes};

use crate::Target;

#[path = "gpt_sectors.rs"]
mod sectors;

pub use sectors::made_for;

/// How much of a disk's start holds the primary header and its entries.
pub const HEAD: usize = 1 << 20;

const SIGNATURE: &[u8; 8] = b"EFI PART";
/// Bytes of the header that its CRC covers, in every revision so far.
const HEADER: usize = 92;
/// Sizes of an entry that are in use; the specification allows larger ones.
const ENTRY_SIZES: std::ops::RangeInclusive<usize> = 128..=512;
/// The most entries we believe; everybody makes 128.
const MOST_ENTRIES: usize = 1024;
/// Partitions start at whole multiples of this, as everybody's do.
const ALIGNMENT: u64 = 1 << 20;

/// A GUID in the mixed-endian byte order of the disk.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Guid(pub [u8; 16]);

impl Guid {
    /// An EFI system partition.
    pub const ESP: Guid = Guid([
        0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b,
    ]);
    /// Linux filesystem data.
    pub const LINUX: Guid = Guid([
        0xaf, 0x3d, 0xc6, 0x0f, 0x83, 0x84, 0x72, 0x47, 0x8e, 0x79, 0x3d, 0x69, 0xd8, 0x47, 0x7d, 0xe4,
    ]);
    const UNUSED: Guid = Guid([0; 16]);
}

impl fmt::Display for Guid {
    /// As everybody prints it: `c12a7328-f81f-11d2-ba4b-00a0c93ec93b`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const ORDER: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
        for (place, &byte) in ORDER.iter().enumerate() {
            if matches!(place, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{:02x}", self.0[byte])?;
        }
        Ok(())
    }
}

impl fmt::Debug for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Guid({self})")
    }
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its number, from 1: the `3` of `/dev/sda3`.
    pub number: u32,
    /// What it is for.
    pub kind: Guid,
    /// Its own identity (`PARTUUID`).
    pub id: Guid,
    /// Its name (`PARTLABEL`), without what is not UTF-16.
    pub name: String,
    /// Where it starts.
    pub start: Bytes,
    /// How long it is.
    pub length: Bytes,
}

/// Why bytes are not a partition table, or cannot become the one that is wanted.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum GptError {
    /// There is none.
    #[error("there is no GPT")]
    Absent,
    /// It was made for disks with other sectors; firmware would not find it.
    #[error(
        "the GPT was made for {made_for}-byte sectors and the disk has {disk}-byte sectors; use an image made for such disks, or ask for its table to be rewritten"
    )]
    OtherSectors {
        /// Sector size of the table.
        made_for: u64,
        /// Sector size of the disk.
        disk: u64,
    },
    /// A field holds what no table holds.
    #[error("the GPT is damaged: {what}; rebuild the image")]
    Damaged {
        /// Which field, and how.
        what: &'static str,
    },
    /// A partition starts within a sector of the disk.
    #[error(
        "partition {number} does not start at a {block}-byte sector; align it to a mebibyte in the image"
    )]
    Misaligned {
        /// Its number.
        number: u32,
        /// Sector size of the disk.
        block: u64,
    },
    /// A partition starts where the table of a disk with larger sectors must be.
    #[error(
        "partition {number} starts where the table of a disk of {block}-byte sectors goes; start it at a mebibyte in the image"
    )]
    Crowded {
        /// Its number.
        number: u32,
        /// Sector size of the disk.
        block: u64,
    },
    /// A partition lies outside the disk.
    #[error("partition {number} ends past the disk's last usable sector; pick a larger root device")]
    TooLarge {
        /// Its number.
        number: u32,
    },
    /// No place for one more partition.
    #[error("there is no room for a partition of {length}; pick a larger root device")]
    NoRoom {
        /// What was wanted.
        length: Bytes,
    },
}

/// A partition table in memory.
#[derive(Clone, Debug)]
pub struct Table {
    block: u64,
    header: [u8; HEADER],
    entries: Vec<u8>,
    entry_size: usize,
}

impl Table {
    /// The table at the start of a disk of `block`-sized sectors. `head` is the
    /// disk's first [`HEAD`] bytes, or the whole disk if that is smaller.
    ///
    /// # Errors
    /// [`GptError`]; [`GptError::Absent`] is the one that is no damage.
    pub fn parse(head: &[u8], block: BlockSize) -> Result<Self, GptError> {
        let size = index(block.get());
        let Some(header) = header_at(head, size) else {
            return Err(other_sectors(head, block));
        };
        let damaged = |what| GptError::Damaged { what };
        if u32_at(&header, 12) as usize != HEADER {
            return Err(damaged("its header is not 92 bytes"));
        }
        if crc32(&without_crc(&header)) != u32_at(&header, 16) {
            return Err(damaged("the checksum of its header is wrong"));
        }
        if u64_at(&header, 24) != 1 {
            return Err(damaged("its header is not in the second sector"));
        }
        let (count, entry_size) = (u32_at(&header, 80) as usize, u32_at(&header, 84) as usize);
        if count == 0 || count > MOST_ENTRIES || !ENTRY_SIZES.contains(&entry_size) || entry_size % 8 != 0 {
            return Err(damaged("the number or size of its entries is absurd"));
        }
        let entries = u64_at(&header, 72)
            .checked_mul(block.get())
            .and_then(|at| usize::try_from(at).ok())
            .filter(|&at| at >= 2 * size)
            .and_then(|at| head.get(at..at.checked_add(count * entry_size)?))
            .ok_or(damaged("its entries are not in the first mebibyte"))?;
        if crc32(entries) != u32_at(&header, 88) {
            return Err(damaged("the checksum of its entries is wrong"));
        }
        let table = Self { block: block.get(), header, entries: entries.to_vec(), entry_size };
        table.check()?;
        Ok(table)
    }

    /// Every partition lies within the usable sectors, and the right way round.
    fn check(&self) -> Result<(), GptError> {
        for (_, entry) in self.used() {
            let (first, last) = (u64_at(entry, 32), u64_at(entry, 40));
            if first > last || first < self.first_usable() || last > self.last_usable() {
                return Err(GptError::Damaged { what: "a partition lies outside its usable sectors" });
            }
        }
        let end = self.last_usable().checked_add(1).and_then(|sectors| sectors.checked_mul(self.block));
        if end.is_none() {
            return Err(GptError::Damaged { what: "its last usable sector is absurd" });
        }
        Ok(())
    }

    fn used(&self) -> impl Iterator<Item = (usize, &[u8])> {
        self.entries
            .chunks_exact(self.entry_size)
            .enumerate()
            .filter(|(_, entry)| entry[..16] != Guid::UNUSED.0)
    }

    fn first_usable(&self) -> u64 {
        u64_at(&self.header, 40)
    }

    fn last_usable(&self) -> u64 {
        u64_at(&self.header, 48)
    }

    /// Sectors that a copy of the entries takes.
    fn entry_blocks(&self) -> u64 {
        (self.entries.len() as u64).div_ceil(self.block)
    }

    /// The partitions, in the order of their numbers.
    #[must_use]
    pub fn partitions(&self) -> Vec<Partition> {
        self.used().map(|(place, entry)| self.partition(place, entry)).collect()
    }

    fn partition(&self, place: usize, entry: &[u8]) -> Partition {
        let (first, last) = (u64_at(entry, 32), u64_at(entry, 40));
        let units: Vec<u16> =
            entry[56..128].chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        let name = units.split(|&unit| unit == 0).next().unwrap_or_default();
        Partition {
            number: u32::try_from(place + 1).expect("at most MOST_ENTRIES"),
            kind: guid_at(entry, 0),
            id: guid_at(entry, 16),
            name: String::from_utf16_lossy(name),
            start: Bytes(first * self.block),
            length: Bytes((last - first + 1) * self.block),
        }
    }

    /// The identity of the disk.
    #[must_use]
    pub fn disk_id(&self) -> Guid {
        guid_at(&self.header, 56)
    }

    /// Make the table that of a disk of `size`: its backup goes to the very end.
    ///
    /// # Errors
    /// [`GptError::TooLarge`] when a partition does not fit.
    pub fn fit_to(&mut self, size: Bytes) -> Result<(), GptError> {
        let blocks = size.0 / self.block;
        let reserved = self.entry_blocks() + 1;
        let last_usable = blocks.saturating_sub(reserved + 1);
        if let Some((place, _)) = self.used().find(|(_, entry)| u64_at(entry, 40) > last_usable) {
            return Err(GptError::TooLarge {
                number: u32::try_from(place + 1).expect("at most MOST_ENTRIES"),
            });
        }
        if last_usable <= self.first_usable() {
            return Err(GptError::NoRoom { length: Bytes(reserved * self.block) });
        }
        if u64_at(&self.header, 32) != blocks - 1 || self.last_usable() > last_usable {
            put(&mut self.header, 32, &(blocks - 1).to_le_bytes());
            put(&mut self.header, 48, &last_usable.to_le_bytes());
        }
        Ok(())
    }

    /// Add a partition of at least `length` as near to the end of the disk as
    /// there is room, aligned to a mebibyte. `id` must be random.
    ///
    /// # Errors
    /// [`GptError::NoRoom`] when no gap or no entry is free.
    pub fn add_last(
        &mut self,
        kind: Guid,
        id: Guid,
        name: &str,
        length: Bytes,
    ) -> Result<Partition, GptError> {
        let no_room = GptError::NoRoom { length };
        let wanted = length.0.div_ceil(self.block);
        let Some((first, end)) = self.last_gap(wanted) else { return Err(no_room) };
        let place =
            self.entries.chunks_exact(self.entry_size).position(|entry| entry[..16] == Guid::UNUSED.0);
        let Some(place) = place else { return Err(no_room) };
        let align = (ALIGNMENT / self.block).max(1);
        let start = match (end - wanted) / align * align {
            aligned if aligned >= first => aligned,
            _ => end - wanted,
        };
        let entry = &mut self.entries[place * self.entry_size..][..self.entry_size];
        entry.fill(0);
        put(entry, 0, &kind.0);
        put(entry, 16, &id.0);
        put(entry, 32, &start.to_le_bytes());
        put(entry, 40, &(start + wanted - 1).to_le_bytes());
        for (at, unit) in name.encode_utf16().take(36).enumerate() {
            put(entry, 56 + at * 2, &unit.to_le_bytes());
        }
        let entry = &self.entries[place * self.entry_size..][..self.entry_size];
        Ok(self.partition(place, entry))
    }

    /// The last free run of at least `wanted` sectors: first sector and end.
    fn last_gap(&self, wanted: u64) -> Option<(u64, u64)> {
        let mut taken: Vec<(u64, u64)> =
            self.used().map(|(_, entry)| (u64_at(entry, 32), u64_at(entry, 40) + 1)).collect();
        model::order::sort(&mut taken);
        let mut gaps = Vec::new();
        let mut free = self.first_usable();
        for (start, end) in taken {
            gaps.push((free, start));
            free = free.max(end);
        }
        gaps.push((free, self.last_usable() + 1));
        gaps.into_iter().rev().find(|(start, end)| end.saturating_sub(*start) >= wanted)
    }

    /// Put the primary header and entries into `head`, the disk's start.
    ///
    /// # Errors
    /// [`GptError::Damaged`] when `head` is not the start the table came from.
    pub fn write_primary(&self, head: &mut [u8]) -> Result<(), GptError> {
        let at = index(u64_at(&self.header, 72) * self.block);
        let header = index(self.block);
        if head.len() < at + self.entries.len() || head.len() < header + HEADER {
            return Err(GptError::Damaged { what: "the disk is too small for it" });
        }
        put(head, header, &sealed(self.header, &self.entries));
        put(head, at, &self.entries);
        Ok(())
    }

    /// The backup copy: where it starts, and its entries and header up to the
    /// end of the disk.
    #[must_use]
    pub fn backup(&self) -> (Bytes, Vec<u8>) {
        let header_at = u64_at(&self.header, 32);
        let entries_at = header_at - self.entry_blocks();
        let mut header = self.header;
        put(&mut header, 24, &header_at.to_le_bytes());
        put(&mut header, 32, &1_u64.to_le_bytes());
        put(&mut header, 72, &entries_at.to_le_bytes());
        let mut bytes = self.entries.clone();
        bytes.resize(index(self.entry_blocks() * self.block), 0);
        bytes.extend(sealed(header, &self.entries));
        bytes.resize(index((self.entry_blocks() + 1) * self.block), 0);
        (Bytes(entries_at * self.block), bytes)
    }
}

/// Why the partitions of a disk are not known.
#[derive(Debug, thiserror::Error)]
pub enum ReadTableError {
    /// The disk cannot be read.
    #[error("cannot read the partition table")]
    Read(#[source] io::Error),
    /// It can, and there is no sound table.
    #[error("no partitions")]
    Table(#[source] GptError),
}

/// The partition table on `target`.
///
/// # Errors
/// [`ReadTableError`] when there is none that is sound.
pub fn read(target: &mut impl Target) -> Result<Table, ReadTableError> {
    let length = usize::try_from(target.size().0).unwrap_or(HEAD).min(HEAD);
    let mut head = crate::Buffer::zeroed(length);
    target.read_at(Bytes(0), &mut head).map_err(ReadTableError::Read)?;
    Table::parse(&head, target.block()).map_err(ReadTableError::Table)
}

/// The EFI system partition of `target`, if its table has one.
///
/// # Errors
/// As [`read`].
pub fn esp(target: &mut impl Target) -> Result<Option<Partition>, ReadTableError> {
    Ok(read(target)?.partitions().into_iter().find(|partition| partition.kind == Guid::ESP))
}

fn header_at(head: &[u8], at: usize) -> Option<[u8; HEADER]> {
    let header: [u8; HEADER] = head.get(at..at + HEADER)?.try_into().ok()?;
    header.starts_with(SIGNATURE).then_some(header)
}

fn other_sectors(head: &[u8], block: BlockSize) -> GptError {
    match made_for(head) {
        Some(other) => GptError::OtherSectors { made_for: other.get(), disk: block.get() },
        None => GptError::Absent,
    }
}

fn without_crc(header: &[u8; HEADER]) -> [u8; HEADER] {
    let mut header = *header;
    header[16..20].fill(0);
    header
}

/// `header` with both checksums right.
fn sealed(mut header: [u8; HEADER], entries: &[u8]) -> [u8; HEADER] {
    put(&mut header, 88, &crc32(entries).to_le_bytes());
    let sum = crc32(&without_crc(&header));
    put(&mut header, 16, &sum.to_le_bytes());
    header
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) {
    bytes[at..at + value.len()].copy_from_slice(value);
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]))
}

fn guid_at(bytes: &[u8], at: usize) -> Guid {
    Guid(std::array::from_fn(|byte| bytes[at + byte]))
}

/// Sizes of tables fit in memory: both sectors and entries are bounded above.
fn index(bytes: u64) -> usize {
    usize::try_from(bytes).expect("this program runs on 64-bit machines")
}

/// CRC-32 of IEEE 802.3, as the specification wants it.
pub(crate) fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & 0_u32.wrapping_sub(crc & 1)))
    })
}

#[cfg(test)]
#[path = "gpt_tests.rs"]
mod tests;
