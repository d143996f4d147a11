//! Other people's programs, run to their end.

use std::{path::Path, process::Command};

use anyhow::{Context, Result, bail};

/// Run a command; its output is shown only when it fails.
///
/// # Errors
/// When it cannot be started or fails, with what it said.
pub(crate) fn run(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| {
        format!("cannot start {name}; `scripts/install-deps.sh bench` installs what is missing")
    })?;
    if !output.status.success() {
        bail!("{command:?}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// Run `script` with bash; a failure anywhere in a pipe fails it.
///
/// # Errors
/// As [`run`].
pub(crate) fn bash(script: &str, folder: &Path) -> Result<String> {
    run(Command::new("bash").args(["-eu", "-o", "pipefail", "-c", script]).current_dir(folder))
}
