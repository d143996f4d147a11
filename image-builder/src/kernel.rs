//! A kernel and its modules, from a Debian package or from paths.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    modinfo::{self, ModInfo, ModInfoError},
    program::{self, ProgramError},
};

/// How deep folders of modules may nest; Debian's nest 7 deep.
const DEPTH_LIMIT: usize = 16;

/// One module of a kernel.
#[derive(Clone, Debug)]
pub struct Module {
    /// Its file.
    pub file: PathBuf,
    /// Where it lies below `kernel/`: `drivers/nvme/host/nvme.ko`.
    pub path: String,
    /// What it says about itself.
    pub info: ModInfo,
}

/// A kernel and all its modules.
#[derive(Debug)]
pub struct Kernel {
    /// The bootable image, a bzImage.
    pub image: PathBuf,
    /// Its release, the name of its folder of modules: `6.1.0-56-amd64`.
    pub release: String,
    /// Its modules, by name.
    pub modules: BTreeMap<String, Module>,
    /// Names of what other kernels have as modules and this one has built in.
    pub built_in: BTreeSet<String>,
}

/// Why a kernel cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// A file or folder cannot be read.
    #[error("{path} cannot be read; name a bzImage and its /lib/modules/RELEASE")]
    Read {
        /// Which.
        path: PathBuf,
        /// What the kernel says.
        #[source]
        err: io::Error,
    },
    /// The package holds no kernel, or more than one.
    #[error("{folder} holds {count} kernels in boot/, want one; name another package")]
    Images {
        /// The unpacked package.
        folder: PathBuf,
        /// How many there are.
        count: usize,
    },
    /// A module's file is not a module.
    #[error("{path} is not a kernel module")]
    Module {
        /// Its file.
        path: PathBuf,
        /// Why.
        #[source]
        err: ModInfoError,
    },
    /// A compressed module cannot be unpacked.
    #[error("{path} cannot be unpacked")]
    Unpack {
        /// Its file.
        path: PathBuf,
        /// What the program says.
        #[source]
        err: ProgramError,
    },
    /// Folders nest without end.
    #[error("{path} nests too deep for a folder of modules; does it contain itself?")]
    Depth {
        /// Where reading stopped.
        path: PathBuf,
    },
}

impl Kernel {
    /// The kernel in the unpacked package `folder`.
    ///
    /// # Errors
    /// When it holds no kernel, or its modules cannot be read.
    pub fn of_package(folder: &Path) -> Result<Self, KernelError> {
        let (image, release) = Self::image_of_package(folder)?;
        // Packages of merged-/usr Debian (trixie and later) have them below usr/.
        let places = ["lib/modules", "usr/lib/modules"].map(|place| folder.join(place).join(&release));
        let modules = places.iter().find(|place| place.is_dir()).unwrap_or(&places[0]);
        Self::of_paths(&image, modules)
    }

    /// The image and the release of the kernel in the unpacked package `folder`.
    ///
    /// # Errors
    /// When it does not hold one kernel.
    pub fn image_of_package(folder: &Path) -> Result<(PathBuf, String), KernelError> {
        let images: Vec<PathBuf> = list(&folder.join("boot"))?
            .into_iter()
            .filter(|path| name_of(path).starts_with("vmlinuz-"))
            .collect();
        let [image] = &images[..] else {
            return Err(KernelError::Images { folder: folder.to_owned(), count: images.len() });
        };
        let release = name_of(image).trim_start_matches("vmlinuz-").to_owned();
        Ok((image.clone(), release))
    }

    /// The kernel `image` with the modules of `folder`, a `/lib/modules/RELEASE`.
    ///
    /// # Errors
    /// When one of them cannot be read.
    pub fn of_paths(image: &Path, folder: &Path) -> Result<Self, KernelError> {
        let tree = folder.join("kernel");
        let mut files = Vec::new();
        walk(&tree, 0, &mut files)?;
        let mut modules = BTreeMap::new();
        for file in files {
            let path = file.strip_prefix(&tree).unwrap_or(&file).to_string_lossy().into_owned();
            let info = modinfo::parse(&read(&file)?)
                .map_err(|err| KernelError::Module { path: file.clone(), err })?;
            modules.insert(modinfo::module_name(&path), Module { file, path, info });
        }
        let built_in = fs::read_to_string(folder.join("modules.builtin")).unwrap_or_default();
        Ok(Self {
            image: image.to_owned(),
            release: name_of(folder).to_owned(),
            modules,
            built_in: built_in.lines().map(modinfo::module_name).collect(),
        })
    }
}

/// The module in `file`, uncompressed.
///
/// # Errors
/// When it cannot be read or unpacked.
pub fn read(file: &Path) -> Result<Vec<u8>, KernelError> {
    let bytes = fs::read(file).map_err(|err| KernelError::Read { path: file.to_owned(), err })?;
    let unpacker = match file.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        Some("gz") => "gzip",
        _ => return Ok(bytes),
    };
    program::output(program::command(unpacker).arg("-dc").arg(file))
        .map_err(|err| KernelError::Unpack { path: file.to_owned(), err })
}

fn walk(folder: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<(), KernelError> {
    if depth > DEPTH_LIMIT {
        return Err(KernelError::Depth { path: folder.to_owned() });
    }
    for path in list(folder)? {
        if path.is_dir() {
            walk(&path, depth + 1, files)?;
        } else if name_of(&path).ends_with(".ko") || name_of(&path).contains(".ko.") {
            files.push(path);
        }
    }
    Ok(())
}

/// What is in `folder`, sorted: the order of a directory is not reproducible.
fn list(folder: &Path) -> Result<Vec<PathBuf>, KernelError> {
    let failed = |err| KernelError::Read { path: folder.to_owned(), err };
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed)? {
        paths.push(entry.map_err(failed)?.path());
    }
    paths.sort();
    Ok(paths)
}

fn name_of(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or("")
}
