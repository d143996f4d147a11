//! Cluster file systems: other machines may have this disk mounted right now.
//!
//! Found by the type of a partition *and* by what is written in it, on the disk,
//! on each partition and on everything stacked upon them. Ironic's own guard
//! compares upper-case GUIDs with lower-case ones and looks at the whole disk
//! only, so it cannot fire; bytes have no case.

use std::{
    fs::File,
    io::{self, Seek as _, SeekFrom},
    os::unix::fs::FileExt as _,
};

use disk::{mbr, signature};
use model::BlockSize;

/// A file system that several machines mount at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum ClusterKind {
    /// IBM's GPFS, now Storage Scale.
    Gpfs,
    /// VMware's VMFS.
    Vmfs,
    /// GFS and GFS2.
    Gfs2,
    /// Oracle's OCFS and OCFS2.
    Ocfs2,
}

impl ClusterKind {
    /// As people write it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            ClusterKind::Gpfs => "GPFS",
            ClusterKind::Vmfs => "VMFS",
            ClusterKind::Gfs2 => "GFS2",
            ClusterKind::Ocfs2 => "OCFS2",
        }
    }
}

/// What was seen on one block device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Look {
    /// Every sign of a cluster file system.
    pub(crate) found: Vec<Sign>,
    /// The first place that was not looked at, and why.
    pub(crate) unread: Option<String>,
}

/// One sign of a cluster file system.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Sign {
    /// Which one.
    pub(crate) kind: ClusterKind,
    /// Where, in words: `the type of partition 2`, `byte 1114112`.
    pub(crate) place: String,
}

/// One mark that a file system leaves.
struct Mark {
    kind: ClusterKind,
    /// From the start of the partition, in bytes.
    at: u64,
    bytes: Vec<u8>,
}

/// Superblocks, by the names they have there ([`disk::signature`]). No more than
/// the mark is looked at: damage makes no VMFS harmless.
const NAMES: [(ClusterKind, &str); 5] = [
    (ClusterKind::Gfs2, "gfs2"),
    (ClusterKind::Ocfs2, "ocfs"),
    (ClusterKind::Ocfs2, "ocfs2"),
    (ClusterKind::Vmfs, "VMFS_volume_member"),
    (ClusterKind::Vmfs, "VMFS"),
];

fn marks() -> Vec<Mark> {
    let of = |(kind, name): &(ClusterKind, &str)| {
        let kind = *kind;
        signature::marks(name).into_iter().map(move |mark| Mark { kind, at: mark.at, bytes: mark.bytes })
    };
    NAMES.iter().flat_map(of).collect()
}

/// A LUN of GPFS before 4.1 has no partition table; its NSD descriptors are in the
/// first sectors. It writes its file system descriptor from sector 8 on; where exactly
/// differs between versions.
const GPFS_DESCRIPTORS: usize = 32 << 10;
const GPFS_TEXTS: [&[u8]; 2] = [b"NSD descriptor for", b"Corral FS descriptor"];

/// GPT partition types, as text has them: no byte is swapped.
const TYPES: [(ClusterKind, u128); 2] = [
    (ClusterKind::Gpfs, 0x37af_fc90_ef7d_4e96_91c3_2d7a_e055_b174),
    (ClusterKind::Vmfs, 0xaa31_e02a_400f_11db_9590_000c_2911_d1b8),
];
/// MBR partition type of VMFS.
const MBR_VMFS: u8 = 0xfb;
/// MBR types whose partition holds further tables: CHS, LBA, Linux.
const MBR_EXTENDED: [u8; 3] = [0x05, 0x0f, 0x85];

/// A GPT with more is no table of anybody's.
const ENTRIES_LIMIT: u32 = 1024;
const ENTRY_SIZES: std::ops::RangeInclusive<u32> = 128..=512;
/// Tables chained in an extended partition; the kernel stops at 100 (msdos.c).
const CHAIN_LIMIT: usize = 100;
/// A disk with more partitions keeps its head moving for minutes; the rest is not looked at, which is noted.
const STARTS_LIMIT: usize = 512;
/// A disk that fails so often is not asked any more: each failure may take half a minute.
const FAILURES_LIMIT: u32 = 3;
/// Sector sizes a table may have been made for, whatever the disk's are now.
const SECTORS: [u64; 2] = [512, 4096];

/// Look at one block device (or file): at its own start, at its partition
/// tables, and at the start of every partition: those of the tables, and
/// `partitions` (bytes), which the kernel knows.
///
/// # Errors
/// Whatever the kernel says when asked how large it is.
pub(crate) fn look(mut file: &File, block: BlockSize, partitions: &[u64]) -> io::Result<Look> {
    let size = file.seek(SeekFrom::End(0))?;
    let mut looking = Looking { file, size, failures: 0, look: Look::default(), marks: marks() };
    let mut starts = vec![0];
    starts.extend(partitions);
    for sector in SECTORS {
        starts.extend(looking.gpt(sector, sector));
        starts.extend(looking.gpt(size.saturating_sub(sector), sector));
    }
    starts.extend(looking.mbr(block.get()));
    model::order::sort(&mut starts);
    starts.dedup();
    if starts.len() > STARTS_LIMIT {
        looking.unread(format!("byte {} and on: it has {} partitions", starts[STARTS_LIMIT], starts.len()));
        starts.truncate(STARTS_LIMIT);
    }
    starts.into_iter().for_each(|start| looking.signatures(start));
    model::order::sort(&mut looking.look.found);
    looking.look.found.dedup();
    Ok(looking.look)
}

struct Looking<'a> {
    file: &'a File,
    size: u64,
    failures: u32,
    look: Look,
    marks: Vec<Mark>,
}

impl Looking<'_> {
    /// `length` bytes at `at`; `None` past the end, and where the disk fails.
    fn read(&mut self, at: u64, length: usize) -> Option<Vec<u8>> {
        let end = at.checked_add(length as u64)?;
        if end > self.size || self.failures >= FAILURES_LIMIT {
            return None;
        }
        let mut bytes = vec![0; length];
        match self.file.read_exact_at(&mut bytes, at) {
            Ok(()) => Some(bytes),
            Err(err) if err.kind() == io::ErrorKind::UnexpectedEof => None,
            Err(err) => {
                self.failures += 1;
                self.unread(format!("byte {at}: {err}"));
                None
            }
        }
    }

    /// Only the first is kept: it says enough.
    fn unread(&mut self, what: String) {
        self.look.unread.get_or_insert(what);
    }

    fn found(&mut self, kind: ClusterKind, place: String) {
        self.look.found.push(Sign { kind, place });
    }

    fn signatures(&mut self, start: u64) {
        let marks = std::mem::take(&mut self.marks);
        for Mark { kind, at, bytes } in &marks {
            let Some(at) = start.checked_add(*at) else { continue };
            if self.read(at, bytes.len()).is_some_and(|read| read == *bytes) {
                self.found(*kind, format!("byte {at}"));
            }
        }
        self.marks = marks;
        let length = GPFS_DESCRIPTORS.min(usize::try_from(self.size.saturating_sub(start)).unwrap_or(0));
        let head = self.read(start, length).unwrap_or_default();
        let text = |text: &&[u8]| head.windows(text.len()).position(|window| window == *text);
        if let Some(at) = GPFS_TEXTS.iter().find_map(text) {
            self.found(ClusterKind::Gpfs, format!("byte {}", start + at as u64));
        }
    }

    /// The starts of the partitions of the GPT whose header is at `at`. Damage is
    /// overlooked: a checksum that is wrong makes no VMFS harmless.
    fn gpt(&mut self, at: u64, sector: u64) -> Vec<u64> {
        let Some(header) = self.read(at, 92).filter(|header| header.starts_with(b"EFI PART")) else {
            return Vec::new();
        };
        let (count, length) = (u32_at(&header, 80), u32_at(&header, 84));
        let entries = u64::from_le_bytes(std::array::from_fn(|byte| header[72 + byte]));
        if count > ENTRIES_LIMIT || !ENTRY_SIZES.contains(&length) {
            return Vec::new();
        }
        let mut starts = Vec::new();
        for number in 0..count {
            let entry = entries.checked_mul(sector).and_then(|at| at.checked_add(u64::from(number * length)));
            let Some(entry) = entry.and_then(|at| self.read(at, 40)) else { break };
            if let Some(kind) = kind_of_type(&entry[..16]) {
                self.found(kind, format!("the type of partition {}", number + 1));
            }
            let first = u64::from_le_bytes(std::array::from_fn(|byte| entry[32 + byte]));
            if entry[..16] != [0; 16] {
                starts.extend(first.checked_mul(sector));
            }
        }
        starts
    }

    /// The starts of the partitions of the MBR and of the chain in its extended partition.
    fn mbr(&mut self, sector: u64) -> Vec<u64> {
        let mut starts = Vec::new();
        let Some(first) = self.read(0, 512) else { return starts };
        let mut chain = None;
        for primary in mbr::partitions(&first) {
            let start = u64::from(primary.start_blocks) * sector;
            if MBR_EXTENDED.contains(&primary.kind) {
                chain = chain.or(Some(start));
            } else {
                self.mbr_type(primary.kind, u64::from(primary.number));
                starts.push(start);
            }
        }
        let Some(base) = chain else { return starts };
        let mut table = base;
        // Logical partitions are numbered from 5 on.
        for number in (5..).take(CHAIN_LIMIT) {
            let Some(bytes) = self.read(table, 512) else { break };
            let mut next = None;
            for entry in mbr::partitions(&bytes) {
                let offset = u64::from(entry.start_blocks) * sector;
                if MBR_EXTENDED.contains(&entry.kind) {
                    next = Some(base + offset);
                } else {
                    self.mbr_type(entry.kind, number);
                    starts.push(table + offset);
                }
            }
            match next {
                Some(next) => table = next,
                None => break,
            }
        }
        starts
    }

    fn mbr_type(&mut self, kind: u8, number: u64) {
        if kind == MBR_VMFS {
            self.found(ClusterKind::Vmfs, format!("the type of partition {number}"));
        }
    }
}

/// The file system a GPT type is for. The type's first three fields are
/// little-endian on the disk; old ESXi tools wrote them as text has them.
fn kind_of_type(bytes: &[u8]) -> Option<ClusterKind> {
    const MIXED: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let mixed = u128::from_be_bytes(std::array::from_fn(|place| bytes[MIXED[place]]));
    let plain = u128::from_be_bytes(std::array::from_fn(|place| bytes[place]));
    TYPES.iter().find(|(_, kind)| [mixed, plain].contains(kind)).map(|(kind, _)| *kind)
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(std::array::from_fn(|byte| bytes[at + byte]))
}

#[cfg(test)]
mod tests;
