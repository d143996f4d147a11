//! grub's boot images, made with grub-mkimage and embedded by us.
//!
//! grub-install wants a mounted loop device, hence root. What it does to a disk
//! with a BIOS boot partition is small: the MBR's code (`boot.img`) learns where the
//! core image starts, and the core's first sector learns where the rest is. Offsets
//! from grub 2.06, include/grub/i386/pc/boot.h.

use std::{
    fs::{self, File},
    io,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use crate::program::{self, ProgramError};

/// Where Debian's grub-pc-bin and grub-efi-amd64-bin keep their modules.
const GRUB: &str = "/usr/lib/grub";
/// Modules of both images.
const MODULES: [&str; 12] = [
    "part_gpt",
    "ext2",
    "search",
    "search_fs_uuid",
    "normal",
    "configfile",
    "linux",
    "echo",
    "serial",
    "terminal",
    "test",
    "reboot",
];
/// What `boot.img` must leave to the MBR: the disk signature and the partition table.
const BOOT_CODE_BYTES: usize = 440;
/// `GRUB_BOOT_MACHINE_KERNEL_SECTOR`: first sector of the core image, 8 bytes.
const KERNEL_SECTOR_AT: usize = 0x5c;
/// `GRUB_BOOT_MACHINE_DRIVE_CHECK`: two NOPs make boot.img believe that the BIOS names the right disk.
const DRIVE_CHECK_AT: usize = 0x66;
/// The last block list of the core's first sector: its start, 8 bytes; then its length and segment.
const CORE_REST_AT: usize = 0x1f4;

/// Why grub is not on the disk.
#[derive(Debug, thiserror::Error)]
pub enum GrubError {
    /// grub-mkimage failed.
    #[error("grub-mkimage failed; are grub-pc-bin and grub-efi-amd64-bin installed?")]
    Make(#[from] ProgramError),
    /// An image of grub's is not what this was written for.
    #[error("{path} has {bytes} bytes, which is no image of grub 2.06; install grub-pc-bin of Debian 12")]
    Strange {
        /// The image.
        path: PathBuf,
        /// Its size.
        bytes: usize,
    },
    /// A file failed.
    #[error("{path} failed")]
    File {
        /// Which.
        path: PathBuf,
        /// What the kernel says.
        #[source]
        err: io::Error,
    },
}

/// Make the EFI program, which runs `config`, in folder `work`.
///
/// # Errors
/// When grub-mkimage fails.
pub fn efi_program(config: &str, work: &Path) -> Result<PathBuf, GrubError> {
    // Without a video driver the kernel's start complains that it has no mode to set.
    make("x86_64-efi", &["fat", "efi_gop"], config, work)
}

/// Make `disk` (a raw image with a GPT) boot on BIOS: code in its MBR, and the core
/// image, which runs `config`, at sector `at`, in a BIOS boot partition of 1 MiB.
///
/// # Errors
/// When grub-mkimage fails, or its images are not what they were.
pub fn embed(disk: &File, at: u64, config: &str, work: &Path) -> Result<(), GrubError> {
    let core_path = make("i386-pc", &["biosdisk"], config, work)?;
    let mut core = read(&core_path)?;
    if core.len() < 1024 || core.len() > 1 << 20 {
        return Err(GrubError::Strange { path: core_path, bytes: core.len() });
    }
    core[CORE_REST_AT..CORE_REST_AT + 8].copy_from_slice(&(at + 1).to_le_bytes());

    let boot_path = Path::new(GRUB).join("i386-pc/boot.img");
    let mut boot = read(&boot_path)?;
    if boot.len() != 512 {
        return Err(GrubError::Strange { path: boot_path, bytes: boot.len() });
    }
    boot[KERNEL_SECTOR_AT..KERNEL_SECTOR_AT + 8].copy_from_slice(&at.to_le_bytes());
    boot[DRIVE_CHECK_AT..DRIVE_CHECK_AT + 2].fill(0x90);

    let failed = |err| GrubError::File { path: "the disk image".into(), err };
    disk.write_all_at(&core, at * 512).map_err(failed)?;
    disk.write_all_at(&boot[..BOOT_CODE_BYTES], 0).map_err(failed)
}

fn make(format: &str, modules: &[&str], config: &str, work: &Path) -> Result<PathBuf, GrubError> {
    let [script, image] = ["cfg", "img"].map(|kind| work.join(format!("{format}.{kind}")));
    fs::write(&script, config).map_err(|err| GrubError::File { path: script.clone(), err })?;
    let mut mkimage = program::command("grub-mkimage");
    mkimage
        .args(["--format", format, "--prefix", "/boot/grub", "--directory"])
        .arg(Path::new(GRUB).join(format));
    mkimage.arg("--config").arg(&script).arg("--output").arg(&image).args(MODULES).args(modules);
    program::output(&mut mkimage)?;
    Ok(image)
}

fn read(path: &Path) -> Result<Vec<u8>, GrubError> {
    fs::read(path).map_err(|err| GrubError::File { path: path.to_owned(), err })
}
