//! Seeds, and inputs that once broke something. Kept packed with zstd: an image
//! is mostly holes.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use hardware_fixtures::Machine;
use inventory::{Identifiers, Options};

/// An input and the file it is kept in.
pub struct Kept {
    /// Where.
    pub path: PathBuf,
    /// What.
    pub bytes: Vec<u8>,
}

/// Where the inputs of `target` are kept.
#[must_use]
pub fn directory(target: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target)
}

/// All inputs kept for `target`, in the order of their names.
///
/// # Errors
/// When one cannot be read or unpacked.
pub fn load(target: &str) -> io::Result<Vec<Kept>> {
    let directory = directory(target);
    if !directory.exists() {
        return Ok(Vec::new());
    }
    let entries: io::Result<Vec<PathBuf>> = fs::read_dir(directory)?.map(|entry| Ok(entry?.path())).collect();
    let mut paths = entries?;
    paths.sort();
    let open = |path: PathBuf| Ok(Kept { bytes: zstd::decode_all(&*fs::read(&path)?)?, path });
    paths.into_iter().map(open).collect()
}

/// Seeds for `target` that are kept elsewhere: the machines of `hardware-fixtures`,
/// and what other people recorded, where `BILLET_CORPUS` has it.
///
/// # Panics
/// When a recorded machine cannot be read.
#[must_use]
pub fn elsewhere(target: &str) -> Vec<Vec<u8>> {
    let machines = hardware_fixtures::machines();
    match target {
        "recording" | "record" => machines.iter().map(|machine| listing(machine).into_bytes()).collect(),
        "archive" => machines.iter().map(packed).collect(),
        "smbios" => {
            let mut tables: Vec<_> = machines.iter().filter_map(table).collect();
            tables.extend(files("go-smbios", "dmi").into_iter().chain(files("u-root-smbios", "bin")));
            tables
        }
        "lldp" => files("lldpd/fuzzing_seed_corpus", ""),
        _ => Vec::new(),
    }
}

/// All of a machine in one listing: `sysfs.txt`, and the files of `proc/` as lines of it.
fn listing(machine: &Machine) -> String {
    let mut listing = machine.file("sysfs.txt");
    let mut directories = vec![machine.dir().join("proc")];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten() {
            let path = entry.expect("a listed file").path();
            if path.is_dir() {
                directories.push(path);
                continue;
            }
            let name = path.strip_prefix(machine.dir()).expect("below it").display().to_string();
            let content = fs::read(&path).expect("a fixture");
            let escaped: String = content.iter().map(|byte| format!("\\x{byte:02x}")).collect();
            listing.push_str(&format!("{name} = {escaped}\n"));
        }
    }
    listing
}

/// As `billet-agent record FILE.tar.zst` does, decompressed.
fn packed(machine: &Machine) -> Vec<u8> {
    let root = inventory::Root::open(machine.dir()).expect("a fixture");
    let archive =
        inventory::record_archive(&root, &Options::default(), Identifiers::Keep).expect("short names");
    zstd::decode_all(archive.as_slice()).expect("packed by us")
}

fn table(machine: &Machine) -> Option<Vec<u8>> {
    fs::read(machine.expand().path().join("sys/firmware/dmi/tables/DMI")).ok()
}

/// The files in `folder` of other people's recordings whose names end in `extension`.
fn files(folder: &str, extension: &str) -> Vec<Vec<u8>> {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let root = std::env::var_os("BILLET_CORPUS").map_or(default, PathBuf::from).join(folder);
    let entries = fs::read_dir(root).into_iter().flatten().filter_map(Result::ok);
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    paths.retain(|path| extension.is_empty() || path.extension().is_some_and(|have| have == extension));
    paths.sort();
    paths.iter().filter_map(|path| fs::read(path).ok()).collect()
}

/// Keep `bytes` as `name` in `directory`. Returns the file.
///
/// # Errors
/// When it cannot be written.
pub fn keep(directory: &Path, name: &str, bytes: &[u8]) -> io::Result<PathBuf> {
    fs::create_dir_all(directory)?;
    let path = directory.join(format!("{name}.zst"));
    fs::write(&path, zstd::encode_all(bytes, 19)?)?;
    Ok(path)
}
