//! What `write` is told.

use std::path::PathBuf;

use clap::ValueEnum;
use fetch::without_secrets;
use image::{Declared, Format, Verify};
use model::Digest;

/// Arguments of `write`.
///
/// Exit status: 0 when the image is on the disk, read back and bootable as it
/// was meant; 2 when the input is refused; 1 when something failed. The disk
/// does not boot unless it is 0.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The image: a URL, oci://REGISTRY/NAME:TAG or @DIGEST, a path, or - for standard input.
    /// Several are equal mirrors, URLs all.
    #[arg(long, required = true, value_name = "URL|PATH|-")]
    pub(super) image: Vec<String>,
    /// What the image as downloaded must hash to: sha256:HEX or sha512:HEX, or the URL or path of
    /// a checksum file that lists the image by name. Several must all match. Only a manifest with
    /// its own checksum, or a reference with a digest, does without.
    #[arg(long, value_name = "DIGEST|URL|PATH")]
    pub(super) checksum: Vec<String>,
    /// What the image must hash to when it is decompressed, beside --checksum.
    #[arg(long, value_name = "DIGEST")]
    pub(super) content_checksum: Option<Digest>,
    /// The disk to write, or a regular file; one that is missing or empty gets the image's size.
    #[arg(long, value_name = "DEV|FILE")]
    pub(super) target: PathBuf,
    /// auto, or what the content must be: raw, qcow2, vmdk, vhd or vhdx, perhaps with .gz, .zst,
    /// .xz, .bz2 or .lz4.
    #[arg(long, default_value = "auto")]
    pub(super) format: Declared,
    /// Permit a format beside raw and qcow2: vmdk, vhd or vhdx. Naming it with --format does not.
    #[arg(long, value_name = "FORMAT")]
    pub(super) permit: Vec<Format>,
    /// A manifest made by `billet-image manifest`: chunks come from all mirrors at once, each is
    /// checked before it is written, and only those the disk lacks are fetched.
    #[arg(long, value_name = "URL|PATH")]
    pub(super) manifest: Option<String>,
    /// What the manifest itself must hash to; it then vouches for the image.
    #[arg(long, requires = "manifest", value_name = "DIGEST")]
    pub(super) manifest_checksum: Vec<Digest>,
    /// Put this config drive on the disk: an ISO 9660 or FAT file system, or base64 of gzip of one.
    #[arg(long, value_name = "FILE")]
    pub(super) config_drive: Option<PathBuf>,
    /// Rewrite a partition table that was made for other sectors than the disk has (512 or 4096
    /// bytes), where all its partitions can still be mounted.
    #[arg(long)]
    pub(super) rewrite_sectors: bool,
    /// How much of what was written is read back.
    #[arg(long, value_enum, default_value_t)]
    pub(super) verify: ReadBack,
    /// Show what would be done, and what would be refused; write nothing.
    #[arg(long)]
    pub(super) plan: bool,
    /// Do not ask before destroying what is on the disk.
    #[arg(long)]
    pub(super) yes: bool,
    /// Print progress and the report as JSON, one object a line; the last line is the report.
    #[arg(long)]
    pub(super) json: bool,
    /// The most that a decompressor may hold of what it has decompressed, in MiB: the window of a
    /// zstd or xz image may not be larger.
    #[arg(long, value_name = "MIB")]
    pub(super) decoder_memory: Option<u32>,
    /// A folder for the parts of an image that come before its tables, where the image can be
    /// read in order only (standard input, a server without ranges).
    #[arg(long, value_name = "DIR")]
    pub(super) spill: Option<PathBuf>,
    /// How much of that, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = 4096, requires = "spill")]
    pub(super) spill_limit: u32,
    #[command(flatten)]
    pub(super) network: Network,
}

impl Args {
    /// The images as reports name them: without secrets.
    pub(super) fn shown_images(&self) -> Vec<String> {
        self.image
            .iter()
            .map(|image| if image.contains("://") { without_secrets(image) } else { image.clone() })
            .collect()
    }
}

/// How the image is fetched.
#[derive(clap::Args)]
#[command(next_help_heading = "Network")]
pub(super) struct Network {
    /// Believe servers whose certificates are signed by these authorities (PEM).
    #[arg(long, value_name = "FILE")]
    pub(super) ca_file: Option<PathBuf>,
    /// Believe any server.
    #[arg(long, conflicts_with = "ca_file")]
    pub(super) insecure: bool,
    /// Show this certificate, and those between it and its authority (PEM).
    #[arg(long, value_name = "FILE")]
    pub(super) client_cert: Option<PathBuf>,
    /// Its private key (PEM), if it is not in the same file.
    #[arg(long, value_name = "FILE", requires = "client_cert")]
    pub(super) client_key: Option<PathBuf>,
    /// The whole value of the Authorization header is in this file. Secrets are not arguments,
    /// which every user of the machine can read. Or in the environment: BILLET_AUTHORIZATION.
    #[arg(long, value_name = "FILE", group = "credentials")]
    pub(super) authorization_file: Option<PathBuf>,
    /// A bearer token is in this file.
    #[arg(long, value_name = "FILE", group = "credentials")]
    pub(super) bearer_file: Option<PathBuf>,
    /// USER:PASSWORD is in this file.
    #[arg(long, value_name = "FILE", group = "credentials")]
    pub(super) basic_file: Option<PathBuf>,
    /// Fetch by this proxy. Otherwise by those that the environment names: http_proxy,
    /// https_proxy, no_proxy.
    #[arg(long, value_name = "URL")]
    pub(super) proxy: Option<String>,
    /// Give up a fetch after so many seconds, however well it goes: the checksum file, a first
    /// look, the image.
    #[arg(long, value_name = "SECONDS")]
    pub(super) max_time: Option<u64>,
    /// Give up after so many failures in a row without a byte of progress.
    #[arg(long, value_name = "COUNT")]
    pub(super) retries: Option<u32>,
}

/// How much of what was written is read back.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum ReadBack {
    /// All of it.
    #[default]
    Full,
    /// One mebibyte of sixteen, and both ends of the disk.
    Sample,
    /// Both ends of the disk only, to measure what reading back costs.
    #[value(hide = true)]
    None,
}

impl ReadBack {
    /// As in reports.
    pub(super) fn name(self) -> &'static str {
        match self {
            ReadBack::Full => "full",
            ReadBack::Sample => "sample",
            ReadBack::None => "none",
        }
    }
}

impl From<ReadBack> for Verify {
    fn from(told: ReadBack) -> Self {
        match told {
            ReadBack::Full => Verify::Full,
            ReadBack::Sample => Verify::Sample,
            ReadBack::None => Verify::Ends,
        }
    }
}
