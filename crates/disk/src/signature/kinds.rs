//! The table of marks: what each kind writes where.
//!
//! `kinds.txt` has one line a kind, in the order in which libblkid looks for
//! them: `name usage minimum mark…`. The minimum is in KiB. A mark is
//! `offset:bytes`, the offset in hexadecimal, from the end of the last whole
//! sector with a minus; the bytes in hexadecimal, or behind a `'` as text with
//! `~` for a space. What must be there besides follows it behind a `+`. A kind
//! without marks has only a check ([`check::holds`]). It is a text, and not
//! an array of structures, because each pointer in those costs 32 bytes of the
//! agent: 8 for itself, 24 to relocate it.
//!
//! Names, offsets and bytes are those of libblkid (`libblkid/src/superblocks/`, as of 2026).
//! VMFS-L, of ESXi 7's own volumes, is as its readers have it.

use super::{Extent, Usage, View, check};

const KINDS: &str = include_str!("kinds.txt");

/// One kind of content.
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) usage: Usage,
    /// Only on whole disks: RAIDs of a controller's firmware.
    firmware: bool,
    /// May lie beside another one: hybrid images.
    pub(super) tolerant: bool,
    /// The smallest device it fits on, in bytes.
    minimum: u64,
    marks: &'static str,
}

/// Bytes at a place.
pub(super) struct Mark {
    /// From the start, or when negative from the end of the last whole sector.
    pub(super) at: i64,
    pub(super) bytes: Vec<u8>,
}

/// All kinds, in libblkid's order.
pub(super) fn kinds() -> impl Iterator<Item = Kind> {
    KINDS.lines().filter_map(Kind::of_line)
}

impl Kind {
    fn of_line(line: &'static str) -> Option<Self> {
        let mut words = line.splitn(4, ' ');
        let (name, word, minimum) = (words.next()?, words.next()?, words.next()?);
        let usage = match word {
            "raid" | "firmware" => Usage::Raid,
            "crypto" => Usage::Crypto,
            "other" => Usage::Other,
            _ => Usage::Filesystem,
        };
        Some(Self {
            name,
            usage,
            firmware: word == "firmware",
            tolerant: word == "tolerant",
            minimum: minimum.parse::<u64>().ok()? << 10,
            marks: words.next().unwrap_or_default(),
        })
    }

    /// Its marks, without what must be there besides.
    pub(super) fn marks(&self) -> impl Iterator<Item = Mark> {
        self.marks.split(' ').filter_map(|word| Mark::of_word(word.split('+').next()?))
    }

    /// True when `view` is this.
    pub(super) fn is(&self, view: &View<'_>) -> bool {
        if view.size < self.minimum || (self.firmware && view.extent == Extent::Partition) {
            return false;
        }
        if self.marks.is_empty() {
            return check::holds(view, self.name, 0);
        }
        self.marks.split(' ').any(|word| {
            let mut parts = word.split('+').map(|part| Mark::of_word(part)?.place(view));
            let at = parts.next().flatten();
            at.is_some_and(|at| parts.all(|part| part.is_some()) && check::holds(view, self.name, at))
        })
    }
}

impl Mark {
    fn of_word(word: &str) -> Option<Self> {
        let (at, bytes) = word.split_once(':')?;
        Some(Self { at: i64::from_str_radix(at, 16).ok()?, bytes: decoded(bytes)? })
    }

    /// Where it is in `view`, if it is there.
    fn place(&self, view: &View<'_>) -> Option<u64> {
        let at = u64::try_from(self.at).ok().or_else(|| view.before_end(self.at.unsigned_abs()))?;
        view.has(at, &self.bytes).then_some(at)
    }
}

fn decoded(text: &str) -> Option<Vec<u8>> {
    if let Some(text) = text.strip_prefix('\'') {
        return Some(text.bytes().map(|byte| if byte == b'~' { b' ' } else { byte }).collect());
    }
    let pairs = (0..text.len()).step_by(2);
    pairs.map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_of_the_table_is_understood() {
        let kinds: Vec<Kind> = kinds().collect();
        assert_eq!(kinds.len(), KINDS.lines().count());
        for kind in &kinds {
            let words: Vec<_> = kind.marks.split([' ', '+']).filter(|word| !word.is_empty()).collect();
            let marks = words.iter().filter_map(|word| Mark::of_word(word)).count();
            assert_eq!(marks, words.len(), "{}", kind.name);
            assert!(kind.marks().all(|mark| mark.bytes.len() >= 2), "{}", kind.name);
        }
        let names = model::order::set(kinds.iter().map(|kind| kind.name));
        assert_eq!(names.len(), kinds.len(), "no name twice");
    }
}
