//! The drive in sysfs: where it is, and how the kernel learns that it is larger
//! than it was. It asks only when a drive is found.

use std::{
    fs::{self, File},
    io,
    os::{fd::AsFd, unix::fs::MetadataExt},
    path::{Path, PathBuf},
};

use disk::Device;
use model::Bytes;

/// The sysfs folder of the block device that is open as `node`.
pub(super) fn folder(node: impl AsFd) -> io::Result<PathBuf> {
    let number = File::from(node.as_fd().try_clone_to_owned()?).metadata()?.rdev();
    fs::canonicalize(Path::new("/sys/dev/block").join(format!("{}:{}", major(number), minor(number))))
}

/// Have the kernel ask again until the disk is larger than `before`.
pub(super) fn look_again(device: &mut Device, before: Bytes) -> io::Result<()> {
    let drive = folder(&*device)?.join("device");
    // The disk driver asks for the capacity again. libata answers that from memory ...
    fs::write(drive.join("rescan"), "1")?;
    if device.measure_again()? > before {
        return Ok(());
    }
    // ... and asks the drive when its place on the bus is scanned.
    let (host, place) = address(&fs::canonicalize(&drive)?)?;
    fs::write(Path::new("/sys/class/scsi_host").join(format!("host{host}")).join("scan"), place)?;
    fs::write(drive.join("rescan"), "1")?;
    match device.measure_again()? > before {
        true => Ok(()),
        false => Err(io::Error::other("the kernel keeps the old size of the drive")),
    }
}

/// From `.../2:0:0:0` the host, `2`, and the place on its bus as `scan` wants it, `0 0 0`.
fn address(drive: &Path) -> io::Result<(String, String)> {
    let name = drive.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (host, place) = name.split_once(':').ok_or(io::ErrorKind::InvalidData)?;
    Ok((host.to_owned(), place.replace(':', " ")))
}

/// As glibc's `major(3)` and `minor(3)` take a device number apart.
fn major(number: u64) -> u64 {
    (number >> 8 & 0xfff) | (number >> 32 & !0xfff)
}

fn minor(number: u64) -> u64 {
    (number & 0xff) | (number >> 12 & 0xffff_ff00)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_on_a_bus_is_told_as_the_kernel_wants_it() {
        let path = Path::new("/sys/devices/pci0000:00/0000:00:1f.2/ata3/host2/target2:0:0/2:0:1:0");
        assert_eq!(address(path).expect("an address"), ("2".to_owned(), "0 1 0".to_owned()));
        assert!(address(Path::new("/sys/devices/virtual")).is_err());
    }

    #[test]
    fn device_numbers_have_two_parts_each() {
        assert_eq!((major(0xfe01), minor(0xfe01)), (254, 1));
        assert_eq!((major(0x10_0801), minor(0x10_0801)), (8, 257));
    }
}
