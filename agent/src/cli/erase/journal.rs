//! A journal in a file, for an overwrite by hand that may be cut off.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read as _, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use anyhow::Context as _;
use erase::Journal;
use model::Secret;

/// More than a journal has, in bytes.
const LONGEST: u64 = 4096;

/// The journal in the file at `path`, or a new one put there.
pub(super) fn open(path: &Path) -> anyhow::Result<Journal> {
    let text = match read(path) {
        Err(err) if err.kind() == io::ErrorKind::NotFound => {
            let text = format!("{} {}", uuid::Uuid::new_v4(), random()?);
            write(path, &text).with_context(|| format!("cannot keep a journal in {}", path.display()))?;
            text
        }
        text => text.with_context(|| format!("cannot read the journal {}", path.display()))?,
    };
    let (operation, key) = text.trim().split_once(' ').unwrap_or_default();
    Journal::new(operation, Secret::new(key))
        .with_context(|| format!("{} is no journal; name a new file", path.display()))
}

/// Every disk is clean: what is written to them from now on is somebody's.
pub(super) fn forget(path: &Path) -> anyhow::Result<()> {
    fs::remove_file(path).with_context(|| format!("remove {} yourself, it is used up", path.display()))
}

fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(LONGEST).read_to_string(&mut text)?;
    Ok(text)
}

/// Nobody else may read it: who knows the key can shorten the erase.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn random() -> anyhow::Result<String> {
    let mut key = String::new();
    for _ in 0..4 {
        let part =
            getrandom::u64().map_err(|err| anyhow::anyhow!("no random numbers for a journal: {err}"))?;
        key += &format!("{part:016x}");
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_journal_is_made_once_kept_secret_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let made = open(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(open(&path).unwrap(), made);
        forget(&path).unwrap();
        assert_ne!(open(&path).unwrap(), made);
        fs::write(&path, "not a journal").unwrap();
        assert!(open(&path).is_err());
    }
}
