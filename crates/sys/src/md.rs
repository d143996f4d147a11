//! Software RAID, `<linux/raid/md_u.h>`.

#![allow(unsafe_code)]

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
};

mod raw {
    use nix::ioctl_none;

    /// `MD_MAJOR` is the type of md's ioctls.
    const MD: u8 = 9;
    ioctl_none!(stop_array, MD, 0x32);
}

/// Stop the array behind `fd` (`STOP_ARRAY`); its members are free then, and
/// keep what is on them.
///
/// # Errors
/// `EBUSY` while anybody else has it open; `ENOTTY` when it is no array.
pub fn stop(fd: impl AsFd) -> io::Result<()> {
    // SAFETY: the ioctl takes no argument.
    unsafe { raw::stop_array(fd.as_fd().as_raw_fd()) }?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_regular_file_is_no_array() {
        let file = std::fs::File::open("/proc/self/exe").expect("the test binary");
        assert_eq!(stop(&file).expect_err("no array").raw_os_error(), Some(25));
    }
}
