//! Memory that is not on the memory bus alone: regions that keep their content
//! (`/sys/bus/nd`) and devices on CXL (`/sys/bus/cxl`).

use model::{
    Bytes,
    inventory::{CxlMemory, PersistentMemory},
};

use crate::{limits, reader::Reader};

const REGIONS: &str = "sys/bus/nd/devices";
const CXL: &str = "sys/bus/cxl/devices";

/// Regions of persistent memory, by number.
pub(super) fn regions(reader: &Reader<'_>) -> Vec<PersistentMemory> {
    devices(reader, REGIONS, "region").into_iter().map(|name| region(reader, name)).collect()
}

fn region(reader: &Reader<'_>, name: String) -> PersistentMemory {
    let file = |file: &str| format!("{REGIONS}/{name}/{file}");
    let kind = reader.text(file("devtype"));
    PersistentMemory {
        size: size(reader, &file("size")),
        available: size(reader, &file("available_size")),
        kind: kind.map(|kind| kind.strip_prefix("nd_").unwrap_or(&kind).to_owned()),
        numa_node: node(reader, &file("numa_node")),
        name,
    }
}

/// Devices that add memory over CXL, by number.
pub(super) fn cxl(reader: &Reader<'_>) -> Vec<CxlMemory> {
    devices(reader, CXL, "mem").into_iter().map(|name| cxl_memory(reader, name)).collect()
}

fn cxl_memory(reader: &Reader<'_>, name: String) -> CxlMemory {
    let file = |file: &str| format!("{CXL}/{name}/{file}");
    CxlMemory {
        volatile: size(reader, &file("ram/size")),
        persistent: size(reader, &file("pmem/size")),
        serial: reader.text(file("serial")),
        firmware: reader.text(file("firmware_version")),
        numa_node: node(reader, &file("numa_node")),
        name,
    }
}

/// Names in `dir` that are `prefix` and a number, by number.
fn devices(reader: &Reader<'_>, dir: &str, prefix: &str) -> Vec<String> {
    let number = |name: &String| name.strip_prefix(prefix)?.parse::<u32>().ok();
    let mut names: Vec<String> = reader.list(dir).into_iter().filter(|name| number(name).is_some()).collect();
    model::order::sort_by_key(&mut names, number);
    names.truncate(limits::MEMORY_DEVICES);
    names
}

/// The node of a device, which is -1 where the firmware does not say.
fn node(reader: &Reader<'_>, path: &str) -> Option<u32> {
    u32::try_from(reader.number::<i64>(path)?).ok()
}

/// A size in bytes: `/sys/bus/nd` writes `270582939648`, `/sys/bus/cxl` `0x3f00000000`.
fn size(reader: &Reader<'_>, path: &str) -> Option<Bytes> {
    let text = reader.text(path)?;
    let size = match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => text.parse(),
    };
    if size.is_err() {
        reader.warn(path, "is no number of bytes");
    }
    size.ok().map(Bytes)
}
