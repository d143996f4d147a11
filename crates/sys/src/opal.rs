//! Drives that lock themselves (TCG Opal), through the kernel: `<linux/sed-opal.h>`.
//!
//! Linux speaks Opal 1 and 2 with NVMe drives (over fabrics since 6.3) and with ATA
//! drives behind libata; not with SAS drives, and neither Enterprise, Pyrite nor Ruby.

#![allow(unsafe_code)]

use std::{
    fmt, io,
    os::fd::{AsFd, AsRawFd},
};

/// The longest password the kernel takes, in bytes: `OPAL_KEY_MAX`, less the last,
/// which its length field cannot count.
pub const KEY_LIMIT: usize = 255;

/// `struct opal_key`.
#[repr(C)]
pub(crate) struct Key {
    range: u8,
    length: u8,
    padding: [u8; 6],
    key: [u8; KEY_LIMIT + 1],
}

const _: () = assert!(size_of::<Key>() == 264);

/// `struct opal_status`.
#[repr(C)]
#[derive(Default)]
pub(crate) struct RawStatus {
    flags: u32,
    reserved: u32,
}

/// `struct opal_discovery`.
#[repr(C)]
pub(crate) struct RawDiscovery {
    data: u64,
    size: u64,
}

mod raw {
    use nix::{ioctl_read, ioctl_write_ptr};

    ioctl_write_ptr!(take_ownership, b'p', 222, super::Key);
    ioctl_write_ptr!(revert_tpr, b'p', 226, super::Key);
    ioctl_write_ptr!(psid_revert_tpr, b'p', 232, super::Key);
    ioctl_read!(get_status, b'p', 236, super::RawStatus);
    ioctl_write_ptr!(discovery, b'p', 239, super::RawDiscovery);
}

/// Level 0 Discovery's word on locking, as the kernel passes it on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // five bits of one register
pub struct Status {
    /// The drive has Opal (`OPAL_FL_SUPPORTED`).
    pub supported: bool,
    /// Somebody took ownership and switched locking on (`OPAL_FL_LOCKING_ENABLED`).
    pub enabled: bool,
    /// At least one range is locked now (`OPAL_FL_LOCKED`).
    pub locked: bool,
    /// A shadow MBR is kept (`OPAL_FL_MBR_ENABLED`).
    pub mbr_enabled: bool,
    /// The shadow MBR has stepped aside until the next power cycle (`OPAL_FL_MBR_DONE`).
    pub mbr_done: bool,
}

impl Status {
    /// From the flags of `struct opal_status`.
    #[must_use]
    pub fn of_flags(flags: u32) -> Self {
        let bit = |mask: u32| flags & mask != 0;
        Self {
            supported: bit(0x01),
            enabled: bit(0x04),
            locked: bit(0x08),
            mbr_enabled: bit(0x10),
            mbr_done: bit(0x20),
        }
    }
}

/// Why a drive did not do as it was told.
#[derive(Debug)]
pub enum OpalError {
    /// The drive answered with this status (TCG Core Specification 5.1.5). 1 is a
    /// wrong password, 0x12 one tried too often.
    Status(u32),
    /// The kernel did not ask, or got no answer. `ENOTSUPP` (524) and `ENOTTY`: no Opal here.
    Kernel(io::Error),
}

impl fmt::Display for OpalError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "the drive answered Opal status {status:#04x}"),
            Self::Kernel(_) => f.write_str("the kernel could not run the Opal command"),
        }
    }
}

impl std::error::Error for OpalError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Status(_) => None,
            Self::Kernel(err) => Some(err),
        }
    }
}

/// What the kernel said: nix has no name for `ENOTSUPP`, and makes it 0.
fn said(_: nix::Error) -> io::Error {
    io::Error::last_os_error()
}

/// What the drive says about locking now (`IOC_OPAL_GET_STATUS`, Linux 6.1).
///
/// # Errors
/// `ENOTSUPP` (524, which libc cannot name), `ENOTTY`, `EINVAL` or `EOPNOTSUPP` when the
/// device or its driver has no Opal; `EACCES` without `CAP_SYS_ADMIN`.
pub fn status(fd: impl AsFd) -> io::Result<Status> {
    flags(fd).map(Status::of_flags)
}

/// The same as the kernel's bits (`OPAL_FL_*`), for [`Status::of_flags`].
///
/// # Errors
/// As [`status`].
pub fn flags(fd: impl AsFd) -> io::Result<u32> {
    let mut status = RawStatus::default();
    // SAFETY: the kernel writes one RawStatus through the pointer, which outlives the call.
    unsafe { raw::get_status(fd.as_fd().as_raw_fd(), &raw mut status) }.map_err(said)?;
    Ok(status.flags)
}

/// Level 0 Discovery as the drive sent it, into `buffer`; returns how much of it is
/// filled (`IOC_OPAL_DISCOVERY`, Linux 6.6).
///
/// # Errors
/// As [`status`]; `ENOTTY` or `EINVAL` also from older kernels.
pub fn discovery(fd: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    let request = RawDiscovery { data: buffer.as_mut_ptr() as u64, size: buffer.len() as u64 };
    // SAFETY: the kernel reads one RawDiscovery, and writes at most `size` bytes to `data`,
    // which is that long; both outlive the call.
    let length = unsafe { raw::discovery(fd.as_fd().as_raw_fd(), &raw const request) }?;
    Ok(usize::try_from(length).unwrap_or(0).min(buffer.len()))
}

/// Give the drive's owner (SID) the password `new`, where it still has the one it left the
/// factory with (MSID), which the kernel reads from the drive (`IOC_OPAL_TAKE_OWNERSHIP`).
///
/// # Errors
/// [`OpalError`]; `EINVAL` when `new` is empty or longer than [`KEY_LIMIT`].
pub fn take_ownership(fd: impl AsFd, new: &[u8]) -> Result<(), OpalError> {
    let key = Key::of(new)?;
    // SAFETY: the kernel reads one Key through the pointer, which outlives the call.
    outcome(unsafe { raw::take_ownership(fd.as_fd().as_raw_fd(), &raw const key) })
}

/// Give the drive back to the factory with its owner's password (`IOC_OPAL_REVERT_TPR`).
/// Its media keys go: what was stored is not readable any more.
///
/// # Errors
/// [`OpalError`]; `EINVAL` when `owner` is empty or longer than [`KEY_LIMIT`].
pub fn revert(fd: impl AsFd, owner: &[u8]) -> Result<(), OpalError> {
    let key = Key::of(owner)?;
    // SAFETY: the kernel reads one Key through the pointer, which outlives the call.
    outcome(unsafe { raw::revert_tpr(fd.as_fd().as_raw_fd(), &raw const key) })
}

/// As [`revert`], with what is printed on the drive's label (PSID): 32 letters and digits
/// (`IOC_OPAL_PSID_REVERT_TPR`).
///
/// # Errors
/// [`OpalError`]; `EINVAL` when `label` is empty or longer than [`KEY_LIMIT`].
pub fn psid_revert(fd: impl AsFd, label: &[u8]) -> Result<(), OpalError> {
    let key = Key::of(label)?;
    // SAFETY: the kernel reads one Key through the pointer, which outlives the call.
    outcome(unsafe { raw::psid_revert_tpr(fd.as_fd().as_raw_fd(), &raw const key) })
}

impl Key {
    fn of(password: &[u8]) -> Result<Self, OpalError> {
        let length = u8::try_from(password.len()).ok().filter(|&length| length > 0);
        let invalid = || OpalError::Kernel(io::Error::from_raw_os_error(nix::libc::EINVAL));
        let length = length.ok_or_else(invalid)?;
        let mut key = Self { range: 0, length, padding: [0; 6], key: [0; KEY_LIMIT + 1] };
        key.key[..password.len()].copy_from_slice(password);
        Ok(key)
    }
}

/// The kernel returns the drive's status as it is: above zero, which is no error to libc.
fn outcome(returned: nix::Result<i32>) -> Result<(), OpalError> {
    match returned.map(i32::cast_unsigned) {
        Ok(0) => Ok(()),
        Ok(status) => Err(OpalError::Status(status)),
        Err(err) => Err(OpalError::Kernel(err.into())),
    }
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;

    #[test]
    fn a_refusal_by_the_drive_is_no_success() {
        assert!(outcome(Ok(0)).is_ok());
        assert!(matches!(outcome(Ok(1)), Err(OpalError::Status(1))));
        assert!(matches!(outcome(Ok(0x12)), Err(OpalError::Status(0x12))));
        assert!(matches!(outcome(Err(Errno::EIO)), Err(OpalError::Kernel(_))));
    }

    #[test]
    fn flags_are_read_bit_by_bit() {
        assert_eq!(Status::of_flags(0), Status::default());
        let owned = Status { supported: true, enabled: true, ..Status::default() };
        assert_eq!(Status::of_flags(0x07), owned);
        assert_eq!(Status::of_flags(0x0f), Status { locked: true, ..owned });
        assert_eq!(Status::of_flags(0x37), Status { mbr_enabled: true, mbr_done: true, ..owned });
    }

    #[test]
    fn a_password_is_neither_empty_nor_too_long() {
        for (length, good) in [(0, false), (1, true), (KEY_LIMIT, true), (KEY_LIMIT + 1, false)] {
            assert_eq!(Key::of(&vec![b'x'; length]).is_ok(), good, "{length}");
        }
    }

    #[test]
    fn a_file_has_no_opal() {
        let file = tempfile::tempfile().expect("a file");
        assert!(status(&file).is_err());
        assert!(discovery(&file, &mut [0; 64]).is_err());
        for refused in [take_ownership(&file, b"x"), revert(&file, b"x"), psid_revert(&file, b"x")] {
            assert!(matches!(refused, Err(OpalError::Kernel(_))));
        }
    }
}
