//! What is written on a block device, by the names that libblkid and so
//! `lsblk` and udev give: its partition table, and its file system, RAID,
//! volume or encryption.
//!
//! device ──[`View`]──▶ kinds, in libblkid's order ──▶ [`Contents`]
//!           few, bounded reads                  └─▶ partition table
//!
//! Why this is not libblkid: docs/adr/0005.

mod check;
mod end;
mod kinds;
mod tables;
mod view;

use std::{
    fs::File,
    io::{self, Seek as _, SeekFrom},
    os::unix::fs::FileExt as _,
};

use model::BlockSize;

use view::View;

/// Reads exactly the bytes of the slice at an offset.
pub type ReadAt<'a> = dyn Fn(u64, &mut [u8]) -> io::Result<()> + 'a;

/// A floppy: no RAID, and the first kind is the only one.
const TINY: u64 = 1440 << 10;
/// An extended partition: nothing fits into it.
const NOTHING: u64 = 1024;

/// Whether a device is a disk or a part of one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// A whole disk, with a partition table or without.
    Disk,
    /// A partition: the RAIDs of a controller's firmware are never on one.
    Partition,
}

/// What something on a disk is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// Files.
    Filesystem,
    /// A part of something larger: a RAID or a volume group.
    Raid,
    /// Something encrypted.
    Crypto,
    /// Swap, a journal, a cache.
    Other,
}

/// One thing that is written on a device.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// libblkid's `TYPE`: `ext4`, `LVM2_member`.
    pub name: &'static str,
    /// libblkid's `USAGE`.
    pub usage: Usage,
}

/// What is written on a device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Contents {
    /// libblkid's `PTTYPE`: `gpt`, `dos`.
    pub table: Option<&'static str>,
    /// All that is there beside it. One, unless it is a hybrid image or ambivalent.
    pub signatures: Vec<Signature>,
    /// True when [`signatures`](Self::signatures) exclude each other, so that at
    /// least one is left from before. libblkid then names none.
    pub ambivalent: bool,
}

impl Contents {
    /// The table's name, then what libblkid gives as the type; of ambivalent
    /// ones each, with a question mark: `ext4?`, `zfs_member?`.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        let shown = if self.ambivalent { self.signatures.len() } else { 1 };
        let mark = if self.ambivalent { "?" } else { "" };
        let types = self.signatures.iter().take(shown).map(|found| format!("{}{mark}", found.name));
        self.table.map(str::to_owned).into_iter().chain(types).collect()
    }
}

/// What is on the device (or file) `file`, whose logical blocks have `block`
/// bytes. Reads some hundred KiB, at its start and its end.
///
/// # Errors
/// Whatever the kernel says when asked how large it is, or at the first read that
/// fails: nothing is said of a device that was not read wholly.
pub fn of_file(mut file: &File, block: BlockSize, extent: Extent) -> io::Result<Contents> {
    let size = file.seek(SeekFrom::End(0))?;
    identify(size, block, extent, &|at, into| file.read_exact_at(into, at))
}

/// What is on a device of `size` bytes that `read` reads.
///
/// # Errors
/// The first read that failed.
pub fn identify(size: u64, block: BlockSize, extent: Extent, read: &ReadAt<'_>) -> io::Result<Contents> {
    let view = View::new(read, size, block.get(), extent);
    let contents = contents(&view);
    match view.into_failure() {
        Some(err) => Err(err),
        None => Ok(contents),
    }
}

fn contents(view: &View<'_>) -> Contents {
    let mut found = Contents::default();
    if view.size <= NOTHING {
        return found;
    }
    let is_tiny = view.size <= TINY;
    let mut intolerant = false;
    for kind in kinds::kinds().filter(|kind| !is_tiny || kind.usage != Usage::Raid) {
        if !kind.is(view) {
            continue;
        }
        found.signatures.push(Signature { name: kind.name, usage: kind.usage });
        // What is in a RAID or encrypted is not this device's.
        if is_tiny || matches!(kind.usage, Usage::Raid | Usage::Crypto) {
            break;
        }
        intolerant |= !kind.tolerant;
    }
    found.ambivalent = found.signatures.len() > 1 && intolerant;
    found.table = tables::name(view);
    settle(&mut found);
    found
}

/// A RAID and a partition table on one device: the table is that of the RAID's
/// content, seen through its first member. But who makes an LVM volume clears the
/// first sectors, so a table there is newer, and the volume is gone.
fn settle(found: &mut Contents) {
    let first = found.signatures.first().copied();
    if found.table.is_none() || first.is_none_or(|first| first.usage != Usage::Raid) {
        return;
    }
    if first.is_some_and(|first| first.name == "LVM2_member") {
        found.signatures.clear();
    } else {
        found.table = None;
    }
}

/// One mark that a kind of content leaves, for searches that are content with less.
pub struct Mark {
    /// libblkid's name of the kind.
    pub name: &'static str,
    /// From the start of the device, in bytes.
    pub at: u64,
    /// What is there.
    pub bytes: Vec<u8>,
}

/// The marks of the kind `name` that are counted from the start of a device.
#[must_use]
pub fn marks(name: &str) -> Vec<Mark> {
    let kind = kinds::kinds().find(|kind| kind.name == name);
    let marks = kind.iter().flat_map(|kind| kind.marks().map(|mark| (kind.name, mark)));
    marks
        .filter_map(|(name, mark)| Some(Mark { name, at: mark.at.try_into().ok()?, bytes: mark.bytes }))
        .collect()
}
