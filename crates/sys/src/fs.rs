//! Files: holes and inode flags, `<linux/falloc.h>` and `<linux/fs.h>`.

#![allow(unsafe_code)]

use std::{
    ffi::c_long,
    io,
    ops::Range,
    os::fd::{AsFd, AsRawFd},
};

use nix::fcntl::{FallocateFlags, fallocate};

/// `FS_IMMUTABLE_FL`: the kernel refuses every change of the file. efivarfs
/// sets it on the variables it does not know.
const IMMUTABLE: c_long = 0x10;

mod raw {
    use nix::{ioctl_read, ioctl_write_ptr};

    ioctl_read!(getflags, b'f', 1, std::ffi::c_long);
    ioctl_write_ptr!(setflags, b'f', 2, std::ffi::c_long);
}

/// Make `range` (bytes) of a regular file a hole that reads as zeros, or of a
/// block device zeros that the device makes itself
/// (`FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE`).
///
/// # Errors
/// `EOPNOTSUPP` when the file system has no holes, or the device no zeros of its
/// own; the caller writes zeros then.
pub fn punch_hole(fd: impl AsFd, range: Range<u64>) -> io::Result<()> {
    let offset = i64::try_from(range.start).map_err(io::Error::other)?;
    let length = i64::try_from(range.end - range.start).map_err(io::Error::other)?;
    let flags = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    Ok(fallocate(fd, flags, offset, length)?)
}

/// Clear the immutable flag of a file (`FS_IOC_GETFLAGS`, `FS_IOC_SETFLAGS`).
/// Does nothing when it is not set.
///
/// # Errors
/// `ENOTTY` when the file system has no flags, which means nothing is immutable.
pub fn clear_immutable(fd: impl AsFd) -> io::Result<()> {
    let mut flags: c_long = 0;
    let descriptor = fd.as_fd().as_raw_fd();
    // SAFETY: the kernel writes at most one long through the pointer, which outlives the call.
    unsafe { raw::getflags(descriptor, &raw mut flags) }?;
    if flags & IMMUTABLE == 0 {
        return Ok(());
    }
    flags &= !IMMUTABLE;
    // SAFETY: the kernel reads at most one long through the pointer, which outlives the call.
    unsafe { raw::setflags(descriptor, &raw const flags) }?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::FileExt};

    use super::*;

    #[test]
    fn a_hole_reads_as_zeros_and_keeps_the_size() {
        let file = tempfile::tempfile().expect("a file");
        file.write_all_at(&[0xaa; 16384], 0).expect("written");
        match punch_hole(&file, 4096..8192) {
            Ok(()) => {}
            Err(err) => return eprintln!("SKIPPED: no holes in the temporary directory: {err}"),
        }
        let mut bytes = [1; 16384];
        file.read_exact_at(&mut bytes, 0).expect("still as long");
        assert!(bytes[4096..8192].iter().all(|&byte| byte == 0));
        assert!(bytes[..4096].iter().chain(&bytes[8192..]).all(|&byte| byte == 0xaa));
    }

    #[test]
    fn an_ordinary_file_stays_writable() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("variable");
        fs::write(&path, "x").expect("written");
        let file = fs::File::open(&path).expect("opened");
        if let Err(err) = clear_immutable(&file) {
            return eprintln!("SKIPPED: no inode flags in the temporary directory: {err}");
        }
        fs::write(&path, "y").expect("still writable");
    }
}
