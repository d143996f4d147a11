//! NVMe admin commands through the namespace's block device,
//! `<linux/nvme_ioctl.h>`. Command layouts: NVM Express Base Specification 2.0.

#![allow(unsafe_code)]

use std::{
    fmt, io,
    os::fd::{AsFd, AsRawFd},
};

/// The length of every Identify data structure, in bytes.
pub const IDENTIFY_LENGTH: usize = 4096;

/// The length of the Sanitize Status log page, in bytes.
pub const SANITIZE_LOG_LENGTH: usize = 512;

/// The length of the SMART / Health Information log page, in bytes.
pub const HEALTH_LOG_LENGTH: usize = 512;

const OPCODE_GET_LOG_PAGE: u8 = 0x02;
const OPCODE_IDENTIFY: u8 = 0x06;
const OPCODE_FORMAT: u8 = 0x80;
const OPCODE_SANITIZE: u8 = 0x84;
const HEALTH_LOG: u32 = 0x02;
const SANITIZE_STATUS_LOG: u32 = 0x81;
const EVERY_NAMESPACE: u32 = 0xffff_ffff;
/// A controller answers this in milliseconds, also while it sanitizes; one that does not is gone.
const ANSWER_TIMEOUT_MS: u32 = 30_000;

/// `struct nvme_passthru_cmd`, 72 bytes.
#[repr(C)]
#[derive(Debug, Default)]
struct AdminCommand {
    opcode: u8,
    flags: u8,
    reserved1: u16,
    nsid: u32,
    cdw2: u32,
    cdw3: u32,
    metadata: u64,
    addr: u64,
    metadata_len: u32,
    data_len: u32,
    cdw10: u32,
    cdw11: u32,
    cdw12: u32,
    cdw13: u32,
    cdw14: u32,
    cdw15: u32,
    timeout_ms: u32,
    result: u32,
}

mod raw {
    use nix::{ioctl_none, ioctl_readwrite};

    ioctl_none!(nvme_ioctl_id, b'N', 0x40);
    ioctl_readwrite!(nvme_ioctl_admin_cmd, b'N', 0x41, super::AdminCommand);
}

/// Why an admin command did not do what it says.
#[derive(Debug)]
pub enum AdminError {
    /// The kernel did not get an answer, or did not ask: `ENOTTY` when this is
    /// no NVMe device, `EINTR` after a timeout, `ENODEV` when the drive is gone.
    Kernel(io::Error),
    /// The controller completed the command with this status: bits 7:0 the
    /// status code, 10:8 the status code type, 14 do-not-retry.
    Status(u16),
}

impl fmt::Display for AdminError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kernel(_) => f.write_str("the kernel could not run the NVMe command"),
            Self::Status(status) => write!(f, "the NVMe controller answered status {status:#06x}"),
        }
    }
}

impl std::error::Error for AdminError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Kernel(err) => Some(err),
            Self::Status(_) => None,
        }
    }
}

/// The identifier of the namespace behind `fd` (`NVME_IOCTL_ID`).
///
/// # Errors
/// `ENOTTY` when `fd` is not an NVMe namespace.
pub fn namespace_id(fd: impl AsFd) -> io::Result<u32> {
    // SAFETY: the ioctl takes no argument.
    let id = unsafe { raw::nvme_ioctl_id(fd.as_fd().as_raw_fd()) }?;
    u32::try_from(id).map_err(|_| io::Error::from(io::ErrorKind::InvalidData))
}

/// The Identify Controller data (`NVME_IOCTL_ADMIN_CMD`, Identify CNS 01h).
///
/// # Errors
/// [`AdminError`].
pub fn identify_controller(fd: impl AsFd) -> Result<Vec<u8>, AdminError> {
    identify(fd, 0, 0x01)
}

/// The same, of a controller that has `timeout_ms` to answer.
///
/// # Errors
/// [`AdminError`].
pub fn identify_controller_within(fd: impl AsFd, timeout_ms: u32) -> Result<Vec<u8>, AdminError> {
    let command =
        AdminCommand { opcode: OPCODE_IDENTIFY, cdw10: 0x01, timeout_ms, ..AdminCommand::default() };
    ask(fd, command, IDENTIFY_LENGTH)
}

/// The SMART / Health Information log page of the controller (`NVME_IOCTL_ADMIN_CMD`,
/// Get Log Page 02h), which has `timeout_ms` to answer.
///
/// # Errors
/// [`AdminError`].
pub fn health_log(fd: impl AsFd, timeout_ms: u32) -> Result<Vec<u8>, AdminError> {
    const DWORDS: u32 = 512 / 4 - 1;
    let command = AdminCommand {
        opcode: OPCODE_GET_LOG_PAGE,
        nsid: EVERY_NAMESPACE,
        cdw10: HEALTH_LOG | DWORDS << 16,
        timeout_ms,
        ..AdminCommand::default()
    };
    ask(fd, command, HEALTH_LOG_LENGTH)
}

/// The Identify Namespace data of `nsid` (CNS 00h).
///
/// # Errors
/// [`AdminError`].
pub fn identify_namespace(fd: impl AsFd, nsid: u32) -> Result<Vec<u8>, AdminError> {
    identify(fd, nsid, 0x00)
}

/// The list of active namespaces, up to 1,024 little-endian `u32`, zero-ended (CNS 02h).
///
/// # Errors
/// [`AdminError`].
pub fn active_namespaces(fd: impl AsFd) -> Result<Vec<u8>, AdminError> {
    identify(fd, 0, 0x02)
}

/// The list of allocated namespaces, attached or not, as
/// [`active_namespaces`] gives it (CNS 10h).
///
/// # Errors
/// [`AdminError`]; controllers without namespace management answer a status.
pub fn allocated_namespaces(fd: impl AsFd) -> Result<Vec<u8>, AdminError> {
    identify(fd, 0, 0x10)
}

/// The Sanitize Status log page (`NVME_IOCTL_ADMIN_CMD`, Get Log Page 81h): how far the
/// sanitize operation of the whole drive is, and how the last one ended.
///
/// # Errors
/// [`AdminError`]; controllers without Sanitize answer a status.
pub fn sanitize_log(fd: impl AsFd) -> Result<Vec<u8>, AdminError> {
    // Dwords, less one, in the upper half.
    const DWORDS: u32 = 512 / 4 - 1;
    let command = AdminCommand {
        opcode: OPCODE_GET_LOG_PAGE,
        nsid: EVERY_NAMESPACE,
        cdw10: SANITIZE_STATUS_LOG | DWORDS << 16,
        ..AdminCommand::default()
    };
    ask(fd, command, SANITIZE_LOG_LENGTH)
}

/// Start, or with the action 1 leave, a sanitize operation (`NVME_IOCTL_ADMIN_CMD`, Sanitize).
/// `cdw10` says how, `cdw11` is the pattern of an overwrite. The data of every namespace of
/// the drive is destroyed. Returns at once; [`sanitize_log`] tells the rest.
///
/// # Errors
/// [`AdminError`]; nothing was started then, unless the answer itself was lost.
pub fn sanitize(fd: impl AsFd, cdw10: u32, cdw11: u32) -> Result<(), AdminError> {
    let timeout_ms = ANSWER_TIMEOUT_MS;
    run(fd, AdminCommand { opcode: OPCODE_SANITIZE, cdw10, cdw11, timeout_ms, ..AdminCommand::default() })
}

fn identify(fd: impl AsFd, nsid: u32, cns: u32) -> Result<Vec<u8>, AdminError> {
    let command = AdminCommand { opcode: OPCODE_IDENTIFY, nsid, cdw10: cns, ..AdminCommand::default() };
    ask(fd, command, IDENTIFY_LENGTH)
}

/// Run `command`, which makes the controller send `length` bytes.
fn ask(fd: impl AsFd, mut command: AdminCommand, length: usize) -> Result<Vec<u8>, AdminError> {
    let too_long = |_| AdminError::Kernel(io::ErrorKind::InvalidInput.into());
    let mut data = vec![0; length];
    // Exposed: the kernel writes through the number, which the compiler cannot see.
    command.addr = data.as_mut_ptr().expose_provenance() as u64;
    command.data_len = u32::try_from(length).map_err(too_long)?;
    if command.timeout_ms == 0 {
        command.timeout_ms = ANSWER_TIMEOUT_MS;
    }
    run(fd, command)?;
    Ok(data)
}

/// Format the namespace `nsid` (`NVME_IOCTL_ADMIN_CMD`, Format NVM). `cdw10` says
/// how; the data of the namespace, and of others if the controller formats them
/// together, is destroyed. Returns when the controller is done.
///
/// # Errors
/// [`AdminError`]; after an error the content is undefined.
pub fn format(fd: impl AsFd, nsid: u32, cdw10: u32, timeout_ms: u32) -> Result<(), AdminError> {
    run(fd, AdminCommand { opcode: OPCODE_FORMAT, nsid, cdw10, timeout_ms, ..AdminCommand::default() })
}

/// Private: `addr` and `data_len` must describe memory the kernel may write.
fn run(fd: impl AsFd, mut command: AdminCommand) -> Result<(), AdminError> {
    // SAFETY: the kernel reads and writes one nvme_passthru_cmd through the pointer, which
    // outlives the call; `addr` is zero, or a live buffer of `data_len` bytes (`ask`).
    let status = unsafe { raw::nvme_ioctl_admin_cmd(fd.as_fd().as_raw_fd(), &raw mut command) }
        .map_err(|errno| AdminError::Kernel(errno.into()))?;
    match u16::try_from(status) {
        Ok(0) => Ok(()),
        Ok(status) => Err(AdminError::Status(status)),
        Err(_) => Err(AdminError::Kernel(io::Error::from(io::ErrorKind::InvalidData))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_is_as_long_as_the_kernel_s() {
        assert_eq!(size_of::<AdminCommand>(), 72);
        assert_eq!(std::mem::offset_of!(AdminCommand, addr), 24);
        assert_eq!(std::mem::offset_of!(AdminCommand, cdw10), 40);
        assert_eq!(std::mem::offset_of!(AdminCommand, timeout_ms), 64);
    }

    #[test]
    fn a_regular_file_is_not_an_nvme_namespace() {
        let file = std::fs::File::open("/proc/self/exe").expect("the test binary");
        assert_eq!(namespace_id(&file).expect_err("not NVMe").raw_os_error(), Some(25 /* ENOTTY */));
        let Err(AdminError::Kernel(err)) = identify_controller(&file) else { panic!("not NVMe") };
        assert_eq!(err.raw_os_error(), Some(25 /* ENOTTY */));
        for outcome in [sanitize_log(&file).map(drop), health_log(&file, 9).map(drop), sanitize(&file, 2, 0)]
        {
            assert!(matches!(outcome, Err(AdminError::Kernel(_))), "{outcome:?}");
        }
    }
}
