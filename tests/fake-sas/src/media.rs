//! The blocks of the drive, in memory.

use std::ops::Range;

/// Bytes of a block.
pub(crate) const BLOCK: usize = 512;

/// What is on the platters.
#[derive(Clone, Debug)]
pub struct Media {
    bytes: Vec<u8>,
    /// Changed by every cryptographic erase: what the old bytes decrypt to.
    key: u64,
}

impl Media {
    /// `blocks` blocks of zeros.
    pub(crate) fn new(blocks: u64) -> Self {
        let length = usize::try_from(blocks).expect("a drive of a test fits in memory") * BLOCK;
        Self { bytes: vec![0; length], key: 1 }
    }

    /// Everything on it, what is hidden behind a host protected area included.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// For planting secrets.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Whether `secret` is anywhere on it.
    #[must_use]
    pub fn holds(&self, secret: &[u8]) -> bool {
        self.bytes.windows(secret.len()).any(|bytes| bytes == secret)
    }

    pub(crate) fn blocks(&self) -> u64 {
        (self.bytes.len() / BLOCK) as u64
    }

    pub(crate) fn at(&mut self, blocks: Range<u64>) -> &mut [u8] {
        let byte = |block: u64| usize::try_from(block).expect("checked by the caller") * BLOCK;
        &mut self.bytes[byte(blocks.start)..byte(blocks.end)]
    }

    /// The first `share` 65,536ths become zeros.
    pub(crate) fn zero(&mut self, share: u32) {
        let end = self.bytes.len() / 65_536 * share as usize;
        self.bytes[..end].fill(0);
    }

    /// A new key: every byte reads as something else.
    pub(crate) fn scramble(&mut self) {
        let mut stream = self.key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for word in self.bytes.chunks_exact_mut(8) {
            stream ^= stream << 13;
            stream ^= stream >> 7;
            stream ^= stream << 17;
            word.copy_from_slice(&stream.to_le_bytes());
        }
        self.key += 1;
    }
}
