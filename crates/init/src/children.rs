//! Reaping: PID 1 inherits every orphan and must wait for it.

use std::{io, thread};

use nix::{
    errno::Errno,
    sys::{
        signal::{SigSet, Signal},
        wait::{WaitPidFlag, waitpid},
    },
};

/// Reap children for as long as the machine runs, in a thread of their own.
///
/// It reaps *all* children. The agent starts no programs, so nobody waits for
/// one; whoever changes that must change this.
///
/// Call it before any other thread is started: `SIGCHLD` is blocked for the
/// calling thread and those it starts, so that only the reaper takes it.
///
/// # Errors
/// When the kernel has no thread for it.
pub(crate) fn reap_forever() -> io::Result<()> {
    let signals = SigSet::from(Signal::SIGCHLD);
    signals.thread_block()?;
    thread::Builder::new().name("reaper".into()).spawn(move || {
        loop {
            reap_all();
            if let Err(err) = signals.wait() {
                tracing::warn!(%err, "waiting for children failed; orphans stay");
                return;
            }
        }
    })?;
    Ok(())
}

fn reap_all() {
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Err(Errno::EINTR) => {}
            Ok(status) if status.pid().is_some() => tracing::debug!(?status, "an orphan ended"),
            Ok(_) | Err(_) => return, // none has ended, or there is none
        }
    }
}
