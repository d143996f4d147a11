//! `billet-agent evidence`: checking documents offline.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use evidence::{CertificatePem, Signed, VerifyError};
use serde_json::Value;

/// More than any document may have, in bytes; the rest of a larger file is not read.
const FILE_LIMIT: u64 = 2 << 20;

/// Arguments of `evidence`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Check signed documents.
    ///
    /// Exit status: 0 when every document is signed as it claims, by the pinned
    /// key if there is one, and says that its disk was erased; 1 otherwise.
    Verify {
        /// The documents.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// The certificate that must have signed them (PEM). Without it this shows that a
        /// document is whole, not who made it.
        #[arg(long, value_name = "CERT.pem")]
        key: Option<PathBuf>,
    },
}

/// Run it.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Command::Verify { files, key } = args.command;
    let pinned = key.as_deref().map(certificate).transpose()?;
    let mut all_good = true;
    for file in &files {
        match check(file, pinned.as_ref()) {
            Ok(body) => all_good &= report(file, &body, pinned.is_some()),
            Err(error) => {
                all_good = false;
                eprintln!("{}: NOT PROVEN: {error:#}", file.display());
            }
        }
    }
    Ok(if all_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn certificate(path: &Path) -> anyhow::Result<CertificatePem> {
    let text = fs::read_to_string(path).with_context(|| format!("reading the key {}", path.display()))?;
    text.parse().with_context(|| format!("the key {}", path.display()))
}

fn check(path: &Path, pinned: Option<&CertificatePem>) -> anyhow::Result<Value> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_LIMIT).read_to_end(&mut bytes))
        .context("cannot read it")?;
    let verify =
        |bytes: &[u8]| -> Result<Value, VerifyError> { evidence::verify(&Signed::parse(bytes)?, pinned) };
    Ok(verify(&bytes)?)
}

/// Say what the document proves; true when that is an erasure.
fn report(path: &Path, body: &Value, pinned: bool) -> bool {
    // The document may come from anybody: no control characters reach the terminal.
    let text = |value: &Value| value.as_str().unwrap_or("unknown").replace(char::is_control, "?");
    let result = text(&body["result"]);
    let erased = matches!(result.as_str(), "clean" | "metadata-clean");
    let device = &body["device"];
    let signer = if pinned { "the pinned key" } else { "the key inside (not pinned)" };
    eprintln!(
        "{}: signed by {signer}: {} serial {}: {result}, level {}, by {}, at {}",
        path.display(),
        text(&device["model"]),
        text(&device["serial"]),
        text(&body["level"]),
        text(&body["method"]),
        text(&body["issued_at"]),
    );
    if !erased {
        eprintln!(
            "{}: NOT PROVEN: the document is whole, and says that the disk was not erased",
            path.display()
        );
    }
    erased
}
