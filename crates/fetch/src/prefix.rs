//! What was passed on already, when it comes again.
//!
//! A server that cannot continue sends everything once more. What it repeats
//! is dropped; if nothing else tells its versions of the file apart, a CRC of
//! what it sent first does. (The digest of the whole decides in the end: this
//! only says so earlier, and better.)

use bytes::Bytes;

use crate::fetcher::Batch;

/// The bytes passed on so far.
#[derive(Debug)]
pub(crate) struct Prefix {
    length: u64,
    /// Only where it is needed: it costs every byte a look.
    crc: Option<u32>,
}

impl Prefix {
    /// Nothing yet; `watched` when a repetition must be compared.
    pub(crate) fn new(watched: bool) -> Self {
        Self { length: 0, crc: watched.then_some(0) }
    }

    /// How many.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Take note of `batch`, cut off where the file ends.
    pub(crate) fn extend(&mut self, mut batch: Batch, end: Option<u64>) -> Batch {
        for piece in &mut batch {
            let left = end.map_or(u64::MAX, |end| end.saturating_sub(self.length));
            piece.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            self.length += piece.len() as u64;
            self.crc = self.crc.map(|crc| crc32c::crc32c_append(crc, piece));
        }
        batch.retain(|piece| !piece.is_empty());
        batch
    }

    /// The first `skip` bytes that come now are known.
    pub(crate) fn again(&self, skip: u64) -> Repetition {
        let whole = skip == self.length;
        Repetition { left: skip, crc: self.crc.filter(|_| whole).map(|want| (0, want)) }
    }
}

/// Known bytes coming again.
#[derive(Debug)]
pub(crate) struct Repetition {
    left: u64,
    /// Of those that came, and of those that came before.
    crc: Option<(u32, u32)>,
}

impl Repetition {
    /// `batch` without what is known; `count` hears how much that was.
    pub(crate) fn skip(&mut self, batch: Batch, count: impl Fn(u64)) -> Batch {
        if self.left == 0 {
            return batch;
        }
        let mut new = Batch::new();
        for mut piece in batch {
            let skipped = usize::try_from(self.left).unwrap_or(usize::MAX).min(piece.len());
            let dropped: Bytes = piece.split_to(skipped);
            self.left -= skipped as u64;
            self.crc = self.crc.map(|(crc, want)| (crc32c::crc32c_append(crc, &dropped), want));
            count(skipped as u64);
            if !piece.is_empty() {
                new.push(piece);
            }
        }
        new
    }

    /// True when what was known is not what came.
    pub(crate) fn differs(&self) -> bool {
        self.left == 0 && self.crc.is_some_and(|(crc, want)| crc != want)
    }

    /// True while everything that comes is known.
    pub(crate) fn is_skipping(&self) -> bool {
        self.left > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(parts: &[&'static [u8]]) -> Batch {
        parts.iter().map(|part| Bytes::from_static(part)).collect()
    }

    #[test]
    fn repetitions_are_dropped_and_compared() {
        for (again, differs) in [(&[&b"hel"[..], b"lo wor"], false), (&[b"hal", b"lo wor"], true)] {
            let mut known = Prefix::new(true);
            assert_eq!(known.extend(batch(&[b"he", b"llo"]), None).concat(), b"hello");
            let mut repetition = known.again(5);
            let dropped = std::cell::Cell::new(0);
            let new = repetition.skip(batch(again), |bytes| dropped.set(dropped.get() + bytes));
            assert_eq!((new.concat().as_slice(), dropped.get()), (&b" wor"[..], 5));
            assert_eq!(repetition.differs(), differs);
            assert!(!repetition.is_skipping());
        }
    }

    #[test]
    fn nothing_is_taken_beyond_the_end() {
        let mut known = Prefix::new(false);
        assert_eq!(known.extend(batch(&[b"abc", b"def", b"ghi"]), Some(5)).concat(), b"abcde");
        assert_eq!(known.length(), 5);
    }
}
