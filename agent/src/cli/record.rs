//! `billet-agent record`.

use std::process::ExitCode;

/// Arguments of `record`.
#[derive(clap::Args)]
pub(crate) struct Args {}

/// Run it.
pub(crate) fn run(_args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("record is not built yet")
}
