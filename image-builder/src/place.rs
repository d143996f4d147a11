//! Folders that come and go, and files that appear whole or not at all.

use std::{
    fs, io,
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// A folder that is removed, with all that is in it, when this value goes.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// A new empty folder in `parent`, which must exist.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(parent: &Path) -> io::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let path = parent.join(format!(".work-{}-{}", process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
        sweep(parent)?;
        fs::create_dir(&path)?;
        Ok(Self(path))
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nobody is left to hear of a failure; the next build makes a folder of its own.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Remove what processes left in `parent` that were killed before they could.
fn sweep(parent: &Path) -> io::Result<()> {
    for entry in fs::read_dir(parent)? {
        let entry = entry?;
        let name = entry.file_name();
        let owner = name.to_str().and_then(|name| name.strip_prefix(".work-")?.split('-').next());
        if owner.is_some_and(|owner| !Path::new("/proc").join(owner).exists()) {
            // Another builder may be sweeping too; what stays is swept next time.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

/// Put `bytes` at `path` in one step: readers see the old file or the whole new one.
///
/// # Errors
/// When the folder is not writable or the disk is full.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let beside = path.with_file_name(format!(".{name}.{}", process::id()));
    let written = fs::write(&beside, bytes).and_then(|()| fs::rename(&beside, path));
    if written.is_err() {
        let _ = fs::remove_file(&beside);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_dead_left_goes_and_what_the_living_hold_stays() {
        let parent = tempfile::tempdir().expect("a folder");
        // Process numbers end at 2^22 (PID_MAX_LIMIT).
        let dead = parent.path().join(".work-4194305-0");
        fs::create_dir_all(dead.join("tree")).expect("a folder");
        let first = Scratch::new(parent.path()).expect("a folder");
        let second = Scratch::new(parent.path()).expect("a folder");
        assert!(!dead.exists() && first.path().is_dir() && second.path().is_dir());
        let path = first.path().to_owned();
        drop(first);
        assert!(!path.exists());
    }
}
