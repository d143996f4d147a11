//! The block devices of this machine that may hold a file system.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// More block devices than this are not looked at.
const LIMIT: usize = 256;

/// A partition or a whole disk.
pub(crate) struct Partition {
    /// Its node: `/dev/nvme0n1p3`.
    pub(crate) device: PathBuf,
    /// Its name in the GPT; empty if it has none. From `<device>/uevent`, `PARTNAME`.
    pub(crate) name: String,
}

/// All of them, below `class` (`/sys/class/block`), in the order of their names.
pub(crate) fn all(class: &Path) -> io::Result<Vec<Partition>> {
    let mut partitions = Vec::new();
    for entry in fs::read_dir(class)?.take(LIMIT) {
        let entry = entry?;
        let uevent = fs::read_to_string(entry.path().join("uevent")).unwrap_or_default();
        let name = uevent.lines().find_map(|line| line.strip_prefix("PARTNAME=")).unwrap_or("");
        partitions
            .push(Partition { device: Path::new("/dev").join(entry.file_name()), name: name.to_owned() });
    }
    partitions.sort_by(|one, other| one.device.cmp(&other.device));
    Ok(partitions)
}
