//! `erase_pstore`: what a crashed kernel of an earlier tenant left in the
//! firmware's memory: pieces of its log, with whatever was in it.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::{Map, Value, json};
use wire::ipa::ErrorClass;

use super::Machine;
use crate::command::{Failure, Reporter};

/// The most records looked at: ERST and UEFI variables hold a few dozen.
const MOST_RECORDS: usize = 4096;
/// Which driver keeps the records, `(null)` without one.
const BACKEND: &str = "/sys/module/pstore/parameters/backend";

/// Why records of a crash are still there.
#[derive(Debug, thiserror::Error)]
enum PstoreError {
    /// The kernel's file system for them cannot be listed.
    #[error("cannot list the kernel's crash records in {}", path.display())]
    List {
        path: PathBuf,
        #[source]
        err: io::Error,
    },
    /// One cannot be removed.
    #[error("cannot remove the crash record {}; clear it in the firmware's setup", path.display())]
    Remove {
        path: PathBuf,
        #[source]
        err: io::Error,
    },
    /// Removing them changed nothing.
    #[error(
        "{count} crash records are back after they were removed, {first} among them; clear them in the firmware's setup"
    )]
    Back { count: usize, first: String },
}

/// Remove every record, look whether they are gone, and say how many there were.
pub(super) fn erase(machine: &mut Machine, _: &Map<String, Value>, _: &Reporter) -> Result<Value, Failure> {
    let failed = |err: &dyn std::error::Error| Failure::of(ErrorClass::CommandExecution, err);
    // Ironic's agent calls a store that nobody mounted an empty one.
    if init::is_pid_1() {
        init::mount_pstore().map_err(|err| failed(&err))?;
    }
    let records = erase_in(&machine.pstore).map_err(|err| failed(&err))?;
    // Without the driver of pstore's UEFI backend they are plain variables.
    let variables = efi::remove_crash_dumps(&machine.efivars).map_err(|err| failed(&err))?;
    let backend = fs::read_to_string(BACKEND).ok();
    let backend = backend.as_deref().map(str::trim).filter(|name| *name != "(null)");
    tracing::info!(records, variables, backend, "crash records removed");
    Ok(json!({"backend": backend, "records": records, "uefi_variables": variables}))
}

/// How many were removed. A kernel without a store has none.
fn erase_in(dir: &Path) -> Result<usize, PstoreError> {
    let found = records(dir)?;
    for path in &found {
        match fs::remove_file(path) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => {
                return Err(PstoreError::Remove { path: path.clone(), err });
            }
            Ok(()) | Err(_) => {}
        }
    }
    match records(dir)?.as_slice() {
        [] => Ok(found.len()),
        [first, rest @ ..] => {
            Err(PstoreError::Back { count: rest.len() + 1, first: first.display().to_string() })
        }
    }
}

fn records(dir: &Path) -> Result<Vec<PathBuf>, PstoreError> {
    let failed = |err| PstoreError::List { path: dir.to_owned(), err };
    let listing = match fs::read_dir(dir) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listing => listing.map_err(failed)?,
    };
    let paths = listing.take(MOST_RECORDS).map(|entry| entry.map(|entry| entry.path()));
    paths.collect::<io::Result<_>>().map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crash_records_are_removed_and_looked_for_again() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["dmesg-efi-1", "dmesg-efi-2", "console-ramoops-0"] {
            fs::write(dir.path().join(name), "secret").unwrap();
        }
        assert_eq!(erase_in(dir.path()).unwrap(), 3);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        assert_eq!(erase_in(&dir.path().join("no such store")).unwrap(), 0);
    }

    #[test]
    fn a_record_that_stays_fails_the_step() {
        let dir = tempfile::tempdir().unwrap();
        // What cannot be unlinked: a directory, even for root.
        fs::create_dir(dir.path().join("dmesg-erst-1")).unwrap();
        let error = erase_in(dir.path()).unwrap_err();
        assert!(error.to_string().contains("dmesg-erst-1; clear it in the firmware's setup"), "{error}");
    }
}
