//! The command line of `billet-image`.

use std::{
    env, fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum};
use image::Declared;
use image_builder::{
    compress::Compression,
    debian,
    formats::{self, Format, Image},
    manifest, os,
    ramdisk::{self, KernelSource},
    table::Table,
};
use model::Bytes;
use serde::Serialize;

/// Builds ramdisks and whole-disk images.
#[derive(Parser)]
#[command(version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    job: Job,
}

#[derive(Subcommand)]
enum Job {
    /// Build the ramdisk that turns a server into an agent: a kernel and an initramfs.
    Ramdisk(RamdiskArgs),
    /// Build the small test system: a whole disk that says on the console what a test wants to know.
    Os(OsArgs),
    /// Build a real Debian that applies a config drive. Needs root.
    Debian(DebianArgs),
    /// Make the chunk manifest of an image, so that servers fetch only what they lack, from any mirror.
    Manifest(ManifestArgs),
}

#[derive(Args)]
struct ManifestArgs {
    /// The image.
    image: PathBuf,
    /// What it is, as `billet-agent write --format` takes it.
    #[arg(long, default_value = "auto")]
    format: Declared,
    /// The manifest; by default the image's file with .billet.json after it.
    #[arg(long)]
    out: Option<PathBuf>,
    /// Write a new file with one zstd frame for each chunk, and the manifest of that: any format becomes addressable.
    #[arg(long, value_name = "FILE.raw.zst")]
    pack: Option<PathBuf>,
    /// Length of a chunk in KiB: a power of two from 64 to 1024. By default 256, or more for disks over 32 GiB.
    #[arg(long, value_name = "KIB")]
    chunk: Option<u64>,
    /// zstd's level for --pack.
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(i32).range(1..=19))]
    level: i32,
    /// Print the report as JSON and not as text.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct DebianArgs {
    #[command(flatten)]
    image: ImageArgs,
}

#[derive(Args)]
struct OsArgs {
    #[command(flatten)]
    image: ImageArgs,
    /// The billet-os-init executable; by default the one beside this program.
    #[arg(long)]
    init: Option<PathBuf>,
    /// The Debian package with the kernel, or a meta package that leads to it.
    #[arg(long, default_value = "linux-image-amd64")]
    kernel_package: String,
    /// Words to add to its kernel command line: billet.poweroff powers it off when it has said all.
    #[arg(long, default_value = "")]
    kernel_params: String,
}

/// What all whole-disk images have in common.
#[derive(Args)]
struct ImageArgs {
    /// A folder; or FILE.raw, and other formats go beside it with their suffixes. The report is FILE.json.
    #[arg(long)]
    out: PathBuf,
    /// Formats to leave; may be repeated. By default raw, or raw.zst and qcow2 for a Debian.
    #[arg(long, value_enum)]
    format: Vec<Format>,
    /// The folder for downloaded packages and packed drivers.
    #[arg(long, env = "BILLET_CACHE", default_value = "target/cache")]
    cache: PathBuf,
    /// Print the report as JSON and not as a table.
    #[arg(long)]
    json: bool,
}

impl ImageArgs {
    /// Where the raw image goes, in a folder that exists. `name` names it if only a folder was given.
    fn raw(&self, name: &str) -> anyhow::Result<PathBuf> {
        let raw = if self.out.is_dir() || self.out.extension().is_none() {
            self.out.join(name).with_extension("raw")
        } else {
            Format::Raw.beside(&self.out)
        };
        let folder = raw.parent().unwrap_or(Path::new(""));
        fs::create_dir_all(folder).with_context(|| format!("{} cannot be made", folder.display()))?;
        Ok(raw)
    }

    fn formats(&self, default: &[Format]) -> Vec<Format> {
        if self.format.is_empty() { default.to_vec() } else { self.format.clone() }
    }
}

/// The report on a whole-disk image: FILE.json.
#[derive(Serialize)]
struct ImageReport<B> {
    images: Vec<Image>,
    #[serde(flatten)]
    built: B,
}

#[derive(Args)]
struct RamdiskArgs {
    /// The billet-agent executable, statically linked.
    #[arg(long)]
    agent: PathBuf,
    /// The Debian package with the kernel, or a meta package that leads to it.
    #[arg(long, default_value = "linux-image-amd64", conflicts_with_all = ["kernel", "modules"])]
    kernel_package: String,
    /// A bzImage instead of a package.
    #[arg(long, requires = "modules")]
    kernel: Option<PathBuf>,
    /// The /lib/modules/RELEASE of that bzImage.
    #[arg(long, requires = "kernel")]
    modules: Option<PathBuf>,
    /// Which drivers: those of real servers, or those of virtual machines.
    #[arg(long, value_enum, default_value_t = Profile::Full)]
    profile: Profile,
    /// A list of modules instead of a profile's; see initramfs/full.modules.
    #[arg(long)]
    list: Option<PathBuf>,
    /// A folder with firmware, as /lib/firmware. Only files that the drivers name are taken. May be repeated.
    #[arg(long)]
    firmware: Vec<PathBuf>,
    /// A Debian package with firmware, as firmware-bnx2x. May be repeated.
    #[arg(long)]
    firmware_package: Vec<String>,
    /// A file to add, as etc/ssl/certs/ca-certificates.crt=/etc/ssl/certs/ca-certificates.crt. May be repeated.
    #[arg(long, value_name = "PATH=FILE", value_parser = path_and_file)]
    file: Vec<(String, PathBuf)>,
    /// How the initramfs is compressed. Ironic's conductor unpacks zstd files that it caches: use gzip or xz there.
    #[arg(long, value_enum, default_value_t = Compression::Zstd)]
    compress: Compression,
    /// The folder that gets vmlinuz, initramfs and report.json.
    #[arg(long)]
    out: PathBuf,
    /// The folder for downloaded packages and packed drivers.
    #[arg(long, env = "BILLET_CACHE", default_value = "target/cache")]
    cache: PathBuf,
    /// Print the report as JSON and not as a table.
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Profile {
    /// The drivers of real servers and of virtual machines.
    Full,
    /// virtio, NVMe, AHCI and the NICs that hypervisors emulate.
    Vm,
}

impl Profile {
    fn list(self) -> &'static str {
        match self {
            Profile::Full => include_str!("../../initramfs/full.modules"),
            Profile::Vm => include_str!("../../initramfs/vm.modules"),
        }
    }
}

/// Do what the command line asks for.
pub(crate) fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.job {
        Job::Ramdisk(args) => build_ramdisk(args),
        Job::Os(args) => build_os(args),
        Job::Debian(args) => build_debian(&args.image),
        Job::Manifest(args) => make_manifest(args),
    }
}

fn build_os(args: OsArgs) -> anyhow::Result<()> {
    let beside = || Ok::<_, std::io::Error>(env::current_exe()?.with_file_name("billet-os-init"));
    let init = args.init.map_or_else(beside, Ok)?;
    let raw = args.image.raw("billet-os")?;
    let built = os::build(&os::Request {
        init,
        kernel_package: args.kernel_package,
        kernel_params: args.kernel_params,
        out: raw.clone(),
        cache: args.image.cache.clone(),
    })?;
    let images = formats::convert(&raw, &args.image.formats(&[Format::Raw]))?;
    finish(&args.image, &raw, images, built)
}

fn build_debian(args: &ImageArgs) -> anyhow::Result<()> {
    let raw = args.raw("debian")?;
    let (cached, built) = debian::build(&args.cache)?;
    let images = formats::copies(&cached, &raw, &args.formats(&[Format::RawZst, Format::Qcow2]))?;
    finish(args, &raw, images, built)
}

/// Write the report beside `raw` and show it.
fn finish(args: &ImageArgs, raw: &Path, images: Vec<Image>, built: impl Serialize) -> anyhow::Result<()> {
    let report = ImageReport { images, built };
    let json = serde_json::to_string_pretty(&report)? + "\n";
    let path = raw.with_extension("json");
    fs::write(&path, &json).with_context(|| format!("{} was not written", path.display()))?;
    if args.json {
        return print(&json);
    }
    let line = |image: &Image| {
        format!("{:>12} bytes  sha256:{}  {}\n", image.bytes, image.sha256, image.path.display())
    };
    print(&report.images.iter().map(line).collect::<String>())
}

fn build_ramdisk(args: RamdiskArgs) -> anyhow::Result<()> {
    let kernel = match (args.kernel, args.modules) {
        (Some(image), Some(modules)) => KernelSource::Paths { image, modules },
        _ => KernelSource::Package(args.kernel_package),
    };
    let list = match &args.list {
        Some(path) => {
            fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))?
        }
        None => args.profile.list().to_owned(),
    };
    let out = args.out.clone();
    let report = ramdisk::build(&ramdisk::Request {
        agent: args.agent,
        kernel,
        list,
        firmware: args.firmware,
        firmware_packages: args.firmware_package,
        files: args.file,
        compression: args.compress,
        out: args.out,
        cache: args.cache,
    })?;
    let json = serde_json::to_string_pretty(&report)? + "\n";
    fs::write(out.join("report.json"), &json).context("report.json was not written")?;
    print(&if args.json { json } else { Table(&report).to_string() })
}

fn make_manifest(args: ManifestArgs) -> anyhow::Result<()> {
    let report = manifest::make(&manifest::Request {
        image: args.image,
        declared: args.format,
        out: args.out,
        pack: args.pack,
        chunk: args.chunk.map(|kib| Bytes(kib.saturating_mul(1024))),
        level: args.level,
    })?;
    if args.json {
        return print(&(serde_json::to_string_pretty(&report)? + "\n"));
    }
    let line = |bytes, sha256: &str, path: &Path| {
        format!("{bytes:>12} bytes  sha256:{sha256}  {}\n", path.display())
    };
    let image = line(report.image_bytes, &report.image_sha256, &report.image);
    print(&(image + &line(report.manifest_bytes, &report.manifest_sha256, &report.manifest)))
}

fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("stdout is closed")
}

fn path_and_file(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((path, file)) if !path.is_empty() && !file.is_empty() => Ok((path.to_owned(), file.into())),
        _ => Err("want PATH-IN-THE-RAMDISK=FILE".to_owned()),
    }
}
