//! The part of a table that a recording holds: structures that are read, without
//! what identifies the machine.

use super::{
    kind,
    system::{NOBODYS_UUIDS, UUID},
    table::{END_OF_TABLE, Structure, readable, walk},
};
use crate::placeholder::is_placeholder;

/// Types that are read, and where each has the numbers of texts that identify:
/// serial numbers and asset tags.
const READ: [(u8, &[usize]); 10] = [
    (kind::FIRMWARE, &[]),
    (kind::SYSTEM, &[0x07]),
    (kind::BOARD, &[0x07, 0x08]),
    (kind::CHASSIS, &[0x07, 0x08]),
    (kind::PROCESSOR, &[0x20, 0x21]),
    (kind::SLOT, &[]),
    (kind::MEMORY_ARRAY, &[]),
    (kind::MEMORY_DEVICE, &[0x18, 0x19]),
    (kind::IPMI, &[]),
    (kind::ONBOARD, &[]),
];

/// Structure 127, four bytes long, without texts.
const END: [u8; 6] = [END_OF_TABLE, 4, 0xff, 0xfe, 0, 0];

/// The structures that are read, with what `blot` returns for serial numbers,
/// asset tags and, as 32 hex digits, the UUID. Texts of vendors (type 11, types
/// from 128) stay behind.
pub(crate) fn recorded_part(table: &[u8], mut blot: impl FnMut(&str) -> String) -> Vec<u8> {
    part(table, &mut blot)
}

fn part(table: &[u8], blot: &mut dyn FnMut(&str) -> String) -> Vec<u8> {
    let mut part = Vec::new();
    // What is wrong with the table was said when it was read.
    let _flaw = walk(table, &mut |told| {
        if let Some((_, identifying)) = READ.iter().find(|(kind, _)| *kind == told.kind) {
            part.extend(fields(&told, blot));
            part.extend(texts(&told, identifying, blot));
        }
    });
    part.extend(END);
    part
}

fn fields(told: &Structure<'_>, blot: &mut dyn FnMut(&str) -> String) -> Vec<u8> {
    let mut fields = told.fields.to_vec();
    if let (kind::SYSTEM, Some(uuid)) = (told.kind, fields.get_mut(UUID)) {
        if !NOBODYS_UUIDS.iter().any(|nobodys| nobodys == uuid) {
            let digits: String = uuid.iter().map(|byte| format!("{byte:02x}")).collect();
            let digits = blot(&digits);
            for (nth, byte) in uuid.iter_mut().enumerate() {
                *byte = digits
                    .get(2 * nth..2 * nth + 2)
                    .and_then(|pair| u8::from_str_radix(pair, 16).ok())
                    .unwrap_or(0);
            }
        }
    }
    fields
}

/// The texts with their zeros, those that `identifying` points at replaced.
fn texts(told: &Structure<'_>, identifying: &[usize], blot: &mut dyn FnMut(&str) -> String) -> Vec<u8> {
    let numbers: Vec<u8> = identifying.iter().filter_map(|at| told.byte(*at)).collect();
    let mut texts = Vec::new();
    for (number, text) in (1_usize..).zip(told.texts.split(|byte| *byte == 0)) {
        let shown = readable(text);
        if numbers.iter().any(|other| usize::from(*other) == number) && !is_placeholder(&shown) {
            texts.extend(blot(&shown).into_bytes().into_iter().filter(|byte| *byte != 0));
        } else {
            texts.extend(text);
        }
        texts.push(0);
    }
    texts.push(0);
    texts
}
