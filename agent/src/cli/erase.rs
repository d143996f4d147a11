//! `billet-agent erase`: disks named by hand, on a machine that runs already.

use std::{
    fs,
    io::{self, BufRead, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use erase::{Abilities, Clock, Conditions, Context, Mode, Plan, Policy, Progress, Seed, Subject};
use evidence::Signed;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Map, Value, json};

use crate::chosen;

/// Input that is refused: nothing was written.
const REFUSED: u8 = 2;

/// Arguments of `erase`.
///
/// Exit status: 0 when every disk is erased and proven, 2 when one was refused
/// and nothing was written, 1 otherwise.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The disks, whole: /dev/nvme0n1, /dev/sda, /dev/loop3.
    #[arg(long = "target", value_name = "DEV", required = true, num_args = 1..)]
    targets: Vec<PathBuf>,
    /// What is to be gone: partition tables and signatures, or every byte.
    #[arg(long, value_enum, default_value_t = ModeName::Full)]
    mode: ModeName,
    /// Read every byte back instead of some 5,000 blocks.
    #[arg(long)]
    verify_full: bool,
    /// Overwrite when the drive fails to erase itself.
    #[arg(long)]
    allow_fallback: bool,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
    /// Print one JSON object with a signed document for each disk.
    #[arg(long)]
    json: bool,
    /// Where the signed document goes; with several disks, a directory.
    #[arg(long, value_name = "FILE")]
    evidence: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum ModeName {
    Metadata,
    Full,
}

impl Args {
    fn policy(&self) -> Policy {
        let base = match self.mode {
            ModeName::Full => Policy::FULL,
            ModeName::Metadata => Policy::METADATA,
        };
        let verify = if self.verify_full { erase::Verify::Full } else { base.verify };
        Policy { verify, allow_fallback: self.allow_fallback, ..base }
    }

    /// The document of `disk`: the file, or a file of its own in the directory.
    fn evidence_file(&self, disk: &str) -> Option<PathBuf> {
        let place = self.evidence.as_ref()?;
        let name = disk.rsplit('/').next().unwrap_or(disk);
        Some(if place.is_dir() { place.join(format!("{name}.json")) } else { place.clone() })
    }
}

/// A disk that may be erased.
struct Ready {
    subject: Subject,
    plan: Plan,
}

/// Run it.
pub(crate) fn run(args: Args) -> anyhow::Result<ExitCode> {
    if let Some(place) = args.evidence.as_ref().filter(|place| args.targets.len() > 1 && !place.is_dir()) {
        eprintln!(
            "billet-agent: several disks need a directory for their evidence; {} is none",
            place.display()
        );
        return Ok(ExitCode::from(REFUSED));
    }
    let ready = match prepare(&args)? {
        Ok(ready) => ready,
        Err(refusals) => {
            refusals.iter().for_each(|refusal| eprintln!("billet-agent: {refusal}"));
            return Ok(ExitCode::from(REFUSED));
        }
    };
    if !args.yes && !confirmed(&ready)? {
        eprintln!("billet-agent: nothing was erased");
        return Ok(ExitCode::from(REFUSED));
    }
    let key = ephemeral_key()?;
    let mut documents = Map::new();
    let mut all_clean = true;
    for ready in ready {
        let path = ready.subject.path();
        // One disk that fails takes nothing from the evidence of the others.
        match erase_and_sign(&args, ready, &key) {
            Ok((document, clean)) => {
                all_clean &= clean;
                documents.insert(path, document);
            }
            Err(error) => {
                all_clean = false;
                eprintln!("billet-agent: {path}: {error:#}");
            }
        }
    }
    if args.json {
        let report = json!({ "ok": all_clean, "devices": documents });
        writeln!(io::stdout(), "{report}")?;
    }
    Ok(if all_clean { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Look at every disk before anything is written to the first.
fn prepare(args: &Args) -> anyhow::Result<Result<Vec<Ready>, Vec<String>>> {
    let options = inventory::Options { only_disks: args.targets.clone(), ..Default::default() };
    let inventory = inventory::scan(&inventory::Root::live(), &options);
    let (mut ready, mut refusals) = (Vec::new(), Vec::new());
    for target in &args.targets {
        let path = fs::canonicalize(target).unwrap_or_else(|_| target.clone());
        let Some(disk) = inventory.disk(&path.to_string_lossy()) else {
            refusals.push(format!("{} is not a whole disk of this machine", target.display()));
            continue;
        };
        let subject = Subject::read(Path::new("/"), disk)?;
        let abilities =
            Abilities::read(&path).with_context(|| format!("asking {} what it can do", path.display()))?;
        match erase::plan(subject.clone(), &abilities, args.policy()) {
            Ok(plan) => ready.push(Ready { subject, plan }),
            Err(refusal) => refusals.push(refusal.to_string()),
        }
    }
    Ok(if refusals.is_empty() { Ok(ready) } else { Err(refusals) })
}

fn describe(subject: &Subject) -> String {
    let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
    let disk = &subject.disk;
    format!("{}: {}, serial {}, {}", subject.path(), known(&disk.model), known(&disk.serial), disk.size)
}

fn confirmed(ready: &[Ready]) -> anyhow::Result<bool> {
    for Ready { subject, plan } in ready {
        let methods: Vec<_> = plan.methods().iter().map(|method| method.name()).collect();
        eprintln!("{}, by {}", describe(subject), methods.join(", else "));
        plan.notes().iter().for_each(|note| eprintln!("  {note}"));
    }
    eprint!("All data on {} will be gone. Type yes to go on: ", if ready.len() == 1 { "it" } else { "them" });
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).context("reading your answer")?;
    Ok(answer.trim() == "yes")
}

/// The disk's signed document, and whether it proves an erasure.
fn erase_and_sign(args: &Args, ready: Ready, key: &evidence::Key) -> anyhow::Result<(Value, bool)> {
    let Ready { subject, plan } = ready;
    let (body, clean) = erase_one(&subject, plan)?;
    let signed = evidence::sign(body, key)?;
    keep(args, &subject.path(), &signed)?;
    Ok((serde_json::to_value(&signed)?, clean))
}

/// The body of the disk's document, and whether it proves an erasure.
fn erase_one(subject: &Subject, plan: Plan) -> anyhow::Result<(Value, bool)> {
    let path = subject.path();
    // Time has passed since it was looked at: somebody answered a question.
    let mut drive = chosen::open(&inventory::Root::live(), &subject.disk)?;
    anyhow::ensure!(
        Subject::read(Path::new("/"), &subject.disk)? == *subject,
        "its partitions changed since it was looked at; nothing was erased"
    );
    let bar = bar(&path);
    let mut show = |progress: Progress| {
        bar.set_message(progress.phase.name());
        bar.set_length(progress.total.0);
        bar.set_position(progress.done.0);
    };
    let seed = Seed::random().map_err(|err| anyhow::anyhow!("no random numbers: {err}"))?;
    let mut conditions = Conditions { seed, time: &mut Clock::new(now), progress: &mut show };
    let outcome = erase::execute(plan, &mut drive, &mut conditions);
    bar.finish_and_clear();
    let context = context();
    match outcome {
        Ok(erased) => {
            let what = match erased.policy.mode {
                Mode::Full => "erased",
                Mode::Metadata => "cleared of partition tables and signatures; its data is still there",
            };
            eprintln!("{path} is {what} ({}, {} read back)", erased.method.name(), erased.proof.bytes);
            Ok((erased.certificate(&context), true))
        }
        Err(error) => {
            let body = subject.failed(&error, &context);
            eprintln!("billet-agent: {:#}", anyhow::Error::new(error));
            Ok((body, false))
        }
    }
}

fn keep(args: &Args, disk: &str, signed: &Signed) -> anyhow::Result<()> {
    let Some(file) = args.evidence_file(disk) else { return Ok(()) };
    fs::write(&file, signed.to_text()?)
        .with_context(|| format!("writing the evidence of {disk} to {}", file.display()))
}

fn bar(path: &str) -> ProgressBar {
    let target =
        if io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let style = ProgressStyle::with_template(
        "{prefix} {msg:9} {wide_bar} {percent:>3}% {binary_bytes_per_sec} {eta}",
    );
    let bar = ProgressBar::with_draw_target(None, target).with_prefix(path.to_owned());
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

fn now() -> String {
    jiff::Timestamp::now().to_string()
}

fn context() -> Context {
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok();
    Context {
        cert_id: uuid::Uuid::new_v4().to_string(),
        node: None,
        operation: None,
        agent_version: env!("CARGO_PKG_VERSION").to_owned(),
        boot_id: boot_id.map(|id| id.trim().to_owned()),
        issued_at: now(),
        clock_source: "system".to_owned(),
    }
}

/// A key for this one run: it proves that a document was not changed since, not
/// who made it. Under billetd the key is pinned by the heartbeat.
fn ephemeral_key() -> anyhow::Result<evidence::Key> {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384)?;
    let certificate = rcgen::CertificateParams::new(vec!["billet-agent".to_owned()])?.self_signed(&pair)?;
    Ok(evidence::Key::new(&pair.serialize_der(), &certificate.pem())?)
}
