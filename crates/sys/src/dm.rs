//! The device mapper, `<linux/dm-ioctl.h>`.

#![allow(unsafe_code)]

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
};

/// Where its commands go.
pub const CONTROL: &str = "/dev/mapper/control";

/// The interface version we speak; every kernel since 2.6 knows it.
const VERSION: [u32; 3] = [4, 0, 0];
/// `sizeof(struct dm_ioctl)`; its size is part of the command's number.
const LENGTH: u32 = 312;

/// `struct dm_ioctl`.
#[repr(C)]
pub(crate) struct Header {
    version: [u32; 3],
    data_size: u32,
    data_start: u32,
    target_count: u32,
    open_count: i32,
    flags: u32,
    event_nr: u32,
    padding: u32,
    dev: u64,
    /// `name[128]`, `uuid[129]` and `data[7]`: none is used here.
    rest: [u8; 264],
}

const _: () = assert!(size_of::<Header>() == LENGTH as usize);

mod raw {
    use nix::ioctl_readwrite;

    ioctl_readwrite!(dev_remove, 0xfd, 4, super::Header);
}

/// Remove the mapped device numbered `major`:`minor` (`DM_DEV_REMOVE`), through
/// `control`, an open [`CONTROL`]. What it was mapped onto is free then.
///
/// # Errors
/// `EBUSY` while anybody has it open; `ENXIO` when there is no such device;
/// `ENOTTY` when `control` is not the device mapper's.
pub fn remove(control: impl AsFd, major: u32, minor: u32) -> io::Result<()> {
    let mut header = Header {
        version: VERSION,
        data_size: LENGTH,
        data_start: LENGTH,
        target_count: 0,
        open_count: 0,
        flags: 0,
        event_nr: 0,
        padding: 0,
        dev: device(major, minor),
        rest: [0; 264],
    };
    // SAFETY: the kernel reads and writes one Header, of the size it is told, through the
    // pointer, which outlives the call.
    unsafe { raw::dev_remove(control.as_fd().as_raw_fd(), &raw mut header) }?;
    Ok(())
}

/// `huge_encode_dev` of `<linux/kdev_t.h>`.
fn device(major: u32, minor: u32) -> u64 {
    u64::from(minor & 0xff) | u64::from(major) << 8 | u64::from(minor & !0xff) << 12
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn device_numbers_are_put_together_as_the_kernel_does() {
        assert_eq!(device(254, 1), 0xfe01);
        assert_eq!(device(8, 257), 0x10_0801);
    }

    #[test]
    fn a_regular_file_is_not_the_device_mapper() {
        let file = std::fs::File::open("/proc/self/exe").expect("the test binary");
        assert_eq!(remove(&file, 253, 0).expect_err("no mapper").raw_os_error(), Some(25));
    }
}
