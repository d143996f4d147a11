//! Who owns which cluster of the file. Two owners are a lie: metadata read as
//! data, a table that loops, a bomb of one cluster shown a million times.

use super::Qcow2Error;

/// The most clusters that are tracked: 4 TiB of file in 64 KiB clusters, at
/// 16 MiB for both maps.
const MOST_CLUSTERS: u64 = 64 << 20;

/// Clusters of the file that are spoken for.
#[derive(Debug)]
pub(super) struct Claims {
    cluster_bits: u32,
    /// One owner each.
    alone: Bits,
    /// Shared by compressed data, which is packed to the byte.
    packed: Bits,
}

#[derive(Debug, Default)]
struct Bits(Vec<u64>);

impl Bits {
    fn has(&self, bit: u64) -> bool {
        self.word(bit).is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }

    fn word(&self, bit: u64) -> Option<u64> {
        self.0.get(usize::try_from(bit / 64).ok()?).copied()
    }

    fn set(&mut self, bit: u64) {
        let place = usize::try_from(bit / 64).expect("below MOST_CLUSTERS");
        if place >= self.0.len() {
            self.0.resize(place + 1, 0);
        }
        self.0[place] |= 1 << (bit % 64);
    }
}

impl Claims {
    pub(super) fn new(cluster_bits: u32) -> Self {
        Self { cluster_bits, alone: Bits::default(), packed: Bits::default() }
    }

    /// Claim `length` bytes at `at` for one owner.
    pub(super) fn alone(&mut self, at: u64, length: u64, what: &'static str) -> Result<(), Qcow2Error> {
        self.each(at, length, |claims, cluster| {
            let free = !claims.alone.has(cluster) && !claims.packed.has(cluster);
            claims.alone.set(cluster);
            free
        })
        .then_some(())
        .ok_or(Qcow2Error::Lie { what, at })
    }

    /// Claim `length` bytes at `at` for compressed data.
    pub(super) fn packed(&mut self, at: u64, length: u64) -> Result<(), Qcow2Error> {
        self.each(at, length, |claims, cluster| {
            claims.packed.set(cluster);
            !claims.alone.has(cluster)
        })
        .then_some(())
        .ok_or(Qcow2Error::Lie { what: "compressed data lies inside metadata or another cluster", at })
    }

    fn each(&mut self, at: u64, length: u64, mut claim: impl FnMut(&mut Self, u64) -> bool) -> bool {
        let last = (at + length.max(1) - 1) >> self.cluster_bits;
        last < MOST_CLUSTERS && (at >> self.cluster_bits..=last).all(|cluster| claim(self, cluster))
    }
}
