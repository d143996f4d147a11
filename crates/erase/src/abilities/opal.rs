//! Whether somebody owns the drive by TCG Opal, and what that hides.

use std::{io, os::fd::AsFd};

use sys::opal::Status;

use crate::opal::{locking, shadow};

/// What an Opal drive says of its owner; nothing, for a drive without one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpalAbilities {
    /// Its state, when somebody switched locking on.
    pub owned: Option<Status>,
}

impl OpalAbilities {
    /// Ask the drive behind `node`. Also kernels tell nothing of many drives:
    /// see [`sys::opal`].
    ///
    /// # Errors
    /// What the kernel answered; whether somebody owns the drive is unknown then.
    pub fn read(node: impl AsFd) -> io::Result<Self> {
        match sys::opal::status(node) {
            Ok(status) => Ok(Self::of_status(status)),
            Err(err) if is_no_opal(&err) => Ok(Self::default()),
            Err(err) => Err(err),
        }
    }

    /// From the drive's word.
    #[must_use]
    pub fn of_status(status: Status) -> Self {
        Self { owned: status.enabled.then_some(status) }
    }

    /// True when something of the drive cannot be reached before it is reverted.
    pub(crate) fn hides(self) -> bool {
        self.owned.is_some_and(|status| status.locked || (status.mbr_enabled && !status.mbr_done))
    }

    /// For people, where somebody owns it.
    pub(crate) fn words(self) -> Option<String> {
        let status = self.owned?;
        let (locking, shadow) = (locking(status), shadow(status));
        Some(format!("somebody owns it (Opal locking {locking}; shadow MBR {shadow})"))
    }
}

/// `ENOTSUPP`, which the kernel should keep to itself, and the answers of drivers
/// that do not know the ioctl.
fn is_no_opal(err: &io::Error) -> bool {
    const NO_OPAL: [i32; 4] =
        [524 /* ENOTSUPP */, 22 /* EINVAL */, 25 /* ENOTTY */, 95 /* EOPNOTSUPP */];
    err.raw_os_error().is_some_and(|errno| NO_OPAL.contains(&errno))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_drive_with_an_owner_counts() {
        let on = Status { supported: true, enabled: true, ..Status::default() };
        let shown = Status { mbr_enabled: true, ..on };
        for (status, hides, words) in [
            (Status { supported: true, ..Status::default() }, false, None),
            (on, false, Some("somebody owns it (Opal locking on, nothing locked; shadow MBR none)")),
            (
                Status { locked: true, ..on },
                true,
                Some("somebody owns it (Opal locking on, locked; shadow MBR none)"),
            ),
            (shown, true, Some("somebody owns it (Opal locking on, nothing locked; shadow MBR shown)")),
            (
                Status { mbr_done: true, ..shown },
                false,
                Some("somebody owns it (Opal locking on, nothing locked; shadow MBR stepped aside)"),
            ),
        ] {
            let opal = OpalAbilities::of_status(status);
            assert_eq!((opal.hides(), opal.words().as_deref()), (hides, words), "{status:?}");
        }
    }

    #[test]
    fn a_file_has_no_owner() {
        let file = tempfile::tempfile().expect("a file");
        assert_eq!(OpalAbilities::read(&file).expect("asked"), OpalAbilities::default());
    }
}
