//! A whole disk that boots on BIOS and on UEFI, put together without root, without
//! loop devices and without mounting anything.
//!
//! ```text
//! LBA 0        boot.img (grub) in the protective MBR
//! 1 MiB        bios-boot    core.img (grub)
//! 2 MiB        esp          EFI/BOOT/BOOTX64.EFI (grub)
//! …            root         what the caller made
//! last MiB     backup GPT
//! ```

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Seek, SeekFrom},
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use gptman::{GPT, GPTPartitionEntry};

use crate::{
    digest, grub,
    grub::GrubError,
    place::Scratch,
    program::{self, ProgramError},
};

/// Disks of 512-byte sectors: a 4Kn disk cannot be booted by BIOS, and images are made once for all.
const SECTOR: u64 = 512;
const MIB: u64 = 1 << 20;
/// Room for grub's core image: 1 MiB, as everybody has it.
const BIOS_BOOT_MIB: u64 = 1;
/// Room for grub's EFI program, which takes less than 1 MiB. FAT16 must have 4085 clusters.
const ESP_MIB: u64 = 8;
/// Largest hole worth leaving in the image when copying, in bytes.
const CHUNK: usize = 64 << 10;

// Partition types, UEFI specification 2.10 table 5.7 and the GRUB manual, in on-disk order.
const BIOS_BOOT_TYPE: [u8; 16] = *b"Hah!IdontNeedEFI";
const ESP_TYPE: [u8; 16] =
    [0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b];
/// Linux root (x86-64), of the Discoverable Partitions Specification.
const ROOT_TYPE: [u8; 16] =
    [0xe3, 0xbc, 0x68, 0x4f, 0xcd, 0xe8, 0xb1, 0x4d, 0x96, 0xe7, 0xfb, 0xca, 0xf9, 0x84, 0xb7, 0x09];

/// What goes onto the disk.
#[derive(Debug)]
pub struct WholeDisk<'a> {
    /// Seeds all its identifiers: the same seed gives the same disk.
    pub seed: &'a str,
    /// The file with the root file system.
    pub root: &'a Path,
    /// Name of the root partition in the GPT.
    pub root_name: &'a str,
    /// What grub does: commands, with `root` to be set by themselves.
    pub grub_config: &'a str,
    /// Where to put the raw image. Holes of the root file system stay holes.
    pub out: &'a Path,
}

/// Why there is no disk.
#[derive(Debug, thiserror::Error)]
pub enum WholeDiskError {
    /// grub's images cannot be made.
    #[error("grub cannot be made bootable")]
    Grub(#[from] GrubError),
    /// The EFI system partition cannot be made.
    #[error("the EFI system partition cannot be made")]
    Esp(#[from] ProgramError),
    /// The partition table cannot be written.
    #[error("the partition table of {path} cannot be written")]
    Table {
        /// The image.
        path: PathBuf,
        /// Why.
        #[source]
        err: gptman::Error,
    },
    /// A file cannot be read or written.
    #[error("{path} failed; is the disk full?")]
    File {
        /// Which.
        path: PathBuf,
        /// What the kernel says.
        #[source]
        err: io::Error,
    },
}

/// A UUID made from `seed` and `what`, in the order of its bytes as text.
#[must_use]
pub fn uuid(seed: &str, what: &str) -> uuid::Uuid {
    let hex = digest::of_parts([seed.as_bytes(), what.as_bytes()]);
    // INVARIANT: the digest is 64 hex digits, so the first 32 are 16 bytes.
    let bytes = u128::from_str_radix(&hex[..32], 16).unwrap_or_default().to_be_bytes();
    uuid::Builder::from_custom_bytes(bytes).into_uuid()
}

/// Write the disk. Its size is that of its parts; whoever writes it to a larger disk
/// moves the backup GPT.
///
/// # Errors
/// When grub, mtools or the file system fails; `out` is then removed.
pub fn write(disk: &WholeDisk<'_>) -> Result<(), WholeDiskError> {
    let written = write_parts(disk);
    if written.is_err() {
        // What is there is not bootable and nobody's.
        let _ = fs::remove_file(disk.out);
    }
    written
}

fn write_parts(disk: &WholeDisk<'_>) -> Result<(), WholeDiskError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |err| WholeDiskError::File { path, err }
    };
    let parent = disk.out.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("."));
    let work = Scratch::new(parent).map_err(failed(parent))?;
    let root_bytes = fs::metadata(disk.root).map_err(failed(disk.root))?.len().next_multiple_of(MIB);
    let esp = esp(disk, work.path())?;

    let bios_boot_at = MIB;
    let esp_at = bios_boot_at + BIOS_BOOT_MIB * MIB;
    let root_at = esp_at + ESP_MIB * MIB;
    let mut out = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(disk.out)
        .map_err(failed(disk.out))?;
    out.set_len(root_at + root_bytes + MIB).map_err(failed(disk.out))?;
    let partitions = [
        (BIOS_BOOT_TYPE, "bios-boot", bios_boot_at, BIOS_BOOT_MIB * MIB),
        (ESP_TYPE, "esp", esp_at, ESP_MIB * MIB),
        (ROOT_TYPE, disk.root_name, root_at, root_bytes),
    ];
    table(&mut out, disk.seed, &partitions)
        .map_err(|err| WholeDiskError::Table { path: disk.out.to_owned(), err })?;
    copy(&esp, &out, esp_at).map_err(failed(disk.out))?;
    copy(disk.root, &out, root_at).map_err(failed(disk.out))?;
    // Last: until here the disk does not boot.
    grub::embed(&out, bios_boot_at / SECTOR, disk.grub_config, work.path())?;
    out.sync_all().map_err(failed(disk.out))
}

fn table(out: &mut File, seed: &str, partitions: &[([u8; 16], &str, u64, u64)]) -> Result<(), gptman::Error> {
    let mut gpt = GPT::new_from(out, SECTOR, uuid(seed, "disk").to_bytes_le())?;
    for (number, (kind, name, at, bytes)) in (1..).zip(partitions) {
        gpt[number] = GPTPartitionEntry {
            partition_type_guid: *kind,
            unique_partition_guid: uuid(seed, name).to_bytes_le(),
            starting_lba: at / SECTOR,
            ending_lba: (at + bytes) / SECTOR - 1,
            attribute_bits: 0,
            partition_name: (*name).into(),
        };
    }
    out.seek(SeekFrom::Start(0))?;
    GPT::write_protective_mbr_into(out, SECTOR)?;
    gpt.write_into(out)?;
    Ok(())
}

/// The file with the EFI system partition.
fn esp(disk: &WholeDisk<'_>, work: &Path) -> Result<PathBuf, WholeDiskError> {
    let program = grub::efi_program(disk.grub_config, work)?;
    let path = work.join("esp");
    let file = File::create(&path).and_then(|file| file.set_len(ESP_MIB * MIB));
    file.map_err(|err| WholeDiskError::File { path: path.clone(), err })?;
    let serial = uuid(disk.seed, "esp").simple().to_string();
    let mut format = program::command("mkfs.fat");
    program::output(
        format.args(["--invariant", "-F", "16", "-s", "1", "-n", "ESP", "-i", &serial[..8]]).arg(&path),
    )?;
    // mtools takes the time of what it copies from here.
    let mtools = |name| {
        let mut command = program::command(name);
        command.env("SOURCE_DATE_EPOCH", "315532800").arg("-i").arg(&path);
        command
    };
    program::output(mtools("mmd").args(["::EFI", "::EFI/BOOT"]))?;
    program::output(mtools("mcopy").arg(&program).arg("::EFI/BOOT/BOOTX64.EFI"))?;
    Ok(path)
}

/// Copy `from` into `out` at `at`; what is zero stays a hole.
fn copy(from: &Path, out: &File, at: u64) -> io::Result<()> {
    let file = File::open(from)?;
    let length = file.metadata()?.len();
    let mut chunk = vec![0; CHUNK];
    let mut done = 0;
    while done < length {
        let count = usize::try_from(length - done).map_or(CHUNK, |left| left.min(CHUNK));
        file.read_exact_at(&mut chunk[..count], done)?;
        if chunk[..count].iter().any(|byte| *byte != 0) {
            out.write_all_at(&chunk[..count], at + done)?;
        }
        done += count as u64;
    }
    Ok(())
}
