//! Who made the machine: firmware (type 0), system (1), boards (2), enclosures (3).

use model::{
    Bytes,
    inventory::{Board, Chassis, Firmware, SystemVendor},
};

use super::{
    names,
    table::{Structure, Version},
};

pub(super) fn firmware(told: &Structure<'_>) -> Firmware {
    Firmware {
        vendor: told.text(0x04),
        version: told.text(0x05),
        build_date: told.text(0x08),
        release: release(told, 0x14),
        controller_release: release(told, 0x16),
        rom_size: rom_size(told),
    }
}

/// Major and minor; both 255 when there is no such thing.
fn release(told: &Structure<'_>, at: usize) -> Option<String> {
    let (major, minor) = (told.byte(at)?, told.byte(at + 1)?);
    (major != u8::MAX || minor != u8::MAX).then(|| format!("{major}.{minor}"))
}

/// In units of 64 KiB, less one; or, since 3.1, in MiB or GiB at another place.
fn rom_size(told: &Structure<'_>) -> Option<Bytes> {
    let size = match (told.byte(0x09)?, told.word(0x18)) {
        (u8::MAX, Some(size)) if size >> 14 == 0 => u64::from(size) << 20,
        (u8::MAX, Some(size)) if size >> 14 == 1 => u64::from(size & 0x3fff) << 30,
        (u8::MAX, Some(_)) => return None,
        (units, _) => (u64::from(units) + 1) << 16,
    };
    Some(Bytes(size)).filter(|size| size.0 > 0)
}

pub(super) fn vendor(told: &Structure<'_>, version: Option<Version>) -> SystemVendor {
    SystemVendor {
        manufacturer: told.text(0x04),
        product_name: told.text(0x05),
        version: told.text(0x06),
        serial_number: told.text(0x07),
        uuid: told.fields.get(UUID).and_then(|bytes| uuid(bytes.try_into().ok()?, version)),
        wake_up: names::name(names::WAKE_UP, 3, told.byte(0x18)),
        sku: told.text(0x19),
        family: told.text(0x1a),
        firmware: Firmware::default(),
    }
}

/// Where a system has its UUID.
pub(super) const UUID: std::ops::Range<usize> = 0x08..0x18;

/// UUIDs that thousands of machines have.
pub(super) const NOBODYS_UUIDS: [[u8; 16]; 4] = [
    [0; 16],
    [0xff; 16],
    // American Megatrends', which vendors were to replace.
    [0, 2, 0, 3, 0, 4, 0, 5, 0, 6, 0, 7, 0, 8, 0, 9],
    [0x78, 0x56, 0x34, 0x12, 0x34, 0x12, 0x78, 0x56, 0x90, 0xab, 0xcd, 0xde, 0xef, 0xaa, 0xbb, 0xcc],
];

/// All zeros is "not present", all ones "not set".
fn uuid(bytes: [u8; 16], version: Option<Version>) -> Option<String> {
    let low_byte_first = version.is_none_or(|version| version >= Version { major: 2, minor: 6 });
    (!NOBODYS_UUIDS.contains(&bytes)).then(|| uuid_text(bytes, low_byte_first))
}

/// The first three parts have their low byte first since 2.6, as the kernel and
/// `dmidecode` read them.
fn uuid_text(mut bytes: [u8; 16], low_byte_first: bool) -> String {
    if low_byte_first {
        bytes[..4].reverse();
        bytes[4..6].reverse();
        bytes[6..8].reverse();
    }
    let mut text = String::with_capacity(36);
    for (at, byte) in bytes.iter().enumerate() {
        if [4, 6, 8, 10].contains(&at) {
            text.push('-');
        }
        text.extend([byte >> 4, byte & 15].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])));
    }
    text
}

/// Whether the kernel wrote one of [`NOBODYS_UUIDS`], in either order.
pub(crate) fn is_nobodys_uuid(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    NOBODYS_UUIDS.iter().any(|nobodys| [true, false].iter().any(|order| uuid_text(*nobodys, *order) == text))
}

pub(super) fn board(told: &Structure<'_>) -> Board {
    Board {
        manufacturer: told.text(0x04),
        product_name: told.text(0x05),
        version: told.text(0x06),
        serial_number: told.text(0x07),
        asset_tag: told.text(0x08),
        location: told.text(0x0a),
        kind: names::name(names::BOARD, 3, told.byte(0x0d)),
    }
}

/// Whether it is the board that the others are plugged into.
pub(super) fn is_motherboard(board: &Board) -> bool {
    board.kind.as_deref() == Some("Motherboard")
}

pub(super) fn chassis(told: &Structure<'_>) -> Chassis {
    Chassis {
        manufacturer: told.text(0x04),
        kind: names::name(names::CHASSIS, 3, told.byte(0x05).map(|kind| kind & 0x7f)), // the top bit is a lock
        version: told.text(0x06),
        serial_number: told.text(0x07),
        asset_tag: told.text(0x08),
        height: told.byte(0x11).map(u32::from).filter(|units| *units > 0),
        sku: sku_at(told).and_then(|at| told.text(at)),
    }
}

/// Behind a list of elements, of which it says how many and how long.
pub(super) fn sku_at(told: &Structure<'_>) -> Option<usize> {
    Some(0x15 + usize::from(told.byte(0x13)?) * usize::from(told.byte(0x14)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_is_read_in_the_order_of_its_time() {
        let bytes =
            [0x33, 0x22, 0x11, 0x00, 0x55, 0x44, 0x77, 0x66, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff];
        let version = |minor| Some(Version { major: 2, minor });
        for (version, expected) in [
            (version(8), "00112233-4455-6677-8899-aabbccddeeff"),
            (version(6), "00112233-4455-6677-8899-aabbccddeeff"),
            (None, "00112233-4455-6677-8899-aabbccddeeff"),
            (version(4), "33221100-5544-7766-8899-aabbccddeeff"),
        ] {
            assert_eq!(uuid(bytes, version).as_deref(), Some(expected), "{version:?}");
        }
        for nobodys in NOBODYS_UUIDS {
            assert_eq!(uuid(nobodys, None), None);
        }
    }
}
