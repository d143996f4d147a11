//! Runs the programs this builder leans on, and says which one failed and what it said.

use std::{
    ffi::OsStr,
    io,
    path::Path,
    process::{Command, ExitStatus, Stdio},
};

/// Most of a failed program's words that are worth repeating, in bytes.
const WORDS_LIMIT: usize = 2000;

/// Why a program did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It could not be started.
    #[error("{program} cannot be started; scripts/install-deps.sh installs what is missing")]
    Start {
        /// Its name.
        program: String,
        /// What the kernel says.
        #[source]
        err: io::Error,
    },
    /// It ran and failed.
    #[error("{program} failed ({status}): {words}")]
    Failed {
        /// Its name.
        program: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it wrote to stderr.
        words: String,
    },
}

/// A command in the C locale, so that its words can be read and sorted.
pub fn command(program: &str) -> Command {
    let mut command = Command::new(program);
    command.env("LC_ALL", "C.UTF-8").stdin(Stdio::null());
    command
}

/// Run `command` to its end and return what it wrote to stdout.
///
/// # Errors
/// When it cannot be started, or ends with anything but status 0.
pub fn output(command: &mut Command) -> Result<Vec<u8>, ProgramError> {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or_else(|| OsStr::new("?"))
        .to_string_lossy()
        .into_owned();
    let done = match command.output() {
        Ok(done) => done,
        Err(err) => return Err(ProgramError::Start { program, err }),
    };
    if done.status.success() {
        return Ok(done.stdout);
    }
    Err(ProgramError::Failed { program, status: done.status, words: last_words(&done.stderr) })
}

fn last_words(stderr: &[u8]) -> String {
    let from = stderr.len().saturating_sub(WORDS_LIMIT);
    String::from_utf8_lossy(&stderr[from..]).trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_names_the_program_and_repeats_its_words() {
        let err = output(command("sh").args(["-c", "echo disk on fire >&2; exit 3"])).expect_err("exit 3");
        assert_eq!(err.to_string(), "sh failed (exit status: 3): disk on fire");
        let err = output(&mut command("/nonexistent/frobnicate")).expect_err("no such program");
        assert!(err.to_string().starts_with("frobnicate cannot be started"), "{err}");
    }
}
