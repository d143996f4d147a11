//! `billet-bench erase`: one disk and eight, emptied by everybody.

mod report;
mod row;
mod ways;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use anyhow::{Result, ensure};

use crate::{
    document,
    image::{FOLDER, machine},
    target::{Disk, Kind, Scratch},
};

use row::Row;
use ways::World;

/// The document that has the table.
const DOCUMENT: &str = "docs/figures.md";
/// The ratios of the last benchmark that was committed.
const COMMITTED: &str = "docs/figures-erase.json";
/// Medians of fewer are noise.
const ROUNDS: usize = 3;

/// How many disks there are at once, and of how many MiB each.
#[derive(Clone, Copy, Debug)]
struct Shelf {
    disks: usize,
    mib: u64,
}

const FULL: [Shelf; 2] = [Shelf { disks: 1, mib: 4096 }, Shelf { disks: 8, mib: 1024 }];
/// For work on the benchmark itself.
const QUICK: [Shelf; 2] = [Shelf { disks: 1, mib: 1024 }, Shelf { disks: 8, mib: 128 }];

/// Arguments of `erase`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Our program, as released.
    #[arg(long, default_value = "dist/billet-agent")]
    agent: PathBuf,
    /// Where disks and `erase.json` go.
    #[arg(long, default_value = FOLDER)]
    out: PathBuf,
    /// How often everybody runs; medians are reported.
    #[arg(long, default_value_t = ROUNDS)]
    rounds: usize,
    /// Only these kinds of disk.
    #[arg(long, value_delimiter = ',', value_enum)]
    targets: Vec<Kind>,
    /// Small disks, once: for work on the benchmark itself. Writes `erase-quick.json`.
    #[arg(long)]
    quick: bool,
    /// Make the ratios those that later benchmarks are compared with (docs/figures-erase.json), and put
    /// the table into docs/figures.md.
    #[arg(long, conflicts_with = "quick")]
    commit: bool,
}

/// Measure, report, and print the table.
///
/// # Errors
/// When a program is missing, or ours fails or leaves anything behind.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let start = Instant::now();
    ensure!(args.agent.is_file(), "{} is missing: run `make binaries`", args.agent.display());
    let rows = rows(args)?;
    let name = if args.quick { "erase-quick.json" } else { "erase.json" };
    let path = args.out.join(name);
    fs::write(&path, serde_json::to_string_pretty(&rows)? + "\n")?;
    let committed = report::committed(Path::new(COMMITTED))?;
    eprintln!(
        "\n{}\nbench: {} in {:.0} s",
        report::table(&rows, &committed),
        path.display(),
        start.elapsed().as_secs_f64()
    );
    if args.commit {
        let how = format!("{}; medians of {}.", machine(), args.rounds);
        document::publish(Path::new(DOCUMENT), "bench-erase", &report::markdown(&rows, &how))?;
        report::commit(Path::new(COMMITTED), &rows)?;
    }
    Ok(ExitCode::SUCCESS)
}

fn rows(args: &Args) -> Result<Vec<Row>> {
    fs::create_dir_all(&args.out)?;
    let agent = args.agent.canonicalize()?;
    let scratch = Scratch::mount(&args.out.join("tmpfs"))?;
    let (shelves, rounds) = if args.quick { (QUICK, 1) } else { (FULL, args.rounds) };
    let mut rows = Vec::new();
    for kind in [Kind::Tmpfs, Kind::Disk] {
        if !args.targets.is_empty() && !args.targets.contains(&kind) {
            continue;
        }
        let folder = match kind {
            Kind::Tmpfs => scratch.path().to_owned(),
            Kind::Disk => args.out.join("disks"),
        };
        for shelf in shelves {
            let disks = (0..shelf.disks)
                .map(|number| Disk::attach(&folder.join(format!("disk{number}")), shelf.mib))
                .collect::<Result<Vec<_>>>()?;
            let devices = disks.iter().map(|disk| disk.device.clone()).collect();
            let world = World { agent: &agent, scratch: scratch.path(), devices, mib: shelf.mib };
            rows.push(row::measured(&world, &disks, kind, rounds)?);
        }
    }
    Ok(rows)
}
