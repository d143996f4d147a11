//! Tables made of what `dmidecode` printed, for servers of which only that is left.

use crate::{
    compare::is_elsewhere,
    dmidecode::{Block, number},
};

/// Types that are made.
pub(crate) const KINDS: [u8; 8] = [0, 1, 2, 3, 4, 9, 17, 41];

/// Where a text's number stands.
const TEXTS: [(u8, &[(&str, usize)]); 8] = [
    (0, &[("Vendor", 4), ("Version", 5), ("Release Date", 8)]),
    (
        1,
        &[
            ("Manufacturer", 4),
            ("Product Name", 5),
            ("Version", 6),
            ("Serial Number", 7),
            ("SKU Number", 0x19),
            ("Family", 0x1a),
        ],
    ),
    (
        2,
        &[
            ("Manufacturer", 4),
            ("Product Name", 5),
            ("Version", 6),
            ("Serial Number", 7),
            ("Asset Tag", 8),
            ("Location In Chassis", 0x0a),
        ],
    ),
    (3, &[("Manufacturer", 4), ("Version", 6), ("Serial Number", 7), ("Asset Tag", 8), ("SKU Number", 0x15)]),
    (
        4,
        &[
            ("Socket Designation", 4),
            ("Manufacturer", 7),
            ("Version", 0x10),
            ("Serial Number", 0x20),
            ("Asset Tag", 0x21),
            ("Part Number", 0x22),
        ],
    ),
    (9, &[("Designation", 4)]),
    (
        17,
        &[
            ("Locator", 0x10),
            ("Bank Locator", 0x11),
            ("Manufacturer", 0x17),
            ("Serial Number", 0x18),
            ("Asset Tag", 0x19),
            ("Part Number", 0x1a),
        ],
    ),
    (41, &[("Reference Designation", 4)]),
];

/// A key, where its number stands, and of how many bytes it is.
type Number = (&'static str, usize, usize);

/// Numbers; 0 is written for "Unknown".
const NUMBERS: [(u8, &[Number]); 2] = [
    (
        4,
        &[
            ("Max Speed", 0x14, 2),
            ("Current Speed", 0x16, 2),
            ("Core Count", 0x23, 1),
            ("Core Enabled", 0x24, 1),
            ("Thread Count", 0x25, 1),
        ],
    ),
    (
        17,
        &[
            ("Total Width", 0x08, 2),
            ("Data Width", 0x0a, 2),
            ("Speed", 0x15, 2),
            ("Rank", 0x1b, 1),
            ("Configured Memory Speed", 0x20, 2),
        ],
    ),
];

/// What its publishers left out of every report.
const WITHHELD: &str = "--";

/// The length of every structure made here: enough for every field above.
const LENGTH: u8 = 0x28;

/// `blocks` without values that are not encoded, in types that are.
pub(crate) fn comparable(mut blocks: Vec<Block>) -> Vec<Block> {
    blocks.retain(|block| block.kind == 16 || TEXTS.iter().any(|(kind, _)| *kind == block.kind));
    for block in &mut blocks {
        let kind = block.kind;
        let encoded = |key: &str| {
            let number = of(&NUMBERS, kind).iter().any(|(name, ..)| *name == key);
            number || of(&TEXTS, kind).iter().any(|(name, _)| *name == key)
        };
        let needed = |key: &str| match kind {
            4 => key == "Type",
            16 => key == "Use",
            17 => matches!(key, "Size" | "Array Handle"),
            _ => false,
        };
        block.values.retain(|(key, value)| (encoded(key) || needed(key)) && value != WITHHELD);
    }
    blocks
}

fn of<T>(table: &[(u8, &'static [T])], kind: u8) -> &'static [T] {
    table.iter().find(|(other, _)| *other == kind).map_or(&[], |(_, entries)| entries)
}

pub(crate) fn table(blocks: &[Block]) -> Vec<u8> {
    let mut table: Vec<u8> = blocks.iter().flat_map(structure).collect();
    table.extend([127, 4, 0xff, 0xfe, 0, 0]);
    table
}

fn structure(block: &Block) -> Vec<u8> {
    let mut fields = vec![0; usize::from(LENGTH)];
    fields[..2].copy_from_slice(&[block.kind, LENGTH]);
    fields[2..4].copy_from_slice(&block.handle.to_le_bytes());
    let mut texts: Vec<&str> = Vec::new();
    for (key, at) in of(&TEXTS, block.kind) {
        fields[*at] = match block.value(key) {
            None | Some("Not Specified") => 0,
            Some("<BAD INDEX>") => 99,
            // Text of no letters cannot be written; one blank is as good.
            Some(text) => {
                texts.push(if text.is_empty() { " " } else { text });
                u8::try_from(texts.len()).expect("few texts")
            }
        };
    }
    for (key, at, length) in of(&NUMBERS, block.kind) {
        let value: u64 = block.value(key).and_then(number_of).unwrap_or(0);
        fields[*at..at + length].copy_from_slice(&value.to_le_bytes()[..*length]);
    }
    others(block, &mut fields);
    for text in &texts {
        fields.extend(text.as_bytes());
        fields.push(0);
    }
    fields.extend(if texts.is_empty() { &[0, 0][..] } else { &[0] });
    fields
}

fn number_of(value: &str) -> Option<u64> {
    number(value)?.parse().ok()
}

/// What is neither text nor plain number.
fn others(block: &Block, fields: &mut [u8]) {
    match block.kind {
        4 => fields[0x05] = if block.value("Type") == Some("Central Processor") { 3 } else { 6 },
        16 => fields[0x05] = if block.value("Use") == Some("System Memory") { 3 } else { 5 },
        17 => {
            let handle =
                block.value("Array Handle").and_then(|handle| u16::from_str_radix(&handle[2..], 16).ok());
            fields[4..6].copy_from_slice(&handle.unwrap_or(0xffff).to_le_bytes());
            let (short, long) = match block.value("Size") {
                None | Some("Unknown") => (0xffff, 0),
                Some("No Module Installed") => (0, 0),
                Some(size) => size_fields(number_of(size).expect("a size")),
            };
            fields[0x0c..0x0e].copy_from_slice(&short.to_le_bytes());
            fields[0x1c..0x20].copy_from_slice(&long.to_le_bytes());
        }
        _ => {}
    }
}

/// The short and the long form of a size.
fn size_fields(bytes: u64) -> (u16, u32) {
    let mebibytes = u32::try_from(bytes >> 20).expect("below 4 PiB");
    match u16::try_from(mebibytes) {
        Ok(0) => (0x8000 | u16::try_from(bytes >> 10).expect("below 1 MiB"), 0),
        Ok(short) if short < 0x7fff => (short, 0),
        Ok(_) | Err(_) => (0x7fff, mebibytes),
    }
}

/// Bytes in all modules of system memory, and how many do not tell.
pub(crate) fn installed(blocks: &[Block]) -> (u64, usize) {
    let ours = |block: &&Block| block.kind == 17 && !is_elsewhere(block, blocks);
    let sizes: Vec<&str> =
        blocks.iter().filter(ours).map(|block| block.value("Size").unwrap_or("Unknown")).collect();
    let unknown = sizes.iter().filter(|size| **size == "Unknown").count();
    (sizes.iter().filter_map(|size| number_of(size)).sum(), unknown)
}
