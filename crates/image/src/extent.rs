//! What a decoder yields: bytes and zeros with their place on the disk.

use std::{ops::Range, sync::Arc};

use disk::Buffer;
use model::Bytes;

/// How many bytes travel together: the unit of reading, hashing, decoding and
/// writing. Every chunk but the last is exactly this long.
pub(crate) const CHUNK: usize = 1 << 20;

/// A part of a chunk, shared and not copied.
#[derive(Clone, Debug)]
pub(crate) struct Slice {
    chunk: Arc<Buffer>,
    range: Range<usize>,
}

impl Slice {
    /// The bytes `range` of `chunk`.
    pub(crate) fn new(chunk: Arc<Buffer>, range: Range<usize>) -> Self {
        debug_assert!(range.end <= chunk.len());
        Self { chunk, range }
    }

    /// The bytes `range` of this part.
    pub(crate) fn part(&self, range: Range<usize>) -> Self {
        debug_assert!(range.end <= self.range.len());
        let start = self.range.start;
        Self { chunk: Arc::clone(&self.chunk), range: start + range.start..start + range.end }
    }

    /// Add `next` when it follows in the same chunk; false when it does not.
    pub(crate) fn extend(&mut self, next: &Self) -> bool {
        let follows = Arc::ptr_eq(&self.chunk, &next.chunk) && self.range.end == next.range.start;
        if follows {
            self.range.end = next.range.end;
        }
        follows
    }

    /// The bytes.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.chunk[self.range.clone()]
    }
}

/// A part of the disk and what belongs there. A decoder yields extents in any
/// order; together they cover the image, and none overlaps another.
#[derive(Clone, Debug)]
pub(crate) enum Extent {
    /// These bytes.
    Data {
        /// Where they go.
        at: Bytes,
        /// What goes there.
        bytes: Slice,
    },
    /// Zeros.
    Zero {
        /// Where they go.
        at: Bytes,
        /// How many.
        length: Bytes,
    },
}

/// What zeros are compared with; it stays in the processor's first cache.
static ZEROS: [u8; 4096] = [0; 4096];

/// True when all of `bytes` are zero. Every byte of an image passes here, so
/// the comparing is left to the C library, which has the widest instructions
/// of the machine at hand, however small this program is compiled.
pub(crate) fn is_zero(bytes: &[u8]) -> bool {
    bytes.chunks(ZEROS.len()).all(|piece| *piece == ZEROS[..piece.len()])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bit_anywhere_is_not_zero() {
        for length in [0, 1, 63, 64, 65, 512, 1000, 4095, 4097] {
            let mut bytes = vec![0; length];
            assert!(is_zero(&bytes), "{length}");
            for at in 0..length {
                bytes[at] = 0x80;
                assert!(!is_zero(&bytes), "{at} of {length}");
                bytes[at] = 0;
            }
        }
    }
}
