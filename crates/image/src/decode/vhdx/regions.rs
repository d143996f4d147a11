//! The first mebibyte of a VHDX: two headers and two region tables, of each of
//! which one counts.

use super::{
    super::{
        fields::{bytes, le16, le32, le64},
        flaw::Flaw,
    },
    crc,
};

/// Where the headers and the region tables are, in the file and in this part.
pub(super) const AT: u64 = 64 << 10;
/// How long all four are together.
pub(super) const LENGTH: u32 = 256 << 10;
/// Where a header and a region table start, from [`AT`].
const HEADERS: [usize; 2] = [0, 64 << 10];
const TABLES: [usize; 2] = [128 << 10, 192 << 10];
/// The most entries of a region table.
const MOST_ENTRIES: u32 = 2047;
/// The unit of places and lengths.
const MIB: u64 = 1 << 20;

const BLOCKS: [u8; 16] = *b"\x66\x77\xc2\x2d\x23\xf6\x00\x42\x9d\x64\x11\x5e\x9b\xfd\x4a\x08";
const METADATA: [u8; 16] = *b"\x06\xa2\x7c\x8b\x90\x47\x9a\x4b\xb8\xfe\x57\x5f\x05\x0f\x88\x6e";

/// A part of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Region {
    pub(super) at: u64,
    pub(super) length: u64,
}

/// Where everything but blocks is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Regions {
    pub(super) log: Region,
    pub(super) blocks: Region,
    pub(super) metadata: Region,
}

impl Regions {
    /// What the bytes from [`AT`] on, [`LENGTH`] of them, say.
    pub(super) fn parse(part: &[u8]) -> Result<Self, Flaw> {
        let header = current_header(part)?;
        if le16(header, 66)? != 1 {
            return Err(Flaw::Unknown { what: format!("version {}", le16(header, 66)?) });
        }
        if bytes(header, 48)? != [0_u8; 16] {
            let what = "a log that was not replayed (open it once with Hyper-V or `qemu-img check -r all`)";
            return Err(Flaw::Unknown { what: what.to_owned() });
        }
        let log = Region { at: le64(header, 72)?, length: le32(header, 68)?.into() };
        let (blocks, metadata) = regions(part)?;
        for region in [log, blocks, metadata] {
            let is_aligned = region.at.is_multiple_of(MIB) && region.length.is_multiple_of(MIB);
            if !is_aligned || (region.length > 0 && region.at < MIB) {
                return Err(Flaw::Lie {
                    what: "a region does not start or end at a mebibyte",
                    at: region.at,
                });
            }
        }
        Ok(Self { log, blocks, metadata })
    }
}

/// The sound header with the higher sequence number.
fn current_header(part: &[u8]) -> Result<&[u8], Flaw> {
    let mut sound = Vec::new();
    for at in HEADERS {
        let header = part.get(at..at + 4096).unwrap_or_default();
        if header.starts_with(b"head") && crc::is_sound(header)? {
            sound.push((le64(header, 8)?, header));
        }
    }
    match sound[..] {
        [] => Err(Flaw::Lie { what: "neither header is sound", at: AT }),
        [(_, only)] => Ok(only),
        [(one, first), (other, second), ..] if one == other && first != second => {
            Err(Flaw::Lie { what: "both headers claim to be the last", at: AT + 8 })
        }
        [(one, first), (other, second), ..] => Ok(if one >= other { first } else { second }),
    }
}

/// The block allocation table and the metadata, from the first region table
/// that is sound.
fn regions(part: &[u8]) -> Result<(Region, Region), Flaw> {
    for at in TABLES {
        let table = part.get(at..at + (64 << 10)).unwrap_or_default();
        if table.starts_with(b"regi") && crc::is_sound(table)? {
            return entries(table, AT + at as u64);
        }
    }
    Err(Flaw::Lie { what: "neither region table is sound", at: AT + TABLES[0] as u64 })
}

fn entries(table: &[u8], at: u64) -> Result<(Region, Region), Flaw> {
    let count = le32(table, 8)?;
    if count > MOST_ENTRIES {
        return Err(Flaw::Lie { what: "a region table has too many entries", at: at + 8 });
    }
    let (mut blocks, mut metadata) = (None, None);
    for entry in table[16..].as_chunks::<32>().0.iter().take(count as usize) {
        let region = Region { at: le64(entry, 16)?, length: le32(entry, 24)?.into() };
        let known = match bytes(entry, 0)? {
            BLOCKS => &mut blocks,
            METADATA => &mut metadata,
            _ if le32(entry, 28)? & 1 == 0 => continue,
            _ => return Err(Flaw::Unknown { what: "a region of its own, and requires it".to_owned() }),
        };
        if known.replace(region).is_some() {
            return Err(Flaw::Lie { what: "a region is there twice", at });
        }
    }
    let missing = Flaw::Lie { what: "a region is missing", at };
    blocks.zip(metadata).ok_or(missing)
}
