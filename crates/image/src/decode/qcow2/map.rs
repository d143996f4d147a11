//! The tables of a qcow2 file, turned into pieces in the order of the file.

use std::{cmp::Reverse, collections::BinaryHeap};

use model::{Algorithm, Bytes, Digest, Hasher};

use super::{Qcow2Error, claims::Claims, header::Header};
use crate::{DecodeError, ReadAt, extent::Extent, format};

/// The most pieces kept in memory, of 32 bytes each: 16 MiB. A qcow2 of
/// 64 KiB clusters has at most one for every cluster of content.
const MOST_PIECES: usize = 512 << 10;
/// The most L2 tables fetched out of order: each costs a round trip.
const MOST_SURVEYED: usize = 4096;

const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
const COPIED: u64 = 1 << 63;
const PACKED: u64 = 1 << 62;
const ZERO: u64 = 1;
const L1_RESERVED: u64 = !(OFFSET | COPIED);
const L2_RESERVED: u64 = !(OFFSET | COPIED | PACKED | ZERO);

/// A part of the file that matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Piece {
    /// Where in the file. First, so that pieces sort by it.
    pub(super) host: u64,
    /// Where on the disk.
    pub(super) guest: u64,
    /// What it is.
    pub(super) what: What,
}

/// What a part of the file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum What {
    /// The L1 table.
    L1,
    /// The refcount table.
    Refcounts,
    /// An L2 table.
    L2,
    /// A table that was read before; the number of its digest.
    Check(u32),
    /// So many bytes of the disk.
    Data(u64),
    /// One compressed cluster of at most so many bytes.
    Packed(u32),
}

/// What is known of a file's layout and has not passed yet.
#[derive(Debug)]
pub(crate) struct Map {
    pub(super) header: Header,
    length: Option<u64>,
    /// The end of the last thing anybody points at, for files whose length is
    /// known only when they have passed.
    farthest: (u64, &'static str),
    claims: Claims,
    /// Tables to come.
    tables: BinaryHeap<Reverse<Piece>>,
    /// Data to come.
    data: BinaryHeap<Reverse<Piece>>,
    /// Parts of the disk that hold nothing: start and end.
    zeros: Vec<(u64, u64)>,
    /// A run of data that may grow yet.
    last: Option<Piece>,
    checks: Vec<(u64, Digest)>,
    surveyed: bool,
}

impl Map {
    /// The layout of a file of which only the header is known.
    pub(super) fn new(header: Header, length: Option<Bytes>) -> Result<Self, Qcow2Error> {
        let mut map = Self {
            claims: Claims::new(header.cluster_bits),
            length: length.map(|length| length.0),
            farthest: (header.snapshots_end, "the snapshot table"),
            tables: BinaryHeap::new(),
            data: BinaryHeap::new(),
            zeros: Vec::new(),
            last: None,
            checks: Vec::new(),
            surveyed: false,
            header,
        };
        let header = map.header.clone();
        map.claims.alone(0, header.cluster(), "the header")?;
        if header.l1_entries > 0 {
            map.claims.alone(header.l1_at, header.l1_entries * 8, "the L1 table overlaps the header")?;
            map.tables.push(Reverse(Piece { host: header.l1_at, guest: 0, what: What::L1 }));
        }
        let overlap = "the refcount table overlaps another table";
        map.claims.alone(header.refcounts_at, header.refcounts_length, overlap)?;
        map.tables.push(Reverse(Piece { host: header.refcounts_at, guest: 0, what: What::Refcounts }));
        Ok(map)
    }

    /// The whole layout, read out of order. `None` when it has more tables or
    /// pieces than are kept: it is read as it streams then.
    pub(crate) fn survey(source: &mut dyn ReadAt, length: Bytes) -> Result<Option<Self>, DecodeError> {
        let mut start = vec![0; usize::try_from(length.0).unwrap_or(usize::MAX).min(format::SNIFFED)];
        source.read_exact_at(Bytes(0), &mut start).map_err(DecodeError::Tables)?;
        let header = Header::parse(&start, Some(length))?;
        let mut map = Self::new(header, Some(length))?;
        let mut tables = Vec::new();
        while let Some(Reverse(piece)) = map.tables.pop() {
            if tables.len() >= MOST_SURVEYED {
                return Ok(None);
            }
            let mut bytes = vec![0; map.table_length(piece)];
            source.read_exact_at(Bytes(piece.host), &mut bytes).map_err(DecodeError::Tables)?;
            match map.take_table(piece, &bytes) {
                Err(Qcow2Error::TooFragmented { .. }) => return Ok(None),
                taken => taken?,
            }
            tables.push((piece.host, digest(&bytes), bytes.len()));
        }
        for (number, (host, digest, size)) in tables.into_iter().enumerate() {
            let what = What::Check(u32::try_from(number).expect("at most MOST_SURVEYED"));
            map.checks.push((size as u64, digest));
            map.tables.push(Reverse(Piece { host, guest: 0, what }));
        }
        map.surveyed = true;
        Ok(Some(map))
    }

    /// Length of the disk.
    pub(crate) fn size(&self) -> Bytes {
        self.header.size
    }

    /// The file has passed and was `length` long: nothing points beyond it.
    pub(super) fn check_end(&self, length: u64) -> Result<(), Qcow2Error> {
        let (at, what) = self.farthest;
        if at > length { Err(Qcow2Error::Truncated { what, at }) } else { Ok(()) }
    }

    /// True when every piece is known, so nothing turns up behind the stream.
    pub(super) fn is_surveyed(&self) -> bool {
        self.surveyed
    }

    /// The piece that comes next in the file.
    pub(super) fn pop(&mut self) -> Option<Piece> {
        let first = match (self.tables.peek(), self.data.peek()) {
            // Reversed: the greater is the earlier.
            (Some(table), Some(data)) if table >= data => &mut self.tables,
            (Some(_), None) => &mut self.tables,
            (Some(_) | None, Some(_)) => &mut self.data,
            (None, None) => return None,
        };
        first.pop().map(|Reverse(piece)| piece)
    }

    /// Parts of the disk found to hold nothing since the last call.
    pub(super) fn take_zeros(&mut self) -> impl Iterator<Item = Extent> + use<> {
        let zeros = std::mem::take(&mut self.zeros);
        zeros.into_iter().map(|(at, end)| Extent::Zero { at: Bytes(at), length: Bytes(end - at) })
    }

    /// How long the table `piece` is.
    pub(super) fn table_length(&self, piece: Piece) -> usize {
        let length = match piece.what {
            What::L1 => self.header.l1_needed() * 8,
            What::Refcounts => self.header.refcounts_length,
            What::L2 => self.header.cluster(),
            What::Check(number) => self.checks[number as usize].0,
            What::Data(length) => length,
            What::Packed(length) => length.into(),
        };
        usize::try_from(length).expect("this program runs on 64-bit machines")
    }

    /// Learn what the table `piece` says.
    pub(super) fn take_table(&mut self, piece: Piece, bytes: &[u8]) -> Result<(), Qcow2Error> {
        match piece.what {
            What::L1 => self.take_l1(bytes),
            What::Refcounts => self.take_refcounts(bytes),
            What::L2 => self.take_l2(piece, bytes),
            What::Check(number) if digest(bytes) == self.checks[number as usize].1 => Ok(()),
            What::Check(_) => Err(Qcow2Error::Changed { at: piece.host }),
            What::Data(_) | What::Packed(_) => Ok(()),
        }
    }

    fn take_l1(&mut self, bytes: &[u8]) -> Result<(), Qcow2Error> {
        let reach = self.header.l2_reach();
        for (number, entry) in longs(bytes).take(index(self.header.l1_needed())).enumerate() {
            let guest = number as u64 * reach;
            let at = self.header.l1_at + number as u64 * 8;
            let host = entry & OFFSET;
            if entry == 0 {
                self.zero(guest, reach)?;
                continue;
            }
            if entry & L1_RESERVED != 0 || host == 0 || !host.is_multiple_of(self.header.cluster()) {
                return Err(Qcow2Error::Lie { what: "an L1 entry is malformed", at });
            }
            self.within(host, self.header.cluster(), "an L2 table")?;
            let overlap = "an L2 table overlaps another table or data";
            self.claims.alone(host, self.header.cluster(), overlap)?;
            if self.tables.len() >= MOST_PIECES {
                return Err(Qcow2Error::TooFragmented { limit: MOST_PIECES });
            }
            self.tables.push(Reverse(Piece { host, guest, what: What::L2 }));
        }
        Ok(())
    }

    /// Refcounts themselves do not matter to a reader; that no data lies in
    /// them does.
    fn take_refcounts(&mut self, bytes: &[u8]) -> Result<(), Qcow2Error> {
        for (number, entry) in longs(bytes).enumerate().filter(|(_, entry)| *entry != 0) {
            let at = self.header.refcounts_at + number as u64 * 8;
            if !entry.is_multiple_of(self.header.cluster()) {
                return Err(Qcow2Error::Lie { what: "a refcount table entry is malformed", at });
            }
            self.within(entry, self.header.cluster(), "a refcount block")?;
            let overlap = "a refcount block overlaps a table or data";
            self.claims.alone(entry, self.header.cluster(), overlap)?;
        }
        Ok(())
    }

    fn take_l2(&mut self, table: Piece, bytes: &[u8]) -> Result<(), Qcow2Error> {
        let step = index(self.header.entry_size() / 8);
        let words: Vec<u64> = longs(bytes).collect();
        for (number, entry) in words.chunks_exact(step).enumerate() {
            let guest = table.guest + ((number as u64) << self.header.cluster_bits);
            let at = table.host + number as u64 * self.header.entry_size();
            if guest >= self.header.size.0 {
                break;
            }
            let parts = entry.get(1).copied();
            match entry[0] & PACKED {
                0 => self.take_cluster(guest, entry[0], parts, at)?,
                _ => self.take_packed(guest, entry[0], parts, at)?,
            }
        }
        self.flush()
    }

    fn take_cluster(
        &mut self,
        guest: u64,
        entry: u64,
        parts: Option<u64>,
        at: u64,
    ) -> Result<(), Qcow2Error> {
        let malformed = Err(Qcow2Error::Lie { what: "an L2 entry is malformed", at });
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
            self.claims.alone(host, cluster, "data overlaps a table or other data")?;
        }
        if matches!(here, 0 | u32::MAX) {
            return self.place(guest, (here != 0).then_some(host), cluster);
        }
        let part = cluster / 32;
        (0..32).try_for_each(|number| {
            let is_here = here >> number & 1 == 1;
            let offset = number * part;
            self.place(guest + offset, is_here.then_some(host + offset), part)
        })
    }

    fn take_packed(&mut self, guest: u64, entry: u64, parts: Option<u64>, at: u64) -> Result<(), Qcow2Error> {
        let sector_bits = self.header.cluster_bits - 8;
        let split = 62 - sector_bits;
        let host = entry & ((1 << split) - 1);
        let sectors = ((entry & !(COPIED | PACKED)) >> split) + 1;
        let length = sectors * 512 - host % 512;
        if entry & COPIED != 0 || parts.is_some_and(|parts| parts != 0) || host == 0 {
            return Err(Qcow2Error::Lie { what: "a compressed L2 entry is malformed", at });
        }
        self.within(host, length, "a compressed cluster")?;
        self.claims.packed(host, length)?;
        self.flush()?;
        let length = u32::try_from(length).expect("at most two clusters");
        self.push(Piece { host, guest, what: What::Packed(length) })
    }

    /// `length` bytes of the disk at `guest` are at `host`, or nowhere.
    fn place(&mut self, guest: u64, host: Option<u64>, length: u64) -> Result<(), Qcow2Error> {
        let length = length.min(self.header.size.0.saturating_sub(guest));
        let Some(host) = host.filter(|_| length > 0) else { return self.zero(guest, length) };
        self.within(host, length, "a cluster of data")?;
        if let Some(last) = self.last.as_mut()
            && let What::Data(so_far) = last.what
            && (last.host + so_far, last.guest + so_far) == (host, guest)
        {
            last.what = What::Data(so_far + length);
            return Ok(());
        }
        self.flush()?;
        self.last = Some(Piece { host, guest, what: What::Data(length) });
        Ok(())
    }

    fn zero(&mut self, guest: u64, length: u64) -> Result<(), Qcow2Error> {
        let end = (guest + length).min(self.header.size.0);
        if end <= guest {
            return Ok(());
        }
        if let Some(last) = self.zeros.last_mut()
            && last.1 == guest
        {
            last.1 = end;
            return Ok(());
        }
        if self.zeros.len() >= MOST_PIECES {
            return Err(Qcow2Error::TooFragmented { limit: MOST_PIECES });
        }
        self.zeros.push((guest, end));
        Ok(())
    }

    /// The piece that is still growing is complete.
    fn flush(&mut self) -> Result<(), Qcow2Error> {
        self.last.take().map_or(Ok(()), |piece| self.push(piece))
    }

    fn push(&mut self, piece: Piece) -> Result<(), Qcow2Error> {
        if self.data.len() >= MOST_PIECES {
            return Err(Qcow2Error::TooFragmented { limit: MOST_PIECES });
        }
        self.data.push(Reverse(piece));
        Ok(())
    }

    fn within(&mut self, host: u64, length: u64, what: &'static str) -> Result<(), Qcow2Error> {
        let Some(end) = host.checked_add(length) else {
            return Err(Qcow2Error::Truncated { what, at: host });
        };
        self.farthest = self.farthest.max((end, what));
        match self.length {
            Some(length) if end > length => Err(Qcow2Error::Truncated { what, at: host }),
            Some(_) | None => Ok(()),
        }
    }
}

fn longs(bytes: &[u8]) -> impl Iterator<Item = u64> {
    bytes.as_chunks::<8>().0.iter().map(|long| u64::from_be_bytes(*long))
}

fn low(word: u64) -> u32 {
    u32::try_from(word & u64::from(u32::MAX)).expect("masked")
}

fn index(count: u64) -> usize {
    usize::try_from(count).expect("this program runs on 64-bit machines")
}

fn digest(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(bytes);
    hasher.finish()
}
