//! The small test system: a whole disk that boots anywhere and says what a test wants to know.
//!
//! ```text
//! kernel package ─▶ drivers ─┐
//! billet-os-init ────────────┴▶ initramfs ─┐
//! kernel ──────────────────────────────────┴▶ root (ext4) ─▶ whole disk
//! ```
//!
//! What it prints is in `src/os_init/main.rs`. The same inputs give the same disk.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{
    compress::Compression,
    digest,
    place::Scratch,
    program::{self, ProgramError},
    ramdisk::{self, KernelSource, RamdiskError},
    whole_disk::{self, WholeDisk, WholeDiskError},
};

/// Name of the root partition in the GPT.
pub const ROOT_NAME: &str = "billet-os-root";
/// The list of its modules.
const MODULES: &str = include_str!("../../initramfs/os.modules");
/// Seeds the identifiers of the disk.
const SEED: &str = "billet-os";
/// Room for what ext4 needs besides the files, in bytes: 24 inodes and some tables.
const EXT4_OVERHEAD: u64 = 1 << 20;
/// Time of everything in the file system: 1980-01-01, the first that FAT knows.
const TIME: &str = "315532800";

/// What to build.
#[derive(Debug)]
pub struct Request {
    /// The `billet-os-init` executable.
    pub init: PathBuf,
    /// The package with the kernel.
    pub kernel_package: String,
    /// Further words for the kernel command line.
    pub kernel_params: String,
    /// Where to put the raw image.
    pub out: PathBuf,
    /// The folder for downloads and packs.
    pub cache: PathBuf,
}

/// What was built.
#[derive(Debug, Serialize)]
pub struct Built {
    /// Release of the kernel.
    pub kernel: String,
    /// What the booted system prints after `BILLET-OS-ROOT`.
    pub root_sha256: String,
    /// Bytes of the root partition.
    pub root_bytes: u64,
}

/// Why there is no test system.
#[derive(Debug, thiserror::Error)]
pub enum OsError {
    /// Its kernel and initramfs cannot be made.
    #[error("its kernel and initramfs cannot be made")]
    Ramdisk(#[from] RamdiskError),
    /// Its root file system cannot be made.
    #[error("its root file system cannot be made")]
    Root(#[from] ProgramError),
    /// Its disk cannot be made.
    #[error("its disk cannot be made")]
    Disk(#[from] WholeDiskError),
    /// A file failed.
    #[error("{path} failed; is the disk full?")]
    File {
        /// Which.
        path: PathBuf,
        /// What the kernel says.
        #[source]
        err: io::Error,
    },
}

/// Build the raw image of the test system.
///
/// # Errors
/// When a package, a program or the disk fails.
pub fn build(request: &Request) -> Result<Built, OsError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |err| OsError::File { path, err }
    };
    fs::create_dir_all(&request.cache).map_err(failed(&request.cache))?;
    let work = Scratch::new(&request.cache).map_err(failed(&request.cache))?;
    let boot = work.path().join("boot");
    let report = ramdisk::build(&ramdisk::Request {
        agent: request.init.clone(),
        kernel: KernelSource::Package(request.kernel_package.clone()),
        list: MODULES.to_owned(),
        firmware: Vec::new(),
        firmware_packages: Vec::new(),
        files: Vec::new(),
        compression: Compression::Zstd,
        out: boot.clone(),
        cache: request.cache.clone(),
    })?;
    let root = work.path().join("root");
    let root_bytes = (report.total_bytes + EXT4_OVERHEAD).next_multiple_of(1 << 20);
    File::create(&root).and_then(|file| file.set_len(root_bytes)).map_err(failed(&root))?;
    root_file_system(&root, &boot, work.path())?;
    let config = grub_config(&request.kernel_params);
    whole_disk::write(&WholeDisk {
        seed: SEED,
        root: &root,
        root_name: ROOT_NAME,
        grub_config: &config,
        out: &request.out,
    })?;
    let root_sha256 = digest::of_file(&root).map_err(failed(&root))?;
    Ok(Built { kernel: report.kernel.release, root_sha256, root_bytes })
}

/// An ext4 without a journal (nothing is ever written to it) with the files of `boot`.
/// By debugfs and not by mke2fs -d, which keeps the time at which a file was made.
fn root_file_system(root: &Path, boot: &Path, work: &Path) -> Result<(), OsError> {
    let id = whole_disk::uuid(SEED, "root").to_string();
    let tool = |name| {
        let mut command = program::command(name);
        command.env("E2FSPROGS_FAKE_TIME", TIME);
        command
    };
    let mut format = tool("mke2fs");
    format.args([
        "-q",
        "-F",
        "-t",
        "ext4",
        "-b",
        "1024",
        "-m",
        "0",
        "-N",
        "24",
        "-O",
        "^has_journal",
        "-L",
        "billet-os",
    ]);
    program::output(format.args(["-U", &id, "-E", &format!("hash_seed={id},lazy_itable_init=0")]).arg(root))?;
    let script = work.join("debugfs");
    let commands = format!(
        "mkdir boot\nwrite {0}/vmlinuz boot/vmlinuz\nwrite {0}/initramfs boot/initramfs\n",
        boot.display()
    );
    fs::write(&script, commands).map_err(|err| OsError::File { path: script.clone(), err })?;
    program::output(tool("debugfs").args(["-w", "-f"]).arg(&script).arg(root))?;
    program::output(tool("e2fsck").args(["-f", "-n"]).arg(root))?;
    Ok(())
}

/// Straight to the kernel: no menu, no wait.
fn grub_config(kernel_params: &str) -> String {
    let id = whole_disk::uuid(SEED, "root");
    format!(
        "serial --unit=0 --speed=115200\n\
         search.fs_uuid {id} root\n\
         echo BILLET-OS-GRUB\n\
         linux /boot/vmlinuz console=tty0 console=ttyS0,115200 panic=30 quiet {kernel_params}\n\
         initrd /boot/initramfs\n\
         boot\n"
    )
}
