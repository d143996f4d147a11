//! `billet-bench inventory`: what knowing a machine costs, ours and everybody's.
//!
//! Ours reads a recorded server (any host measures the same machine) and this host;
//! the programs that Ironic's agent asks read this host, all in one run.

mod report;
mod ways;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    document,
    image::{FOLDER, machine},
    measure::{Cost, medians},
    target::{Disk, Scratch},
};

use ways::{Role, WAYS, World};

/// The document that has the table.
const DOCUMENT: &str = "docs/figures.md";
/// The recorded server: two sockets, 64 threads, 24 disks.
const RECORDED: &str = "hardware-fixtures/machines/rack-64t-24d";
/// Medians of fewer are noise: a run takes milliseconds.
const ROUNDS: usize = 11;
/// Length of the loop device that stands for this host's disks, in MiB.
const DISK_MIB: u64 = 64;

/// Arguments of `inventory`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Our program, as released.
    #[arg(long, default_value = "dist/billet-agent")]
    agent: PathBuf,
    /// The recorded server.
    #[arg(long, default_value = RECORDED)]
    recorded: PathBuf,
    /// Where `inventory.json` goes.
    #[arg(long, default_value = FOLDER)]
    out: PathBuf,
    /// How often everybody runs; medians are reported.
    #[arg(long, default_value_t = ROUNDS)]
    rounds: usize,
    /// Put the table into docs/figures.md.
    #[arg(long)]
    commit: bool,
}

/// `inventory.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Report {
    /// Logical processors of the recorded server.
    threads: u64,
    /// Its disks.
    disks: usize,
    /// What could not be read of it.
    warnings: usize,
    /// Everybody, in the order of [`WAYS`]; none for a peer that is missing.
    costs: Vec<(String, Option<Cost>)>,
}

/// Measure, report, and print the table.
///
/// # Errors
/// When ours is missing or fails, or the recorded server is not what it should be.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    ensure!(args.agent.is_file(), "{} is missing: run `make binaries`", args.agent.display());
    ensure!(args.recorded.is_dir(), "{} is missing: name a recording", args.recorded.display());
    fs::create_dir_all(&args.out)?;
    let scratch = Scratch::mount(&args.out.join("tmpfs"))?;
    let disk = Disk::attach(&scratch.path().join("disk0"), DISK_MIB)?;
    let world = World {
        agent: &args.agent.canonicalize()?,
        recorded: &args.recorded.canonicalize()?,
        scratch: scratch.path(),
        device: &disk.device,
    };
    let report = measured(&world, args.rounds)?;
    let path = args.out.join("inventory.json");
    fs::write(&path, serde_json::to_string_pretty(&report)? + "\n")?;
    let text = report::markdown(&report, &format!("{}; medians of {}.", machine(), args.rounds));
    eprintln!("{text}bench: {}", path.display());
    if args.commit {
        document::publish(Path::new(DOCUMENT), "bench-inventory", &text)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Run everybody `rounds` times, in turns, there and back.
fn measured(world: &World<'_>, rounds: usize) -> Result<Report> {
    let mut costs: Vec<Vec<Cost>> = vec![Vec::new(); WAYS.len()];
    for round in 0..rounds {
        let mut order: Vec<usize> = (0..WAYS.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for place in order {
            match world.go(&WAYS[place]) {
                Ok(cost) => costs[place].push(cost),
                Err(err) if WAYS[place].role == Role::Ours => {
                    return Err(err.context(format!("{} failed", WAYS[place].name)));
                }
                Err(err) => eprintln!("bench: {} failed: {err:#}", WAYS[place].name),
            }
        }
    }
    let said: Value = serde_json::from_slice(&fs::read(world.scratch.join(ways::RECORDED_SAID))?)
        .context("the inventory of the recorded server is no JSON")?;
    let length = |name: &str| said[name].as_array().map_or(0, Vec::len);
    let costs = WAYS
        .iter()
        .zip(costs)
        .map(|(way, costs)| (way.name.to_owned(), (!costs.is_empty()).then(|| medians(&costs))));
    Ok(Report {
        threads: said["cpu"]["threads"].as_u64().unwrap_or(0),
        disks: length("disks"),
        warnings: length("warnings"),
        costs: costs.collect(),
    })
}
