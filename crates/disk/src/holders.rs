//! Who uses a disk, for the person who is told that it is busy.

mod tear_down;
mod tree;

use std::{
    fs::{self, Metadata},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};

pub use tear_down::{TearDownError, tear_down};
pub use tree::{Layer, Tree, TreeError};

/// The users of the block device numbered `device`, as far as the kernel
/// tells: mounts, swaps, and what is stacked on it or on its partitions.
pub(crate) fn of(device: u64) -> String {
    let number = format!("{}:{}", major(device), minor(device));
    let disk = Path::new("/sys/dev/block").join(&number);
    let mut users = of_one(&disk, &number);
    for partition in children(&disk) {
        if let Ok(number) = fs::read_to_string(partition.join("dev")) {
            users.extend(of_one(&partition, number.trim()));
        }
    }
    if users.is_empty() { "another program".to_owned() } else { users.join(", ") }
}

/// The loop devices over the regular file `file`: what is mounted from them is on it.
pub(crate) fn of_file(file: &Metadata) -> Option<String> {
    let is_over = |device: &PathBuf| {
        let backing = fs::read_to_string(device.join("loop/backing_file")).ok();
        let backing = backing.and_then(|path| fs::metadata(path.trim_end_matches('\n')).ok());
        backing.is_some_and(|backing| (backing.dev(), backing.ino()) == (file.dev(), file.ino()))
    };
    let devices = children(Path::new("/sys/block")).into_iter().filter(is_over);
    let names = devices.filter_map(|device| Some(device.file_name()?.to_string_lossy().into_owned()));
    let names: Vec<String> = names.collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// Whether the kernel still has the block device numbered `device`.
pub(crate) fn is_there(device: u64) -> bool {
    Path::new("/sys/dev/block").join(format!("{}:{}", major(device), minor(device))).exists()
}

/// Kernel's 64-bit device number, as `stat` gives it: `gnu_dev_major`.
fn major(device: u64) -> u64 {
    ((device >> 8) & 0xfff) | ((device >> 32) & !0xfff)
}

fn minor(device: u64) -> u64 {
    (device & 0xff) | ((device >> 12) & !0xff)
}

fn of_one(sysfs: &Path, number: &str) -> Vec<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let swaps = fs::read_to_string("/proc/swaps").unwrap_or_default();
    let name = fs::canonicalize(sysfs)
        .ok()
        .and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
        .unwrap_or_default();
    let mut users: Vec<String> =
        mounted_at(&mounts, number).into_iter().map(|point| format!("the mount {point}")).collect();
    if swaps.lines().any(|line| line.split_whitespace().next() == Some(&format!("/dev/{name}"))) {
        users.push(format!("swap on {name}"));
    }
    users.extend(
        children(&sysfs.join("holders"))
            .iter()
            .filter_map(|holder| Some(holder.file_name()?.to_string_lossy().into_owned())),
    );
    users
}

/// Mount points of device `number` (`major:minor`) in the text of
/// `/proc/self/mountinfo`, proc(5): third field number, fifth mount point.
fn mounted_at<'a>(mountinfo: &'a str, number: &str) -> Vec<&'a str> {
    mountinfo
        .lines()
        .filter(|line| line.split(' ').nth(2) == Some(number))
        .filter_map(|line| line.split(' ').nth(4))
        .collect()
}

fn children(dir: &Path) -> Vec<PathBuf> {
    fs::read_dir(dir).map(|entries| entries.flatten().map(|entry| entry.path()).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mounts_are_found_by_number() {
        let text = "22 1 254:1 / / rw,relatime - ext4 /dev/vda1 rw\n30 22 0:5 / /proc rw - proc proc rw\n\
                    31 22 254:1 /home /srv rw - ext4 /dev/vda1 rw\n";
        assert_eq!(mounted_at(text, "254:1"), ["/", "/srv"]);
        assert!(mounted_at(text, "254:11").is_empty());
    }

    #[test]
    fn device_numbers_are_taken_apart_as_glibc_does() {
        assert_eq!((major(0xfe01), minor(0xfe01)), (254, 1));
        assert_eq!((major(0x10305), minor(0x10305)), (259, 5));
        assert_eq!((major(0x10_0801), minor(0x10_0801)), (8, 257));
    }
}
