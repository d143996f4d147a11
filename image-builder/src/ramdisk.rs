//! The ramdisk: a kernel, and an initramfs of agent, drivers and little else.
//!
//! ```text
//! kernel package ──▶ Kernel ──selection──▶ modules.pack ─┐
//! agent ─────────────────────────────────────────────────┤
//! skeleton, files, firmware ─────────────────────────────┴▶ cpio ─▶ zstd ─▶ initramfs
//! ```
//!
//! The same inputs give the same bytes. The pack is compressed already; compressing
//! the archive once more serves the agent.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Serialize;

use crate::{
    archive::{self, ArchiveError, Entries, Entry},
    compress::{self, Compression},
    digest,
    drivers::{self, Drivers, DriversError, DriversWeight},
    kernel::{Kernel, KernelError},
    package::{self, PackageError},
    place,
    skeleton::{Skeleton, SkeletonError},
};

/// Where the agent looks for its drivers.
const PACK_PATH: &str = "lib/billet/modules.pack";
/// Where the kernel looks for firmware.
const FIRMWARE_PATH: &str = "lib/firmware";
/// Files that a Debian firmware package may hold it in.
const FIRMWARE_PLACES: [&str; 3] = ["", "lib/firmware", "usr/lib/firmware"];
/// The skeleton that every ramdisk has.
const SKELETON: &str = include_str!("../../initramfs/skeleton");

/// Where the kernel comes from.
#[derive(Clone, Debug)]
pub enum KernelSource {
    /// A Debian package, or a meta package that leads to one.
    Package(String),
    /// A bzImage, and its `/lib/modules/RELEASE`.
    Paths {
        /// The bzImage.
        image: PathBuf,
        /// The folder of its modules.
        modules: PathBuf,
    },
}

/// What to build.
#[derive(Clone, Debug)]
pub struct Request {
    /// The agent's executable, which becomes `/init`.
    pub agent: PathBuf,
    /// The kernel.
    pub kernel: KernelSource,
    /// The text of the list of modules.
    pub list: String,
    /// Folders with firmware (as `/lib/firmware`, or with such a folder in them).
    pub firmware: Vec<PathBuf>,
    /// Debian packages with firmware.
    pub firmware_packages: Vec<String>,
    /// Further files: path in the ramdisk, path here.
    pub files: Vec<(String, PathBuf)>,
    /// How the initramfs is compressed.
    pub compression: Compression,
    /// The folder that gets `vmlinuz` and `initramfs`.
    pub out: PathBuf,
    /// The folder for downloads and packs.
    pub cache: PathBuf,
}

/// What was built and what weighs what. All sizes in bytes.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// `vmlinuz` and `initramfs` together: what every server downloads.
    pub total_bytes: u64,
    /// The kernel.
    pub kernel: KernelWeight,
    /// The initramfs.
    pub initramfs: InitramfsWeight,
    /// The agent.
    pub agent: AgentWeight,
    /// The drivers.
    pub drivers: DriversWeight,
    /// The firmware.
    pub firmware: FirmwareWeight,
}

/// What the kernel weighs.
#[derive(Clone, Debug, Serialize)]
pub struct KernelWeight {
    /// Its release: `6.1.0-56-amd64`.
    pub release: String,
    /// Its Debian package and version, if it comes from one.
    pub package: Option<String>,
    /// Its size.
    pub bytes: u64,
    /// Its SHA-256.
    pub sha256: String,
}

/// What the initramfs weighs.
#[derive(Clone, Debug, Serialize)]
pub struct InitramfsWeight {
    /// Compressed, as downloaded.
    pub bytes: u64,
    /// What it takes of the server's memory, before drivers are loaded.
    pub raw_bytes: u64,
    /// How it is compressed.
    pub compression: Compression,
    /// Its SHA-256.
    pub sha256: String,
}

/// What the agent weighs.
#[derive(Clone, Debug, Serialize)]
pub struct AgentWeight {
    /// Its executable.
    pub bytes: u64,
    /// Compressed alone.
    pub packed_bytes: u64,
}

/// What the firmware weighs.
#[derive(Clone, Debug, Default, Serialize)]
pub struct FirmwareWeight {
    /// Number of files.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
    /// Files that the drivers may ask for and that were in no given folder.
    pub absent: usize,
}

/// Why there is no ramdisk.
#[derive(Debug, thiserror::Error)]
pub enum RamdiskError {
    /// A package cannot be had.
    #[error("a package cannot be had")]
    Package(#[from] PackageError),
    /// The kernel cannot be used.
    #[error("the kernel cannot be used")]
    Kernel(#[from] KernelError),
    /// The drivers cannot be packed.
    #[error("the drivers cannot be packed")]
    Drivers(#[from] DriversError),
    /// The agent is no static program.
    #[error(
        "{path} is not a statically linked x86-64 executable; build the agent with .cargo/config.toml's flags"
    )]
    Agent {
        /// The agent.
        path: PathBuf,
    },
    /// The skeleton is wrong.
    #[error("the skeleton is wrong")]
    Skeleton(#[from] SkeletonError),
    /// The archive cannot be made.
    #[error("the archive cannot be made")]
    Archive(#[from] ArchiveError),
    /// A file cannot be read.
    #[error("{path} cannot be read")]
    Read {
        /// Which.
        path: PathBuf,
        /// What the kernel says.
        #[source]
        err: io::Error,
    },
    /// A file cannot be written.
    #[error("{path} cannot be written")]
    Write {
        /// Which.
        path: PathBuf,
        /// What the kernel says.
        #[source]
        err: io::Error,
    },
    /// The compressor failed.
    #[error("the initramfs cannot be compressed; is xz-utils installed?")]
    Compress(#[source] io::Error),
}

/// Build what `request` asks for.
///
/// # Errors
/// When something is missing or wrong; `out` then holds no half-written file.
pub fn build(request: &Request) -> Result<Report, RamdiskError> {
    let agent = read(&request.agent)?;
    if !is_static_executable(&agent) {
        return Err(RamdiskError::Agent { path: request.agent.clone() });
    }
    let chosen = drivers_and_kernel(request)?;
    let image = read(&chosen.image)?;
    let mut entries = skeleton(&request.files)?;
    let mut firmware_folders = request.firmware.clone();
    for name in &request.firmware_packages {
        firmware_folders.push(package::unpacked(&package::find(name)?, &request.cache)?);
    }
    let firmware = add_firmware(&mut entries, &chosen.drivers.weight.firmware, &firmware_folders)?;
    add_file(&mut entries, PACK_PATH, chosen.drivers.pack, 0o644);
    let agent_weight = AgentWeight {
        bytes: agent.len() as u64,
        packed_bytes: compress::compress(&agent, request.compression).map_err(RamdiskError::Compress)?.len()
            as u64,
    };
    add_file(&mut entries, "init", agent, 0o755);
    let raw = archive::archive(&entries)?;
    let initramfs = compress::compress(&raw, request.compression).map_err(RamdiskError::Compress)?;
    write(&request.out, "vmlinuz", &image)?;
    write(&request.out, "initramfs", &initramfs)?;
    Ok(Report {
        total_bytes: (image.len() + initramfs.len()) as u64,
        kernel: KernelWeight {
            release: chosen.release,
            package: chosen.package,
            bytes: image.len() as u64,
            sha256: digest::of(&image),
        },
        initramfs: InitramfsWeight {
            bytes: initramfs.len() as u64,
            raw_bytes: raw.len() as u64,
            compression: request.compression,
            sha256: digest::of(&initramfs),
        },
        agent: agent_weight,
        drivers: chosen.drivers.weight,
        firmware,
    })
}

struct Chosen {
    image: PathBuf,
    release: String,
    package: Option<String>,
    drivers: Drivers,
}

fn drivers_and_kernel(request: &Request) -> Result<Chosen, RamdiskError> {
    match &request.kernel {
        KernelSource::Package(name) => {
            let package = package::find_kernel(name)?;
            let folder = package::unpacked(&package, &request.cache)?;
            let (image, release) = Kernel::image_of_package(&folder)?;
            let drivers = drivers::cached(&request.cache, &package.sha256, &request.list, || {
                Kernel::of_package(&folder)
            })?;
            Ok(Chosen {
                image,
                release,
                package: Some(format!("{} {}", package.name, package.version)),
                drivers,
            })
        }
        KernelSource::Paths { image, modules } => {
            let kernel = Kernel::of_paths(image, modules)?;
            let drivers = drivers::build(&kernel, &request.list)?;
            Ok(Chosen { image: image.clone(), release: kernel.release, package: None, drivers })
        }
    }
}

fn skeleton(files: &[(String, PathBuf)]) -> Result<Entries, RamdiskError> {
    let Skeleton(mut entries) = SKELETON.parse()?;
    for (path, file) in files {
        add_file(&mut entries, path.trim_start_matches('/'), read(file)?, 0o644);
    }
    Ok(entries)
}

/// Add a file and the folders that it lies in.
fn add_file(entries: &mut Entries, path: &str, bytes: Vec<u8>, mode: u32) {
    for (slash, _) in path.match_indices('/') {
        entries.entry(path[..slash].to_owned()).or_insert(Entry::Folder);
    }
    entries.insert(path.to_owned(), Entry::File { bytes, mode });
}

/// Add those of `wanted` that `folders` have; the first folder wins.
fn add_firmware(
    entries: &mut Entries,
    wanted: &[String],
    folders: &[PathBuf],
) -> Result<FirmwareWeight, RamdiskError> {
    let mut weight = FirmwareWeight::default();
    for name in wanted {
        // Patterns (`qed/*.bin`) and paths that climb are nothing a driver can be given.
        let plain = !name.contains(['*', '?']) && !name.split('/').any(|part| part == "..");
        let mut places =
            folders.iter().flat_map(|folder| FIRMWARE_PLACES.map(|place| folder.join(place).join(name)));
        let Some(found) = places.find(|path| plain && path.is_file()) else {
            weight.absent += 1;
            continue;
        };
        let bytes = read(&found)?;
        weight.files += 1;
        weight.bytes += bytes.len() as u64;
        add_file(entries, &format!("{FIRMWARE_PATH}/{name}"), bytes, 0o644);
    }
    Ok(weight)
}

/// True for an x86-64 executable that asks for no interpreter (`PT_INTERP`): the
/// ramdisk has no dynamic loader, and the kernel would only say that init failed.
fn is_static_executable(elf: &[u8]) -> bool {
    const PT_INTERP: u64 = 3;
    let number = |at: usize, width: usize| {
        let bytes = elf.get(at..at.checked_add(width)?)?;
        Some(bytes.iter().rev().fold(0_u64, |value, byte| value << 8 | u64::from(*byte)))
    };
    let segments = || {
        let table = usize::try_from(number(0x20, 8)?).ok()?;
        let (entry, count) = (number(0x36, 2)?, number(0x38, 2)?);
        (0..count)
            .map(|index| number(table.checked_add(usize::try_from(index * entry).ok()?)?, 4))
            .collect::<Option<Vec<_>>>()
    };
    elf.starts_with(b"\x7fELF\x02\x01")
        && number(0x12, 2) == Some(62)
        && segments().is_some_and(|kinds| !kinds.is_empty() && !kinds.contains(&PT_INTERP))
}

fn read(path: &Path) -> Result<Vec<u8>, RamdiskError> {
    fs::read(path).map_err(|err| RamdiskError::Read { path: path.to_owned(), err })
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> Result<(), RamdiskError> {
    let path = folder.join(name);
    fs::create_dir_all(folder)
        .and_then(|()| place::write_whole(&path, bytes))
        .map_err(|err| RamdiskError::Write { path, err })
}
