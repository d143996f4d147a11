//! NVMe drives erasing themselves, by ioctl on the namespace that is held.

mod format;
mod log;
mod sanitize;
mod status;

use disk::Device;
use sys::nvme::AdminError;

use self::status::failed;
use crate::{Answer, CommandError, Sanitize, SecureErase, State};

/// What the drive is doing; `None` when it is no NVMe drive.
pub(crate) fn state(device: &Device) -> Result<Option<State>, CommandError> {
    Ok(match can_sanitize(device)? {
        // Drives without Sanitize write a question about it into their error log.
        Some(true) => Some(sanitize::state(device)?),
        Some(false) => Some(State::Ready),
        None => None,
    })
}

/// Format the namespace. Returns when the drive says it is done.
pub(crate) fn format(device: &Device, erase: SecureErase) -> Result<Answer, CommandError> {
    format::format(device, erase)
}

/// Begin to sanitize the whole drive.
pub(crate) fn sanitize(device: &Device, erase: Sanitize) -> Result<Answer, CommandError> {
    match can_sanitize(device)? {
        Some(true) => sanitize::begin(device, erase),
        Some(false) | None => Err(CommandError::Unsupported { command: "NVMe Sanitize" }),
    }
}

/// Out of the state after a failed sanitize; `None` when it is no NVMe drive.
pub(crate) fn recover(device: &Device) -> Result<Option<Answer>, CommandError> {
    Ok(match can_sanitize(device)? {
        Some(true) => Some(sanitize::recover(device)?),
        Some(false) => return Err(CommandError::Unsupported { command: "NVMe Sanitize" }),
        None => None,
    })
}

/// Whether it has any sanitize action; `None` when it is no NVMe drive.
fn can_sanitize(device: &Device) -> Result<Option<bool>, CommandError> {
    const COMMAND: &str = "NVMe Identify";
    match sys::nvme::namespace_id(device) {
        Ok(_) => {}
        Err(err) if is_no_nvme(&err) => return Ok(None),
        Err(err) => return Err(CommandError::Kernel { command: COMMAND, err }),
    }
    let controller = sys::nvme::identify_controller(device)
        .map_err(|error: AdminError| failed(COMMAND, Answer::default(), error))?;
    Ok(Some(crate::Sanitizes::of_identify(&controller) != crate::Sanitizes::default()))
}

/// The answers of block drivers that do not know NVMe's ioctl.
pub(crate) fn is_no_nvme(err: &std::io::Error) -> bool {
    matches!(err.raw_os_error(), Some(22 /* EINVAL */ | 25 /* ENOTTY */ | 95 /* EOPNOTSUPP */))
}
