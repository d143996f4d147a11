//! SCSI commands through a disk's block device, `<scsi/sg.h>`. ATA drives take
//! them too: the kernel (libata) translates.

#![allow(unsafe_code)]

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
    ptr,
};

/// The longest command, in bytes (`BLK_MAX_CDB`; SAM's variable-length ones are not needed here).
pub const COMMAND_LENGTH: usize = 16;
/// Room for sense data, in bytes (`SCSI_SENSE_BUFFERSIZE` is 96, and the rest is the vendor's).
pub const SENSE_LENGTH: usize = 64;

/// `SG_DXFER_*`.
const DIRECTION_NONE: i32 = -1;
const DIRECTION_TO_DEVICE: i32 = -2;
const DIRECTION_FROM_DEVICE: i32 = -3;

/// `struct sg_io_hdr`, 88 bytes.
#[repr(C)]
#[derive(Debug)]
struct Header {
    interface_id: i32,
    direction: i32,
    command_length: u8,
    sense_limit: u8,
    iovec_count: u16,
    data_length: u32,
    data: *mut u8,
    command: *const u8,
    sense: *mut u8,
    timeout_ms: u32,
    flags: u32,
    pack_id: i32,
    user: *mut u8,
    status: u8,
    masked_status: u8,
    message_status: u8,
    sense_length: u8,
    host_status: u16,
    driver_status: u16,
    residue: i32,
    duration_ms: u32,
    info: u32,
}

mod raw {
    use nix::ioctl_readwrite_bad;

    ioctl_readwrite_bad!(sg_io, 0x2285, super::Header);
}

/// The data that goes with a command.
#[derive(Debug)]
pub enum Transfer<'a> {
    /// None.
    None,
    /// From the device into this memory.
    In(&'a mut [u8]),
    /// From this memory to the device.
    Out(&'a [u8]),
}

impl Transfer<'_> {
    /// Direction, address and length as the kernel wants them. It only reads from what goes out.
    fn parts(&mut self) -> (i32, *mut u8, usize) {
        match self {
            Transfer::None => (DIRECTION_NONE, ptr::null_mut(), 0),
            Transfer::In(data) => (DIRECTION_FROM_DEVICE, data.as_mut_ptr(), data.len()),
            Transfer::Out(data) => (DIRECTION_TO_DEVICE, data.as_ptr().cast_mut(), data.len()),
        }
    }
}

/// What came back. A command that failed has one too: the caller reads the status.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reply {
    /// The SCSI status byte: 0 good, 2 check condition.
    pub status: u8,
    /// What the host adapter's driver says (`DID_*`): 0 the command was delivered, 1 the
    /// device cannot be reached, 3 it did not answer in time.
    pub host: u16,
    /// What the middle layer says (`DRIVER_*`); 8 only tells that there is sense data.
    pub driver: u16,
    /// Sense data, as long as the device sent it; empty without.
    pub sense: Vec<u8>,
    /// Bytes of the transfer that were not filled or not taken.
    pub residue: u32,
}

/// Run one command of at most [`COMMAND_LENGTH`] bytes and wait for its answer,
/// at most `timeout_ms` (`SG_IO`). The caller knows what the command does to the device.
///
/// # Errors
/// `ENOTTY` or `EINVAL` when no SCSI device is behind `fd`; `EINVAL` too for a command
/// without bytes or with too many; `ENODEV` or `ENXIO` when the device is gone.
pub fn run(fd: impl AsFd, command: &[u8], mut transfer: Transfer<'_>, timeout_ms: u32) -> io::Result<Reply> {
    let command_length = match u8::try_from(command.len()) {
        Ok(length @ 1..=16) => length,
        Ok(_) | Err(_) => return Err(io::ErrorKind::InvalidInput.into()),
    };
    let mut sense = [0; SENSE_LENGTH];
    let (direction, data, length) = transfer.parts();
    let mut header = Header {
        interface_id: i32::from(b'S'),
        direction,
        command_length,
        sense_limit: 64,
        iovec_count: 0,
        data_length: u32::try_from(length).map_err(io::Error::other)?,
        data,
        command: command.as_ptr(),
        sense: sense.as_mut_ptr(),
        timeout_ms,
        flags: 0,
        pack_id: 0,
        user: ptr::null_mut(),
        status: 0,
        masked_status: 0,
        message_status: 0,
        sense_length: 0,
        host_status: 0,
        driver_status: 0,
        residue: 0,
        duration_ms: 0,
        info: 0,
    };
    // SAFETY: the kernel reads and writes one sg_io_hdr through the pointer. Its pointers are to
    // memory that outlives the call and is as long as the header says: the command, read; the
    // sense buffer, written; the transfer, read or written as its direction allows.
    unsafe { raw::sg_io(fd.as_fd().as_raw_fd(), &raw mut header) }?;
    let written = usize::from(header.sense_length).min(SENSE_LENGTH);
    Ok(Reply {
        status: header.status,
        host: header.host_status,
        driver: header.driver_status,
        sense: sense[..written].to_vec(),
        residue: u32::try_from(header.residue).unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_as_long_as_the_kernel_s() {
        assert_eq!(size_of::<Header>(), 88);
        assert_eq!(std::mem::offset_of!(Header, data), 16);
        assert_eq!(std::mem::offset_of!(Header, timeout_ms), 40);
        assert_eq!(std::mem::offset_of!(Header, status), 64);
        assert_eq!(std::mem::offset_of!(Header, residue), 72);
    }

    #[test]
    fn a_regular_file_is_no_scsi_disk() {
        let file = std::fs::File::open("/proc/self/exe").expect("the test binary");
        let error = run(&file, &[0; 6], Transfer::None, 1000).expect_err("no disk");
        assert_eq!(error.raw_os_error(), Some(25 /* ENOTTY */));
    }

    #[test]
    fn a_command_has_one_to_sixteen_bytes() {
        let file = std::fs::File::open("/proc/self/exe").expect("the test binary");
        for command in [&[][..], &[0; 17]] {
            let error = run(&file, command, Transfer::None, 1000).expect_err("no command");
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        }
    }
}
