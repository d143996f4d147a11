//! `billet-agent evidence`: checking documents offline.
//!
//! ```text
//! files ─read─▶ documents ─judge─▶ findings, chains ─show─▶ table, JSON or a page
//! ```

mod judge;
mod page;
mod read;
mod show;

use std::{
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context;
use evidence::CertificatePem;

/// Arguments of `evidence`.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Check signed documents, links of billetd's chain, or a whole answer of its
    /// /v1/nodes/NODE/erasures.
    ///
    /// Exit status: 0 when every signature holds, made by a pinned key if there is one, the
    /// links are chains without gaps, and the last word on every disk is that it was erased; 1 otherwise.
    Verify {
        /// The documents.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        /// The certificate that must have signed them (PEM): the agent's, or billetd's for
        /// links; may be given several times. Without it this shows that a document is whole, not who made it.
        #[arg(long = "key", value_name = "CERT.pem")]
        keys: Vec<PathBuf>,
        /// What goes to standard output; html is one page to print or file.
        #[arg(long, value_enum, default_value_t = Format::Table)]
        format: Format,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Json,
    Html,
}

/// Run it.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    let Command::Verify { files, keys, format } = args.command;
    let pinned = keys.iter().map(|key| certificate(key)).collect::<anyhow::Result<Vec<_>>>()?;
    let mut documents = Vec::new();
    let mut problems = Vec::new();
    for file in &files {
        match read::file(file) {
            Ok(found) => documents.extend(found),
            Err(error) => problems.push(format!("{}: {error:#}", file.display())),
        }
    }
    let now = crate::timestamp::Timestamp::now();
    let mut verdict = judge::judge(documents, &pinned, now);
    verdict.problems.splice(0..0, problems);
    for problem in &verdict.problems {
        // `eprintln!` panics when nobody reads any more.
        writeln!(io::stderr(), "NOT PROVEN: {}", show::plain(problem)).ok();
    }
    let text = match format {
        Format::Table => show::table(&verdict),
        Format::Json => format!("{}\n", show::json(&verdict)),
        Format::Html => page::html(&verdict, now),
    };
    io::stdout().write_all(text.as_bytes()).context("writing to standard output")?;
    Ok(if verdict.holds() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn certificate(path: &Path) -> anyhow::Result<CertificatePem> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("reading the key {}", path.display()))?;
    text.parse().with_context(|| format!("the key {}", path.display()))
}
