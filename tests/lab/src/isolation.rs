//! One namespace a run: network, processes and mounts that exist only while the lab lives.
//!
//! ```text
//! billet-lab (outer) ─▶ setpriv --pdeathsig KILL ─▶ unshare --fork --kill-child ─▶ billet-lab (PID 1 inside)
//! ```
//! Whoever of the chain dies, by whatever signal, the kernel kills the next, and the death of a PID
//! namespace's first process kills every process in it; network devices and mounts go with the last
//! process that holds them. So there is nothing to clean up, even after `kill -9`.

use std::{env, path::Path, process::Command};

use anyhow::{Context, Result, bail, ensure};

/// Set for the inner process, so that it does not isolate itself again.
const INSIDE: &str = "BILLET_LAB_INSIDE";

/// Where the lab keeps sockets and leases: a tmpfs of its own mount namespace.
pub const RUN: &str = "/run/billet-lab";

/// Are we the first process of a lab's own namespaces?
#[must_use]
pub fn inside() -> bool {
    env::var_os(INSIDE).is_some() && std::process::id() == 1
}

/// Run this very program with the same arguments inside fresh namespaces, and return its exit status.
///
/// # Errors
/// When not root, or when util-linux's `setpriv` and `unshare` are missing.
pub fn enter() -> Result<u8> {
    let program = env::current_exe().context("find billet-lab's own path in /proc/self/exe")?;
    let status = Command::new("setpriv")
        .args(["--pdeathsig", "KILL", "unshare"])
        .args(["--net", "--pid", "--mount", "--fork", "--kill-child", "--mount-proc"])
        .arg(program)
        .args(env::args_os().skip(1))
        .env(INSIDE, "1")
        .status()
        .context("run setpriv and unshare; install util-linux")?;
    Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

/// Give the lab its private `/run/billet-lab`.
///
/// # Errors
/// When the tmpfs cannot be mounted; run the lab as root.
pub fn mount_run() -> Result<()> {
    ensure!(inside(), "the lab's network is made inside its own namespace only");
    // The whole of /run is covered: the host's sockets there are none of the lab's business.
    run("mount", &["-t", "tmpfs", "-o", "mode=0755,size=64m", "billet-lab", "/run"])?;
    std::fs::create_dir_all(Path::new(RUN).join("tftp")).context("make /run/billet-lab/tftp")
}

/// Run one command to its end and quote what it said when it fails.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Result<()> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("run {program}; is it installed and in PATH?"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{program} {}` failed ({}): {}", arguments.join(" "), output.status, said.trim());
    }
    Ok(())
}
