//! Going on past blocks that cannot be written or read, and remembering them.

use std::{
    io,
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError},
};

use model::Bytes;

use crate::zones::Piece;

/// More places than this, and the disk is dying: it is not worth its list.
const PLACES: usize = 256;
/// Failed accesses to one disk in all: each costs a dying disk seconds, and
/// one bad block of 512 bytes in a piece of 1 MiB costs twelve.
const FAILURES: usize = 4096;

/// Places on a disk, in whole blocks, in no order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BadBlocks(Vec<Range<u64>>);

impl BadBlocks {
    /// In bytes from the start of the disk.
    #[must_use]
    pub fn ranges(&self) -> &[Range<u64>] {
        &self.0
    }

    /// How much it is.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        Bytes(self.0.iter().map(|range| range.end - range.start).sum())
    }

    /// True when there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first in disk order, for messages.
    #[must_use]
    pub fn first(&self) -> Bytes {
        Bytes(self.0.iter().map(|range| range.start).min().unwrap_or(0))
    }

    /// With `piece`, joined to its neighbours. False when there is no room for it.
    pub(crate) fn add(&mut self, piece: Piece) -> bool {
        let mut new = piece.at..piece.at + piece.length;
        self.0.retain(|old| {
            let touches = old.start <= new.end && new.start <= old.end;
            if touches {
                new = old.start.min(new.start)..old.end.max(new.end);
            }
            !touches
        });
        self.0.push(new);
        self.0.len() <= PLACES
    }

    /// True when any byte of `piece` is among them.
    pub(crate) fn touch(&self, piece: Piece) -> bool {
        self.0.iter().any(|range| range.start < piece.at + piece.length && piece.at < range.end)
    }
}

/// Why going on makes no sense.
#[derive(Debug)]
pub(crate) struct GaveUp {
    pub(crate) at: Bytes,
    pub(crate) why: Why,
    pub(crate) err: io::Error,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// Nothing on the disk can be read any more.
    Gone,
    /// Too much fails.
    Dying,
}

#[derive(Debug, Default)]
struct Found {
    bad: BadBlocks,
    failures: usize,
    /// What the kernel answered first.
    first: Option<io::Error>,
}

/// What failed on one disk, in all lanes.
#[derive(Debug)]
pub(crate) struct Salvage {
    block: u64,
    found: Mutex<Found>,
}

impl Salvage {
    /// On a disk of blocks of `block` bytes.
    pub(crate) fn new(block: u64) -> Self {
        Self { block, found: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Do `work` to `piece`; where that fails, to its halves, and so on down to
    /// single blocks, which are remembered. `is_alive` is asked before that.
    ///
    /// # Errors
    /// When the disk is gone, or too much fails.
    pub(crate) fn past(
        &self,
        piece: Piece,
        is_alive: impl Fn() -> bool,
        mut work: impl FnMut(Piece) -> io::Result<()>,
    ) -> Result<(), GaveUp> {
        let mut waiting = vec![piece];
        while let Some(part) = waiting.pop() {
            let Err(err) = work(part) else { continue };
            if part == piece && !is_alive() {
                return Err(GaveUp { at: Bytes(part.at), why: Why::Gone, err });
            }
            self.failed(part, err)?;
            waiting.extend(halves(part, self.block));
        }
        Ok(())
    }

    fn failed(&self, part: Piece, err: io::Error) -> Result<(), GaveUp> {
        let mut found = self.lock();
        found.failures += 1;
        let fits = part.length > self.block || found.bad.add(part);
        if !fits || found.failures >= FAILURES {
            return Err(GaveUp { at: Bytes(part.at), why: Why::Dying, err });
        }
        found.first.get_or_insert(err);
        Ok(())
    }

    /// Before this place nothing failed so far.
    pub(crate) fn whole_before(&self) -> u64 {
        let found = self.lock();
        found.bad.ranges().iter().map(|range| range.start).min().unwrap_or(u64::MAX)
    }

    /// The places, and what the kernel answered at one of them. None when all went well.
    pub(crate) fn into_found(self) -> Option<(BadBlocks, io::Error)> {
        let found = self.found.into_inner().unwrap_or_else(PoisonError::into_inner);
        let err = found.first.filter(|_| !found.bad.is_empty())?;
        Some((found.bad, err))
    }
}

/// The first half last, as a stack wants it; none of a single block.
fn halves(piece: Piece, block: u64) -> Vec<Piece> {
    if piece.length <= block {
        return Vec::new();
    }
    let left = (piece.length / 2).next_multiple_of(block);
    vec![Piece { at: piece.at + left, length: piece.length - left }, Piece { at: piece.at, length: left }]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eio() -> io::Error {
        io::Error::from_raw_os_error(5)
    }

    #[test]
    fn only_the_blocks_that_fail_are_left_out() {
        let salvage = Salvage::new(512);
        let mut done = Vec::new();
        let bad = [1024..1536, 1536..2048, 9216..9728];
        let whole = Piece { at: 512, length: 9216 };
        salvage
            .past(
                whole,
                || true,
                |part| {
                    let range = part.at..part.at + part.length;
                    if bad.iter().any(|bad| bad.start < range.end && range.start < bad.end) {
                        return Err(eio());
                    }
                    done.push(range);
                    Ok(())
                },
            )
            .expect("it goes on");
        let (found, _) = salvage.into_found().expect("three blocks");
        let mut places = found.ranges().to_vec();
        places.sort_by_key(|range| range.start);
        assert_eq!((places, found.bytes()), (vec![1024..2048, 9216..9728], Bytes(1536)));
        done.sort_by_key(|range| range.start);
        let covered: u64 = done.iter().map(|range| range.end - range.start).sum();
        assert_eq!(covered, 9216 - 1536);
        assert!(found.touch(Piece { at: 0, length: 1025 }) && !found.touch(Piece { at: 0, length: 1024 }));
    }

    #[test]
    fn a_disk_that_is_gone_or_dying_is_given_up() {
        let salvage = Salvage::new(512);
        let piece = Piece { at: 0, length: 1 << 20 };
        let gone = salvage.past(piece, || false, |_| Err(eio())).expect_err("gone");
        assert_eq!(gone.why, Why::Gone);
        assert!(salvage.into_found().is_none(), "what is gone has no bad blocks");
        let salvage = Salvage::new(512);
        let mut asked = 0;
        let dying = (0..100).find_map(|n| {
            let piece = Piece { at: n << 20, length: 1 << 20 };
            salvage
                .past(
                    piece,
                    || true,
                    |_| {
                        asked += 1;
                        Err(eio())
                    },
                )
                .err()
        });
        assert_eq!(dying.map(|gave_up| gave_up.why), Some(Why::Dying));
        assert!(asked <= FAILURES, "{asked} failures were waited for");
    }

    #[test]
    fn a_disk_with_bad_blocks_all_over_is_given_up() {
        let salvage = Salvage::new(512);
        let outcome = (0..=PLACES as u64).try_for_each(|n| {
            let piece = Piece { at: n * 4096, length: 1024 };
            salvage.past(piece, || true, |part| if part.at == piece.at { Err(eio()) } else { Ok(()) })
        });
        assert_eq!(outcome.expect_err("too many").why, Why::Dying);
    }
}
