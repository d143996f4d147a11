//! The module pack of a ramdisk: chosen, packed, weighed, and kept in the cache,
//! since packing is most of a build's time.

use std::{
    collections::BTreeMap,
    env, fs, io,
    path::{Path, PathBuf},
};

use init::modules::pack;
use serde::{Deserialize, Serialize};

use crate::{
    compress, digest,
    kernel::{self, Kernel, KernelError},
    place,
    selection::{List, ListError, SelectError, Selection},
};

/// The zstd level of the pack. Its blocks are 4 MiB, so more than 19 gains nothing.
const PACK_LEVEL: i32 = 19;
/// The zstd level for weighing a section: only proportions count.
const WEIGH_LEVEL: i32 = 3;
/// How many of the heaviest modules the report names.
const HEAVIEST: usize = 12;

/// A pack and what is known of it.
#[derive(Clone, Debug)]
pub struct Drivers {
    /// The contents of `modules.pack`.
    pub pack: Vec<u8>,
    /// What it weighs.
    pub weight: DriversWeight,
}

/// What the modules weigh.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct DriversWeight {
    /// Bytes of the pack.
    pub bytes: u64,
    /// Bytes of the modules, unpacked.
    pub raw_bytes: u64,
    /// Number of modules.
    pub modules: usize,
    /// What each section of the list weighs, with all that its modules need.
    pub sections: Vec<SectionWeight>,
    /// The heaviest modules.
    pub heaviest: Vec<ModuleWeight>,
    /// What is on the list and not in this kernel.
    pub absent: Vec<String>,
    /// Firmware files that the modules may ask for.
    pub firmware: Vec<String>,
}

/// What one section weighs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SectionWeight {
    /// Its title.
    pub section: String,
    /// Number of modules.
    pub modules: usize,
    /// Their bytes, unpacked.
    pub raw_bytes: u64,
    /// Their share of the pack, in bytes: estimated by packing each section alone.
    pub about_bytes: u64,
}

/// What one module weighs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ModuleWeight {
    /// Its name.
    pub module: String,
    /// Its bytes, unpacked.
    pub raw_bytes: u64,
}

/// Why there is no pack.
#[derive(Debug, thiserror::Error)]
pub enum DriversError {
    /// The list cannot be read.
    #[error("the list of modules is wrong")]
    List(#[from] ListError),
    /// The kernel cannot be used.
    #[error("the kernel cannot be used")]
    Kernel(#[from] KernelError),
    /// Nothing can be chosen.
    #[error("no modules can be chosen")]
    Select(#[from] SelectError),
    /// The modules cannot be packed.
    #[error("the modules cannot be packed")]
    Pack(#[from] pack::WriteError),
    /// The cache or a compressor failed.
    #[error("{path} failed; is it writable, is the disk full?")]
    Cache {
        /// Where.
        path: PathBuf,
        /// What the kernel says.
        #[source]
        err: io::Error,
    },
}

/// The pack of what `list` chooses from `kernel`.
///
/// # Errors
/// When the list, the kernel or the packing fails.
pub fn build(kernel: &Kernel, list: &str) -> Result<Drivers, DriversError> {
    let list: List = list.parse()?;
    let selection = list.select(kernel)?;
    let modules = load(kernel, &selection)?;
    let mut weight = weigh(&modules, &selection, kernel)?;
    let mut pack = Vec::new();
    let contents = pack::Contents { modules, always: selection.always.clone(), common: list.common };
    let written = pack::write(contents, &mut pack, PACK_LEVEL)?;
    weight.bytes = written.packed;
    let alone: u64 = weight.sections.iter().map(|section| section.about_bytes).sum();
    for section in &mut weight.sections {
        section.about_bytes = section.about_bytes * weight.bytes / alone.max(1);
    }
    Ok(Drivers { pack, weight })
}

/// As [`build`], or from `cache` if this very program built the same before. `of`
/// identifies the kernel; `kernel` is called only if it is needed.
///
/// # Errors
/// As [`build`], and when the cache is not writable.
pub fn cached(
    cache: &Path,
    of: &str,
    list: &str,
    kernel: impl FnOnce() -> Result<Kernel, KernelError>,
) -> Result<Drivers, DriversError> {
    let folder = cache.join("packs");
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |err| DriversError::Cache { path, err }
    };
    fs::create_dir_all(&folder).map_err(failed(&folder))?;
    let program = env::current_exe().and_then(|path| digest::of_file(&path)).map_err(failed(&folder))?;
    let key = digest::of_parts([program.as_bytes(), of.as_bytes(), list.as_bytes()]);
    let [pack, weight] = ["pack", "json"].map(|kind| folder.join(format!("{}.{kind}", &key[..16])));
    if let (Ok(pack), Ok(weight)) = (fs::read(&pack), fs::read(&weight))
        && let Ok(weight) = serde_json::from_slice(&weight)
    {
        return Ok(Drivers { pack, weight });
    }
    let drivers = build(&kernel()?, list)?;
    let json = serde_json::to_vec(&drivers.weight).map_err(io::Error::from).map_err(failed(&weight))?;
    place::write_whole(&pack, &drivers.pack).map_err(failed(&pack))?;
    place::write_whole(&weight, &json).map_err(failed(&weight))?;
    Ok(drivers)
}

fn load(kernel: &Kernel, selection: &Selection) -> Result<Vec<pack::ModuleFile>, KernelError> {
    let mut files = Vec::new();
    for name in selection.chosen.keys() {
        let module = &kernel.modules[name];
        let mut soft_before = module.info.before.clone();
        soft_before.extend(selection.companions.get(name).into_iter().flatten().cloned());
        files.push(pack::ModuleFile {
            name: name.clone(),
            bytes: kernel::read(&module.file)?,
            aliases: module.info.aliases.clone(),
            depends: module
                .info
                .depends
                .iter()
                .filter(|need| kernel.modules.contains_key(*need))
                .cloned()
                .collect(),
            soft_before,
            soft_after: module.info.after.clone(),
        });
    }
    Ok(files)
}

fn weigh(
    modules: &[pack::ModuleFile],
    selection: &Selection,
    kernel: &Kernel,
) -> Result<DriversWeight, DriversError> {
    let mut sections: BTreeMap<&str, Vec<&pack::ModuleFile>> = BTreeMap::new();
    for module in modules {
        sections.entry(&selection.chosen[&module.name]).or_default().push(module);
    }
    let mut weights = Vec::new();
    for (section, modules) in sections {
        let bytes = modules.iter().map(|module| &module.bytes[..]).collect::<Vec<_>>().concat();
        let alone = compress::zstd(&bytes, WEIGH_LEVEL)
            .map_err(|err| DriversError::Cache { path: "zstd".into(), err })?;
        weights.push(SectionWeight {
            section: section.to_owned(),
            modules: modules.len(),
            raw_bytes: bytes.len() as u64,
            about_bytes: alone.len() as u64,
        });
    }
    weights.sort_by_key(|section| std::cmp::Reverse(section.raw_bytes));
    let mut heaviest: Vec<ModuleWeight> = modules
        .iter()
        .map(|module| ModuleWeight { module: module.name.clone(), raw_bytes: module.bytes.len() as u64 })
        .collect();
    heaviest.sort_by_key(|module| std::cmp::Reverse(module.raw_bytes));
    heaviest.truncate(HEAVIEST);
    let mut firmware: Vec<String> =
        selection.chosen.keys().flat_map(|name| kernel.modules[name].info.firmware.clone()).collect();
    firmware.sort();
    firmware.dedup();
    Ok(DriversWeight {
        bytes: 0,
        raw_bytes: modules.iter().map(|module| module.bytes.len() as u64).sum(),
        modules: modules.len(),
        sections: weights,
        heaviest,
        absent: selection.absent.clone(),
        firmware,
    })
}
