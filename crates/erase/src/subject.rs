//! The disk in question, as far as the decision to erase it needs to know it.

use std::{
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
};

use model::inventory::{Disk, Transport};

/// sysfs counts partitions in these units, whatever the block size is.
const SECTOR: u64 = 512;
/// More partitions than any disk has; the kernel itself stops at 256.
const PARTITIONS_LIMIT: usize = 256;
/// What management controllers call the media they pretend to be.
const VIRTUAL_MEDIA: [&str; 5] =
    ["virtual media", "virtual floppy", "virtual cd", "virtual hdisk", "virtual keydisk"];

/// One disk and everything that speaks against erasing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// What it is.
    pub disk: Disk,
    /// Firmware revision. From `device/firmware_rev` (NVMe) or `device/rev` (SCSI).
    pub firmware: Option<String>,
    /// Its partitions as the kernel sees them, in bytes from the start.
    pub partitions: Vec<Range<u64>>,
    /// Mount points and holders of the disk and of its partitions; empty for a free disk.
    pub users: Vec<String>,
    /// True when this very agent was started from it.
    pub boot_medium: bool,
}

/// Why a disk could not be looked at.
#[derive(Debug, thiserror::Error)]
#[error("cannot read {}; the disk may be gone: take the inventory again", path.display())]
pub struct SubjectError {
    /// What could not be read.
    path: PathBuf,
    /// What the kernel answered.
    #[source]
    err: io::Error,
}

impl Subject {
    /// `disk` as the kernel shows it now, below `root` (`/` on a machine). Opens no device.
    ///
    /// # Errors
    /// [`SubjectError`] when its sysfs directory cannot be listed.
    pub fn read(root: &Path, disk: &Disk) -> Result<Self, SubjectError> {
        let dir = root.join("sys/block").join(&disk.name);
        let mounts = fs::read_to_string(root.join("proc/self/mountinfo")).unwrap_or_default();
        let mut users = users_of(&dir, &mounts);
        let mut partitions = Vec::new();
        for part in partition_dirs(&dir)? {
            users.extend(users_of(&part, &mounts));
            partitions.extend(extent(&part));
        }
        let firmware = ["device/firmware_rev", "device/rev"].iter().find_map(|name| text(&dir.join(name)));
        Ok(Self { disk: disk.clone(), firmware, partitions, users, boot_medium: false })
    }

    /// Where the disk is: `/dev/nvme0n1`.
    #[must_use]
    pub fn path(&self) -> String {
        self.disk.path()
    }

    /// True when the management controller lends this disk to the machine: it is
    /// the operator's, never a tenant's.
    #[must_use]
    pub fn is_virtual_media(&self) -> bool {
        is_virtual_media(&self.disk)
    }
}

/// True when the management controller lends `disk` to the machine.
#[must_use]
pub fn is_virtual_media(disk: &Disk) -> bool {
    let model = disk.model.as_deref().unwrap_or_default().to_ascii_lowercase();
    let by_usb = matches!(disk.transport, Some(Transport::Usb) | None);
    by_usb && VIRTUAL_MEDIA.iter().any(|name| model.contains(name))
}

fn text(path: &Path) -> Option<String> {
    let text = fs::read_to_string(path).ok()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// Partitions are the subdirectories with a file `partition`.
fn partition_dirs(dir: &Path) -> Result<Vec<PathBuf>, SubjectError> {
    let failed = |err| SubjectError { path: dir.to_owned(), err };
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.join("partition").exists() && found.len() < PARTITIONS_LIMIT {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn extent(partition: &Path) -> Option<Range<u64>> {
    let number = |name: &str| text(&partition.join(name))?.parse::<u64>().ok();
    let start = number("start")?.checked_mul(SECTOR)?;
    Some(start..start.checked_add(number("size")?.checked_mul(SECTOR)?)?)
}

/// Who uses the block device of this sysfs directory: what is stacked on it, and
/// where it is mounted (`/proc/self/mountinfo`: third field device, fifth mount point).
fn users_of(dir: &Path, mounts: &str) -> Vec<String> {
    let device = text(&dir.join("dev")).unwrap_or_default();
    let holders = fs::read_dir(dir.join("holders")).into_iter().flatten().flatten();
    let mut users: Vec<_> = holders.map(|holder| holder.file_name().to_string_lossy().into_owned()).collect();
    users.extend(mounts.lines().filter_map(|line| {
        let fields: Vec<_> = line.split(' ').collect();
        (fields.get(2) == Some(&device.as_str())).then(|| format!("the mount {}", fields.get(4)?).into())?
    }));
    users
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

    #[test]
    fn partitions_holders_and_mounts_are_seen() {
        let root = tempfile::tempdir().expect("a directory");
        let root = root.path();
        for (name, content) in [
            ("sys/block/sda/dev", "8:0\n"),
            ("sys/block/sda/device/rev", "1.0 \n"),
            ("sys/block/sda/sda1/partition", "1\n"),
            ("sys/block/sda/sda1/dev", "8:1\n"),
            ("sys/block/sda/sda1/start", "2048\n"),
            ("sys/block/sda/sda1/size", "4096\n"),
            ("sys/block/sda/sda1/holders/md0/x", ""),
            ("sys/block/sda/queue/rotational", "0\n"),
            (
                "proc/self/mountinfo",
                "1 0 8:1 / /srv rw - ext4 /dev/sda1 rw\n2 0 8:17 / /x rw - ext4 /dev/sdb1 rw\n",
            ),
        ] {
            write(root, name, content);
        }
        let subject = Subject::read(root, &disk("sda")).expect("readable");
        assert_eq!(subject.partitions, vec![2048 * 512..6144 * 512; 1]);
        assert_eq!(subject.users, ["md0", "the mount /srv"]);
        assert_eq!(subject.firmware.as_deref(), Some("1.0"));
        let error = Subject::read(root, &disk("sdz")).expect_err("not there");
        assert!(error.to_string().ends_with("sys/block/sdz; the disk may be gone: take the inventory again"));
    }
}
