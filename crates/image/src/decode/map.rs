//! The layout of a file that keeps its disk behind tables, for any such format.

use std::collections::VecDeque;

use model::Bytes;

use super::{
    DecodeError,
    flaw::Flaw,
    pieces::{Next, Pieces, Table},
    unpack::Packing,
};
use crate::{Format, ReadAt, format};

/// The most tables fetched out of order: each costs a round trip.
const MOST_SURVEYED: usize = 4096;

/// How one format is read. Its header is enough to make one, together with the
/// first [`Pieces`].
pub(super) trait Layout: Send {
    /// Learn what `table`, whose content is `bytes`, says.
    fn take(&mut self, table: Table, bytes: &[u8], pieces: &mut Pieces) -> Result<(), Flaw>;

    /// How many bytes of the file's start the header is. They may not change
    /// between survey and stream.
    fn header(&self) -> usize;

    /// How compressed pieces are compressed.
    fn packing(&self) -> Packing;

    /// Bytes of the disk in one compressed piece.
    fn cluster(&self) -> u64;
}

/// In which order a file can be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Tables first, wherever they are.
    Any,
    /// Only from its start to its end.
    Forward,
}

/// Reads a header: the start of a file, at most [`format::SNIFFED`] long, and
/// the length of all of it, if known.
pub(super) type Open = fn(&[u8], Option<Bytes>, Order) -> Result<(Box<dyn Layout>, Pieces), Flaw>;

/// A layout and how much of it is known.
pub(super) struct Map {
    pub(super) format: Format,
    pub(super) layout: Box<dyn Layout>,
    pub(super) pieces: Pieces,
    /// What was read before and must stream past the same, by place.
    checks: VecDeque<Check>,
    /// True when the layout could be read beforehand, but is too much to know
    /// at once.
    pub(super) crowded: bool,
}

/// What a survey found.
pub(super) enum Surveyed {
    /// All there is to know.
    Whole(Box<Map>),
    /// More tables or pieces than are kept: it is read as it streams.
    Crowded,
    /// The source cannot be read out of order after all.
    Refused,
}

/// A part of the file that was read before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Check {
    pub(super) host: u64,
    pub(super) length: u64,
    digest: blake3::Hash,
}

impl Check {
    /// The part at `host` is `bytes` now.
    fn new(host: u64, bytes: &[u8]) -> Self {
        Self { host, length: bytes.len() as u64, digest: blake3::hash(bytes) }
    }

    /// It must still be the same.
    pub(super) fn compare(&self, bytes: &[u8]) -> Result<(), Flaw> {
        let same = blake3::hash(bytes) == self.digest;
        if same { Ok(()) } else { Err(Flaw::Changed { at: self.host }) }
    }
}

/// What the stream must do next.
pub(super) enum Todo {
    /// Compare what was read before.
    Check(Check),
    /// Use what passes.
    Next(Next),
}

impl Map {
    /// What is known from the `start` of a file.
    pub(super) fn new(
        format: Format,
        open: Open,
        start: &[u8],
        length: Option<Bytes>,
        order: Order,
    ) -> Result<Self, DecodeError> {
        let (layout, pieces) =
            open(start, length, order).map_err(|flaw| DecodeError::Flawed { format, flaw })?;
        Ok(Self { format, layout, pieces, checks: VecDeque::new(), crowded: false })
    }

    /// The whole layout, read out of order.
    pub(super) fn survey(
        format: Format,
        open: Open,
        source: &mut dyn ReadAt,
        length: Bytes,
    ) -> Result<Surveyed, DecodeError> {
        let first = usize::try_from(length.0).unwrap_or(usize::MAX).min(format::SNIFFED);
        let Some(start) = read(source, 0, first)? else { return Ok(Surveyed::Refused) };
        let mut map = Self::new(format, open, &start, Some(length), Order::Any)?;
        let mut checks = vec![Check::new(0, &start[..map.layout.header().min(start.len())])];
        while let Some(table) = map.pieces.pop_table() {
            if checks.len() > MOST_SURVEYED {
                return Ok(Surveyed::Crowded);
            }
            let Some(bytes) = read(source, table.host, table.length as usize)? else {
                return Ok(Surveyed::Refused);
            };
            match map.layout.take(table, &bytes, &mut map.pieces) {
                Err(Flaw::TooFragmented { .. }) => return Ok(Surveyed::Crowded),
                taken => taken.map_err(|flaw| map.flawed(flaw))?,
            }
            checks.push(Check::new(table.host, &bytes));
        }
        checks.sort_unstable_by_key(|check| check.host);
        map.checks = checks.into();
        map.pieces.forget_claims();
        Ok(Surveyed::Whole(Box::new(map)))
    }

    /// Length of the disk.
    pub(super) fn size(&self) -> Bytes {
        self.pieces.size()
    }

    /// The part of the file that comes next.
    pub(super) fn pop(&mut self) -> Option<Todo> {
        let check = self.checks.front().map(|check| check.host);
        if check.is_some_and(|check| self.pieces.next_at().is_none_or(|next| check <= next)) {
            return self.checks.pop_front().map(Todo::Check);
        }
        self.pieces.pop().map(Todo::Next)
    }

    /// `flaw` is this file's.
    pub(super) fn flawed(&self, flaw: Flaw) -> DecodeError {
        DecodeError::Flawed { format: self.format, flaw }
    }
}

/// `None` when the source cannot do that.
fn read(source: &mut dyn ReadAt, at: u64, length: usize) -> Result<Option<Vec<u8>>, DecodeError> {
    let mut bytes = vec![0; length];
    match source.read_exact_at(Bytes(at), &mut bytes) {
        Ok(()) => Ok(Some(bytes)),
        // It said it could; as a stream it may still be fine.
        Err(err) if err.kind() == std::io::ErrorKind::Unsupported => Ok(None),
        Err(err) => Err(DecodeError::Tables(err)),
    }
}
