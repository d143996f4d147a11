//! The kernel and the initramfs that guests boot.
//!
//! Kernel and modules come from Debian's package, as `billet-image ramdisk` takes
//! them: `initramfs/vm.modules` or `initramfs/full.modules`, and what `guest.modules`
//! adds.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use image_builder::{
    archive::{self, Entries, Entry},
    digest,
    kernel::{self, Kernel},
    package, place,
    selection::List,
    skeleton::Skeleton,
};
use init::{
    drivers::PACK_PATH,
    modules::pack::{self, Contents, ModuleFile},
};
use tempfile::TempDir;

const SKELETON: &str = include_str!("../../../initramfs/skeleton");
const VM_MODULES: &str = include_str!("../../../initramfs/vm.modules");
const FULL_MODULES: &str = include_str!("../../../initramfs/full.modules");
const GUEST_MODULES: &str = include_str!("../guest.modules");
/// The writer of packs: another one may write others.
const PACK_WRITER: &str = include_str!("../../../crates/init/src/modules/pack.rs");
/// The generic kernel, which real ramdisks have too. `BILLET_GUEST_KERNEL` names another package.
const KERNEL_PACKAGE: &str = "linux-image-amd64";
/// Time matters here, and nobody downloads this.
const PACK_LEVEL: i32 = 1;

/// A file of a guest: its path there, and the file here that it is a copy of.
pub type Copied = (String, PathBuf);

/// A kernel and an initramfs.
pub struct Boot {
    /// The kernel, unpacked, for guests without firmware.
    pub kernel: PathBuf,
    /// The kernel as the package has it, which firmware starts.
    pub packed_kernel: PathBuf,
    /// The initramfs, not compressed.
    pub initramfs: PathBuf,
    _folder: TempDir,
}

impl Boot {
    /// The kernel with `init`, a static program, as PID 1, and `programs` of this
    /// machine at the same paths, each with the libraries that it needs.
    ///
    /// # Panics
    /// When the package cannot be had, or a file is missing.
    #[must_use]
    pub fn new(init: &Path, programs: &[&Path]) -> Self {
        Self::with_modules(VM_MODULES, init, programs, &[])
    }

    /// As [`Self::new`], with the drivers that the ramdisk for real servers has
    /// (`initramfs/full.modules`), and `files`.
    ///
    /// # Panics
    /// As [`Self::new`].
    #[must_use]
    pub fn full(init: &Path, programs: &[&Path], files: &[Copied]) -> Self {
        Self::with_modules(FULL_MODULES, init, programs, files)
    }

    fn with_modules(list: &str, init: &Path, programs: &[&Path], files: &[Copied]) -> Self {
        let name = std::env::var("BILLET_GUEST_KERNEL").unwrap_or_else(|_| KERNEL_PACKAGE.to_owned());
        let package = package::find_kernel(&name).expect("apt knows a kernel");
        let unpacked = package::unpacked(&package, &cache()).expect("a kernel package");
        let (image, _) = Kernel::image_of_package(&unpacked).expect("a kernel");
        let kernel = uncompressed(&image, &package.sha256);
        let Skeleton(mut entries) = SKELETON.parse().expect("a skeleton");
        add(&mut entries, PACK_PATH, modules(&unpacked, &package.sha256, list), 0o644);
        add(&mut entries, "init", stripped(init), 0o755);
        for program in programs {
            add_file(&mut entries, program);
            libraries(program).iter().for_each(|library| add_file(&mut entries, library));
        }
        for (path, from) in files {
            let bytes = fs::read(from).unwrap_or_else(|err| panic!("{}: {err}", from.display()));
            add(&mut entries, path, bytes, 0o755);
            libraries(from).iter().for_each(|library| add_file(&mut entries, library));
        }
        let folder = tempfile::tempdir().expect("a temporary folder");
        let initramfs = folder.path().join("initramfs");
        fs::write(&initramfs, archive::archive(&entries).expect("an archive")).expect("room for it");
        Self { kernel, packed_kernel: image, initramfs, _folder: folder }
    }
}

pub(crate) fn cache() -> PathBuf {
    let default = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/cache");
    std::env::var_os("BILLET_CACHE").map_or(default, PathBuf::from)
}

/// The kernel without its compression, kept in the cache: QEMU boots it at its PVH
/// entry, and an emulated processor takes three seconds to unpack it.
///
/// Where it lies: Documentation/x86/boot.rst, `payload_offset` and `payload_length`.
fn uncompressed(image: &Path, package_digest: &str) -> PathBuf {
    let file = cache().join(format!("vmlinux-{package_digest}"));
    if file.is_file() {
        return file;
    }
    let bytes = fs::read(image).expect("a kernel");
    let number = |at: usize| {
        let field = bytes[at..at + 4].try_into().expect("four bytes");
        usize::try_from(u32::from_le_bytes(field)).expect("32 bits")
    };
    let sectors = usize::from(bytes[0x1f1]) + 1;
    let start = sectors * 512 + number(0x248);
    // After the stream comes its unpacked length.
    let payload = &bytes[start..start + number(0x24c) - 4];
    let (program, options): (_, &[&str]) = match payload {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => ("zstd", &["-dc"]), // as kernels after 6.1
        _ => ("xz", &["-dc", "--format=xz"]),
    };
    let mut packed = tempfile::NamedTempFile::new().expect("a temporary file");
    packed.write_all(payload).expect("room for it");
    let output = Command::new(program).args(options).stdin(packed.reopen().expect("a file")).output();
    let output =
        output.unwrap_or_else(|err| panic!("{program} runs (Debian package xz-utils or zstd): {err}"));
    assert!(
        output.status.success(),
        "the kernel is not packed with {program}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    fs::create_dir_all(cache()).expect("a cache");
    place::write_whole(&file, &output.stdout).expect("room in the cache");
    file
}

/// The pack of modules, built once for a kernel and a list.
fn modules(package: &Path, package_digest: &str, list: &str) -> Vec<u8> {
    let list = format!("{list}\n{GUEST_MODULES}");
    let name = digest::of_parts([package_digest.as_bytes(), list.as_bytes(), PACK_WRITER.as_bytes()]);
    let folder = cache().join("guest-packs");
    let file = folder.join(name);
    if let Ok(pack) = fs::read(&file) {
        return pack;
    }
    let pack = packed(&Kernel::of_package(package).expect("modules"), &list);
    fs::create_dir_all(&folder).expect("a cache");
    place::write_whole(&file, &pack).expect("room in the cache");
    pack
}

fn packed(kernel: &Kernel, list: &str) -> Vec<u8> {
    let list: List = list.parse().expect("a list of modules");
    let selection = list.select(kernel).expect("complete modules");
    let is_module = |name: &str| kernel.modules.contains_key(name);
    let file = |name: &String| {
        let module = &kernel.modules[name];
        ModuleFile {
            name: name.clone(),
            bytes: kernel::read(&module.file).expect("a module"),
            aliases: module.info.aliases.clone(),
            // What is not a module is in the kernel.
            depends: module.info.depends.iter().filter(|need| is_module(need)).cloned().collect(),
            soft_before: module.info.before.clone(),
            soft_after: module.info.after.clone(),
        }
    };
    let modules = selection.chosen.keys().map(file).collect();
    let contents = Contents { modules, always: selection.always, common: Vec::new() };
    let mut out = Vec::new();
    pack::write(contents, &mut out, PACK_LEVEL).expect("a pack");
    out
}

/// The program without what only debuggers read: firmware loads it byte by byte.
fn stripped(program: &Path) -> Vec<u8> {
    let small = tempfile::NamedTempFile::new().expect("a temporary file");
    let status = Command::new("strip").arg("-o").arg(small.path()).arg(program).status();
    assert!(status.expect("strip runs (Debian package binutils)").success(), "strip {}", program.display());
    fs::read(small.path()).expect("the program")
}

/// Paths of what the loader would load for `program`.
fn libraries(program: &Path) -> Vec<PathBuf> {
    let output = Command::new("ldd").arg(program).output().expect("ldd runs");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_whitespace().filter(|word| word.starts_with('/')).map(PathBuf::from).collect()
}

fn add_file(entries: &mut Entries, path: &Path) {
    let bytes = fs::read(path).unwrap_or_else(|err| panic!("{}: {err}", path.display()));
    add(entries, &path.to_string_lossy(), bytes, 0o755);
}

/// Add a file and the folders that it lies in.
fn add(entries: &mut Entries, path: &str, bytes: Vec<u8>, mode: u32) {
    let path = path.trim_start_matches('/');
    for (slash, _) in path.match_indices('/') {
        entries.entry(path[..slash].to_owned()).or_insert(Entry::Folder);
    }
    entries.insert(path.to_owned(), Entry::File { bytes, mode });
}
