//! Choosing blocks at random so that an auditor can choose the same.

use std::fmt;

/// What the sample was drawn with; recorded in the certificate as 16 hex digits.
///
/// The draw is splitmix64 (Steele, Lea, Flood 2014) started at the seed, one
/// step a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seed(pub u64);

impl Seed {
    /// From the kernel's random numbers: a device must not be able to foresee it.
    ///
    /// # Errors
    /// When the kernel has none, which ends the erasure before it begins.
    pub fn random() -> Result<Self, getrandom::Error> {
        getrandom::u64().map(Self)
    }

    pub(crate) fn draw(self) -> Draw {
        Draw(self.0)
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// A sequence of numbers.
#[derive(Debug)]
pub(crate) struct Draw(u64);

impl Draw {
    /// The draw for everything but the sample, which an auditor repeats from the seed alone.
    pub(crate) fn after(seed: Seed) -> Self {
        Self(!seed.0)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 when `end` is 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next().checked_rem(end).unwrap_or(0)
    }

    pub(crate) fn fill(&mut self, bytes: &mut [u8]) {
        for piece in bytes.chunks_mut(8) {
            piece.copy_from_slice(&self.next().to_le_bytes()[..piece.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_draw_is_splitmix64_so_an_auditor_can_repeat_it() {
        let mut draw = Seed(1_234_567).draw();
        // Reference values of the public-domain splitmix64.c.
        assert_eq!([draw.next(), draw.next()], [6_457_827_717_110_365_317, 3_203_168_211_198_807_973]);
    }
}
