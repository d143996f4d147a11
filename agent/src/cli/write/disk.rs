//! The disk, for the person who is about to lose what is on it.

use std::path::{Path, PathBuf};

use disk::{
    Buffer, Device, Target as _,
    gpt::{self, Table},
    mbr,
};
use model::Bytes;
use serde_json::{Value, json};

/// Bytes of a partition's start that tell what it holds.
const START: usize = 68 << 10;
/// Partitions that are named; a question of a screen is not read.
const MOST_NAMED: usize = 12;

/// What there is to know about a target.
pub(super) struct Facts {
    path: PathBuf,
    is_disk: bool,
    model: Option<String>,
    serial: Option<String>,
    size: Bytes,
    block: u64,
    /// What is on it, a line each.
    pub(super) holds: Vec<String>,
}

impl Facts {
    /// Look at `device`, which is open for us alone.
    pub(super) fn of(device: &Device) -> Self {
        let path = std::fs::canonicalize(device.path()).unwrap_or_else(|_| device.path().to_owned());
        let known = if device.is_block_device() { described(&path) } else { None };
        let (model, serial) = known.map_or((None, None), |disk| (disk.model, disk.serial));
        Self {
            is_disk: device.is_block_device(),
            model,
            serial,
            size: device.size(),
            block: device.block().get(),
            holds: holds(device),
            path,
        }
    }

    /// `/dev/sda (SAMSUNG MZ7, serial S123, 931.5 GiB, 512-byte sectors)`.
    pub(super) fn title(&self) -> String {
        let mut facts: Vec<String> = self.model.iter().cloned().collect();
        facts.extend(self.serial.iter().map(|serial| format!("serial {serial}")));
        facts.push(self.size.to_string());
        if self.is_disk {
            facts.push(format!("{}-byte sectors", self.block));
        }
        format!("{} ({})", self.path.display(), facts.join(", "))
    }

    /// Its capacity.
    pub(super) fn size(&self) -> Bytes {
        self.size
    }

    /// Its sectors, in bytes.
    pub(super) fn block(&self) -> u64 {
        self.block
    }

    /// The same for programs.
    pub(super) fn json(&self) -> Value {
        json!({
            "path": self.path.display().to_string(),
            "model": self.model,
            "serial": self.serial,
            "bytes": self.size.0,
            "sector_bytes": self.block,
            "holds": self.holds,
        })
    }
}

/// What the inventory says of this one disk, which is open for us alone.
fn described(path: &Path) -> Option<model::inventory::Disk> {
    let only_disks = vec![path.to_owned()];
    let options = inventory::Options { only_disks, held: true, ..inventory::Options::default() };
    let found = inventory::scan(&inventory::Root::live(), &options);
    found.disks.into_iter().find(|disk| Path::new(&disk.path()) == path)
}

/// What is on it, as far as its partition table and well-known file systems tell.
fn holds(device: &Device) -> Vec<String> {
    let Some(head) = read(device, Bytes(0), gpt::HEAD) else { return vec!["it cannot be read".to_owned()] };
    let (kind, partitions) = match Table::parse(&head, device.block()) {
        Ok(table) => {
            ("GPT", table.partitions().into_iter().map(|p| (p.number, p.name, p.start, p.length)).collect())
        }
        Err(_) => ("MBR", primaries(&head, device.block().get())),
    };
    if !partitions.is_empty() {
        let more = partitions.len().saturating_sub(MOST_NAMED);
        let mut lines: Vec<String> = partitions
            .into_iter()
            .take(MOST_NAMED)
            .map(|(number, name, start, length)| {
                let content = read(device, start, START)
                    .and_then(|start| file_system(&start))
                    .unwrap_or("unknown content");
                let name = if name.is_empty() { String::new() } else { format!(" {name:?}") };
                format!("{kind} partition {number}{name}: {content}, {length}")
            })
            .collect();
        if more > 0 {
            lines.push(format!("and {more} more partitions"));
        }
        return lines;
    }
    match file_system(&head) {
        Some(name) => vec![format!("{name}, without partitions")],
        None if head.iter().all(|&byte| byte == 0) => vec!["nothing: its first mebibyte is zero".to_owned()],
        None => vec!["something unknown: its first mebibyte is not zero".to_owned()],
    }
}

fn primaries(head: &[u8], block: u64) -> Vec<(u32, String, Bytes, Bytes)> {
    let of = |primary: mbr::Primary| {
        let bytes = |blocks: u32| Bytes(u64::from(blocks) * block);
        (primary.number, String::new(), bytes(primary.start_blocks), bytes(primary.length_blocks))
    };
    mbr::partitions(head).into_iter().map(of).collect()
}

fn read(device: &Device, at: Bytes, length: usize) -> Option<Buffer> {
    let left = device.size().0.checked_sub(at.0)?;
    let whole = usize::try_from(left / device.block().get() * device.block().get()).unwrap_or(length);
    let mut bytes = Buffer::zeroed(length.min(whole));
    device.read_at(at, &mut bytes).ok()?;
    Some(bytes)
}

/// What starts with `start`, by the signatures that people's disks have.
fn file_system(start: &[u8]) -> Option<&'static str> {
    const SIGNATURES: &[(usize, &[u8], &str)] = &[
        (0x438, &[0x53, 0xef], "ext file system"),
        (0, b"XFSB", "XFS"),
        (0x1_0040, b"_BHRfS_M", "btrfs"),
        (0, b"LUKS\xba\xbe", "LUKS encryption"),
        (0x218, b"LVM2 001", "LVM physical volume"),
        (4096, &[0xfc, 0x4e, 0x2b, 0xa9], "Linux RAID member"),
        (3, b"NTFS", "NTFS"),
        (82, b"FAT32", "FAT file system"),
        (54, b"FAT", "FAT file system"),
        (0x8001, b"CD001", "ISO 9660"),
        (4086, b"SWAPSPACE2", "Linux swap"),
        (0, b"QFI\xfb", "qcow2 image"),
    ];
    let found = SIGNATURES.iter().find(|(at, magic, _)| start.get(*at..at + magic.len()) == Some(*magic));
    found.map(|(_, _, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_described_for_the_person_who_would_lose_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("disk");
        let mut bytes = vec![0; 4 << 20];
        std::fs::write(&path, &bytes).unwrap();
        let facts = || Facts::of(&Device::open(&path).unwrap());
        assert_eq!(facts().holds, ["nothing: its first mebibyte is zero"]);
        assert!(facts().title().ends_with("/disk (4.0 MiB)"), "{}", facts().title());
        bytes[0x438..0x43a].copy_from_slice(&[0x53, 0xef]);
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(facts().holds, ["ext file system, without partitions"]);
        // An MBR with one partition past the disk's end, and one that holds XFS.
        bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
        for (place, start) in [(0, 2048_u32), (1, 1 << 24)] {
            let at = 446 + place * 16;
            bytes[at + 4] = 0x83;
            bytes[at + 8..at + 12].copy_from_slice(&start.to_le_bytes());
            bytes[at + 12..at + 16].copy_from_slice(&2048_u32.to_le_bytes());
        }
        bytes[1 << 20..(1 << 20) + 4].copy_from_slice(b"XFSB");
        std::fs::write(&path, &bytes).unwrap();
        let want = ["MBR partition 1: XFS, 1.0 MiB", "MBR partition 2: unknown content, 1.0 MiB"];
        assert_eq!(facts().holds, want);
    }
}
