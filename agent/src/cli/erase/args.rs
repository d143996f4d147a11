//! The arguments of `erase`.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use erase::{Policy, Request};
use serde_json::{Map, json};

/// The longest policy that is read: a few labels of drives, not a database.
const LONGEST_POLICY: u64 = 1 << 20;

/// Arguments of `erase`.
///
/// Exit status: 0 when every disk is erased and proven, 2 when one was refused
/// and nothing was written, 1 otherwise.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The disks, whole: /dev/nvme0n1, /dev/sda, /dev/loop3.
    #[arg(value_name = "DEV", required_unless_present = "targets")]
    devices: Vec<PathBuf>,
    /// As DEV.
    #[arg(long = "target", value_name = "DEV", num_args = 1.., hide = true)]
    targets: Vec<PathBuf>,
    /// Show what would be done to which disk and why, and do nothing.
    #[arg(long)]
    pub(super) plan: bool,
    /// What is asked for, as a JSON object: {"min_level": "purge", "verify": "full"}.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    /// What is to be gone: partition tables and signatures, or every byte.
    #[arg(long, value_enum)]
    mode: Option<Mode>,
    /// Read every byte back instead of some 5,000 blocks.
    #[arg(long)]
    verify_full: bool,
    /// Overwrite when the drive fails to erase itself.
    #[arg(long)]
    allow_fallback: bool,
    /// Where an overwrite that is cut off leaves what the next one needs to go on. Made when it
    /// is not there, removed when all disks are clean; begin with a new one when somebody used them since.
    #[arg(long, value_name = "FILE")]
    pub(super) journal: Option<PathBuf>,
    /// Do not ask.
    #[arg(long)]
    pub(super) yes: bool,
    /// Print JSON, an object a line: progress, and at last a signed document for each disk.
    #[arg(long)]
    pub(super) json: bool,
    /// Where the signed documents go, one for each disk.
    #[arg(long, value_name = "DIR")]
    pub(super) evidence: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Mode {
    Metadata,
    Full,
}

impl Args {
    /// The disks, as they were named.
    pub(super) fn disks(&self) -> impl Iterator<Item = &PathBuf> {
        self.devices.iter().chain(&self.targets)
    }

    /// The policy file, changed by what else was said.
    pub(super) fn request(&self) -> anyhow::Result<Request> {
        let base = match &self.policy {
            Some(path) => Request::parse(&read(path)?).with_context(|| path.display().to_string())?,
            None => Request::from(Policy::FULL),
        };
        let mut fields = Map::new();
        let mode = self.mode.map(|mode| match mode {
            Mode::Metadata => "metadata",
            Mode::Full => "full",
        });
        fields.extend(mode.map(|mode| ("mode".to_owned(), json!(mode))));
        fields.extend(self.verify_full.then(|| ("verify".to_owned(), json!("full"))));
        fields.extend(self.allow_fallback.then(|| ("allow_fallback".to_owned(), json!(true))));
        Ok(base.with(&fields)?)
    }
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)
        .and_then(|file| file.take(LONGEST_POLICY).read_to_end(&mut text))
        .with_context(|| format!("cannot read the policy {}", path.display()))?;
    Ok(text)
}
