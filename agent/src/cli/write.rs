//! `billet-agent write`.

use std::process::ExitCode;

/// Arguments of `write`.
#[derive(clap::Args)]
pub(crate) struct Args {}

/// Run it.
pub(crate) fn run(_args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("write is not built yet")
}
