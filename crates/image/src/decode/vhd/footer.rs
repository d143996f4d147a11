//! The footer of a VHD, which a dynamic one has at its start too.

use model::Bytes;

use super::super::{
    fields::{be32, be64, bytes},
    flaw::Flaw,
};

/// How long a footer is.
pub(in super::super) const FOOTER: usize = 512;

/// The most cylinders, heads and sectors, which stand for "look elsewhere".
const MOST_GEOMETRY: u64 = 65535 * 16 * 255;
/// QEMU's and Microsoft's own limit, 2040 GiB, in sectors.
const MOST_SECTORS: u64 = 0xff00_0000;
/// Programs whose disks are as long as they say. All others, Virtual PC first,
/// mean cylinders × heads × sectors: the table is QEMU's.
const SIZE_COUNTS: [&[u8]; 6] = [b"qem2", b"win ", b"d2v ", b"tap\0", b"CTXS", b"wa\0\0"];

/// What kind of VHD it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// All of the disk, then the footer.
    Fixed,
    /// Blocks behind a table.
    Dynamic,
}

/// What a reader needs of a footer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Footer {
    pub(super) kind: Kind,
    /// Length of the disk.
    pub(super) size: Bytes,
    /// Where the header of a dynamic one is.
    pub(super) next: u64,
    id: [u8; 16],
}

/// True when `footer`, the last sector of a file, says that a fixed VHD ends
/// there.
pub(in super::super) fn is_fixed(footer: &[u8]) -> bool {
    footer.starts_with(b"conectix") && be32(footer, 60) == Ok(2)
}

impl Footer {
    /// The footer that is `footer`, found at `at`.
    pub(super) fn parse(footer: &[u8], at: u64) -> Result<Self, Flaw> {
        let lie = |what, field: u64| Err(Flaw::Lie { what, at: at + field });
        if bytes(footer, 0)? != *b"conectix" {
            return lie("there is no footer", 0);
        }
        if be32(footer, 12)? >> 16 != 1 {
            return Err(Flaw::Unknown { what: format!("version {:#x}", be32(footer, 12)?) });
        }
        let kind = match be32(footer, 60)? {
            2 => Kind::Fixed,
            3 => Kind::Dynamic,
            4 => return Err(Flaw::NotAlone { what: "a parent disk (it is differencing)" }),
            kind => return Err(Flaw::Unknown { what: format!("disk type {kind}") }),
        };
        if !is_sound(footer.get(..512).unwrap_or_default(), 64) {
            return lie("the checksum of the footer is wrong", 64);
        }
        let sectors = sectors(footer)?;
        if sectors == 0 || sectors > MOST_SECTORS {
            return lie("the size of the disk is absurd", 48);
        }
        Ok(Self { kind, size: Bytes(sectors * 512), next: be64(footer, 16)?, id: bytes(footer, 68)? })
    }
}

/// How many sectors the disk has.
fn sectors(footer: &[u8]) -> Result<u64, Flaw> {
    let [cylinders_high, cylinders_low, heads, sectors] = bytes::<4>(footer, 56)?;
    let cylinders = u16::from_be_bytes([cylinders_high, cylinders_low]);
    let geometry = u64::from(cylinders) * u64::from(heads) * u64::from(sectors);
    let creator: [u8; 4] = bytes(footer, 28)?;
    let size_counts = geometry == MOST_GEOMETRY || SIZE_COUNTS.contains(&&creator[..]);
    if size_counts { Ok(be64(footer, 48)? / 512) } else { Ok(geometry) }
}

/// True when the checksum at `place` of `header` is the complement of the sum
/// of all its other bytes.
pub(super) fn is_sound(header: &[u8], place: usize) -> bool {
    let sum = |bytes: &[u8]| bytes.iter().map(|&byte| u32::from(byte)).sum::<u32>();
    let Ok(checksum) = bytes::<4>(header, place) else { return false };
    !(sum(header) - sum(&checksum)) == u32::from_be_bytes(checksum)
}
