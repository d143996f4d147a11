//! The duties of PID 1: mounts, drivers, clock, children, power, and a loud end
//! when something fatal happens. Nothing here knows Ironic or the network.
//!
//! ```text
//! start() ─▶ mounts ─▶ clock ─▶ reaper ─▶ command line ─▶ Drivers (in threads) ─▶ entropy ─▶ Started
//! fatal() ─▶ every console ─▶ wait ─▶ power::reboot()
//! ```

use std::{fs, io, path::Path};

mod children;
pub mod clock;
pub mod cmdline;
pub mod console;
pub mod drivers;
mod entropy;
mod fatal;
pub mod modules;
mod mounts;
pub mod power;
mod uevent;

pub use cmdline::Params;
pub use drivers::{Drivers, Settled};
pub use entropy::EntropyError;
pub use fatal::{RESTART_DELAY, chain, fatal, install_panic_hook};
pub use mounts::{MountError, mount_pstore};

/// The firmware that started this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Firmware {
    /// A PC BIOS, or a UEFI that plays one.
    Bios,
    /// UEFI; its variables are below `/sys/firmware/efi/efivars`.
    Uefi,
}

/// A machine with its file systems mounted and its drivers on their way.
pub struct Started {
    /// The kernel command line.
    pub params: Params,
    /// What started the kernel.
    pub firmware: Firmware,
    /// The drivers; [`Drivers::settle`] waits for devices.
    pub drivers: Drivers,
}

/// Why PID 1 cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A file system that everything needs is missing.
    #[error("the ramdisk has no usable root")]
    Mount(#[from] MountError),
    /// Keys made now would be guessable.
    #[error("there are no random numbers")]
    Entropy(#[from] EntropyError),
    /// The kernel refuses a thread or a socket.
    #[error("the kernel refuses {what}; does the machine have enough memory?")]
    Refused {
        /// What was asked for.
        what: &'static str,
        /// What it said.
        #[source]
        err: io::Error,
    },
}

/// Is this process the first one?
#[must_use]
pub fn is_pid_1() -> bool {
    std::process::id() == 1
}

/// Do what PID 1 must do before anything else. Call it first in `main`, before
/// there are other threads, and only when [`is_pid_1`]; it returns as soon as
/// drivers are being loaded, not when devices are there.
///
/// # Errors
/// See [`StartError`]; [`fatal`] is the only way on.
pub fn start() -> Result<Started, StartError> {
    install_panic_hook(RESTART_DELAY);
    mounts::mount_all()?;
    restart_after_kernel_panic();
    if let Some(claimed) = clock::correct() {
        tracing::warn!(?claimed, "the clock was wrong; it now says when this agent was built");
    }
    children::reap_forever().map_err(|err| StartError::Refused { what: "a thread", err })?;
    if let Err(err) = console::never_blocks() {
        tracing::warn!(%err, "a console that is held by flow control will hold this agent too");
    }
    let params = Params::load(Path::new("/proc/cmdline"));
    let refused = |err| StartError::Refused { what: "a thread or a socket for devices", err };
    let drivers = Drivers::open(Path::new(drivers::PACK_PATH), params.clone()).map_err(refused)?;
    let firmware = firmware();
    if firmware == Firmware::Uefi {
        mounts::mount_efivars(&drivers); // before the search, which would make it wait
    }
    drivers.search().map_err(refused)?;
    entropy::wait()?; // with drivers on their way: one of them may bring random numbers
    Ok(Started { params, firmware, drivers })
}

fn firmware() -> Firmware {
    if Path::new("/sys/firmware/efi").is_dir() { Firmware::Uefi } else { Firmware::Bios }
}

/// A kernel that was told nothing stays dead after a panic.
fn restart_after_kernel_panic() {
    const PANIC: &str = "/proc/sys/kernel/panic";
    if fs::read_to_string(PANIC).is_ok_and(|text| text.trim() == "0") {
        let _ = fs::write(PANIC, RESTART_DELAY.as_secs().to_string());
    }
}
