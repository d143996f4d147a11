//! Disks made of files.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;

/// What the old tenant left.
const OLD: u8 = 0xaa;

/// A loop device over a sparse file, detached when dropped.
pub struct LoopDisk {
    /// `/dev/loopN`.
    pub device: PathBuf,
    file: PathBuf,
    full: Option<PathBuf>,
    _dir: TempDir,
}

impl LoopDisk {
    /// A disk of `mib` MiB, each byte of its first MiB `0xaa`: a used disk.
    ///
    /// # Panics
    /// When losetup fails: the test cannot be made.
    #[must_use]
    pub fn used(mib: u64) -> Self {
        Self::over(tempfile::tempdir().expect("a temporary directory"), mib, None)
    }

    /// A disk that says it holds `mib` MiB and fails, with an I/O error, when
    /// more than `real_mib` MiB are written: its file is on a file system that full.
    ///
    /// # Panics
    /// When mount or losetup fails: the test cannot be made.
    #[must_use]
    pub fn failing_after(mib: u64, real_mib: u64) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let mount = dir.path().to_owned();
        run("mount", &["-t", "tmpfs", "-o", &format!("size={real_mib}m"), "tmpfs", &text(&mount)]);
        Self::over(dir, mib, Some(mount))
    }

    fn over(dir: TempDir, mib: u64, full: Option<PathBuf>) -> Self {
        let file = dir.path().join("disk");
        let disk = File::create(&file).expect("a new file");
        disk.set_len(mib << 20).expect("a sparse file");
        disk.write_all_at(&vec![OLD; 1 << 20], 0).expect("the old tenant's first MiB");
        let output = Command::new("losetup").args(["--find", "--show"]).arg(&file).output().expect("losetup");
        assert!(output.status.success(), "losetup: {}", String::from_utf8_lossy(&output.stderr));
        let device = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
        Self { device, file, full, _dir: dir }
    }

    /// What the disk holds at `range`, past every cache.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn read(&self, at: u64, length: usize) -> Vec<u8> {
        run("blockdev", &["--flushbufs", &text(&self.device)]);
        let mut bytes = vec![0; length];
        File::open(&self.file).and_then(|file| file.read_exact_at(&mut bytes, at)).expect("a readable disk");
        bytes
    }

    /// Whether the old tenant's first MiB is still there: nobody wrote.
    #[must_use]
    pub fn is_untouched(&self) -> bool {
        self.read(0, 1 << 20).iter().all(|&byte| byte == OLD)
    }

    /// Whether firmware finds anything to boot: a byte in the first MiB that is not zero.
    #[must_use]
    pub fn may_boot(&self) -> bool {
        self.read(0, 1 << 20).iter().any(|&byte| byte != 0)
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.device).status();
        if let Some(mount) = &self.full {
            let _ = Command::new("umount").arg("--lazy").arg(mount).status();
        }
    }
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn run(program: &str, arguments: &[&str]) {
    let status =
        Command::new(program).args(arguments).status().unwrap_or_else(|err| panic!("{program}: {err}"));
    assert!(status.success(), "{program} {arguments:?}: {status}");
}
