//! `billet-bench`: our programs against what people use today, on this machine.
//!
//! ```text
//! content ─▶ forms ─▶ server (nginx) ─┐
//!                                     ├─▶ measure ─▶ row ─▶ report
//! target (loop on tmpfs, on disk) ────┤   ours, peers, single stages
//!                                     └─▶ measure ─▶ erase::row ─▶ erase::report
//! a recorded server, this host ─────────▶ measure ─▶ inventory::report
//! ```

mod content;
mod document;
mod erase;
mod forms;
mod image;
mod inventory;
mod measure;
mod peers;
mod program;
mod report;
mod row;
mod server;
mod stages;
mod target;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(version, about = "Billet against what people use today (as root)")]
struct Cli {
    #[command(subcommand)]
    job: Job,
}

#[derive(Subcommand)]
enum Job {
    /// Images onto disks: every format, every peer, and the limit of this machine.
    Image(image::Args),
    /// Disks emptied, one and eight at once: ours, peers, and the disks' own rate.
    Erase(erase::Args),
    /// Knowing a machine: ours, of a recorded server and this host, and the programs others ask.
    Inventory(inventory::Args),
    /// Run a command and say what it cost. What `image` measures with.
    #[command(hide = true)]
    Measure(measure::Args),
    /// One stage of a write, alone. What `image` finds the limit with.
    #[command(hide = true)]
    Stage {
        #[command(subcommand)]
        stage: stages::Own,
    },
}

fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().job {
        Job::Image(args) => image::run(&args),
        Job::Erase(args) => erase::run(&args),
        Job::Inventory(args) => inventory::run(&args),
        Job::Measure(args) => measure::run(&args),
        Job::Stage { stage } => stages::run(&stage).map(|()| ExitCode::SUCCESS),
    }
}
