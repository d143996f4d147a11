//! Reading a few places of a block device, each once, and never past its end.

use std::{cell::RefCell, io};

use super::{Extent, ReadAt};

/// What is read at once and kept.
const PIECE: u64 = 16 << 10;
/// Pieces kept. The places of all kinds are in fewer; more would be a mistake here.
const PIECES_LIMIT: usize = 256;

/// A block device, as the checks see it. What fails is remembered, and from then
/// on nothing more is asked: each failure of a disk may take half a minute.
pub(super) struct View<'a> {
    read: &'a ReadAt<'a>,
    /// Bytes.
    pub(super) size: u64,
    /// Bytes in a logical block.
    pub(super) block: u64,
    pub(super) extent: Extent,
    pieces: RefCell<Vec<(u64, Vec<u8>)>>,
    failed: RefCell<Option<io::Error>>,
}

impl<'a> View<'a> {
    pub(super) fn new(read: &'a ReadAt<'a>, size: u64, block: u64, extent: Extent) -> Self {
        Self { read, size, block, extent, pieces: RefCell::default(), failed: RefCell::default() }
    }

    /// Why the answer is not known, if it is not.
    pub(super) fn into_failure(self) -> Option<io::Error> {
        self.failed.into_inner()
    }

    /// `length` bytes at `at`; `None` past the end, and after a failure.
    pub(super) fn bytes(&self, at: u64, length: usize) -> Option<Vec<u8>> {
        let end = at.checked_add(length as u64).filter(|end| *end <= self.size)?;
        let mut bytes = Vec::with_capacity(length);
        let mut from = at;
        while from < end {
            let start = from / PIECE * PIECE;
            self.keep(start)?;
            let pieces = self.pieces.borrow();
            let (_, piece) = pieces.iter().find(|(at, _)| *at == start)?;
            let (skip, stop) = (from - start, (end - start).min(PIECE));
            bytes.extend_from_slice(piece.get(usize::try_from(skip).ok()?..usize::try_from(stop).ok()?)?);
            from = start + stop;
        }
        Some(bytes)
    }

    /// Have the piece at `start`.
    fn keep(&self, start: u64) -> Option<()> {
        let mut pieces = self.pieces.borrow_mut();
        if pieces.iter().any(|(at, _)| *at == start) {
            return Some(());
        }
        if self.failed.borrow().is_some() || pieces.len() >= PIECES_LIMIT {
            return None;
        }
        let mut piece = vec![0; usize::try_from(PIECE.min(self.size - start)).ok()?];
        match (self.read)(start, &mut piece) {
            Ok(()) => pieces.push((start, piece)),
            Err(err) => {
                self.failed.replace(Some(err));
                return None;
            }
        }
        Some(())
    }

    /// True when `bytes` are at `at`.
    pub(super) fn has(&self, at: u64, bytes: &[u8]) -> bool {
        self.bytes(at, bytes.len()).is_some_and(|read| read == bytes)
    }

    /// The little-endian number of `length` bytes (eight at most) at `at`.
    pub(super) fn le(&self, at: u64, length: usize) -> Option<u64> {
        let bytes = self.bytes(at, length)?;
        Some(bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// The big-endian number of `length` bytes (eight at most) at `at`.
    pub(super) fn be(&self, at: u64, length: usize) -> Option<u64> {
        let bytes = self.bytes(at, length)?;
        Some(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    /// `back` bytes before the end of the last whole 512-byte sector.
    pub(super) fn before_end(&self, back: u64) -> Option<u64> {
        (self.size / 512 * 512).checked_sub(back)
    }
}
