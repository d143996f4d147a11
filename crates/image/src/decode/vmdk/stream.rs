//! A VMDK made in one go and read in one go: markers first, tables last.
//!
//! marker ─▶ grain, marker ─▶ grain table, … grain directory, footer, end
//!
//! Every grain is used as it passes, where its marker says. At the end the
//! tables must say the same, or whoever reads them would see another disk.

use std::collections::BTreeMap;

use model::Bytes;

use super::{
    super::{
        flaw::Flaw,
        map::Layout,
        pieces::{Kind, Pieces, Table},
        unpack::Packing,
    },
    MARKER, SECTOR,
    header::Header,
    tables::{marker, words},
};

/// The most memory for what grains and tables passed: 2^22 grains, 256 GiB of
/// content in the usual ones.
const MOST_MEMORY: u64 = 16 << 20;

/// Tables tell sectors in 32 bits, so nothing lies farther behind.
const MOST_OFFSET: u64 = SECTOR << 32;

const END: u32 = 0;
const TABLE: u32 = 1;
const DIRECTORY: u32 = 2;
const FOOTER: u32 = 3;

/// What passes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Marker,
    /// What the marker announced: one of [`TABLE`], [`DIRECTORY`], [`FOOTER`].
    Metadata(u32),
    Nothing,
}

/// What has passed.
pub(super) struct Stream {
    header: Header,
    next: Next,
    /// Where grains were, in sectors: for every grain table that has some, by
    /// its number in the directory.
    grains: BTreeMap<u64, Box<[u32]>>,
    /// What grain tables said, by where they were.
    tables: BTreeMap<u64, blake3::Hash>,
    /// Where the directory was, and what it said.
    directory: Option<(u64, Vec<u32>)>,
    footer: Option<Header>,
}

impl Layout for Stream {
    fn take(&mut self, table: Table, bytes: &[u8], pieces: &mut Pieces) -> Result<(), Flaw> {
        match self.next {
            Next::Marker => self.take_marker(table.host, bytes, pieces),
            Next::Metadata(kind) => {
                self.take_metadata(kind, table.host, bytes)?;
                self.expect_marker(table.host + u64::from(table.length), pieces)
            }
            Next::Nothing => Ok(()),
        }
    }

    fn header(&self) -> usize {
        usize::try_from(self.header.end()).expect("at most what is sniffed")
    }

    fn packing(&self) -> Packing {
        Packing::Grain
    }

    fn cluster(&self) -> u64 {
        self.header.grain
    }
}

impl Stream {
    /// Nothing has passed but `header`.
    pub(super) fn new(header: Header, length: Option<Bytes>) -> Result<(Self, Pieces), Flaw> {
        let mut pieces = Pieces::new(header.size, SECTOR.ilog2(), length);
        let start = header.overhead;
        if start < header.end() || start > MOST_OFFSET {
            return Err(Flaw::Lie { what: "grains begin within the descriptor or out of reach", at: 64 });
        }
        let mut stream = Self {
            header,
            next: Next::Marker,
            grains: BTreeMap::new(),
            tables: BTreeMap::new(),
            directory: None,
            footer: None,
        };
        stream.expect_marker(start, &mut pieces)?;
        Ok((stream, pieces))
    }

    fn expect_marker(&mut self, host: u64, pieces: &mut Pieces) -> Result<(), Flaw> {
        self.next = Next::Marker;
        expect(host.next_multiple_of(SECTOR), SECTOR, pieces)
    }

    fn take_marker(&mut self, host: u64, bytes: &[u8], pieces: &mut Pieces) -> Result<(), Flaw> {
        let unknown = |what| Err(Flaw::Lie { what, at: host });
        match marker(bytes)? {
            (sector, length, _) if length > 0 => self.take_grain(host, sector, length, pieces),
            (0, 0, END) => self.finish(host, pieces),
            (sectors, 0, kind @ (TABLE | DIRECTORY | FOOTER)) => {
                let length = match kind {
                    TABLE => self.header.table_length(),
                    DIRECTORY => (self.header.tables() * 4).next_multiple_of(SECTOR),
                    _ => SECTOR,
                };
                if sectors != length / SECTOR {
                    return unknown("a marker gives a wrong length");
                }
                self.next = Next::Metadata(kind);
                expect(host + SECTOR, length, pieces)
            }
            _ => unknown("there is no marker"),
        }
    }

    fn take_grain(&mut self, host: u64, sector: u64, length: u32, pieces: &mut Pieces) -> Result<(), Flaw> {
        let lie = |what| Err(Flaw::Lie { what, at: host });
        let (grain, guest) = (self.header.grain, sector.saturating_mul(SECTOR));
        if guest >= self.header.size.0 || !guest.is_multiple_of(grain) {
            return lie("a grain is for no part of the disk");
        }
        if u64::from(length) > 2 * grain {
            return Err(Flaw::Cluster { at: host });
        }
        let Ok(place) = u32::try_from(host / SECTOR) else { return lie("a grain is out of reach") };
        let entries = usize::try_from(self.header.entries).expect("at most 512");
        let (table, entry) = (guest / self.header.reach(), guest % self.header.reach() / grain);
        self.room()?;
        let grains = self.grains.entry(table).or_insert_with(|| vec![0; entries].into());
        let known = &mut grains[usize::try_from(entry).expect("below the entries")];
        if *known != 0 {
            return lie("a grain is there twice");
        }
        *known = place;
        let length = length + u32::try_from(MARKER).expect("it is 12");
        pieces.packed_alone(guest, host, length)?;
        self.expect_marker(host + u64::from(length), pieces)
    }

    fn take_metadata(&mut self, kind: u32, host: u64, bytes: &[u8]) -> Result<(), Flaw> {
        match kind {
            TABLE => {
                self.room()?;
                self.tables.insert(host, self.digest(words(bytes)));
            }
            DIRECTORY => self.directory = Some((host, words(bytes).collect())),
            _ => self.footer = Some(Header::parse(bytes)?),
        }
        Ok(())
    }

    /// Everything has passed: the tables must say what the markers said. What no
    /// marker named is zero.
    fn finish(&mut self, at: u64, pieces: &mut Pieces) -> Result<(), Flaw> {
        let lie = |what| Err(Flaw::Lie { what, at });
        let (Some((host, directory)), Some(footer)) = (&self.directory, &self.footer) else {
            return lie("there is no footer before the end");
        };
        if !self.header.agrees(footer) || footer.directory != Some(*host) {
            return lie("the footer is not the one of this disk");
        }
        for number in 0..self.header.tables() {
            let entry = usize::try_from(number).ok().and_then(|number| directory.get(number));
            self.compare(number, entry.copied().unwrap_or_default(), at)?;
            self.send_zeros(number, pieces)?;
        }
        self.next = Next::Nothing;
        Ok(())
    }

    /// Table `number`, which is at sector `entry`, has the grains that passed.
    fn compare(&self, number: u64, entry: u32, at: u64) -> Result<(), Flaw> {
        let passed = self.grains.get(&number).map(|grains| self.digest(grains.iter().copied()));
        let told = match entry {
            0 => None,
            sector => match self.tables.get(&(u64::from(sector) * SECTOR)) {
                Some(told) => Some(*told),
                None => return Err(Flaw::Lie { what: "a grain table is not where it should be", at }),
            },
        };
        let nothing = || self.digest(std::iter::empty());
        let same = passed.unwrap_or_else(nothing) == told.unwrap_or_else(nothing);
        if same { Ok(()) } else { Err(Flaw::Lie { what: "the grain tables do not fit the grains", at }) }
    }

    /// The digest of a table's `entries`, in which grains of zeros are absent.
    fn digest(&self, entries: impl Iterator<Item = u32>) -> blake3::Hash {
        let mut hasher = blake3::Hasher::new();
        let padding = std::iter::repeat(0);
        let count = usize::try_from(self.header.entries).expect("at most 512");
        for entry in entries.chain(padding).take(count) {
            let is_zero = entry == 1 && self.header.zeroed;
            hasher.update(&(if is_zero { 0 } else { entry }).to_le_bytes());
        }
        hasher.finalize()
    }

    fn send_zeros(&self, number: u64, pieces: &mut Pieces) -> Result<(), Flaw> {
        let guest = number * self.header.reach();
        let Some(grains) = self.grains.get(&number) else { return pieces.zero(guest, self.header.reach()) };
        let places = grains.iter().zip(0..);
        let absent =
            places.filter(|(place, _)| **place == 0).map(|(_, entry)| guest + entry * self.header.grain);
        absent.into_iter().try_for_each(|guest| pieces.zero(guest, self.header.grain))
    }

    /// Is there room for one table more?
    fn room(&self) -> Result<(), Flaw> {
        let memory =
            self.grains.len() as u64 * (self.header.entries * 4 + 64) + self.tables.len() as u64 * 64;
        let limit = Bytes(MOST_MEMORY);
        if memory > limit.0 { Err(Flaw::TooFragmented { limit }) } else { Ok(()) }
    }
}

/// `length` bytes at `host` pass next, whatever they are.
fn expect(host: u64, length: u64, pieces: &mut Pieces) -> Result<(), Flaw> {
    pieces.within(host, length, "a marker or a table")?;
    let length = u32::try_from(length).expect("the directory is at most 4 MiB");
    pieces.table(Table { host, guest: 0, length, kind: Kind::Entries })
}
