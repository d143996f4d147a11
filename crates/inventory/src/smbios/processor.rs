//! Sockets for processors (type 4).

use model::inventory::Socket;

use super::{names, table::Structure};

/// `None` for what is not a central processor, or does not say whether there is one.
pub(super) fn socket(told: &Structure<'_>) -> Option<Socket> {
    // 1 and 2, "other" and "unknown", may be one.
    if told.byte(0x05)? > names::CENTRAL_PROCESSOR {
        return None;
    }
    let status = told.byte(0x18)?;
    Some(Socket {
        designation: told.text(0x04),
        populated: status & POPULATED != 0,
        enabled: enabled(status),
        manufacturer: told.text(0x07),
        version: told.text(0x10),
        maximum_speed: speed(told, 0x14),
        current_speed: speed(told, 0x16),
        serial_number: told.text(0x20),
        asset_tag: told.text(0x21),
        part_number: told.text(0x22),
        cores: count(told, 0x23, 0x2a),
        enabled_cores: count(told, 0x24, 0x2c),
        threads: count(told, 0x25, 0x2e),
    })
}

const POPULATED: u8 = 1 << 6;

/// Switched off by somebody (2) or by the firmware, which found an error (3).
fn enabled(status: u8) -> Option<bool> {
    match status & 7 {
        1 | 4 => Some(true),
        2 | 3 => Some(false),
        _ => None,
    }
}

/// In MHz; 0 is unknown.
fn speed(told: &Structure<'_>, at: usize) -> Option<u32> {
    told.word(at).map(u32::from).filter(|speed| *speed > 0)
}

/// A number up to 255 or, from 255 on, a larger one elsewhere. 0 is unknown.
fn count(told: &Structure<'_>, at: usize, large: usize) -> Option<u32> {
    let count = match told.byte(at)? {
        u8::MAX => told.word(large).filter(|count| *count < u16::MAX).unwrap_or(u16::from(u8::MAX)),
        count => count.into(),
    };
    Some(count.into()).filter(|count| *count > 0)
}
