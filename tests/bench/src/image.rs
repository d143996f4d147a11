//! `billet-bench image`: every form onto every kind of disk, row by row.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use model::{Algorithm, Hasher};

use crate::{
    content::{self, FULL, QUICK, Size},
    forms::{self, FORMS, Form},
    peers::World,
    program,
    report::{self, Kept, Report},
    row,
    server::Server,
    target::{Disk, Kind, Scratch},
};

/// Where everything is made and kept, from the top of the repository.
pub(crate) const FOLDER: &str = "target/bench";
/// The ratios of the last benchmark that was committed.
const COMMITTED: &str = "docs/figures.json";
/// The document that has the table.
const DOCUMENT: &str = "docs/figures.md";
/// Medians of fewer are noise.
const ROUNDS: usize = 5;

/// Arguments of `image`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Our program, as released.
    #[arg(long, default_value = "dist/billet-agent")]
    agent: PathBuf,
    /// Where images, rows and `image.json` go.
    #[arg(long, default_value = FOLDER)]
    out: PathBuf,
    /// How often everybody runs; medians are reported.
    #[arg(long, default_value_t = ROUNDS)]
    rounds: usize,
    /// Only these forms.
    #[arg(long, value_delimiter = ',')]
    formats: Vec<String>,
    /// Only these kinds of disk.
    #[arg(long, value_delimiter = ',', value_enum)]
    targets: Vec<Kind>,
    /// A disk of 1 GiB, once: for work on the benchmark itself. Writes `image-quick.json`.
    #[arg(long)]
    quick: bool,
    /// Begin no row after so many minutes; the next call goes on.
    #[arg(long, default_value_t = 25)]
    minutes: u64,
    /// Measure rows again that are kept of this agent.
    #[arg(long)]
    fresh: bool,
    /// Make the ratios those that later benchmarks are compared with (docs/figures.json), and put the
    /// table into docs/figures.md.
    #[arg(long, conflicts_with = "quick")]
    commit: bool,
}

impl Args {
    fn size(&self) -> Size {
        if self.quick { QUICK } else { FULL }
    }

    fn rounds(&self) -> usize {
        if self.quick { 1 } else { self.rounds }
    }

    /// Whether this row is asked for.
    fn wants(&self, form: &Form, kind: Kind) -> bool {
        (self.formats.is_empty() || self.formats.iter().any(|name| name == form.name))
            && (self.targets.is_empty() || self.targets.contains(&kind))
    }
}

/// Measure what is not kept, report, and print the table.
///
/// # Errors
/// When a program is missing, or ours fails.
pub(crate) fn run(args: &Args) -> Result<ExitCode> {
    let start = Instant::now();
    ensure!(args.agent.is_file(), "{} is missing: run `make binaries`", args.agent.display());
    let unknown = args.formats.iter().find(|name| FORMS.iter().all(|form| form.name != name.as_str()));
    ensure!(unknown.is_none(), "no such format; there are {}", FORMS.map(|form| form.name).join(", "));
    let (kept, failed) = rows(args, start)?;
    let rows: Vec<_> = kept.iter().map(|kept| &kept.row).collect();
    let report = Report {
        stages: kept.iter().map(|kept| (report::name(&kept.row), &kept.stages)).collect(),
        rounds: args.rounds(),
        disk_mib: args.size().disk_mib,
        content_mib: args.size().content_mib,
        machine: machine(),
        rows: rows.clone(),
    };
    let name = if args.quick { "image-quick.json" } else { "image.json" };
    let path = args.out.join(name);
    fs::write(&path, serde_json::to_string_pretty(&report)? + "\n")?;
    let committed = report::committed(Path::new(COMMITTED))?;
    eprintln!(
        "\n{}\nbench: {} in {:.0} s",
        report::table(&rows, &committed),
        path.display(),
        start.elapsed().as_secs_f64()
    );
    if args.commit {
        let how = format!(
            "{}; {} MiB with {} MiB of files, medians of {}.",
            report.machine, report.disk_mib, report.content_mib, report.rounds
        );
        report::publish(Path::new(DOCUMENT), &rows, &how)?;
        report::commit(Path::new(COMMITTED), &rows)?;
    }
    for failure in &failed {
        eprintln!("bench: NOT MEASURED: {failure:#}");
    }
    Ok(if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What was measured, and why the rest was not: one form that fails does not
/// take the others' time.
fn rows(args: &Args, start: Instant) -> Result<(Vec<Kept>, Vec<anyhow::Error>)> {
    fs::create_dir_all(args.out.join("rows"))?;
    let size = args.size();
    let images = args.out.join(format!("image-{}", size.disk_mib));
    content::make(&images, size)?;
    forms::block_map(&images)?;
    let images = images.canonicalize()?;
    let agent = args.agent.canonicalize()?;
    let server = Server::start(&images)?;
    let scratch = Scratch::mount(&args.out.join("tmpfs"))?;
    let world = World { agent: &agent, server: &server, images: &images, scratch: scratch.path() };
    let agent_digest = digest(&agent)?;
    let (mut kept, mut failed) = (Vec::new(), Vec::new());
    for kind in [Kind::Tmpfs, Kind::Disk] {
        let file = match kind {
            Kind::Tmpfs => scratch.path().join("disk"),
            Kind::Disk => args.out.join("disk"),
        };
        let disk = Disk::attach(&file, size.disk_mib)?;
        for form in &FORMS {
            let session = Session { args, world: &world, agent: &agent_digest, disk: &disk, kind, start };
            match session.row(form) {
                Ok(found) => kept.extend(found),
                Err(err) => failed.push(err),
            }
        }
    }
    Ok((kept, failed))
}

/// What the rows of one disk are measured with.
struct Session<'s> {
    args: &'s Args,
    world: &'s World<'s>,
    /// Digest of our program.
    agent: &'s str,
    disk: &'s Disk,
    kind: Kind,
    /// When the benchmark began.
    start: Instant,
}

impl Session<'_> {
    /// The row of `form`: the one that is kept, else a new one if it is asked for.
    fn row(&self, form: &'static Form) -> Result<Option<Kept>> {
        let (args, size, kind) = (self.args, self.args.size(), self.kind.name());
        let wanted = args.wants(form, self.kind);
        let path = args.out.join(format!("rows/{}-{}-{kind}.json", size.disk_mib, form.name));
        // Of a form that was never asked for there is nothing to keep.
        if !wanted && !path.exists() {
            return Ok(None);
        }
        let made = forms::make(self.world.images, form)?;
        let key = format!("{} {} {size:?} {}", self.agent, made.digest, args.rounds());
        let found = report::kept(&path, &key).filter(|_| !(wanted && args.fresh));
        if found.is_some() || !wanted {
            return Ok(found);
        }
        ensure!(
            self.start.elapsed().as_secs() < args.minutes * 60,
            "{}/{kind}: no time left; run it again",
            form.name
        );
        let (row, stages) = row::measured(self.world, &made, self.disk, self.kind, args.rounds())?;
        let new = Kept { key, row, stages };
        fs::write(&path, serde_json::to_vec_pretty(&new)?)?;
        Ok(Some(new))
    }
}

fn digest(file: &Path) -> Result<String> {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(&fs::read(file)?);
    Ok(hasher.finish().hex())
}

/// `2 × AMD EPYC, Debian …, Linux 6.1`.
pub(crate) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let processor = program::bash("sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1", Path::new("/"));
    let kernel = program::bash("uname -r", Path::new("/")).context("uname").unwrap_or_default();
    format!("{cores} × {}, Linux {kernel}", processor.unwrap_or_default())
}
