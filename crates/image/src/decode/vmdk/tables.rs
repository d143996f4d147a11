//! The tables of a VMDK, turned into pieces.

use model::Bytes;

use super::{
    super::{
        fields::{bytes, le32, le64},
        flaw::Flaw,
        map::{Layout, Order},
        pieces::{Kind, Pieces, Table},
        unpack::Packing,
    },
    MARKER, SECTOR,
    disjoint::Parts,
    header::Header,
};

/// How much of a table, or of tables next to each other, is read at once.
const PORTION: u64 = 1 << 20;
/// What ends a file made in one go: a marker, the header again, a marker.
const FOOTER: u64 = 3 * SECTOR;
/// An entry of a grain of zeros, where the header says there are such.
const ZEROED: u32 = 1;

/// Reads tables as its header says.
pub(super) struct Tables {
    header: Header,
    parts: Parts,
    /// Whether markers are looked at before grains, to know how long they are.
    by_marker: bool,
    /// Tables of which nothing is known yet.
    to_come: u64,
}

impl Layout for Tables {
    fn take(&mut self, table: Table, bytes: &[u8], pieces: &mut Pieces) -> Result<(), Flaw> {
        match table.kind {
            Kind::Directory => self.take_directory(table, bytes, pieces)?,
            Kind::Entries if table.length as usize == MARKER => {
                return take_marker(table, bytes, self, pieces);
            }
            Kind::Entries => self.take_grains(table, bytes, pieces)?,
            Kind::Owners if self.header.directory.is_none() => self.take_footer(bytes, pieces)?,
            Kind::Owners => self.take_redundant(bytes, pieces)?,
        }
        self.to_come -= 1;
        // Of tables at once, so that none is read as another; of grains when all
        // are known, which is before anything is written if tables come first.
        let is_time = self.to_come == 0 || table.kind != Kind::Entries;
        if is_time { self.parts.check() } else { Ok(()) }
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

impl Tables {
    /// What `header` says of a file that is `length` long, if that is known.
    pub(super) fn new(header: Header, length: Option<Bytes>, order: Order) -> Result<(Self, Pieces), Flaw> {
        let mut pieces = Pieces::new(header.size, SECTOR.ilog2(), length);
        let by_marker = header.compressed && order == Order::Forward;
        let mut tables = Self { header, parts: Parts::default(), by_marker, to_come: 0 };
        tables.parts.add(0, tables.header.end());
        match (tables.header.directory, length) {
            (Some(at), _) => tables.plan_directories(at, &mut pieces)?,
            (None, length) => {
                let host = length.and_then(|length| length.0.checked_sub(FOOTER));
                let host = host.ok_or(Flaw::Truncated { what: "the footer", at: 0 })?;
                tables.plan(host, 0, FOOTER, Kind::Owners, &mut pieces)?;
            }
        }
        Ok((tables, pieces))
    }

    fn plan_directories(&mut self, at: u64, pieces: &mut Pieces) -> Result<(), Flaw> {
        let (length, reach) = (self.header.tables() * 4, PORTION / 4 * self.header.reach());
        self.parts.add(at, length.next_multiple_of(SECTOR));
        for number in 0..length.div_ceil(PORTION) {
            let offset = number * PORTION;
            let portion = PORTION.min(length - offset);
            self.plan(at + offset, number * reach, portion, Kind::Directory, pieces)?;
        }
        if let Some(at) = self.header.redundant.filter(|&redundant| redundant != at) {
            self.parts.add(at, length.next_multiple_of(SECTOR));
            for number in 0..length.div_ceil(PORTION) {
                let offset = number * PORTION;
                self.plan(at + offset, 0, PORTION.min(length - offset), Kind::Owners, pieces)?;
            }
        }
        Ok(())
    }

    /// There is a table to be read.
    fn plan(
        &mut self,
        host: u64,
        guest: u64,
        length: u64,
        kind: Kind,
        pieces: &mut Pieces,
    ) -> Result<(), Flaw> {
        pieces.within(host, length, "a grain table or directory")?;
        let length = u32::try_from(length).expect("at most a portion");
        self.to_come += 1;
        pieces.table(Table { host, guest, length, kind })
    }

    /// The header again, which knows where the grain directory is.
    fn take_footer(&mut self, footer: &[u8], pieces: &mut Pieces) -> Result<(), Flaw> {
        let [first, header, last] = [0, 512, 1024].map(|at| footer.get(at..at + 512).unwrap_or_default());
        let lie = |what| Err(Flaw::Lie { what, at: 0 });
        if marker(first)? != (1, 0, 3) || marker(last)? != (0, 0, 0) {
            return lie("there is no footer at the end");
        }
        let footer = Header::parse(header)?;
        if !self.header.agrees(&footer) {
            return lie("the footer is not the one of this disk");
        }
        self.header.directory = footer.directory;
        self.header.redundant = footer.redundant;
        footer.directory.map_or(Ok(()), |at| self.plan_directories(at, pieces))
    }

    /// Tables that lie next to each other are read together.
    fn take_directory(&mut self, table: Table, bytes: &[u8], pieces: &mut Pieces) -> Result<(), Flaw> {
        let (reach, each) = (self.header.reach(), self.header.table_length());
        let mut run: Option<Table> = None;
        for (number, entry) in words(bytes).enumerate() {
            let guest = table.guest + number as u64 * reach;
            if entry == 0 {
                pieces.zero(guest, reach)?;
                continue;
            }
            let host = u64::from(entry) * SECTOR;
            self.parts.add(host, each);
            let length = u32::try_from(each).expect("at most 2 KiB");
            run = match run {
                Some(run) if continues(&run, host, guest, reach, each) => {
                    Some(Table { length: run.length + length, ..run })
                }
                before => {
                    before.map_or(Ok(()), |run| self.plan_run(run, pieces))?;
                    Some(Table { host, guest, length, kind: Kind::Entries })
                }
            };
        }
        run.map_or(Ok(()), |run| self.plan_run(run, pieces))
    }

    fn plan_run(&mut self, run: Table, pieces: &mut Pieces) -> Result<(), Flaw> {
        self.plan(run.host, run.guest, run.length.into(), run.kind, pieces)
    }

    /// What the second directory says does not matter; that no grain lies in
    /// its tables does.
    fn take_redundant(&mut self, bytes: &[u8], pieces: &mut Pieces) -> Result<(), Flaw> {
        let each = self.header.table_length();
        words(bytes).filter(|&entry| entry != 0).try_for_each(|entry| {
            let host = u64::from(entry) * SECTOR;
            self.parts.add(host, each);
            pieces.within(host, each, "a redundant grain table")
        })
    }

    fn take_grains(&mut self, table: Table, bytes: &[u8], pieces: &mut Pieces) -> Result<(), Flaw> {
        let (grain, each) = (self.header.grain, self.header.table_length());
        for (number, entry) in words(bytes).enumerate() {
            // What fills up the last sector of a short table is no entry.
            let (table_number, number) = (number as u64 * 4 / each, number as u64 % (each / 4));
            let guest = table.guest + table_number * self.header.reach() + number * grain;
            if number >= self.header.entries || guest >= self.header.size.0 {
                continue;
            }
            match u64::from(entry) * SECTOR {
                0 => pieces.zero(guest, grain)?,
                _ if entry == ZEROED && self.header.zeroed => pieces.zero(guest, grain)?,
                host => self.take_grain(guest, host, pieces)?,
            }
        }
        pieces.end_run()
    }

    fn take_grain(&mut self, guest: u64, host: u64, pieces: &mut Pieces) -> Result<(), Flaw> {
        let grain = self.header.grain;
        if !self.header.compressed {
            self.parts.add(host, grain);
            return pieces.place(guest, Some(host), grain);
        }
        self.parts.add(host, SECTOR);
        if self.by_marker {
            let length = u32::try_from(MARKER).expect("it is 12");
            return pieces.table(Table { host, guest, length, kind: Kind::Entries });
        }
        // A grain that does not compress is longer than it was; QEMU reads up to
        // twice as much.
        let most = u32::try_from(2 * grain + SECTOR).expect("a few MiB");
        pieces.packed_alone(guest, host, most)
    }
}

/// The marker of the grain for the disk at `table.guest` says how long it is.
fn take_marker(table: Table, bytes: &[u8], tables: &Tables, pieces: &mut Pieces) -> Result<(), Flaw> {
    let length = u64::from(le32(bytes, 8)?);
    if length == 0 || length > 2 * tables.header.grain {
        return Err(Flaw::Cluster { at: table.host });
    }
    let length = u32::try_from(length + MARKER as u64).expect("a few MiB");
    pieces.packed_alone(table.guest, table.host, length)
}

/// The number, the length and the type of a marker.
pub(super) fn marker(sector: &[u8]) -> Result<(u64, u32, u32), Flaw> {
    Ok((le64(sector, 0)?, le32(sector, 8)?, u32::from_le_bytes(bytes(sector, MARKER)?)))
}

/// The entries of a directory or table.
pub(super) fn words(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.as_chunks::<4>().0.iter().map(|word| u32::from_le_bytes(*word))
}

/// True when a table of `each` bytes at `host`, for the disk at `guest`, comes
/// right after `run`, tables each of which maps `reach` bytes.
fn continues(run: &Table, host: u64, guest: u64, reach: u64, each: u64) -> bool {
    let length = u64::from(run.length);
    run.host + length == host && run.guest + length / each * reach == guest && length < PORTION
}
