//! The disk in question, as far as the decision to erase it needs to know it.

use std::{
    fs::{self, File},
    io,
    ops::Range,
    path::{Path, PathBuf},
};

use disk::{Tree, TreeError};
use model::inventory::Disk;

use crate::{State, cluster, medium::Medium, scsi, sharing};

/// sysfs counts partitions in these units, whatever the block size is.
const SECTOR: u64 = 512;
/// More partitions than any disk has; the kernel itself stops at 256.
const PARTITIONS_LIMIT: usize = 256;

/// One disk and everything that speaks against erasing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// What it is.
    pub disk: Disk,
    /// Firmware revision. From `device/firmware_rev` (NVMe) or `device/rev` (SCSI).
    pub firmware: Option<String>,
    /// Its partitions as the kernel sees them, in bytes from the start.
    pub partitions: Vec<Range<u64>>,
    /// Mounts and swaps of the disk and of what stands on it, and layers that
    /// nobody here can stop; empty for a free disk.
    pub users: Vec<String>,
    /// Arrays and mapped volumes to be stopped first, in that order.
    pub stack: Vec<String>,
    /// Why somebody else may reach it too.
    pub shared: Vec<String>,
    /// Signs of cluster file systems, on it and on what stands on it.
    pub cluster: Vec<String>,
    /// How it takes writes.
    pub zoned: Zoned,
    /// Its protection information, which stays as it is. From `integrity/format`:
    /// `T10-DIF-TYPE1-CRC`.
    pub integrity: Option<String>,
    /// Whose medium it is.
    pub medium: Medium,
    /// What could not be looked at.
    pub unread: Vec<String>,
}

/// How a disk takes writes. From `queue/zoned`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Zoned {
    /// Anywhere, or so it seems: drives that manage their zones alone look like this.
    #[default]
    No,
    /// Anywhere, though in order is faster.
    HostAware,
    /// Only in order within each zone.
    HostManaged,
}

/// Why a disk could not be looked at.
#[derive(Debug, thiserror::Error)]
pub enum SubjectError {
    /// Its sysfs directory cannot be listed.
    #[error("cannot read {}; the disk may be gone: take the inventory again", path.display())]
    Read {
        /// What could not be read.
        path: PathBuf,
        /// What the kernel answered.
        #[source]
        err: io::Error,
    },
    /// It is not known what stands on it.
    #[error("it is not known what stands on it")]
    Tree(#[from] TreeError),
}

impl Subject {
    /// `disk` as the kernel shows it now, below `root` (`/` on a machine). Opens
    /// it and what stands on it for reading: labels and file systems are looked for.
    ///
    /// # Errors
    /// [`SubjectError`] when its sysfs directory cannot be followed to the end.
    pub fn read(root: &Path, disk: &Disk) -> Result<Self, SubjectError> {
        let dir = root.join("sys/block").join(&disk.name);
        let partitions: Vec<_> = partition_dirs(&dir)?.iter().filter_map(|part| extent(part)).collect();
        let tree = Tree::read(root, &disk.name)?;
        let starts: Vec<u64> = partitions.iter().map(|range| range.start).collect();
        let mut unread = Vec::new();
        let mut file = File::open(root.join("dev").join(&disk.name)).ok();
        let busy = file.as_mut().and_then(unreadable);
        // Linux lets a read wait three minutes for a drive that is being sanitized, and there is nothing to find.
        let readable = file.as_ref().filter(|_| busy.is_none());
        let cluster = match busy {
            Some(why) => {
                unread.push(format!("/dev/{}: {why}", disk.name));
                Vec::new()
            }
            None => cluster_signs(root, disk, &tree, &starts, &mut unread),
        };
        let firmware = ["device/firmware_rev", "device/rev"].iter().find_map(|name| text(&dir.join(name)));
        Ok(Self {
            disk: disk.clone(),
            firmware,
            users: tree.in_use(),
            stack: tree.stacked().iter().map(|layer| layer.name.clone()).collect(),
            shared: sharing::reasons(root, disk, &tree, file.as_ref()),
            cluster,
            zoned: zoned(&dir),
            integrity: text(&dir.join("integrity/format")).filter(|format| format != "none"),
            medium: Medium::of(root, disk, readable, &starts),
            unread,
            partitions,
        })
    }

    /// Where the disk is: `/dev/nvme0n1`.
    #[must_use]
    pub fn path(&self) -> String {
        self.disk.path()
    }

    /// True when `now`, the same disk looked at later, is still what was planned
    /// for. What was stopped meanwhile is gone; nothing may have come.
    #[must_use]
    pub fn still_is(&self, now: &Subject) -> bool {
        let come = |then: &[String], now: &[String]| now.iter().any(|one| !then.contains(one));
        self.disk == now.disk
            && self.firmware == now.firmware
            && self.partitions == now.partitions
            && self.medium == now.medium
            && self.zoned == now.zoned
            && !come(&self.users, &now.users)
            && !come(&self.stack, &now.stack)
            && !come(&self.shared, &now.shared)
            && !come(&self.cluster, &now.cluster)
    }
}

/// Why nothing can be read from the drive now, by its own word.
fn unreadable(file: &mut File) -> Option<&'static str> {
    match scsi::state_of_any(file) {
        Ok(State::Erasing { .. }) => Some("it is erasing itself"),
        Ok(State::Failed { .. }) => Some("its last erase failed, and it gives nothing away"),
        // A password that is set locks only after the next power cycle.
        Ok(State::Ready | State::Done { .. } | State::Locked { .. }) | Err(_) => None,
    }
}

/// Cluster file systems on every device of the tree; a device that stops
/// answering is noted in `unread`: a broken disk must stay erasable.
fn cluster_signs(
    root: &Path,
    disk: &Disk,
    tree: &Tree,
    starts: &[u64],
    unread: &mut Vec<String>,
) -> Vec<String> {
    let mut signs = Vec::new();
    // Partitions are read through their disk.
    let devices = std::iter::once(tree).chain(tree.stacked());
    for name in devices.map(|device| &device.name) {
        let starts = if *name == disk.name { starts } else { &[] };
        let block = disk.logical_block;
        match File::open(root.join("dev").join(name)).and_then(|file| cluster::look(&file, block, starts)) {
            Ok(look) => {
                let told =
                    |sign: &cluster::Sign| format!("{} (/dev/{name}, {})", sign.kind.name(), sign.place);
                signs.extend(look.found.iter().map(told));
                unread.extend(look.unread.map(|at| format!("/dev/{name}, {at}")));
            }
            Err(err) => unread.push(format!("/dev/{name}: {err}")),
        }
    }
    signs
}

fn zoned(dir: &Path) -> Zoned {
    match text(&dir.join("queue/zoned")).as_deref() {
        Some("host-managed") => Zoned::HostManaged,
        Some("host-aware") => Zoned::HostAware,
        Some(_) | None => Zoned::No,
    }
}

fn text(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// Partitions are the subdirectories with a file `partition`.
fn partition_dirs(dir: &Path) -> Result<Vec<PathBuf>, SubjectError> {
    let failed = |err| SubjectError::Read { path: dir.to_owned(), err };
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.join("partition").exists() && found.len() < PARTITIONS_LIMIT {
            found.push(path);
        }
    }
    model::order::sort(&mut found);
    Ok(found)
}

fn extent(partition: &Path) -> Option<Range<u64>> {
    let number = |name: &str| text(&partition.join(name))?.parse::<u64>().ok();
    let start = number("start")?.checked_mul(SECTOR)?;
    Some(start..start.checked_add(number("size")?.checked_mul(SECTOR)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::disk;

    fn write(root: &Path, name: &str, content: &str) {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("made");
        fs::write(path, content).expect("written");
    }

    /// `sda` with one partition that is an array's member, with a volume on that.
    fn machine() -> tempfile::TempDir {
        let root = tempfile::tempdir().expect("a directory");
        for (name, content) in [
            ("sys/block/sda/dev", "8:0\n"),
            ("sys/block/sda/device/rev", "1.0 \n"),
            ("sys/block/sda/queue/zoned", "none\n"),
            ("sys/block/sda/integrity/format", "none\n"),
            ("sys/block/sda/sda1/partition", "1\n"),
            ("sys/block/sda/sda1/dev", "8:1\n"),
            ("sys/block/sda/sda1/start", "2048\n"),
            ("sys/block/sda/sda1/size", "4096\n"),
            ("sys/block/sda/sda1/holders/md0/x", ""),
            ("sys/block/md0/dev", "9:0\n"),
            ("sys/block/md0/md/level", "raid1\n"),
            ("sys/block/md0/holders/dm-0/x", ""),
            ("sys/block/dm-0/dev", "253:0\n"),
            ("sys/block/dm-0/dm/uuid", "LVM-x\n"),
        ] {
            write(root.path(), name, content);
        }
        root
    }

    #[test]
    fn partitions_and_what_stands_on_them_are_seen() {
        let root = machine();
        let root = root.path();
        let subject = Subject::read(root, &disk("sda")).expect("readable");
        assert_eq!(subject.partitions, vec![2048 * 512..6144 * 512; 1]);
        assert_eq!(subject.stack, ["dm-0", "md0"]);
        assert_eq!(subject.users, [""; 0]);
        assert_eq!(subject.firmware.as_deref(), Some("1.0"));
        assert_eq!((subject.zoned, &subject.integrity), (Zoned::No, &None));
        assert_eq!(subject.medium, Medium::Installed);
        assert_eq!(subject.unread.len(), 3, "there is no device node: {:?}", subject.unread);
        let error = Subject::read(root, &disk("sdz")).expect_err("not there");
        assert!(error.to_string().ends_with("sys/block/sdz; the disk may be gone: take the inventory again"));
    }

    #[test]
    fn a_mount_on_top_of_it_all_is_a_use_of_the_disk() {
        let root = machine();
        let mounts = "1 0 253:0 / /srv rw - ext4 /dev/dm-0 rw\n2 0 8:17 / /x rw - ext4 /dev/sdb1 rw\n";
        write(root.path(), "proc/self/mountinfo", mounts);
        let subject = Subject::read(root.path(), &disk("sda")).expect("readable");
        assert_eq!(subject.users, ["the mount /srv"]);
    }

    #[test]
    fn zones_and_protection_information_are_facts() {
        let root = machine();
        write(root.path(), "sys/block/sda/integrity/format", "T10-DIF-TYPE1-CRC\n");
        for (text, want) in [
            ("host-managed\n", Zoned::HostManaged),
            ("host-aware\n", Zoned::HostAware),
            ("none\n", Zoned::No),
        ] {
            write(root.path(), "sys/block/sda/queue/zoned", text);
            let subject = Subject::read(root.path(), &disk("sda")).expect("readable");
            assert_eq!(subject.zoned, want);
            assert_eq!(subject.integrity.as_deref(), Some("T10-DIF-TYPE1-CRC"));
        }
    }

    /// Ironic's agent reads the whole disk's row only: type and file system of a
    /// partition, and of a volume above it, are never seen there.
    #[test]
    fn a_cluster_file_system_is_found_on_the_whole_tree() {
        let root = machine();
        let gfs2 = |at: usize| {
            let mut disk = vec![0; 4 << 20];
            disk[at..at + 4].copy_from_slice(&[0x01, 0x16, 0x19, 0x70]);
            disk
        };
        for (device, at, sign) in [
            ("sda", 65_536, "GFS2 (/dev/sda, byte 65536)"),
            ("sda", 2048 * 512 + 65_536, "GFS2 (/dev/sda, byte 1114112)"),
            ("md0", 65_536, "GFS2 (/dev/md0, byte 65536)"),
            ("dm-0", 65_536, "GFS2 (/dev/dm-0, byte 65536)"),
        ] {
            for name in ["sda", "md0", "dm-0"] {
                let path = root.path().join("dev").join(name);
                fs::create_dir_all(path.parent().expect("a parent")).expect("made");
                fs::write(path, if name == device { gfs2(at) } else { vec![0; 4 << 20] }).expect("written");
            }
            let subject = Subject::read(root.path(), &disk("sda")).expect("readable");
            assert_eq!(subject.cluster, [sign]);
            assert!(subject.unread.is_empty(), "{:?}", subject.unread);
        }
    }

    #[test]
    fn a_disk_is_still_the_same_when_only_its_layers_went() {
        let planned = Subject::read(machine().path(), &disk("sda")).expect("readable");
        let free = Subject { stack: Vec::new(), ..planned.clone() };
        assert!(planned.still_is(&planned) && planned.still_is(&free));
        let other = |change: fn(&mut Subject)| {
            let mut now = free.clone();
            change(&mut now);
            now
        };
        for now in [
            other(|now| now.stack.push("dm-9".into())),
            other(|now| now.users.push("the mount /srv".into())),
            other(|now| now.cluster.push("VMFS".into())),
            other(|now| now.shared.push("sdb".into())),
            other(|now| now.partitions.clear()),
            other(|now| now.disk.serial = None),
            other(|now| now.medium = Medium::Virtual("x".into())),
        ] {
            assert!(!planned.still_is(&now), "{now:?}");
        }
    }
}
