//! Which parts of the file are spoken for, when they are too many and too
//! crooked to be counted in clusters.

use super::super::flaw::Flaw;

/// Parts of a file: start and end.
#[derive(Debug, Default)]
pub(super) struct Parts(Vec<(u64, u64)>);

impl Parts {
    /// `length` bytes at `at` are somebody's.
    pub(super) fn add(&mut self, at: u64, length: u64) {
        match self.0.last_mut() {
            Some(last) if last.1 == at => last.1 += length,
            Some(_) | None => self.0.push((at, at + length)),
        }
    }

    /// No two of them overlap.
    pub(super) fn check(&mut self) -> Result<(), Flaw> {
        self.0.sort_unstable();
        match self.0.windows(2).find(|pair| pair[0].1 > pair[1].0) {
            Some(pair) => Err(Flaw::Lie { what: "grains or tables overlap", at: pair[1].0 }),
            None => Ok(()),
        }
    }
}
