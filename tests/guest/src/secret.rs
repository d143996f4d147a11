//! The old tenant's data: text in every sector, so that any sector that survives is known.

use std::io::{self, Read};

/// What every 32 bytes of a used drive begin with.
pub const SECRET: &[u8; 16] = b"TENANT'S SECRET ";
/// The smallest piece that may survive, in bytes.
pub const SECTOR: usize = 512;
/// How much is made or searched at a time, in bytes.
pub const STEP: usize = 1 << 20;
/// More places than this are not listed.
const LISTED: usize = 8;

/// One line of it; the first of each sector says where it is.
const LINE: &[u8; 32] = b"TENANT'S SECRET where: unknown; ";

/// Fill `bytes`, which lie at byte `at` of the drive.
pub fn fill(bytes: &mut [u8], at: u64) {
    bytes.chunks_mut(LINE.len()).for_each(|line| line.copy_from_slice(&LINE[..line.len()]));
    // Formatting every line would take longer than everything else in a guest.
    for (sector, place) in bytes.chunks_mut(SECTOR).zip((at..).step_by(SECTOR)) {
        let text = place.to_be_bytes();
        if let Some(number) = sector.get_mut(SECRET.len()..SECRET.len() + text.len()) {
            number.copy_from_slice(&text);
        }
    }
}

/// Sectors with something of the old tenant in them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survivors {
    /// How many.
    pub sectors: u64,
    /// Byte offsets of the first ones.
    pub first: Vec<u64>,
}

impl Survivors {
    /// Search everything that `from` has.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn among(mut from: impl Read) -> io::Result<Self> {
        let mut found = Self::default();
        let (mut buffer, mut at) = (vec![0; STEP], 0);
        loop {
            let length = read_up_to(&mut from, &mut buffer)?;
            found.search(&buffer[..length], at);
            at += length as u64;
            if length < STEP {
                return Ok(found);
            }
        }
    }

    /// Search `bytes`, which lie at byte `at`.
    pub fn search(&mut self, bytes: &[u8], at: u64) {
        const ZEROS: [u8; SECTOR] = [0; SECTOR];
        for (sector, place) in bytes.chunks(SECTOR).zip((at..).step_by(SECTOR)) {
            // Comparing is a hundred times faster than searching in a guest, and most is zero.
            if *sector != ZEROS[..sector.len()] && holds_secret(sector) {
                self.sectors += 1;
                if self.first.len() < LISTED {
                    self.first.push(place);
                }
            }
        }
    }

    /// Nothing survived.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.sectors == 0
    }
}

fn holds_secret(sector: &[u8]) -> bool {
    let mut rest = sector;
    while let Some(at) = rest.iter().position(|&byte| byte == SECRET[0]) {
        if rest[at..].starts_with(SECRET) {
            return true;
        }
        rest = &rest[at + 1..];
    }
    false
}

fn read_up_to(from: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match from.read(&mut buffer[length..])? {
            0 => break,
            count => length += count,
        }
    }
    Ok(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_of_the_secret_anywhere_is_a_survivor() {
        let mut bytes = vec![0; 3 * STEP / 2];
        assert!(Survivors::among(&bytes[..]).expect("read").is_none());
        fill(&mut bytes[STEP + 100..STEP + 132], 7);
        let found = Survivors::among(&bytes[..]).expect("read");
        assert_eq!((found.sectors, &found.first[..]), (1, &[STEP as u64][..]));
        fill(&mut bytes, 0);
        assert_eq!(Survivors::among(&bytes[..]).expect("read").sectors, 3 * STEP as u64 / 2 / SECTOR as u64);
    }
}
