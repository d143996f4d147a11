//! The tables of a VHD, turned into pieces.

use model::Bytes;

use super::{
    super::{
        fields::{be32, be64, bytes},
        flaw::Flaw,
        map::{Layout, Order},
        pieces::{Kind as Tells, Pieces, Table},
        unpack::Packing,
    },
    footer::{self, Footer, Kind, is_sound},
};

/// How long the footer is.
const FOOTER: u64 = footer::FOOTER as u64;
/// How long the header of a dynamic VHD is.
const HEADER: u64 = 1024;
/// The longest block allocation table that is read: 2040 GiB in blocks of
/// 1 MiB, half of what everybody makes.
const MOST_TABLE: u64 = 8 << 20;
/// Entries count sectors in 32 bits, so nothing lies farther behind.
const MOST_OFFSET: u64 = 512 << 32;
/// Everything starts at a sector.
const SECTOR_BITS: u32 = 9;
/// An entry of a block that is not there.
const ABSENT: u32 = u32::MAX;

/// Reads the tables of a VHD.
struct Blocks {
    /// The footer's copy at the start of a dynamic VHD.
    copy: Option<Footer>,
    /// Bytes of the disk in a block.
    block: u64,
    /// Bytes of the bitmap in front of a block.
    bitmap: u64,
    /// Parts of the file where no block may be: start and end.
    taken: Vec<(u64, u64)>,
}

/// The layout of a VHD that is `length` long, if that is known: a dynamic one
/// if `start` says so, else a fixed one.
pub(in super::super) fn open(
    start: &[u8],
    length: Option<Bytes>,
    _: Order,
) -> Result<(Box<dyn Layout>, Pieces), Flaw> {
    let (blocks, pieces) =
        if start.starts_with(b"conectix") { Blocks::dynamic(start, length)? } else { Blocks::fixed(length)? };
    Ok((Box::new(blocks), pieces))
}

impl Layout for Blocks {
    fn take(&mut self, table: Table, bytes: &[u8], pieces: &mut Pieces) -> Result<(), Flaw> {
        match table.kind {
            Tells::Entries => self.take_blocks(table, bytes, pieces),
            Tells::Directory | Tells::Owners => self.take_footer(table, bytes, pieces),
        }
    }

    fn header(&self) -> usize {
        if self.copy.is_some() { 512 } else { 0 }
    }

    fn packing(&self) -> Packing {
        Packing::Deflate
    }

    fn cluster(&self) -> u64 {
        self.block
    }
}

impl Blocks {
    /// All that is known of a fixed VHD is where its footer is.
    fn fixed(length: Option<Bytes>) -> Result<(Self, Pieces), Flaw> {
        let footer = length.and_then(|length| length.0.checked_sub(FOOTER));
        let Some(host) = footer else {
            let what = "its last sector first, and it comes in order and without a length".to_owned();
            return Err(Flaw::Unknown { what });
        };
        let mut pieces = Pieces::new(Bytes(0), SECTOR_BITS, length);
        pieces.table(Table { host, guest: 0, length: 512, kind: Tells::Directory })?;
        Ok((Self { copy: None, block: 0, bitmap: 0, taken: Vec::new() }, pieces))
    }

    fn dynamic(start: &[u8], length: Option<Bytes>) -> Result<(Self, Pieces), Flaw> {
        let copy = Footer::parse(start, 0)?;
        if copy.kind == Kind::Fixed {
            return Err(Flaw::Lie { what: "a fixed disk has a footer at its start", at: 60 });
        }
        let mut pieces = Pieces::new(copy.size, SECTOR_BITS, length);
        let header = Header::parse(start, &copy)?;
        let (next, table_end) = (copy.next, header.table_at + header.table_length());
        let taken = vec![(0, FOOTER), (next, next + HEADER), (header.table_at, table_end)];
        for &(from, to) in &taken {
            pieces.claim(from, to - from, "the block allocation table", "the tables overlap")?;
        }
        let used = copy.size.0.div_ceil(header.block) * 4;
        let used = u32::try_from(used).expect("at most MOST_TABLE");
        pieces.table(Table { host: header.table_at, guest: 0, length: used, kind: Tells::Entries })?;
        if let Some(host) = length.and_then(|length| length.0.checked_sub(FOOTER)) {
            pieces.claim(host, FOOTER, "the footer", "the footer overlaps the tables")?;
            pieces.table(Table { host, guest: 0, length: 512, kind: Tells::Directory })?;
        }
        let bitmap = (header.block / 512 / 8).next_multiple_of(512);
        Ok((Self { copy: Some(copy), block: header.block, bitmap, taken }, pieces))
    }

    fn take_blocks(&self, table: Table, bytes: &[u8], pieces: &mut Pieces) -> Result<(), Flaw> {
        let entries = || bytes.as_chunks::<4>().0.iter().map(|entry| u32::from_be_bytes(*entry));
        self.check_overlaps(entries().filter(|&entry| entry != ABSENT).collect(), table.host)?;
        for (number, entry) in entries().enumerate() {
            let guest = number as u64 * self.block;
            if entry == ABSENT {
                pieces.zero(guest, self.block)?;
                continue;
            }
            let host = u64::from(entry) * 512;
            // The footer comes after the last block, if no sooner.
            pieces.within(host, self.bitmap + self.block + FOOTER, "a block or the footer")?;
            pieces.place(guest, Some(host + self.bitmap), self.block)?;
        }
        pieces.end_run()
    }

    /// No two of the blocks that start at `sectors` overlap, nor does one
    /// overlap a table.
    fn check_overlaps(&self, mut sectors: Vec<u32>, at: u64) -> Result<(), Flaw> {
        let length = self.bitmap + self.block;
        sectors.sort_unstable();
        let starts = || sectors.iter().map(|&sector| u64::from(sector) * 512);
        let in_table = |start: u64| self.taken.iter().any(|&(from, to)| start < to && start + length > from);
        if starts().any(in_table) {
            return Err(Flaw::Lie { what: "a block overlaps the tables", at });
        }
        if starts().zip(starts().skip(1)).any(|(one, next)| next - one < length) {
            return Err(Flaw::Lie { what: "two blocks overlap", at });
        }
        Ok(())
    }

    fn take_footer(&self, table: Table, bytes: &[u8], pieces: &mut Pieces) -> Result<(), Flaw> {
        let footer = Footer::parse(bytes, table.host)?;
        match &self.copy {
            Some(copy) if *copy == footer => Ok(()),
            Some(_) => Err(Flaw::Lie { what: "the footer is not the one at the start", at: table.host }),
            None if footer.kind == Kind::Dynamic => {
                Err(Flaw::Lie { what: "a dynamic disk has no footer at its start", at: table.host })
            }
            None if footer.size.0 > table.host => {
                Err(Flaw::Truncated { what: "the disk", at: footer.size.0 })
            }
            None => {
                pieces.resize(footer.size);
                pieces.place(0, Some(0), footer.size.0)?;
                pieces.end_run()
            }
        }
    }
}

/// What a reader needs of the header of a dynamic VHD.
struct Header {
    table_at: u64,
    table_entries: u64,
    block: u64,
}

impl Header {
    /// The header of the disk that `footer` describes.
    fn parse(start: &[u8], footer: &Footer) -> Result<Self, Flaw> {
        let at = footer.next;
        let lie = |what, field: u64| Err(Flaw::Lie { what, at: at.saturating_add(field) });
        let place = usize::try_from(at).ok().filter(|place| place.checked_add(1024).is_some());
        let Some(header) = place.and_then(|place| start.get(place..place + 1024)) else {
            return Err(Flaw::Truncated { what: "the dynamic disk header", at });
        };
        if bytes(header, 0)? != *b"cxsparse" {
            return lie("there is no dynamic disk header", 0);
        }
        if be32(header, 24)? >> 16 != 1 {
            return Err(Flaw::Unknown { what: format!("header version {:#x}", be32(header, 24)?) });
        }
        if !is_sound(header, 36) {
            return lie("the checksum of the dynamic disk header is wrong", 36);
        }
        let table_entries = u64::from(be32(header, 28)?);
        let (table_at, block) = (be64(header, 16)?, u64::from(be32(header, 32)?));
        if !block.is_power_of_two() || block < 512 {
            return lie("the block size is no power of two", 32);
        }
        if table_entries < footer.size.0.div_ceil(block) {
            return lie("the block allocation table is too small for the disk", 28);
        }
        if table_entries * 4 > MOST_TABLE {
            return Err(Flaw::TooFragmented { limit: Bytes(MOST_TABLE) });
        }
        if !table_at.is_multiple_of(512) || table_at > MOST_OFFSET {
            return lie("the block allocation table does not start at a sector", 16);
        }
        Ok(Self { table_at, table_entries, block })
    }

    /// Bytes of the block allocation table, in whole sectors.
    fn table_length(&self) -> u64 {
        (self.table_entries * 4).next_multiple_of(512)
    }
}
