//! `billet-agent erase`.

use std::process::ExitCode;

/// Arguments of `erase`.
#[derive(clap::Args)]
pub(crate) struct Args {}

/// Run it.
pub(crate) fn run(_args: Args) -> anyhow::Result<ExitCode> {
    anyhow::bail!("erase is not built yet")
}
