//! The command line of `billet-image`.

use std::{fs, io::Write as _, path::PathBuf};

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand, ValueEnum};
use image_builder::{
    compress::Compression,
    ramdisk::{self, KernelSource},
    table::Table,
};

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
    }
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

fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("stdout is closed")
}

fn path_and_file(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((path, file)) if !path.is_empty() && !file.is_empty() => Ok((path.to_owned(), file.into())),
        _ => Err("want PATH-IN-THE-RAMDISK=FILE".to_owned()),
    }
}
