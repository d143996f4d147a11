//! The part of a table that a recording holds: structures that are read, without
//! what identifies the machine.

use super::{
    kind,
    system::{NOBODYS_UUIDS, UUID, sku_at},
    table::{END_OF_TABLE, Structure, readable, walk},
};
use crate::placeholder::is_placeholder;

/// Types that are read, and where each has the numbers of its texts: of those that tell
/// something, and of those that identify, serial numbers and asset tags.
const READ: [(u8, &[usize], &[usize]); 10] = [
    (kind::FIRMWARE, &[0x04, 0x05, 0x08], &[]),
    (kind::SYSTEM, &[0x04, 0x05, 0x06, 0x19, 0x1a], &[0x07]),
    (kind::BOARD, &[0x04, 0x05, 0x06, 0x0a], &[0x07, 0x08]),
    (kind::CHASSIS, &[0x04, 0x06], &[0x07, 0x08]),
    (kind::PROCESSOR, &[0x04, 0x07, 0x10, 0x22], &[0x20, 0x21]),
    (kind::SLOT, &[0x04], &[]),
    (kind::MEMORY_ARRAY, &[], &[]),
    (kind::MEMORY_DEVICE, &[0x10, 0x11, 0x17, 0x1a], &[0x18, 0x19]),
    (kind::IPMI, &[], &[]),
    (kind::ONBOARD, &[0x04], &[]),
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
        if let Some((_, telling, identifying)) = READ.iter().find(|(kind, ..)| *kind == told.kind) {
            part.extend(fields(&told, blot));
            part.extend(texts(&told, telling, identifying, blot));
        }
    });
    part.extend(END);
    part
}

fn fields(told: &Structure<'_>, blot: &mut dyn FnMut(&str) -> String) -> Vec<u8> {
    let mut fields = told.fields.to_vec();
    match fields.get_mut(UUID) {
        Some(uuid) if told.kind == kind::SYSTEM && !NOBODYS_UUIDS.iter().any(|nobodys| nobodys == uuid) => {
            replace_uuid(uuid, blot);
        }
        Some(_) | None => {}
    }
    fields
}

fn replace_uuid(uuid: &mut [u8], blot: &mut dyn FnMut(&str) -> String) {
    let digits: String = uuid.iter().map(|byte| format!("{byte:02x}")).collect();
    let digits = blot(&digits);
    for (nth, byte) in uuid.iter_mut().enumerate() {
        let pair = digits.get(2 * nth..2 * nth + 2);
        *byte = pair.and_then(|pair| u8::from_str_radix(pair, 16).ok()).unwrap_or(0);
    }
}

/// The texts with their zeros: those that `telling` points at, those that `identifying`
/// does replaced, and of others, which nobody reads, that there is one.
fn texts(
    told: &Structure<'_>,
    telling: &[usize],
    identifying: &[usize],
    blot: &mut dyn FnMut(&str) -> String,
) -> Vec<u8> {
    let sku = (told.kind == kind::CHASSIS).then(|| sku_at(told)).flatten();
    let is_among = |places: &[usize], number: usize| {
        places.iter().any(|at| told.byte(*at).is_some_and(|other| usize::from(other) == number))
    };
    let mut texts = Vec::new();
    for (number, text) in (1_usize..).zip(told.texts.split(|byte| *byte == 0)) {
        let shown = readable(text);
        if is_placeholder(&shown) {
            texts.extend(text);
        } else if is_among(identifying, number) {
            texts.extend(stand_in(&blot(&shown)));
        } else if is_among(telling, number) || is_among(sku.as_slice(), number) {
            texts.extend(text);
        } else {
            texts.extend(b"?");
        }
        texts.push(0);
    }
    texts.push(0);
    texts
}

/// What `blot` returned as a text of a table: without zeros, and never empty, for
/// both would end the texts.
fn stand_in(text: &str) -> Vec<u8> {
    let bytes: Vec<u8> = text.bytes().filter(|byte| *byte != 0).collect();
    if bytes.is_empty() { b"?".to_vec() } else { bytes }
}

#[cfg(test)]
mod tests {
    use super::{super::decode, *};

    /// A system, a board with the same serial number, vendors' texts, a module.
    fn table() -> Vec<u8> {
        let mut system = vec![1, 0x1b, 1, 0, 1, 2, 0, 3];
        system.extend((0x41..0x51).chain([6, 0, 0]));
        system.extend(b"Dell Inc.\0PowerEdge R640\x007XK2P3Z\0\0");
        let board = b"\x02\x09\x02\0\x01\0\0\x02\x03Dell Inc.\x007XK2P3Z\0Default string\0\0";
        let oem = b"\x0b\x05\x03\0\x01SECRET\0\0".as_slice();
        let unread = b"\x09\x0d\x06\0\x01\xa8\x0b\x03\x03\0\0\x0c\x01Slot 3\0SECRET\0\0".as_slice();
        let vendors = b"\xdd\x06\x04\0\x01\x02SECRET\0SECRET\0\0".as_slice();
        let mut module = vec![17, 0x1b, 5, 0];
        module.resize(0x1b, 0);
        (module[0x0c], module[0x10], module[0x18]) = (1, 1, 2);
        module.extend(b"DIMM_A1\x0012BDC045\0\0");
        let cut = b"\x04\x30\0".as_slice();
        [&system, board.as_slice(), oem, unread, vendors, &module, cut].concat()
    }

    /// Digits become nines; nothing else changes.
    fn blot(text: &str) -> String {
        text.chars().map(|c| if c.is_ascii_digit() { '9' } else { c }).collect()
    }

    #[test]
    fn a_recorded_table_tells_the_same_but_for_what_identifies() {
        let part = recorded_part(&table(), blot);
        let shown = String::from_utf8_lossy(&part).into_owned();
        for secret in ["SECRET", "7XK2P3Z", "12BDC045", "ABCDEFGHIJKLMNOP"] {
            assert!(!shown.contains(secret), "{secret} is still there: {shown:?}");
        }
        let (mut before, mut after) = (decode(&table(), b""), decode(&part, b""));
        assert_eq!(after.flaws, Vec::<String>::new());
        let system = after.system.as_mut().expect("a system");
        assert_eq!(system.serial_number.as_deref(), Some("9XK9P9Z"));
        assert_eq!(system.uuid.as_deref(), Some("99999999-9999-9999-999a-9b9c9d9e9f99"));
        assert_eq!(after.hardware.boards[0].serial_number.as_deref(), Some("9XK9P9Z"));
        assert_eq!(after.memory.modules[0].serial_number.as_deref(), Some("99BDC999"));
        for smbios in [&mut before, &mut after] {
            let system = smbios.system.as_mut().expect("a system");
            (system.serial_number, system.uuid) = (None, None);
            smbios.hardware.boards[0].serial_number = None;
            smbios.memory.modules[0].serial_number = None;
            smbios.flaws.clear();
        }
        assert_eq!(before, after);
    }

    #[test]
    fn what_is_kept_is_kept_to_the_byte() {
        let part = recorded_part(&table(), str::to_owned);
        assert_eq!(recorded_part(&part, str::to_owned), part);
        assert_eq!(decode(&part, b"").system, decode(&table(), b"").system);
    }

    #[test]
    fn nobodys_uuid_stays_nobodys() {
        let mut table = table();
        table[UUID].fill(0xff);
        let part = recorded_part(&table, |_| "0".repeat(32));
        assert_eq!(decode(&part, b"").system.expect("a system").uuid, None);
        assert_eq!(part[UUID], [0xff; 16]);
    }

    #[test]
    fn a_stand_in_of_another_shape_breaks_nothing() {
        for stand_in in ["", "\0\0\0", "longer than what it stands for", "zz"] {
            let part = recorded_part(&table(), |_| stand_in.to_owned());
            let smbios = decode(&part, b"");
            assert_eq!(smbios.hardware.boards.len(), 1, "{stand_in:?}: {smbios:?}");
        }
    }
}
