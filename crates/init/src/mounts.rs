//! The kernel's file systems, mounted where programs look for them.

use std::{fs, io, path::Path};

use nix::{
    errno::Errno,
    mount::{MsFlags, mount},
};

use crate::drivers::Drivers;

/// What happens when a mount fails.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    /// Nothing works without it.
    Must,
    /// It is missed later, by name.
    May,
}

struct Mount {
    kind: &'static str,
    at: &'static str,
    flags: MsFlags,
    options: Option<&'static str>,
    need: Need,
}

const PLAIN: MsFlags = MsFlags::MS_NOSUID.union(MsFlags::MS_NODEV).union(MsFlags::MS_NOEXEC);

/// Order matters: each line may use the ones above.
const MOUNTS: &[Mount] = &[
    Mount { kind: "proc", at: "/proc", flags: PLAIN, options: None, need: Need::Must },
    Mount { kind: "sysfs", at: "/sys", flags: PLAIN, options: None, need: Need::Must },
    Mount {
        kind: "devtmpfs",
        at: "/dev",
        flags: MsFlags::MS_NOSUID,
        options: Some("mode=0755"),
        need: Need::Must,
    },
    Mount { kind: "tmpfs", at: "/run", flags: PLAIN, options: Some("mode=0755,size=10%"), need: Need::May },
    Mount { kind: "tmpfs", at: "/tmp", flags: PLAIN, options: Some("mode=1777,size=25%"), need: Need::May },
];

/// Where the firmware's variables appear on a UEFI machine.
const EFIVARS: Mount =
    Mount { kind: "efivarfs", at: "/sys/firmware/efi/efivars", flags: PLAIN, options: None, need: Need::May };

/// Where the kernel shows what crashed kernels left in the firmware.
const PSTORE: Mount =
    Mount { kind: "pstore", at: "/sys/fs/pstore", flags: PLAIN, options: None, need: Need::Must };

/// Why the machine has no usable root.
#[derive(Debug, thiserror::Error)]
#[error("{kind} could not be mounted on {at}; is it in this kernel?")]
pub struct MountError {
    kind: &'static str,
    at: &'static str,
    #[source]
    err: io::Error,
}

/// Mount all of [`MOUNTS`]. What is mounted already is left as it is.
///
/// # Errors
/// When one that must be there is not.
pub(crate) fn mount_all() -> Result<(), MountError> {
    MOUNTS.iter().try_for_each(attempt)
}

/// Mount the firmware's variables. Their driver is a module of its own, which no
/// device asks for.
pub(crate) fn mount_efivars(drivers: &Drivers) {
    if let Err(missing) = drivers.load(&["efivarfs"]) {
        tracing::warn!(?missing, "boot entries of the firmware are out of reach");
    }
    // `Need::May` never fails.
    let _ = attempt(&EFIVARS);
}

/// Mount the crash records of earlier kernels; a kernel that has no place for
/// them has none.
///
/// # Errors
/// When the place is there and the kernel refuses.
pub fn mount_pstore() -> Result<(), MountError> {
    if Path::new(PSTORE.at).is_dir() { attempt(&PSTORE) } else { Ok(()) }
}

fn attempt(mount: &Mount) -> Result<(), MountError> {
    let &Mount { kind, at, need, .. } = mount;
    match (mount_one(mount), need) {
        (Ok(()), _) => Ok(()),
        (Err(err), Need::Must) => Err(MountError { kind, at, err }),
        (Err(err), Need::May) => {
            tracing::warn!(kind, at, %err, "not mounted");
            Ok(())
        }
    }
}

fn mount_one(&Mount { kind, at, flags, options, .. }: &Mount) -> io::Result<()> {
    if !Path::new(at).is_dir() {
        fs::create_dir_all(at)?;
    }
    match mount(Some(kind), at, Some(kind), flags, options) {
        Ok(()) | Err(Errno::EBUSY) => Ok(()), // EBUSY: the same one is there already
        Err(err) => Err(err.into()),
    }
}
