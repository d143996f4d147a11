//! Inputs made from inputs: what a careless tool or an attacker would do.

/// A small random number generator (xorshift64*), the same everywhere.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// From `seed`; nought is as good as any.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// Any number.
    pub fn any(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// A number below `limit`; nought when that is nought.
    pub fn below(&mut self, limit: usize) -> usize {
        let place = self.any() >> 11;
        usize::try_from(place % limit.max(1) as u64).unwrap_or_default()
    }

    /// One of `choices`.
    ///
    /// # Panics
    /// When there is nothing to choose.
    pub fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len())]
    }
}

/// Numbers at which comparisons, shifts and sums go wrong.
const INTERESTING: [u64; 22] = [
    0,
    1,
    2,
    7,
    8,
    9,
    0x7f,
    0x80,
    0xff,
    0x200,
    0x1000,
    0x7fff,
    0xffff,
    0x1_0000,
    0x10_0000,
    0x7fff_ffff,
    0x8000_0000,
    0xffff_fffe,
    0xffff_ffff,
    0x7fff_ffff_ffff_ffff,
    0xffff_ffff_ffff_fe00,
    0xffff_ffff_ffff_ffff,
];
/// Offsets are taken from the parts that hold something, in lines so long.
const LINE: usize = 64;
/// The longest run that is copied, filled or added.
const LONGEST: usize = 1024;
/// The most changes made at once.
const MOST_CHANGES: usize = 4;
/// No input grows beyond this.
const LARGEST: usize = 8 << 20;

/// `input`, changed in one to [`MOST_CHANGES`] places; `other` lends parts.
#[must_use]
pub fn mutate(input: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = input.to_vec();
    let busy = busy(input);
    for _ in 0..=random.below(MOST_CHANGES) {
        change(&mut bytes, &busy, other, random);
    }
    bytes
}

/// Where the lines are that hold something.
fn busy(input: &[u8]) -> Vec<usize> {
    let lines = input.chunks(LINE).enumerate();
    lines.filter(|(_, line)| **line != [0; LINE][..line.len()]).map(|(number, _)| number * LINE).collect()
}

fn change(bytes: &mut Vec<u8>, busy: &[usize], other: &[u8], random: &mut Random) {
    let at = place(bytes, busy, random);
    let length = 1 + random.below(LONGEST);
    match random.below(20) {
        0..=3 => flip(bytes, at, 1 << random.below(8)),
        4..=5 => flip(bytes, at, random.any().to_be_bytes()[0]),
        6..=10 => {
            let number = *random.pick(&INTERESTING);
            number_at(bytes, at, random, |_| number);
        }
        11..=13 => {
            let step = random.pick(&INTERESTING[..14]).wrapping_mul(random.any() & 1).max(1);
            let sign = random.any() & 1 == 0;
            number_at(
                bytes,
                at,
                random,
                |old| {
                    if sign { old.wrapping_add(step) } else { old.wrapping_sub(step) }
                },
            );
        }
        14 => fill(bytes, at, length, *random.pick(&[0, 0xff, 0x20])),
        15 => {
            let from = place(bytes, busy, random);
            let part = part(bytes, from, length);
            overwrite(bytes, at, &part);
        }
        16 => overwrite(bytes, at, &part(other, at, length)),
        17 => bytes.truncate(random.below(bytes.len())),
        18 if bytes.len() < LARGEST => {
            let part = part(other, at, length);
            bytes.splice(at..at, part);
        }
        _ if bytes.len() < LARGEST => {
            let part = part(bytes, at, length);
            bytes.extend(part);
        }
        _ => {}
    }
}

fn place(bytes: &[u8], busy: &[usize], random: &mut Random) -> usize {
    let at = match random.below(8) {
        0..=4 if !busy.is_empty() => random.pick(busy) + random.below(LINE),
        0..=6 => random.below(bytes.len().min(LONGEST)),
        _ => random.below(bytes.len()),
    };
    at.min(bytes.len())
}

fn flip(bytes: &mut [u8], at: usize, mask: u8) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= mask;
    }
}

/// Change the number of two, four or eight bytes around `at`, in either order.
fn number_at(bytes: &mut [u8], at: usize, random: &mut Random, change: impl Fn(u64) -> u64) {
    let size = *random.pick(&[2, 4, 8]);
    let little = random.any() & 1 == 0;
    let at = at / size * size;
    let Some(field) = bytes.get_mut(at..at + size) else { return };
    let mut wide = [0; 8];
    if little {
        wide[..size].copy_from_slice(field);
        wide = change(u64::from_le_bytes(wide)).to_le_bytes();
        field.copy_from_slice(&wide[..size]);
    } else {
        wide[8 - size..].copy_from_slice(field);
        wide = change(u64::from_be_bytes(wide)).to_be_bytes();
        field.copy_from_slice(&wide[8 - size..]);
    }
}

fn fill(bytes: &mut [u8], at: usize, length: usize, with: u8) {
    let end = (at + length).min(bytes.len());
    bytes[at.min(end)..end].fill(with);
}

fn part(bytes: &[u8], at: usize, length: usize) -> Vec<u8> {
    let start = at.min(bytes.len());
    bytes[start..(start + length).min(bytes.len())].to_vec()
}

fn overwrite(bytes: &mut [u8], at: usize, with: &[u8]) {
    let end = (at + with.len()).min(bytes.len());
    let at = at.min(end);
    bytes[at..end].copy_from_slice(&with[..end - at]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_makes_the_same_inputs_and_another_makes_others() {
        let made = |seed| {
            let mut random = Random::new(seed);
            (0..200).map(|_| mutate(&[7; 300], &[9; 300], &mut random)).collect::<Vec<_>>()
        };
        assert_eq!(made(1), made(1));
        assert_ne!(made(1), made(2));
    }

    #[test]
    fn an_empty_input_can_be_mutated() {
        let mut random = Random::new(3);
        for _ in 0..1000 {
            let _ = mutate(&[], &[1, 2, 3], &mut random);
        }
    }
}
