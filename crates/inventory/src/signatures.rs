//! What is written on disks and partitions.
//!
//! A recording holds the names that were found, not the bytes: those belong to
//! whoever uses the disk.

use std::{
    fs::File,
    io,
    time::{Duration, Instant},
};

use disk::signature::{self, Extent};
use model::{BlockSize, inventory::Disk};

use crate::reader::Reader;

/// A table and some leftovers.
const NAMES_LIMIT: usize = 16;
/// The longest so far is `promise_fasttrack_raid_member`.
const NAME_LENGTH: usize = 32;

/// How long drives that fail may hold up one scan: the kernel tries for half a
/// minute and longer. A look at one that is well takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// Fill in the signatures of `disks` and of their partitions.
pub(crate) fn read(reader: &Reader<'_>, disks: &mut [Disk]) {
    let begun = Instant::now();
    for disk in disks {
        if begun.elapsed() >= PATIENCE {
            reader.warn(path(&disk.name), "was not looked at: other drives took too long");
            continue;
        }
        disk.signatures = names(reader, &disk.name, disk.logical_block, Extent::Disk);
        for partition in &mut disk.partitions {
            partition.signatures = names(reader, &partition.name, disk.logical_block, Extent::Partition);
        }
    }
}

fn path(name: &str) -> String {
    format!("kernel/signatures/{name}")
}

/// One name a line. A device that cannot be read wholly is a warning.
fn names(reader: &Reader<'_>, name: &str, block: BlockSize, extent: Extent) -> Vec<String> {
    let answer = reader.ask(&path(name), &|| look(name, block, extent));
    let text = String::from_utf8(answer.unwrap_or_default()).unwrap_or_default();
    text.lines().filter(|line| is_name(line)).take(NAMES_LIMIT).map(str::to_owned).collect()
}

/// A recording may hold anything.
fn is_name(line: &str) -> bool {
    (1..=NAME_LENGTH).contains(&line.len()) && line.bytes().all(|byte| byte.is_ascii_graphic())
}

fn look(name: &str, block: BlockSize, extent: Extent) -> io::Result<Vec<u8>> {
    // sysfs writes the slashes of a device node as exclamation marks.
    let file = File::open(format!("/dev/{}", name.replace('!', "/")))?;
    Ok(signature::of_file(&file, block, extent)?.names().join("\n").into_bytes())
}
