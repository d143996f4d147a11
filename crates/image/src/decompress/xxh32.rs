//! XXH32 with seed 0, the checksum of LZ4 frames
//! (<https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md>).

const PRIMES: [u32; 5] = [0x9E37_79B1, 0x85EB_CA77, 0xC2B2_AE3D, 0x27D4_EB2F, 0x1656_67B1];
/// Bytes that are mixed in at once.
const STRIPE: usize = 16;

/// The checksum of what has been added so far.
pub(super) struct Xxh32 {
    lanes: [u32; 4],
    rest: [u8; STRIPE],
    /// How many of `rest` wait for their stripe to be full.
    waiting: usize,
    /// Bytes in all, modulo 2^32, as the specification counts them.
    length: u32,
    /// Whether there was a whole stripe.
    mixed: bool,
}

impl Xxh32 {
    pub(super) fn new() -> Self {
        let [one, two, ..] = PRIMES;
        let lanes = [one.wrapping_add(two), two, 0, 0_u32.wrapping_sub(one)];
        Self { lanes, rest: [0; STRIPE], waiting: 0, length: 0, mixed: false }
    }

    /// The checksum of `bytes`.
    pub(super) fn of(bytes: &[u8]) -> u32 {
        let mut hash = Self::new();
        hash.update(bytes);
        hash.finish()
    }

    pub(super) fn update(&mut self, mut bytes: &[u8]) {
        self.length = bytes.chunks(1 << 30).fold(self.length, |length, part| {
            length.wrapping_add(u32::try_from(part.len()).expect("at most a gibibyte"))
        });
        if self.waiting > 0 {
            let count = bytes.len().min(STRIPE - self.waiting);
            let (first, after) = bytes.split_at(count);
            self.rest[self.waiting..self.waiting + count].copy_from_slice(first);
            self.waiting += count;
            if self.waiting < STRIPE {
                return;
            }
            mix(&mut self.lanes, &self.rest);
            (self.mixed, bytes) = (true, after);
        }
        let (stripes, rest) = bytes.as_chunks();
        let mut lanes = self.lanes;
        for stripe in stripes {
            mix(&mut lanes, stripe);
        }
        self.lanes = lanes;
        self.mixed |= !stripes.is_empty();
        self.waiting = rest.len();
        self.rest[..rest.len()].copy_from_slice(rest);
    }

    pub(super) fn finish(&self) -> u32 {
        let [one, two, three, four, five] = PRIMES;
        let [a, b, c, d] = self.lanes;
        let mut hash = if self.mixed {
            let turned = [a.rotate_left(1), b.rotate_left(7), c.rotate_left(12), d.rotate_left(18)];
            turned.into_iter().fold(0, u32::wrapping_add)
        } else {
            five
        };
        hash = hash.wrapping_add(self.length);
        let (words, bytes) = self.rest[..self.waiting].as_chunks();
        for &word in words {
            let word = u32::from_le_bytes(word).wrapping_mul(three);
            hash = hash.wrapping_add(word).rotate_left(17).wrapping_mul(four);
        }
        for &byte in bytes {
            let byte = u32::from(byte).wrapping_mul(five);
            hash = hash.wrapping_add(byte).rotate_left(11).wrapping_mul(one);
        }
        hash = (hash ^ hash >> 15).wrapping_mul(two);
        hash = (hash ^ hash >> 13).wrapping_mul(three);
        hash ^ hash >> 16
    }
}

/// Mix one stripe in, a word to each lane. Written out: the compiler of a small
/// program leaves a loop a loop, at a fifth of the speed.
#[inline(always)]
fn mix([a, b, c, d]: &mut [u32; 4], stripe: &[u8; STRIPE]) {
    let [a0, a1, a2, a3, b0, b1, b2, b3, c0, c1, c2, c3, d0, d1, d2, d3] = *stripe;
    *a = round(*a, [a0, a1, a2, a3]);
    *b = round(*b, [b0, b1, b2, b3]);
    *c = round(*c, [c0, c1, c2, c3]);
    *d = round(*d, [d0, d1, d2, d3]);
}

#[inline(always)]
fn round(lane: u32, word: [u8; 4]) -> u32 {
    let word = u32::from_le_bytes(word).wrapping_mul(PRIMES[1]);
    lane.wrapping_add(word).rotate_left(13).wrapping_mul(PRIMES[0])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_values_come_out_however_the_bytes_arrive() {
        // The sanity buffer of xxHash's own tests.
        let mut seed = 0x9E37_79B1_u32;
        let mut byte = || {
            let [.., byte] = seed.to_le_bytes();
            seed = seed.wrapping_mul(seed);
            byte
        };
        let buffer: Vec<u8> = (0..101).map(|_| byte()).collect();
        for (length, expected) in [(0, 0x02CC_5D05), (1, 0xB85C_BEE5), (14, 0xE5AA_0AB4), (101, 0x1F1A_A412)]
        {
            assert_eq!(Xxh32::of(&buffer[..length]), expected, "{length}");
            for step in [1, 7, 16, 33] {
                let mut hash = Xxh32::new();
                buffer[..length].chunks(step).for_each(|part| hash.update(part));
                assert_eq!(hash.finish(), expected, "{length} by {step}");
            }
        }
    }
}
