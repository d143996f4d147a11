//! Programs of Debian's packages that this machine need not have installed.

use std::path::PathBuf;

use image_builder::package;

use crate::boot::{Copied, cache};

/// udev's rules for disks, and what they run.
const UDEV_RULES: [&str; 5] = [
    "50-udev-default.rules",
    "60-block.rules",
    "60-cdrom_id.rules",
    "60-persistent-storage.rules",
    "75-net-description.rules",
];
const UDEV_PROGRAMS: [&str; 3] = ["ata_id", "cdrom_id", "scsi_id"];

/// Debian's udev: the daemon, its control program, its rules for disks.
///
/// # Panics
/// When apt does not give the package.
#[must_use]
pub fn udev() -> Vec<Copied> {
    let unpacked = unpacked("udev");
    let program = unpacked.join("bin/udevadm"); // one program by two names
    let mut files =
        vec![("usr/bin/udevadm".to_owned(), program.clone()), ("usr/bin/systemd-udevd".to_owned(), program)];
    let below = |path: String| (path.clone(), unpacked.join(path));
    files.extend(UDEV_RULES.map(|name| below(format!("lib/udev/rules.d/{name}"))));
    files.extend(UDEV_PROGRAMS.map(|name| below(format!("lib/udev/{name}"))));
    files
}

/// Debian's mdadm.
///
/// # Panics
/// When apt does not give the package.
#[must_use]
pub fn mdadm() -> Vec<Copied> {
    vec![("usr/sbin/mdadm".to_owned(), unpacked("mdadm").join("sbin/mdadm"))]
}

fn unpacked(name: &str) -> PathBuf {
    let package = package::find(name).expect("apt knows the package");
    package::unpacked(&package, &cache()).expect("the package")
}
