//! Random numbers: nothing that speaks TLS or DHCP may start before the kernel has them.
//!
//! Asking the kernel too early blocks without a word. Worse, a static program asks
//! through the `getrandom` crate, which polls `/dev/random`, and polling does not
//! make the kernel collect anything: on a virtual machine without RDRAND it was
//! measured to wait for more than 70 s. A blocked *read* does, and took 1.5 s there.

use std::{
    fs::File,
    io::{self, Read as _},
    os::fd::AsFd as _,
    thread,
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

use crate::console::say;

/// How long the kernel may take. Its own collecting of timing noise ends within some seconds.
const LIMIT: Duration = Duration::from_secs(60);
/// How often a person at the console is told.
const WORD: Duration = Duration::from_secs(5);

/// Why there are no random numbers.
#[derive(Debug, thiserror::Error)]
pub enum EntropyError {
    /// The kernel's device is missing or broken.
    #[error("/dev/random cannot be used; is this kernel complete?")]
    Device(#[from] io::Error),
    /// It has not collected enough.
    #[error(
        "the kernel had no random numbers for {} s; give the machine a CPU with RDRAND, a TPM or virtio-rng",
        LIMIT.as_secs()
    )]
    None,
}

/// Wait until the kernel gives random numbers without blocking. At once on any
/// machine whose CPU makes them.
pub(crate) fn wait() -> Result<(), EntropyError> {
    let device = File::open("/dev/random")?;
    if is_ready(&device, Duration::ZERO)? {
        return Ok(());
    }
    // A blocked reader makes the kernel collect timing noise; waiting alone does not.
    let mut reader = device.try_clone()?;
    thread::Builder::new().name("entropy".into()).spawn(move || reader.read(&mut [0]))?;
    let start = Instant::now();
    while start.elapsed() < LIMIT {
        if is_ready(&device, WORD)? {
            return Ok(());
        }
        say(&format!("waiting for the kernel's random numbers ({} s)", start.elapsed().as_secs()));
    }
    Err(EntropyError::None)
}

/// `/dev/random` is readable when the kernel's generator is seeded.
fn is_ready(device: &File, limit: Duration) -> io::Result<bool> {
    let timeout = PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX);
    match poll(&mut [PollFd::new(device.as_fd(), PollFlags::POLLIN)], timeout) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::EINTR) => Ok(false),
        Err(err) => Err(err.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_runs_tests_has_random_numbers() {
        wait().expect("at once");
    }
}
