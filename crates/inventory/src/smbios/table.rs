//! The table as firmware left it: structures one behind another, each with its
//! numbers first and its texts behind them. Nothing in it is to be trusted.
//!
//! ```text
//! type │ length │ handle │ length − 4 bytes of fields │ text 0 text 0 … 0
//! ```

use std::cell::Cell;

use crate::{limits, placeholder::is_placeholder};

/// Version of SMBIOS that a table follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version {
    pub(super) major: u8,
    pub(super) minor: u8,
}

impl Version {
    /// What the entry point says: `_SM3_` (3.x), `_SM_` (2.1 to 2.8) or `_DMI_`.
    pub(super) fn of(entry_point: &[u8]) -> Option<Self> {
        let at = |at: usize| entry_point.get(at).copied();
        let (major, minor) = match entry_point {
            [b'_', b'S', b'M', b'3', b'_', ..] => (at(7)?, at(8)?),
            [b'_', b'S', b'M', b'_', ..] => (at(6)?, at(7)?),
            [b'_', b'D', b'M', b'I', b'_', ..] => (at(14)? >> 4, at(14)? & 15),
            _ => return None,
        };
        // Printed in hex instead of decimal, as the kernel corrects them.
        Some(match (major, minor) {
            (2, 0x1f | 0x21) => Self { major, minor: 3 },
            (2, 0x33) => Self { major, minor: 6 },
            _ => Self { major, minor },
        })
    }
}

/// One structure.
#[derive(Clone, Copy)]
pub(super) struct Structure<'a> {
    /// Its type.
    pub(super) kind: u8,
    /// Its fields with the four bytes before them, so that offsets are those of
    /// the standard.
    pub(super) fields: &'a [u8],
    /// Its texts, each but the last with its zero.
    pub(super) texts: &'a [u8],
    /// Counts texts that are numbered and not there.
    missing: &'a Cell<u32>,
}

impl Structure<'_> {
    pub(super) fn byte(&self, at: usize) -> Option<u8> {
        self.fields.get(at).copied()
    }

    pub(super) fn word(&self, at: usize) -> Option<u16> {
        self.fields.get(at..at + 2)?.try_into().ok().map(u16::from_le_bytes)
    }

    pub(super) fn double_word(&self, at: usize) -> Option<u32> {
        self.fields.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes)
    }

    pub(super) fn quad_word(&self, at: usize) -> Option<u64> {
        self.fields.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes)
    }

    /// The number by which others refer to it.
    pub(super) fn handle(&self) -> Option<u16> {
        self.word(2)
    }

    /// The text whose number stands at `at`; `None` for 0 (there is none), for a
    /// number without a text and for what says nothing.
    pub(super) fn text(&self, at: usize) -> Option<String> {
        let number = self.byte(at).filter(|number| *number > 0)?;
        let text = self.texts.split(|byte| *byte == 0).nth(usize::from(number) - 1);
        let Some(text) = text.filter(|_| !self.texts.is_empty()) else {
            self.missing.set(self.missing.get().saturating_add(1));
            return None;
        };
        Some(readable(text)).filter(|text| !is_placeholder(text))
    }
}

/// A text that is safe to print: at most [`limits::SMBIOS_TEXT`] bytes, a dot for
/// what is not printable, without blanks around it.
pub(crate) fn readable(text: &[u8]) -> String {
    let shown = &text[..text.len().min(limits::SMBIOS_TEXT)];
    let mut readable = String::with_capacity(shown.len());
    match std::str::from_utf8(shown) {
        Ok(text) => readable.extend(text.chars().map(|c| if c.is_control() { '.' } else { c })),
        Err(_) => readable.extend(shown.iter().map(|byte| match byte {
            b' '..=b'~' => char::from(*byte),
            _ => '.',
        })),
    }
    readable.truncate(readable.trim_end().len());
    readable.trim_start().to_owned()
}

/// Show every whole structure of `table` to `see`. What is wrong with the table
/// ends it; the end marker (type 127) does too.
///
/// # Errors
/// What is wrong, as a sentence for the reader of the inventory.
pub(super) fn walk(table: &[u8], see: &mut dyn FnMut(Structure<'_>)) -> Result<(), String> {
    let missing = Cell::new(0);
    let mut rest = table;
    for nth in 1..=limits::SMBIOS_STRUCTURES {
        let [kind, length, ..] = *rest else { return ended(nth, rest, &missing) };
        if length < HEADER {
            return Err(format!(
                "structure {nth} is {length} bytes long, want {HEADER} or more; the rest is not read"
            ));
        }
        let Some(end) = end_of(rest, usize::from(length)) else { return Err(cut_short(nth, kind)) };
        let (fields, texts) = rest[..end].split_at(usize::from(length));
        see(Structure { kind, fields, texts, missing: &missing });
        rest = rest.get(end + 2..).unwrap_or_default();
        if kind == END_OF_TABLE {
            return ended(nth, &[], &missing);
        }
    }
    Err(format!("has more than {} structures; the rest is not read", limits::SMBIOS_STRUCTURES))
}

/// Type of the last structure.
pub(super) const END_OF_TABLE: u8 = 127;

/// The least a structure has: type, length, handle.
const HEADER: u8 = 4;

fn ended(nth: usize, rest: &[u8], missing: &Cell<u32>) -> Result<(), String> {
    match (rest, missing.get()) {
        ([kind, ..], _) => Err(cut_short(nth, *kind)),
        ([], 0) => Ok(()),
        ([], missing) => Err(format!("numbers {missing} texts that are not there")),
    }
}

fn cut_short(nth: usize, kind: u8) -> String {
    format!("ends within structure {nth}, of type {kind}")
}

/// Where the two zeros behind the texts of the first structure are.
fn end_of(table: &[u8], length: usize) -> Option<usize> {
    let behind = table.get(length..)?.windows(2).position(|pair| pair == [0, 0])?;
    Some(length + behind)
}
