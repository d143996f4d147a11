//! A drive of a guest: a file on this machine, full of the old tenant's data.

use std::{
    fs::File,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use tempfile::NamedTempFile;

use crate::secret::{self, STEP, Survivors};

/// A file that a guest's drive keeps its bytes in. Removed when dropped.
pub struct Drive {
    file: NamedTempFile,
    name: String,
}

impl Drive {
    /// A drive of `mib` MiB that holds the secret in every sector. `name` is its
    /// serial number, and its node name in QEMU; at most 20 letters and digits.
    ///
    /// # Panics
    /// When this machine's disk is full.
    #[must_use]
    pub fn used(name: &str, mib: u64) -> Self {
        let file = NamedTempFile::new().expect("a temporary file");
        let mut bytes = vec![0; STEP];
        for at in (0..mib << 20).step_by(STEP) {
            secret::fill(&mut bytes, at);
            file.as_file().write_all_at(&bytes, at).expect("room for a drive");
        }
        Self { file, name: name.to_owned() }
    }

    /// Its serial number.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.file.path()
    }

    /// Another name for its path.
    #[must_use]
    pub fn path_buf(&self) -> PathBuf {
        self.path().to_owned()
    }

    /// What of the old tenant is in the file now, all of it searched.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn survivors(&self) -> Survivors {
        let file = File::open(self.path()).expect("a drive");
        Survivors::among(file).expect("a readable drive")
    }

    /// QEMU's `-blockdev` for it: every write is in the file when the guest is
    /// told so, as far as this machine's own memory goes.
    #[must_use]
    pub fn blockdev(&self) -> String {
        // Discards are ignored: QEMU's default, said aloud because the tests rest on it.
        format!(
            "driver=raw,node-name={},discard=ignore,file.driver=file,file.filename={},cache.no-flush=on,\
             file.cache.no-flush=on",
            self.name,
            self.path().display()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The judge of these tests is one that says no.
    #[test]
    fn a_used_drive_holds_the_secret_in_every_sector_and_one_that_is_left_is_found() {
        let drive = Drive::used("USED", 2);
        assert_eq!(drive.survivors().sectors, 2 * 2048);
        let file = File::options().write(true).open(drive.path()).expect("a drive");
        file.write_all_at(&vec![0; 3 << 19], 512).expect("room");
        assert_eq!(drive.survivors().sectors, 1024);
        file.write_all_at(&vec![0; 2 << 20], 0).expect("room");
        assert!(drive.survivors().is_none());
    }
}
