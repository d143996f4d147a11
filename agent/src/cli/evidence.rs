//! `billet-agent evidence`.

use std::process::ExitCode;

/// Arguments of `evidence`.
#[derive(clap::Args)]
pub(crate) struct Args {}

/// Run it.
pub(crate) fn run(_args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("evidence is not built yet")
}
