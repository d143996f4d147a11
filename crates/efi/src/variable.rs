//! UEFI variables as files: `Documentation/filesystems/efivarfs.rst`. The first
//! four bytes of a file are the variable's attributes.

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// The vendor of the variables that the specification itself defines.
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// The vendor of what Linux's pstore keeps when it crashes
/// (`LINUX_EFI_CRASH_GUID`, drivers/firmware/efi/efi-pstore.c).
const CRASH: &str = "-cfc8fc79-be2e-4ddc-97f0-9f98bfe298a0";
/// Non-volatile, for boot services and for the running system.
const ATTRIBUTES: u32 = 7;
/// The largest variable read: firmware keeps them in some 64 KiB of flash.
const LARGEST: u64 = 64 << 10;

/// Why a variable was not read or written.
#[derive(Debug, thiserror::Error)]
pub enum VariableError {
    /// Reading failed.
    #[error("cannot read the UEFI variable {}", path.display())]
    Read {
        /// Its file.
        path: PathBuf,
        /// What the kernel answered.
        #[source]
        err: io::Error,
    },
    /// Writing or removing failed.
    #[error("cannot change the UEFI variable {}; the firmware may be full or locked", path.display())]
    Write {
        /// Its file.
        path: PathBuf,
        /// What the kernel answered.
        #[source]
        err: io::Error,
    },
    /// It is shorter than its attributes.
    #[error("the UEFI variable {} is malformed", path.display())]
    Malformed {
        /// Its file.
        path: PathBuf,
    },
}

/// The file of the global variable `name`.
pub(crate) fn path(efivars: &Path, name: &str) -> PathBuf {
    efivars.join(format!("{name}-{GLOBAL}"))
}

/// The variable's name, if `file` is a global variable's.
pub(crate) fn name_of(file: &str) -> Option<&str> {
    file.strip_suffix(GLOBAL)?.strip_suffix('-')
}

/// The content of a variable; `None` when there is none.
pub(crate) fn read(efivars: &Path, name: &str) -> Result<Option<Vec<u8>>, VariableError> {
    let path = path(efivars, name);
    let read = |err| VariableError::Read { path: path.clone(), err };
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(err) => return Err(read(err)),
    };
    let mut content = Vec::new();
    file.take(LARGEST).read_to_end(&mut content).map_err(read)?;
    if content.len() < 4 {
        return Err(VariableError::Malformed { path });
    }
    content.drain(..4);
    Ok(Some(content))
}

/// Set a variable. The firmware takes it whole, so it is one `write`.
pub(crate) fn write(efivars: &Path, name: &str, content: &[u8]) -> Result<(), VariableError> {
    let path = path(efivars, name);
    let failed = |err| VariableError::Write { path: path.clone(), err };
    make_mutable(&path).map_err(failed)?;
    let mut bytes = ATTRIBUTES.to_le_bytes().to_vec();
    bytes.extend(content);
    // Truncating would be a write of nothing, which efivarfs takes for removal.
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(failed)?;
    match file.write(&bytes) {
        Ok(count) if count == bytes.len() => {}
        Ok(_) => return Err(failed(io::ErrorKind::WriteZero.into())),
        Err(err) => return Err(failed(err)),
    }
    // A plain file, in a test, keeps the end of a longer old content; the
    // real file system refuses this and has no need of it.
    file.set_len(bytes.len() as u64).ok();
    Ok(())
}

/// Remove a variable; one that is not there is removed already.
pub(crate) fn remove(efivars: &Path, name: &str) -> Result<(), VariableError> {
    remove_file(&path(efivars, name))
}

fn remove_file(path: &Path) -> Result<(), VariableError> {
    let removed = make_mutable(path).and_then(|()| std::fs::remove_file(path));
    match removed {
        Err(err) if err.kind() != io::ErrorKind::NotFound => {
            Err(VariableError::Write { path: path.to_owned(), err })
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Remove what crashed Linux kernels left in the firmware; returns how many
/// variables there were. A machine without UEFI has none.
///
/// # Errors
/// [`VariableError`] naming the variable, or the directory, that resists.
pub fn remove_crash_dumps(efivars: &Path) -> Result<usize, VariableError> {
    let unlisted = |err| VariableError::Read { path: efivars.to_owned(), err };
    let listing = match std::fs::read_dir(efivars) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(0),
        listing => listing.map_err(unlisted)?,
    };
    let mut removed = 0;
    for file in listing {
        let path = file.map_err(unlisted)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("dump-type") && name.ends_with(CRASH) {
            remove_file(&path)?;
            removed += 1;
        }
    }
    Ok(removed)
}

/// efivarfs makes variables immutable that it does not know, so that nobody
/// bricks a machine with `rm -r`.
fn make_mutable(path: &Path) -> io::Result<()> {
    match File::open(path) {
        // A file system without flags has nothing immutable.
        Ok(file) => sys::fs::clear_immutable(&file).or_else(|err| match err.raw_os_error() {
            Some(25 /* ENOTTY */ | 95 /* EOPNOTSUPP */) => Ok(()),
            _ => Err(err),
        }),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(err) => Err(err),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crash_dumps_go_and_other_variables_stay() {
        let dir = tempfile::tempdir().expect("a directory");
        let dump = format!("dump-type0-1-1-1700000000-C{CRASH}");
        for name in [dump.as_str(), "Boot0000-8be4df61-93ca-11d2-aa0d-00e098032b8c", "dump-type0-x"] {
            std::fs::write(dir.path().join(name), "....secret").expect("written");
        }
        assert_eq!(remove_crash_dumps(dir.path()).expect("removed"), 1);
        assert!(!dir.path().join(&dump).exists());
        assert_eq!(std::fs::read_dir(dir.path()).expect("listed").count(), 2);
        assert_eq!(remove_crash_dumps(&dir.path().join("none")).expect("no UEFI"), 0);
    }
}
