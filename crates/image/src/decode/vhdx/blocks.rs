//! The tables of a VHDX, turned into pieces.

use model::Bytes;

use super::{
    super::{
        flaw::Flaw,
        map::{Layout, Order},
        pieces::{Kind, Pieces, Table},
        unpack::Packing,
    },
    metadata::Metadata,
    regions::{self, Region, Regions},
};

/// Everything starts at a mebibyte.
const MIB_BITS: u32 = 20;
/// How much of the metadata region is looked at; everybody makes it this long.
const METADATA: u64 = 1 << 20;
/// How much of the block allocation table is read at once.
const PORTION: u64 = 1 << 20;
/// Bytes of the disk that one sector bitmap is for, in sectors.
const BITMAP_REACH: u64 = 1 << 23;

/// What an entry says of a block: its lowest bits.
const STATE: u64 = 7;
const RESERVED: u64 = 0xf_fff8;
const NOT_PRESENT: u64 = 0;
const UNDEFINED: u64 = 1;
const ZERO: u64 = 2;
const UNMAPPED: u64 = 3;
/// The same, before the specification was final.
const UNMAPPED_EARLY: u64 = 5;
const PRESENT: u64 = 6;
const PARTIALLY_PRESENT: u64 = 7;

/// Reads the tables of a VHDX.
#[derive(Default)]
struct Blocks {
    regions: Option<Regions>,
    metadata: Option<Metadata>,
}

/// The layout of a VHDX that is `length` long, if that is known. Its disk's
/// length is in one of its tables.
pub(in super::super) fn open(
    start: &[u8],
    length: Option<Bytes>,
    _: Order,
) -> Result<(Box<dyn Layout>, Pieces), Flaw> {
    if !start.starts_with(b"vhdxfile") {
        return Err(Flaw::Lie { what: "no magic number", at: 0 });
    }
    let mut pieces = Pieces::new(Bytes(0), MIB_BITS, length);
    pieces.claim(0, 1 << MIB_BITS, "the headers", "the headers")?;
    let (host, length) = (regions::AT, regions::LENGTH);
    pieces.table(Table { host, guest: 0, length, kind: Kind::Directory })?;
    Ok((Box::new(Blocks::default()), pieces))
}

impl Layout for Blocks {
    fn take(&mut self, table: Table, bytes: &[u8], pieces: &mut Pieces) -> Result<(), Flaw> {
        match table.kind {
            Kind::Directory => self.take_regions(bytes, pieces),
            Kind::Owners => self.take_metadata(bytes, pieces),
            Kind::Entries => self.take_blocks(table, bytes, pieces),
        }
    }

    fn header(&self) -> usize {
        8
    }

    fn packing(&self) -> Packing {
        Packing::Deflate
    }

    fn cluster(&self) -> u64 {
        0
    }
}

impl Blocks {
    fn take_regions(&mut self, bytes: &[u8], pieces: &mut Pieces) -> Result<(), Flaw> {
        let regions = Regions::parse(bytes)?;
        for Region { at, length } in [regions.log, regions.blocks, regions.metadata] {
            if length > 0 {
                pieces.claim(at, length, "a region", "two regions overlap")?;
            }
        }
        let Region { at: host, length } = regions.metadata;
        let length = u32::try_from(length.min(METADATA)).expect("at most METADATA");
        self.regions = Some(regions);
        pieces.table(Table { host, guest: 0, length, kind: Kind::Owners })
    }

    fn take_metadata(&mut self, bytes: &[u8], pieces: &mut Pieces) -> Result<(), Flaw> {
        let Some(Regions { blocks, metadata: Region { at, .. }, .. }) = self.regions else { return Ok(()) };
        let metadata = Metadata::parse(bytes, at)?;
        let length = entries(&metadata) * 8;
        if length > blocks.length {
            return Err(Flaw::Lie {
                what: "the block allocation table is too small for the disk",
                at: blocks.at,
            });
        }
        pieces.resize(metadata.size);
        self.metadata = Some(metadata);
        (0..length.div_ceil(PORTION)).try_for_each(|number| {
            let offset = number * PORTION;
            let length = u32::try_from(PORTION.min(length - offset)).expect("at most PORTION");
            pieces.table(Table { host: blocks.at + offset, guest: offset / 8, length, kind: Kind::Entries })
        })
    }

    /// `table.guest` is the number of its first entry.
    fn take_blocks(&self, table: Table, bytes: &[u8], pieces: &mut Pieces) -> Result<(), Flaw> {
        let Some(metadata) = self.metadata else { return Ok(()) };
        let period = ratio(&metadata) + 1;
        for (number, entry) in bytes.as_chunks::<8>().0.iter().enumerate() {
            let (number, at) = (table.guest + number as u64, table.host + number as u64 * 8);
            // After so many blocks comes a sector bitmap, which only a
            // differencing disk uses.
            if !(number + 1).is_multiple_of(period) {
                let guest = (number - number / period) * metadata.block;
                take_block(u64::from_le_bytes(*entry), at, guest, metadata.block, pieces)?;
            }
        }
        pieces.end_run()
    }
}

fn take_block(entry: u64, at: u64, guest: u64, block: u64, pieces: &mut Pieces) -> Result<(), Flaw> {
    if entry & RESERVED != 0 {
        return Err(Flaw::Lie { what: "a block's entry is malformed", at });
    }
    let host = entry & !(STATE | RESERVED);
    match entry & STATE {
        PRESENT if host == 0 => Err(Flaw::Lie { what: "a block lies in the headers", at }),
        PRESENT => {
            // The file of a fixed disk ends where the disk does, within its last block.
            pieces.own(host, block, "a block overlaps a region or another block")?;
            pieces.place(guest, Some(host), block)
        }
        NOT_PRESENT | UNDEFINED | ZERO | UNMAPPED | UNMAPPED_EARLY => pieces.zero(guest, block),
        PARTIALLY_PRESENT => Err(Flaw::NotAlone { what: "a parent disk (it is differencing)" }),
        _ => Err(Flaw::Lie { what: "a block's state is unknown", at }),
    }
}

/// How many blocks are between two sector bitmaps.
fn ratio(metadata: &Metadata) -> u64 {
    BITMAP_REACH * metadata.sector / metadata.block
}

/// How many entries the block allocation table needs.
fn entries(metadata: &Metadata) -> u64 {
    let blocks = metadata.size.0.div_ceil(metadata.block);
    blocks + (blocks - 1) / ratio(metadata)
}
