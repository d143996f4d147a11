//! What a disk's queue and its format are good for.

use std::path::Path;

use model::{Bytes, inventory::Disk};

use crate::reader::Reader;

/// Fill in zones, guards, cache and what the disk does by itself.
pub(super) fn fill(reader: &Reader<'_>, dir: &Path, disk: &mut Disk) {
    let of = |attribute: &str| reader.text(dir.join(attribute));
    let bytes = |attribute: &str| {
        reader.number(dir.join("queue").join(attribute)).filter(|bytes| *bytes > 0).map(Bytes)
    };
    disk.zoned = of("queue/zoned").filter(|model| model != "none");
    disk.integrity = of("integrity/format").filter(|format| format != "none" && format != "nop");
    disk.write_cache = match of("queue/write_cache").as_deref() {
        Some("write back") => Some(true),
        Some("write through") => Some(false),
        Some(_) | None => None,
    };
    disk.discard = bytes("discard_max_bytes");
    disk.write_zeroes = bytes("write_zeroes_max_bytes");
}
