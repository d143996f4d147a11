//! `billet-agent inventory`.

use std::process::ExitCode;

/// Arguments of `inventory`.
#[derive(clap::Args)]
pub(crate) struct Args {}

/// Run it.
pub(crate) fn run(_args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("inventory is not built yet")
}
