//! Turning the machine off or over. Neither returns.

use std::{fs, process, sync::mpsc, thread, time::Duration};

use nix::sys::reboot::{RebootMode, reboot as kernel_reboot};

use crate::console::say;

/// How long dirty pages may take to reach the disks: a dead disk must not keep
/// the machine up.
const SYNC_LIMIT: Duration = Duration::from_secs(10);

/// Flush the disks, then restart.
pub fn reboot() -> ! {
    end(RebootMode::RB_AUTOBOOT, "restarting")
}

/// Flush the disks, then turn the power off.
pub fn power_off() -> ! {
    end(RebootMode::RB_POWER_OFF, "powering off")
}

fn end(mode: RebootMode, what: &str) -> ! {
    say(what);
    flush();
    let Err(err) = kernel_reboot(mode);
    say(&format!("the kernel refuses ({err}); trying the emergency way"));
    // `b`: restart at once. Even for a machine that should be off: off is better
    // than on, but a stuck machine is worse than either.
    let _ = fs::write("/proc/sysrq-trigger", "b");
    // The death of PID 1 is a kernel panic, after which `kernel.panic` restarts.
    process::exit(1);
}

/// Write dirty pages, for at most [`SYNC_LIMIT`].
fn flush() {
    let (done, wait) = mpsc::channel();
    let spawned = thread::Builder::new().name("sync".into()).spawn(move || {
        nix::unistd::sync();
        let _ = done.send(()); // nobody waits any more: the limit has passed
    });
    if spawned.is_ok() && wait.recv_timeout(SYNC_LIMIT).is_err() {
        say("some disk does not take its data; going on without");
    }
}
