//! Memory: what the kernel can use and what is plugged in.

mod attached;

use model::{Bytes, inventory::Memory};

use crate::reader::Reader;

/// `plugged` is what SMBIOS tells.
pub(crate) fn read(reader: &Reader<'_>, plugged: Memory) -> Memory {
    Memory {
        total: total(reader),
        physical: plugged.physical.or_else(|| memory_blocks(reader)),
        persistent: attached::regions(reader),
        cxl: attached::cxl(reader),
        ..plugged
    }
}

fn total(reader: &Reader<'_>) -> Option<Bytes> {
    const PATH: &str = "proc/meminfo";
    let text = reader.required_text(PATH)?;
    let total = parse_total(&text);
    if total.is_none() {
        reader.warn(PATH, "has no MemTotal in kB");
    }
    total
}

/// `MemTotal:  2027008 kB`, where kB has always meant KiB; of a node `Node 0 MemTotal: …`.
pub(crate) fn parse_total(meminfo: &str) -> Option<Bytes> {
    let (_, line) = meminfo.lines().find_map(|line| line.split_once("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024).map(Bytes)
}

/// The kernel's hot-pluggable blocks, for machines without SMBIOS. They count
/// memory that firmware reserved, as DIMMs do.
fn memory_blocks(reader: &Reader<'_>) -> Option<Bytes> {
    let dir = "sys/devices/system/memory";
    let size = reader.text(format!("{dir}/block_size_bytes"))?;
    let size = u64::from_str_radix(&size, 16).ok()?;
    let is_block =
        |name: &String| name.strip_prefix("memory").is_some_and(|number| number.parse::<u32>().is_ok());
    let blocks = reader.list(dir).iter().filter(|name| is_block(name)).count();
    size.checked_mul(blocks as u64).filter(|bytes| *bytes > 0).map(Bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn total_memory_is_read_or_absent() {
        for (text, total) in [
            ("MemTotal:        2027008 kB\nMemFree: 1 kB", Some(Bytes(2_075_656_192))),
            ("\nNode 1 MemTotal:       4096 kB\n", Some(Bytes(4 << 20))),
            ("MemFree: 1 kB", None),
            ("MemTotal: -1 kB", None),
            ("MemTotal: 18446744073709551615 kB", None),
            ("MemTotal: 5 MB", None),
        ] {
            assert_eq!(parse_total(text), total, "{text}");
        }
    }
}
