//! The tables of a qcow2 file, turned into pieces.

use model::Bytes;

use super::{
    super::{
        flaw::Flaw,
        map::Layout,
        pieces::{Kind, Pieces, Table},
        unpack::Packing,
    },
    header::Header,
};

/// The most of a table that is read at once.
const PORTION: u64 = 1 << 20;

const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
const COPIED: u64 = 1 << 63;
const PACKED: u64 = 1 << 62;
const ZERO: u64 = 1;
const L1_RESERVED: u64 = !(OFFSET | COPIED);
const L2_RESERVED: u64 = !(OFFSET | COPIED | PACKED | ZERO);

/// Reads tables as its header says.
pub(super) struct Tables {
    header: Header,
}

impl Layout for Tables {
    fn take(&mut self, table: Table, bytes: &[u8], pieces: &mut Pieces) -> Result<(), Flaw> {
        match table.kind {
            Kind::Directory => self.take_l1(table, bytes, pieces),
            Kind::Owners => self.take_refcounts(table, bytes, pieces),
            Kind::Entries => self.take_l2(table, bytes, pieces),
        }
    }

    fn header(&self) -> usize {
        usize::try_from(self.header.cluster()).expect("at most 2 MiB")
    }

    fn packing(&self) -> Packing {
        self.header.packing
    }

    fn cluster(&self) -> u64 {
        self.header.cluster()
    }
}

impl Tables {
    /// What `header` says of a file that is `length` long, if that is known.
    pub(super) fn new(header: Header, length: Option<Bytes>) -> Result<(Self, Pieces), Flaw> {
        let mut pieces = Pieces::new(header.size, header.cluster_bits, length);
        pieces.claim(0, header.cluster(), "the header", "the header")?;
        pieces.within(0, header.snapshots_end, "the snapshot table")?;
        let (l1, used) = (header.l1_entries * 8, header.l1_needed() * 8);
        if l1 > 0 {
            pieces.claim(header.l1_at, l1, "the L1 table", "the L1 table overlaps the header")?;
            let reach = PORTION / 8 * header.l2_reach();
            portions(header.l1_at, used, Kind::Directory, reach, &mut pieces)?;
        }
        let (at, length) = (header.refcounts_at, header.refcounts_length);
        pieces.claim(at, length, "the refcount table", "the refcount table overlaps another table")?;
        portions(at, length, Kind::Owners, 0, &mut pieces)?;
        Ok((Self { header }, pieces))
    }

    fn take_l1(&self, table: Table, bytes: &[u8], pieces: &mut Pieces) -> Result<(), Flaw> {
        let reach = self.header.l2_reach();
        for (number, entry) in longs(bytes).enumerate() {
            let guest = table.guest + number as u64 * reach;
            let at = table.host + number as u64 * 8;
            let (host, length) = (entry & OFFSET, self.header.cluster());
            if entry == 0 {
                pieces.zero(guest, reach)?;
                continue;
            }
            if entry & L1_RESERVED != 0 || host == 0 || !host.is_multiple_of(length) {
                return Err(Flaw::Lie { what: "an L1 entry is malformed", at });
            }
            pieces.claim(host, length, "an L2 table", "an L2 table overlaps another table or data")?;
            let length = u32::try_from(length).expect("at most 2 MiB");
            pieces.table(Table { host, guest, length, kind: Kind::Entries })?;
        }
        Ok(())
    }

    /// Refcounts themselves do not matter to a reader; that no data lies in
    /// them does.
    fn take_refcounts(&self, table: Table, bytes: &[u8], pieces: &mut Pieces) -> Result<(), Flaw> {
        for (number, entry) in longs(bytes).enumerate().filter(|(_, entry)| *entry != 0) {
            let at = table.host + number as u64 * 8;
            if !entry.is_multiple_of(self.header.cluster()) {
                return Err(Flaw::Lie { what: "a refcount table entry is malformed", at });
            }
            let overlap = "a refcount block overlaps a table or data";
            pieces.claim(entry, self.header.cluster(), "a refcount block", overlap)?;
        }
        Ok(())
    }

    fn take_l2(&self, table: Table, bytes: &[u8], pieces: &mut Pieces) -> Result<(), Flaw> {
        let size = self.header.entry_size();
        let mut words = longs(bytes);
        for number in 0..self.header.cluster() / size {
            let guest = table.guest + (number << self.header.cluster_bits);
            let at = table.host + number * size;
            let (Some(entry), true) = (words.next(), guest < self.header.size.0) else { break };
            let parts = if self.header.extended { words.next() } else { None };
            match entry & PACKED {
                0 => self.take_cluster(guest, entry, parts, at, pieces)?,
                _ => self.take_packed(guest, entry, parts, at, pieces)?,
            }
        }
        pieces.end_run()
    }

    fn take_cluster(
        &self,
        guest: u64,
        entry: u64,
        parts: Option<u64>,
        at: u64,
        pieces: &mut Pieces,
    ) -> Result<(), Flaw> {
        let malformed = Err(Flaw::Lie { what: "an L2 entry is malformed", at });
        let (host, cluster) = (entry & OFFSET, self.header.cluster());
        let zero_flag_allowed = self.header.version >= 3 && parts.is_none();
        if entry & L2_RESERVED != 0
            || !host.is_multiple_of(cluster)
            || (entry & ZERO != 0 && !zero_flag_allowed)
            || (host == 0 && entry & COPIED != 0)
        {
            return malformed;
        }
        // One bit a part: the low half says "here", the high half "zero".
        let (here, zero) = match parts {
            Some(parts) => (low(parts), low(parts >> 32)),
            None if host == 0 || entry & ZERO != 0 => (0, u32::MAX),
            None => (u32::MAX, 0),
        };
        if here & zero != 0 || (host == 0 && here != 0) {
            return malformed;
        }
        if host != 0 {
            pieces.own(host, cluster, "data overlaps a table or other data")?;
        }
        if matches!(here, 0 | u32::MAX) {
            return pieces.place(guest, (here != 0).then_some(host), cluster);
        }
        let part = cluster / 32;
        (0..32).try_for_each(|number| {
            let is_here = here >> number & 1 == 1;
            let offset = number * part;
            pieces.place(guest + offset, is_here.then_some(host + offset), part)
        })
    }

    fn take_packed(
        &self,
        guest: u64,
        entry: u64,
        parts: Option<u64>,
        at: u64,
        pieces: &mut Pieces,
    ) -> Result<(), Flaw> {
        let sector_bits = self.header.cluster_bits - 8;
        let split = 62 - sector_bits;
        let host = entry & ((1 << split) - 1);
        let sectors = ((entry & !(COPIED | PACKED)) >> split) + 1;
        let length = sectors * 512 - host % 512;
        if entry & COPIED != 0 || parts.is_some_and(|parts| parts != 0) || host == 0 {
            return Err(Flaw::Lie { what: "a compressed L2 entry is malformed", at });
        }
        pieces.packed(guest, host, u32::try_from(length).expect("at most two clusters"))
    }
}

/// The table of `length` bytes at `host` in portions, each of which maps
/// `reach` bytes of the disk.
fn portions(host: u64, length: u64, kind: Kind, reach: u64, pieces: &mut Pieces) -> Result<(), Flaw> {
    (0..length.div_ceil(PORTION)).try_for_each(|number| {
        let offset = number * PORTION;
        let length = u32::try_from(PORTION.min(length - offset)).expect("at most PORTION");
        pieces.table(Table { host: host + offset, guest: number * reach, length, kind })
    })
}

fn longs(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.as_chunks::<8>().0.iter().map(|long| u64::from_be_bytes(*long))
}

fn low(word: u64) -> u32 {
    u32::try_from(word & u64::from(u32::MAX)).expect("masked")
}
