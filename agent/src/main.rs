//! `billet-agent`: PID 1 of a ramdisk that turns bare metal into running
//! machines, and a tool for hands on a machine that runs already.

mod api;
mod chosen;
mod cli;
mod command;
mod config;
#[cfg(test)]
mod conversation_tests;
mod erasing;
#[cfg(test)]
mod fake_ironic;
mod heartbeat;
mod inspection;
mod ironic;
mod json;
mod logs;
mod lookup;
mod pid1;
mod run;
mod steps;
mod timestamp;
mod tls;

use std::{ffi::OsStr, path::PathBuf, process::ExitCode};

fn main() -> ExitCode {
    // Two libraries ask for the process's provider; a second installation changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    if init::is_pid_1() && !was_called_by_name() {
        pid1::main();
    }
    cli::main()
}

/// The kernel starts a ramdisk's `/init`. A first process of a container or of a
/// namespace is called by its own name, and keeps to its arguments: `run
/// --only-disk` must not become the master of the whole machine there.
fn was_called_by_name() -> bool {
    let name = std::env::args_os().next().map(PathBuf::from);
    name.is_some_and(|name| name.file_name() == Some(OsStr::new("billet-agent")))
}
