//! The command line: one file a subcommand, each with its arguments and a `run`.

mod erase;
mod evidence;
mod inventory;
mod record;
mod run;
mod screen;
mod write;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Turns bare metal into running machines, and back.
#[derive(Parser)]
#[command(name = "billet-agent", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Be the agent of a control plane, on a machine that runs already.
    Run(run::Args),
    /// Write a disk image to a disk, verified, bootable only when proven.
    Write(Box<write::Args>),
    /// Erase disks and leave signed evidence.
    Erase(Box<erase::Args>),
    /// Show what this machine is made of.
    Inventory(inventory::Args),
    /// Record what the inventory reads, for replaying elsewhere.
    Record(record::Args),
    /// Check signed evidence of an erasure.
    Evidence(evidence::Args),
}

/// Parse the command line and do what it says.
pub(crate) fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Run(args) => run::run(args),
        Command::Write(args) => write::run(&args),
        Command::Erase(args) => erase::run(&args),
        Command::Inventory(args) => inventory::run(args),
        Command::Record(args) => record::run(args),
        Command::Evidence(args) => evidence::run(args),
    };
    outcome.unwrap_or_else(|error| {
        eprintln!("billet-agent: {error:#}");
        ExitCode::FAILURE
    })
}
