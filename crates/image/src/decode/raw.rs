//! Raw images: every byte where it is, with runs of zeros taken out.

use std::{ops::Range, sync::Arc};

use disk::Buffer;
use model::Bytes;

use super::{DecodeError, Decoded, Reader, send};
use crate::{
    FormatError,
    extent::{Extent, Slice, is_zero},
    format::Inside,
    outlet::Outlet,
};

/// The granularity of looking for zeros: smaller runs are cheaper to write
/// than to have zeroed.
const GRAIN: usize = 64 << 10;
/// What is looked at of a disk's end.
const SECTOR: usize = 512;
/// The footer of a fixed-size VHD, at the start of the file's last sector.
const VHD: &[u8] = b"conectix";

/// Send all of `content` to the writer.
///
/// # Errors
/// [`FormatError`] when what passes turns out to be another format as well:
/// `inside` tells where one may begin.
pub(super) fn decode(content: &mut Reader, inside: &Inside, to: &Outlet) -> Result<(), DecodeError> {
    let mut part = Part::new(inside, to);
    let mut tail = Tail::default();
    let mut at = 0;
    while let Some(chunk) = content.next()? {
        tail.see(at, &chunk);
        part.pass(Bytes(at), &chunk)?;
        at += chunk.len() as u64;
    }
    part.end()?;
    finish(&tail, at, to)
}

/// Everything but the `end` has been sent; `tail` is the last of it.
pub(super) fn finish(tail: &Tail, end: u64, to: &Outlet) -> Result<(), DecodeError> {
    if tail.bytes.starts_with(VHD) {
        return Err(FormatError::Ambiguous { one: "a raw disk", other: "a fixed VHD" }.into());
    }
    send(to, Decoded::End { size: Bytes(end) })
}

/// A part of the disk that passes in order.
pub(super) struct Part<'a> {
    inside: &'a Inside,
    to: &'a Outlet,
    /// The zeros at the end of what has passed.
    zeros: Range<u64>,
}

impl<'a> Part<'a> {
    pub(super) fn new(inside: &'a Inside, to: &'a Outlet) -> Self {
        Self { inside, to, zeros: 0..0 }
    }

    /// Send `chunk`, which belongs at `at`, to the writer.
    pub(super) fn pass(&mut self, at: Bytes, chunk: &Arc<Buffer>) -> Result<(), DecodeError> {
        self.inside.check(at, chunk)?;
        for run in runs(chunk) {
            let place = at.0 + run.range.start as u64..at.0 + run.range.end as u64;
            if run.zero {
                let follows = self.zeros.end == place.start;
                self.zeros = if follows { self.zeros.start..place.end } else { place };
                continue;
            }
            self.end()?;
            let bytes = Slice::new(Arc::clone(chunk), run.range);
            send(self.to, Decoded::Extent(Extent::Data { at: Bytes(place.start), bytes }))?;
        }
        Ok(())
    }

    /// Send the zeros that were kept back.
    pub(super) fn end(&mut self) -> Result<(), DecodeError> {
        let (at, length) = (Bytes(self.zeros.start), Bytes(self.zeros.end - self.zeros.start));
        if length > Bytes(0) {
            send(self.to, Decoded::Extent(Extent::Zero { at, length }))?;
        }
        self.zeros = self.zeros.end..self.zeros.end;
        Ok(())
    }
}

/// A part of a chunk that is all zero, or not.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Run {
    pub(super) range: Range<usize>,
    pub(super) zero: bool,
}

/// The longest runs of `chunk`, in order, in steps of [`GRAIN`].
pub(super) fn runs(chunk: &[u8]) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    for start in (0..chunk.len()).step_by(GRAIN) {
        let range = start..(start + GRAIN).min(chunk.len());
        let zero = range.len() == GRAIN && is_zero(&chunk[range.clone()]);
        match runs.last_mut() {
            Some(run) if run.zero == zero => run.range.end = range.end,
            _ => runs.push(Run { range, zero }),
        }
    }
    runs
}

/// The last sector of all that has passed, in whatever order it did.
pub(super) struct Tail {
    bytes: [u8; SECTOR],
    end: u64,
}

impl Default for Tail {
    fn default() -> Self {
        Self { bytes: [0; SECTOR], end: 0 }
    }
}

impl Tail {
    /// `chunk` belongs at `at`.
    pub(super) fn see(&mut self, at: u64, chunk: &[u8]) {
        let end = at + chunk.len() as u64;
        let further = usize::try_from(end.saturating_sub(self.end)).unwrap_or(usize::MAX).min(SECTOR);
        self.bytes.copy_within(further.., 0);
        self.end = self.end.max(end);
        // What of the chunk lies in the last sector, seen from the end.
        let behind = usize::try_from(self.end - end).unwrap_or(usize::MAX);
        let room = SECTOR.saturating_sub(behind);
        let last = &chunk[chunk.len().saturating_sub(room)..];
        self.bytes[room - last.len()..room].copy_from_slice(last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_of_zeros_are_found_and_cover_everything() {
        let mut bytes = vec![0; GRAIN * 4 + 100];
        bytes[GRAIN + 5] = 1;
        let found = runs(&Buffer::copy_of(&bytes));
        let shape: Vec<_> = found.iter().map(|run| (run.range.start, run.range.end, run.zero)).collect();
        assert_eq!(
            shape,
            [
                (0, GRAIN, true),
                (GRAIN, GRAIN * 2, false),
                (GRAIN * 2, GRAIN * 4, true),
                (GRAIN * 4, GRAIN * 4 + 100, false)
            ]
        );
    }

    #[test]
    fn the_last_sector_is_known_whatever_comes_last() {
        let parts = [(0, vec![1; 1000]), (1000, vec![2; 12]), (1012, vec![3; 8])];
        for order in [[0, 1, 2], [2, 1, 0], [1, 2, 0], [2, 0, 1]] {
            let mut tail = Tail::default();
            for part in order {
                tail.see(parts[part].0, &parts[part].1);
            }
            let expected = [vec![1; 492], vec![2; 12], vec![3; 8]].concat();
            assert_eq!((tail.bytes.to_vec(), tail.end), (expected, 1020), "{order:?}");
        }
    }
}
