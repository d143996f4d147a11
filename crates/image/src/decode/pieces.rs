//! What a format's tables say, as pieces of the file in the order of the file.

use std::{cmp::Reverse, collections::BinaryHeap};

use model::Bytes;

use super::{claims::Claims, flaw::Flaw};
use crate::extent::Extent;

/// The most memory for everything that is known of a file's layout. A qcow2 in
/// clusters of 64 KiB has 24 bytes for every run of clusters, or for every
/// compressed cluster.
const MOST_MEMORY: usize = 10 << 20;
/// The longest piece: longer runs are several pieces.
const LONGEST: u64 = 1 << 30;
/// The most clusters one owner claims at once.
const MOST_CLAIMED: u64 = 4 << 20;

/// A table gives the length of compressed data in sectors, so what follows may
/// begin within its last one.
pub(super) const SPARE: u64 = 511;

/// A table of the file, which says where other tables or data are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Table {
    /// Where in the file. First, so that tables sort by it.
    pub(super) host: u64,
    /// The part of the disk that it maps starts here.
    pub(super) guest: u64,
    /// How long it is; it is held in memory at once.
    pub(super) length: u32,
    /// What it tells.
    pub(super) kind: Kind,
}

/// What a table tells. A format uses those it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Where other tables are.
    Directory,
    /// Where data is.
    Entries,
    /// Which other parts of the file are in use.
    Owners,
}

/// A part of the file that holds a part of the disk.
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
    /// So many bytes of the disk.
    Data(u32),
    /// One compressed cluster of at most so many bytes.
    Packed(u32),
}

/// What comes next in the file.
pub(super) enum Next {
    Table(Table),
    Piece(Piece),
}

/// What is known of a file's layout and has not passed yet.
#[derive(Debug)]
pub(super) struct Pieces {
    /// Length of the disk.
    size: u64,
    /// Length of the file, when known.
    length: Option<u64>,
    /// The end of the last thing anybody points at, for files whose length is
    /// known only when they have passed.
    farthest: (u64, &'static str),
    claims: Claims,
    tables: BinaryHeap<Reverse<Table>>,
    data: BinaryHeap<Reverse<Piece>>,
    /// Parts of the disk that hold nothing: start and end.
    zeros: Vec<(u64, u64)>,
    /// A run of data that may grow yet: host, guest, length.
    run: Option<(u64, u64, u64)>,
}

impl Pieces {
    /// Nothing is known of a file that is `length` long, if that is known, in
    /// clusters of `1 << cluster_bits`, and holds a disk of `size`.
    pub(super) fn new(size: Bytes, cluster_bits: u32, length: Option<Bytes>) -> Self {
        Self {
            size: size.0,
            length: length.map(|length| length.0),
            farthest: (0, "the header"),
            claims: Claims::new(cluster_bits),
            tables: BinaryHeap::new(),
            data: BinaryHeap::new(),
            zeros: Vec::new(),
            run: None,
        }
    }

    /// Length of the disk.
    pub(super) fn size(&self) -> Bytes {
        Bytes(self.size)
    }

    /// The disk is `size` long, as a table tells before any that maps it.
    pub(super) fn resize(&mut self, size: Bytes) {
        self.size = size.0;
    }

    /// `length` bytes at `host` belong to one owner, who is named if they are
    /// cut off; else `overlap` is what is wrong.
    pub(super) fn claim(
        &mut self,
        host: u64,
        length: u64,
        what: &'static str,
        overlap: &'static str,
    ) -> Result<(), Flaw> {
        self.within(host, length, what)?;
        self.own(host, length, overlap)
    }

    /// The same for what may end beyond the file.
    pub(super) fn own(&mut self, host: u64, length: u64, overlap: &'static str) -> Result<(), Flaw> {
        self.room(length)?;
        if self.claims.alone(host, length) { Ok(()) } else { Err(Flaw::Lie { what: overlap, at: host }) }
    }

    /// There is `table`, whose place is claimed.
    pub(super) fn table(&mut self, table: Table) -> Result<(), Flaw> {
        self.room(0)?;
        self.tables.push(Reverse(table));
        Ok(())
    }

    /// `length` bytes of the disk at `guest` are at `host`, which is claimed,
    /// or nowhere. Runs in the order of the file are one piece.
    pub(super) fn place(&mut self, guest: u64, host: Option<u64>, length: u64) -> Result<(), Flaw> {
        let length = length.min(self.size.saturating_sub(guest));
        let Some(host) = host.filter(|_| length > 0) else { return self.zero(guest, length) };
        self.within(host, length, "a cluster of data")?;
        if let Some((run_host, run_guest, run)) = self.run.as_mut()
            && (*run_host + *run, *run_guest + *run) == (host, guest)
            && *run < LONGEST
        {
            *run += length;
            return Ok(());
        }
        self.end_run()?;
        self.run = Some((host, guest, length));
        Ok(())
    }

    /// One compressed cluster for the disk at `guest` is in `length` bytes at
    /// `host`, which it may share with others. The last [`SPARE`] of them may
    /// be somebody else's, or beyond the end of the file.
    pub(super) fn packed(&mut self, guest: u64, host: u64, length: u32) -> Result<(), Flaw> {
        self.within(host, u64::from(length).saturating_sub(SPARE), "a compressed cluster")?;
        self.room(length.into())?;
        if !self.claims.packed(host, length.into()) {
            let what = "compressed data lies inside metadata or another cluster";
            return Err(Flaw::Lie { what, at: host });
        }
        self.end_run()?;
        self.data.push(Reverse(Piece { host, guest, what: What::Packed(length) }));
        Ok(())
    }

    /// One compressed cluster for the disk at `guest` is in `length` bytes at
    /// most at `host`, of which somebody else made sure. They may be more than
    /// are left of the file.
    pub(super) fn packed_alone(&mut self, guest: u64, host: u64, length: u32) -> Result<(), Flaw> {
        self.within(host, 1, "a compressed cluster")?;
        self.room(0)?;
        let left = self.length.map_or(u64::MAX, |end| end - host);
        let length = length.min(u32::try_from(left).unwrap_or(u32::MAX));
        self.end_run()?;
        self.data.push(Reverse(Piece { host, guest, what: What::Packed(length) }));
        Ok(())
    }

    /// `length` bytes of the disk at `guest` are zero.
    pub(super) fn zero(&mut self, guest: u64, length: u64) -> Result<(), Flaw> {
        let end = guest.saturating_add(length).min(self.size);
        if end <= guest {
            return Ok(());
        }
        match self.zeros.last_mut() {
            Some(last) if last.1 == guest => last.1 = end,
            Some(_) | None => {
                self.room(0)?;
                self.zeros.push((guest, end));
            }
        }
        Ok(())
    }

    /// The run of data that was still growing is complete.
    pub(super) fn end_run(&mut self) -> Result<(), Flaw> {
        let Some((mut host, mut guest, mut length)) = self.run.take() else { return Ok(()) };
        while length > 0 {
            self.room(0)?;
            let part = u32::try_from(length.min(LONGEST)).expect("at most LONGEST");
            self.data.push(Reverse(Piece { host, guest, what: What::Data(part) }));
            (host, guest, length) =
                (host + u64::from(part), guest + u64::from(part), length - u64::from(part));
        }
        Ok(())
    }

    /// `length` bytes at `host` must be in the file; `what` they are.
    pub(super) fn within(&mut self, host: u64, length: u64, what: &'static str) -> Result<(), Flaw> {
        let Some(end) = host.checked_add(length) else { return Err(Flaw::Truncated { what, at: host }) };
        self.farthest = self.farthest.max((end, what));
        match self.length {
            Some(length) if end > length => Err(Flaw::Truncated { what, at: host }),
            Some(_) | None => Ok(()),
        }
    }

    /// The file has passed and was `length` long: nothing points beyond it.
    pub(super) fn check_end(&self, length: u64) -> Result<(), Flaw> {
        let (at, what) = self.farthest;
        if at > length { Err(Flaw::Truncated { what, at }) } else { Ok(()) }
    }

    /// Where the next table or piece is.
    pub(super) fn next_at(&self) -> Option<u64> {
        let table = self.tables.peek().map(|Reverse(table)| table.host);
        let piece = self.data.peek().map(|Reverse(piece)| piece.host);
        table.into_iter().chain(piece).min()
    }

    /// Take what comes next in the file.
    pub(super) fn pop(&mut self) -> Option<Next> {
        let at = self.next_at()?;
        if self.tables.peek().is_some_and(|Reverse(table)| table.host == at) {
            return self.pop_table().map(Next::Table);
        }
        self.data.pop().map(|Reverse(piece)| Next::Piece(piece))
    }

    /// Take the table that comes next in the file.
    pub(super) fn pop_table(&mut self) -> Option<Table> {
        self.tables.pop().map(|Reverse(table)| table)
    }

    /// True when no table is to come, so that nothing new can turn up.
    pub(super) fn is_complete(&self) -> bool {
        self.tables.is_empty()
    }

    /// Parts of the disk found to hold nothing since the last call.
    pub(super) fn take_zeros(&mut self) -> impl Iterator<Item = Extent> + use<> {
        let zeros = std::mem::take(&mut self.zeros);
        zeros.into_iter().map(|(at, end)| Extent::Zero { at: Bytes(at), length: Bytes(end - at) })
    }

    /// Nothing before `host` can be claimed any more.
    pub(super) fn forget_before(&mut self, host: u64) {
        self.claims.forget_before(host);
    }

    /// Everything is claimed that will be.
    pub(super) fn forget_claims(&mut self) {
        self.claims.forget_before(u64::MAX);
    }

    /// Is there room for one thing more that is `length` long?
    fn room(&self, length: u64) -> Result<(), Flaw> {
        let things = self.tables.len() * size_of::<Table>() + self.data.len() * size_of::<Piece>();
        let memory = things + self.zeros.len() * size_of::<(u64, u64)>() + self.claims.memory();
        if memory > MOST_MEMORY || self.claims.clusters(length) > MOST_CLAIMED {
            return Err(Self::too_many());
        }
        Ok(())
    }

    /// There are more of them than may be known at once.
    pub(super) fn too_many() -> Flaw {
        Flaw::TooFragmented { limit: Bytes(MOST_MEMORY as u64) }
    }
}
