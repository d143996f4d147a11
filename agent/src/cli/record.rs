//! `billet-agent record`: what the inventory reads, for replaying elsewhere.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use inventory::{Depth, Identifiers, Options, Root, record};

/// Arguments of `record`.
///
/// The recording holds what `inventory` reads and nothing more; `inventory --root
/// DIR` shows the machine again, anywhere.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A directory that is empty or does not exist yet.
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// Keep serial numbers, MACs, world wide names and addresses. Otherwise each
    /// becomes a stand-in of the same shape, the same one everywhere.
    #[arg(long)]
    keep_identifiers: bool,
    /// Record another recording, or a directory that has sys/ and proc/.
    #[arg(long, value_name = "DIR")]
    root: Option<PathBuf>,
    /// Print one JSON object instead of a sentence.
    #[arg(long)]
    json: bool,
}

/// Run it.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let root = args.root.map_or_else(|| Ok(Root::live()), Root::open)?;
    let identifiers = if args.keep_identifiers { Identifiers::Keep } else { Identifiers::Replace };
    record(&root, &Options { depth: Depth::Whole, ..Options::default() }, identifiers, &args.dir)?;
    let mut out = io::stdout().lock();
    if args.json {
        writeln!(
            out,
            "{}",
            serde_json::json!({ "directory": args.dir, "identifiers_kept": args.keep_identifiers })
        )?;
    } else {
        writeln!(out, "recorded in {}; look at it before you give it away", args.dir.display())?;
    }
    Ok(ExitCode::SUCCESS)
}
