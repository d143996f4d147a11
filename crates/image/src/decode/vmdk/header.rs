//! The header of a sparse VMDK, which one made in one go has at its end again.

use model::Bytes;

use super::{
    super::{
        fields::{bytes, le16, le32, le64},
        flaw::Flaw,
    },
    SECTOR,
};
use crate::format;

/// "At the end": the header there says where.
const AT_END: u64 = u64::MAX;
/// The most sectors of a grain; everybody makes 128.
const MOST_GRAIN: u64 = 4096;
/// The most entries of a grain table: QEMU's own limit, and what everybody makes.
const MOST_ENTRIES: u32 = 512;
/// The most tables in the directory: 32 TiB of disk in the usual grains, and
/// more than can be addressed in the file.
const MOST_TABLES: u64 = 1 << 20;

const NEWLINES: u32 = 1;
const REDUNDANT: u32 = 1 << 1;
const ZEROED: u32 = 1 << 2;
const COMPRESSED: u32 = 1 << 16;
const MARKERS: u32 = 1 << 17;
/// A reader must know what these mean.
const INCOMPATIBLE: u32 = 0xffff_0000;

/// What a reader needs of a header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Length of the disk.
    pub(super) size: Bytes,
    /// Bytes of the disk in a grain.
    pub(super) grain: u64,
    /// Entries of a grain table.
    pub(super) entries: u64,
    /// Where the grain directory is, unless the header at the end says that.
    pub(super) directory: Option<u64>,
    /// Where a second one is.
    pub(super) redundant: Option<u64>,
    /// Where what is no grain ends, for one made in one go.
    pub(super) overhead: u64,
    /// Whether grains are compressed and have markers.
    pub(super) compressed: bool,
    /// Whether an entry of 1 is a grain of zeros.
    pub(super) zeroed: bool,
    /// Where in the file the descriptor is: start and end.
    descriptor: (u64, u64),
}

impl Header {
    /// The header at the start of `file`.
    pub(super) fn parse(file: &[u8]) -> Result<Self, Flaw> {
        let lie = |what, at| Err(Flaw::Lie { what, at });
        if bytes(file, 0)? != *b"KDMV" {
            return lie("no magic number", 0);
        }
        let (version, flags) = (le32(file, 4)?, le32(file, 8)?);
        if !(1..=3).contains(&version) {
            return Err(Flaw::Unknown { what: format!("version {version}") });
        }
        let compressed = compressed(file, flags)?;
        if flags & NEWLINES != 0 && bytes(file, 73)? != *b"\n \r\n" {
            return lie("its line ends were converted in transfer", 73);
        }
        let (capacity, grain, entries) = (le64(file, 12)?, le64(file, 20)?, le32(file, 44)?);
        if capacity == 0 {
            return Err(Flaw::NotAlone { what: "its content in other files (it is flat or split)" });
        }
        if !grain.is_power_of_two() || grain > MOST_GRAIN {
            return lie("the grain size is no power of two up to 2 MiB", 20);
        }
        if !entries.is_power_of_two() || entries > MOST_ENTRIES {
            return lie("the length of grain tables is no power of two up to 512", 44);
        }
        if capacity.div_ceil(grain * u64::from(entries)) > MOST_TABLES {
            return lie("the size of the disk is absurd", 12);
        }
        let header = Self {
            size: Bytes(capacity * SECTOR),
            grain: grain * SECTOR,
            entries: entries.into(),
            directory: place(file, 56)?,
            redundant: if flags & REDUNDANT == 0 { None } else { place(file, 48)? },
            overhead: le64(file, 64)?.saturating_mul(SECTOR),
            compressed,
            zeroed: flags & ZEROED != 0,
            descriptor: descriptor(file)?,
        };
        if header.directory.is_none() && !compressed {
            return lie("the grain directory is nowhere", 56);
        }
        Ok(header)
    }

    /// The descriptor in `start`, the start of the file.
    pub(super) fn descriptor<'a>(&self, start: &'a [u8]) -> Result<&'a [u8], Flaw> {
        let place = |at| usize::try_from(at).unwrap_or(usize::MAX);
        let (from, to) = self.descriptor;
        start.get(place(from)..place(to)).ok_or(Flaw::Truncated { what: "the descriptor", at: from })
    }

    /// Where the descriptor ends.
    pub(super) fn end(&self) -> u64 {
        self.descriptor.1
    }

    /// Entries of the grain directory.
    pub(super) fn tables(&self) -> u64 {
        self.size.0.div_ceil(self.reach())
    }

    /// Bytes of the disk that one grain table maps.
    pub(super) fn reach(&self) -> u64 {
        self.grain * self.entries
    }

    /// Bytes of a grain table, in whole sectors.
    pub(super) fn table_length(&self) -> u64 {
        (self.entries * 4).next_multiple_of(SECTOR)
    }

    /// True when `other`, found at the end, is of the same disk.
    pub(super) fn agrees(&self, other: &Self) -> bool {
        let disk = |header: &Self| (header.size, header.grain, header.entries, header.zeroed);
        disk(self) == disk(other) && other.compressed && other.directory.is_some()
    }
}

/// Whether grains are compressed, which only those with markers can be.
fn compressed(file: &[u8], flags: u32) -> Result<bool, Flaw> {
    let unknown = |what: &str| Err(Flaw::Unknown { what: what.to_owned() });
    if flags & INCOMPATIBLE & !(COMPRESSED | MARKERS) != 0 {
        return unknown("features of a later version");
    }
    match (le16(file, 77)?, flags & COMPRESSED != 0, flags & MARKERS != 0) {
        (0, false, false) => Ok(false),
        (1, true, true) => Ok(true),
        (0 | 1, ..) => unknown("compression without markers"),
        (algorithm, ..) => Err(Flaw::Unknown { what: format!("compression algorithm {algorithm}") }),
    }
}

/// The offset that is told in sectors at `field`.
fn place(file: &[u8], field: usize) -> Result<Option<u64>, Flaw> {
    let lie = Flaw::Lie { what: "the grain directory is nowhere", at: field as u64 };
    match le64(file, field)? {
        AT_END => Ok(None),
        // Sectors of the file are counted in 32 bits wherever else they are told.
        sector if sector == 0 || sector > u64::from(u32::MAX) => Err(lie),
        sector => Ok(Some(sector * SECTOR)),
    }
}

fn descriptor(file: &[u8]) -> Result<(u64, u64), Flaw> {
    let (at, length) = (le64(file, 28)?, le64(file, 36)?);
    if at == 0 || length == 0 {
        return Err(Flaw::NotAlone { what: "its descriptor in another file (it is part of a split disk)" });
    }
    let end = at.saturating_add(length).saturating_mul(SECTOR);
    if end > format::SNIFFED as u64 {
        return Err(Flaw::Unknown { what: "a descriptor that ends behind its first 64 KiB".to_owned() });
    }
    Ok((at * SECTOR, end))
}
