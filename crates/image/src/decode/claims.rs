//! Who owns which cluster of the file. Two owners are a lie: metadata read as
//! data, a table that loops, a bomb of one cluster shown a million times.

use std::{collections::BTreeMap, ops::RangeInclusive};

/// Clusters of the file that are spoken for.
#[derive(Debug)]
pub(super) struct Claims {
    cluster_bits: u32,
    /// One owner each.
    alone: Bits,
    /// Shared by compressed data, which is packed to the byte.
    packed: Bits,
}

/// Bits in pages, of which only those exist that have a bit set.
#[derive(Debug, Default)]
struct Bits(BTreeMap<u64, Box<[u64; WORDS]>>);

const WORDS: usize = 512;
const PAGE_BITS: u64 = WORDS as u64 * 64;

impl Bits {
    fn has(&self, bit: u64) -> bool {
        let (word, bit_of_word) = place(bit);
        self.0.get(&(bit / PAGE_BITS)).is_some_and(|page| page[word] >> bit_of_word & 1 == 1)
    }

    fn set(&mut self, bit: u64) {
        let (word, bit_of_word) = place(bit);
        let page = self.0.entry(bit / PAGE_BITS).or_insert_with(|| Box::new([0; WORDS]));
        page[word] |= 1 << bit_of_word;
    }
}

fn place(bit: u64) -> (usize, u64) {
    let word = usize::try_from(bit % PAGE_BITS / 64).expect("below WORDS");
    (word, bit % 64)
}

impl Claims {
    /// Nothing is claimed of a file in clusters of `1 << cluster_bits`.
    pub(super) fn new(cluster_bits: u32) -> Self {
        Self { cluster_bits, alone: Bits::default(), packed: Bits::default() }
    }

    /// Claim `length` bytes at `at` for one owner. False when part of it is
    /// taken.
    #[must_use]
    pub(super) fn alone(&mut self, at: u64, length: u64) -> bool {
        self.range(at, length).all(|cluster| {
            let free = !self.alone.has(cluster) && !self.packed.has(cluster);
            self.alone.set(cluster);
            free
        })
    }

    /// Claim `length` bytes at `at` for compressed data. False when part of it
    /// is taken by something else.
    #[must_use]
    pub(super) fn packed(&mut self, at: u64, length: u64) -> bool {
        self.range(at, length).all(|cluster| {
            self.packed.set(cluster);
            !self.alone.has(cluster)
        })
    }

    /// Bytes of memory in use.
    pub(super) fn memory(&self) -> usize {
        (self.alone.0.len() + self.packed.0.len()) * WORDS * 8
    }

    /// Nothing before `at` will be claimed any more.
    pub(super) fn forget_before(&mut self, at: u64) {
        let page = (at >> self.cluster_bits) / PAGE_BITS;
        for bits in [&mut self.alone, &mut self.packed] {
            while bits.0.first_entry().is_some_and(|first| *first.key() < page) {
                bits.0.pop_first();
            }
        }
    }

    /// How many clusters `length` bytes are.
    pub(super) fn clusters(&self, length: u64) -> u64 {
        length.div_ceil(1 << self.cluster_bits)
    }

    fn range(&self, at: u64, length: u64) -> RangeInclusive<u64> {
        let last = at.saturating_add(length.max(1) - 1);
        at >> self.cluster_bits..=last >> self.cluster_bits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_has_one_owner_and_compressed_data_shares() {
        let mut claims = Claims::new(9);
        assert!(claims.alone(0, 1024));
        assert!(!claims.alone(1023, 1));
        assert!(claims.packed(1024, 700) && claims.packed(1500, 100));
        assert!(!claims.alone(1024, 1));
        assert!(!claims.packed(512, 1));
        assert!(claims.alone(1 << 50, 512) && claims.memory() == 3 * 4096);
        claims.forget_before(1 << 40);
        assert!(claims.memory() == 4096 && !claims.alone(1 << 50, 1));
    }
}
