//! Disks made of files.

use std::{
    fs::File,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// What the old tenant left.
const OLD: u8 = 0xaa;

/// A loop device over a sparse file, detached when dropped.
pub struct LoopDisk {
    /// `/dev/loopN`.
    pub device: PathBuf,
    /// What the disk holds, whatever the device says.
    file: PathBuf,
    full: Option<PathBuf>,
    faults: Option<Faults>,
    _dir: TempDir,
}

/// What a disk fails at, each time.
#[derive(Clone, Copy, Debug)]
pub struct Fault {
    /// `write` or `flush`.
    pub on: &'static str,
    /// The byte that cannot be written; of no meaning to a flush.
    pub at: u64,
    /// What the disk says: 5 is EIO, 28 ENOSPC, 61 ENODATA (a medium error).
    pub errno: i32,
}

/// QEMU's blkdebug between a file and FUSE: a file that fails where told. Reads
/// come from the kernel's cache when it has them, and with `--direct-io=on` QEMU
/// 7.2 mixes up requests in flight: only writes and flushes fail in earnest.
struct Faults {
    export: PathBuf,
    pid: String,
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

    /// A disk of `mib` MiB that fails at `faults`.
    ///
    /// # Panics
    /// When `qemu-storage-daemon` or losetup fails: the test cannot be made.
    #[must_use]
    pub fn with_faults(mib: u64, faults: &[Fault]) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = used_file(&dir, mib);
        let faults = Faults::export(dir.path(), &file, faults);
        Self { device: attach(&faults.export), file, full: None, faults: Some(faults), _dir: dir }
    }

    /// A disk of `length` bytes, each of them `0xaa`, in sectors of `block` bytes.
    ///
    /// # Panics
    /// When losetup fails: the test cannot be made.
    #[must_use]
    pub fn dirty(length: usize, block: u32) -> Self {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let file = dir.path().join("disk");
        std::fs::write(&file, vec![OLD; length]).expect("a used disk");
        let device = attach_with(&["--sector-size", &block.to_string()], &file);
        Self { device, file, full: None, faults: None, _dir: dir }
    }

    fn over(dir: TempDir, mib: u64, full: Option<PathBuf>) -> Self {
        let file = used_file(&dir, mib);
        Self { device: attach(&file), file, full, faults: None, _dir: dir }
    }

    /// Pull the disk out: from now on everything fails, in one way or another.
    ///
    /// # Panics
    /// When this is not a disk [with faults](Self::with_faults).
    pub fn vanish(&self) {
        let faults = self.faults.as_ref().expect("a disk with faults");
        run("kill", &["-KILL", &faults.pid]);
    }

    /// What the disk holds, whole.
    ///
    /// # Panics
    /// When it cannot be read.
    #[must_use]
    pub fn content(&self) -> Vec<u8> {
        let length = std::fs::metadata(&self.file).expect("a disk").len();
        self.read(0, usize::try_from(length).expect("in memory"))
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

    /// Whether firmware finds anything to boot: a byte in the first or the last
    /// MiB that is not zero.
    #[must_use]
    pub fn may_boot(&self) -> bool {
        let last = std::fs::metadata(&self.file).expect("a disk").len() - (1 << 20);
        [0, last].iter().any(|&at| self.read(at, 1 << 20).iter().any(|&byte| byte != 0))
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("--detach").arg(&self.device).status();
        if let Some(faults) = &self.faults {
            let _ = Command::new("umount").arg("--lazy").arg(&faults.export).stderr(Stdio::null()).status();
            let _ = Command::new("kill").arg(&faults.pid).stderr(Stdio::null()).status();
        }
        if let Some(mount) = &self.full {
            let _ = Command::new("umount").arg("--lazy").arg(mount).status();
        }
    }
}

impl Faults {
    fn export(dir: &Path, file: &Path, faults: &[Fault]) -> Self {
        let (export, pid) = (dir.join("export"), dir.join("pid"));
        File::create(&export).expect("a new file");
        let errors: Vec<Value> = faults.iter().flat_map(rules).collect();
        let mut faulty = json!({"driver": "blkdebug", "node-name": "faulty", "image": "disk"});
        if !errors.is_empty() {
            faulty["inject-error"] = errors.into();
        }
        run(
            "qemu-storage-daemon",
            &[
                "--blockdev",
                &format!("driver=file,node-name=disk,filename={}", text(file)),
                "--blockdev",
                &faulty.to_string(),
                "--export",
                &format!("type=fuse,id=fuse,node-name=faulty,writable=on,mountpoint={}", text(&export)),
                "--daemonize",
                "--pidfile",
                &text(&pid),
            ],
        );
        let pid = std::fs::read_to_string(&pid).expect("a process id").trim().to_owned();
        Self { export, pid }
    }
}

/// blkdebug's rules for one fault: zeroing is writing.
fn rules(fault: &Fault) -> Vec<Value> {
    let rule = |kind: &str| {
        let mut rule = json!({"event": "none", "iotype": kind, "errno": fault.errno});
        if kind != "flush" {
            rule["sector"] = (fault.at / 512).into();
        }
        rule
    };
    match fault.on {
        "write" => vec![rule("write"), rule("write-zeroes")],
        other => vec![rule(other)],
    }
}

fn used_file(dir: &TempDir, mib: u64) -> PathBuf {
    let file = dir.path().join("disk");
    let disk = File::create(&file).expect("a new file");
    disk.set_len(mib << 20).expect("a sparse file");
    disk.write_all_at(&vec![OLD; 1 << 20], 0).expect("the old tenant's first MiB");
    file
}

fn attach(file: &Path) -> PathBuf {
    attach_with(&[], file)
}

fn attach_with(more: &[&str], file: &Path) -> PathBuf {
    let output = Command::new("losetup").args(["--find", "--show"]).args(more).arg(file).output();
    let output = output.expect("losetup");
    assert!(output.status.success(), "losetup: {}", String::from_utf8_lossy(&output.stderr));
    PathBuf::from(String::from_utf8_lossy(&output.stdout).trim())
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn run(program: &str, arguments: &[&str]) {
    let status =
        Command::new(program).args(arguments).status().unwrap_or_else(|err| panic!("{program}: {err}"));
    assert!(status.success(), "{program} {arguments:?}: {status}");
}
