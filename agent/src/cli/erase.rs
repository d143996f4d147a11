//! `billet-agent erase`: disks named by hand, on a machine that runs already.
//!
//! ```text
//! args ─▶ request, disks ─▶ look at all ─▶ (printed)
//!                                      └─▶ ask ─▶ all at once ─▶ a document for each
//! ```

mod args;
mod dossier;
mod journal;
mod plan;
mod show;

use std::{
    fs,
    io::{self, BufRead, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use erase::{Journal, RateLimit};
use inventory::{Options, Root};
use model::inventory::Disk;
use serde_json::{Map, Value};

pub(crate) use args::Args;
use dossier::Dossier;
use plan::Plans;
use show::Show;

use crate::erasing::{Event, Order, Papers, Team, Writes};

/// Input that is refused: nothing was written.
const REFUSED: u8 = 2;
/// So many disks keep the host busy at once.
const MOST_BUSY: usize = 32;

/// Erase the disks; the exit status says what became of them.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match go(args) {
        Err(Refused(why)) => {
            why.iter().for_each(|line| say(line));
            if args.json {
                print(&serde_json::json!({"ok": false, "refused": why}));
            }
            Ok(ExitCode::from(REFUSED))
        }
        Ok(outcome) => outcome,
    }
}

/// Why nothing was done, a line each.
struct Refused(Vec<String>);

impl Refused {
    fn because(why: impl Into<String>) -> Self {
        Self(vec![why.into()])
    }
}

fn go(args: &Args) -> Result<anyhow::Result<ExitCode>, Refused> {
    let request = args.request().map_err(|err| Refused::because(format!("{err:#}")))?;
    let plans = Plans::of(found(args)?, request);
    if args.plan {
        let shown = if args.json { format!("{}\n", plans.json()) } else { plans.text() };
        io::stdout().write_all(shown.as_bytes()).ok();
        return Ok(Ok(if plans.refusals().is_empty() { ExitCode::SUCCESS } else { ExitCode::from(REFUSED) }));
    }
    let refusals = plans.refusals();
    if !refusals.is_empty() {
        return Err(Refused(refusals));
    }
    if !args.yes {
        permission(&plans.text()).map_err(|why| Refused::because(format!("nothing was erased: {why}")))?;
    }
    // Not after days of erasing.
    let dossier = args.evidence.as_ref().map(Dossier::open).transpose();
    let dossier = dossier.map_err(|err| Refused::because(format!("{err:#}")))?;
    let journal = args.journal.as_deref().map(journal::open).transpose();
    let journal = journal.map_err(|err| Refused::because(format!("{err:#}")))?;
    Ok(erase(args, plans, dossier, journal))
}

/// The disks that were named, each once.
fn found(args: &Args) -> Result<Vec<Disk>, Refused> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for named in args.disks() {
        let path = fs::canonicalize(named).unwrap_or_else(|_| named.clone());
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    let options = Options { only_disks: paths.clone(), ..Options::default() };
    let inventory = inventory::scan(&Root::live(), &options);
    let (mut disks, mut missing) = (Vec::new(), Vec::new());
    for path in paths {
        match inventory.disk(&path.to_string_lossy()) {
            Some(disk) => disks.push(disk.clone()),
            None => missing.push(format!("{} is not a whole disk of this machine", path.display())),
        }
    }
    if missing.is_empty() { Ok(disks) } else { Err(Refused(missing)) }
}

fn permission(plans: &str) -> Result<(), &'static str> {
    if !io::stdin().is_terminal() {
        return Err("nobody to ask; say --yes");
    }
    let mut stderr = io::stderr();
    let question = format!("{plans}All of it will be gone. Erase? [yes/no] ");
    let asked = stderr.write_all(question.as_bytes()).and_then(|()| stderr.flush());
    let mut answer = String::new();
    asked.and_then(|()| io::stdin().lock().read_line(&mut answer)).map_err(|_| "the question failed")?;
    if answer.trim() == "yes" { Ok(()) } else { Err("the answer was not yes") }
}

fn erase(
    args: &Args,
    plans: Plans,
    dossier: Option<Dossier>,
    journal: Option<Journal>,
) -> anyhow::Result<ExitCode> {
    let Plans { disks, wish, planned, .. } = plans;
    let show = Mutex::new(Show::new(args.json, io::stderr().is_terminal()));
    let order = Order {
        root: Root::live(),
        disks,
        writes: Writes { journal, limit: wish.request.policy.rate_limit.map(RateLimit::new) },
        wish,
        papers: Papers {
            key: Arc::new(ephemeral_key()?),
            node: None,
            operation: None,
            clock_source: "system",
        },
        busy: MOST_BUSY,
        name: "erase",
    };
    let kept = Arc::new(Mutex::new(Map::new()));
    let lost = Arc::clone(&kept);
    let watcher = move |event: Event| {
        lock(&show).see(&event);
        let Event::Ended { device, end } = event else { return };
        // As each ends: whatever comes after, its document is there.
        if let (Some(dossier), Some(document)) = (&dossier, &end.document)
            && let Err(err) = dossier.keep(device, document)
        {
            lock(&lost).insert(device.to_owned(), format!("{err:#}").into());
        }
        say(end.words.as_ref().unwrap_or_else(|why| why));
    };
    let ends = Team::new(order, Box::new(watcher)).erase(planned.groups);
    let mut errors = std::mem::take(&mut *lock(&kept));
    errors.values().filter_map(Value::as_str).for_each(say);
    let mut documents = Map::new();
    for (path, end) in ends {
        errors.extend(end.words.err().map(|why| (path.clone(), why.into())));
        documents.extend(end.document.map(|document| (path, document)));
    }
    let ok = errors.is_empty();
    if let Some(path) = args.journal.as_ref().filter(|_| ok) {
        journal::forget(path).unwrap_or_else(|err| say(&format!("{err:#}")));
    }
    if args.json {
        print(&serde_json::json!({ "ok": ok, "devices": documents, "errors": errors }));
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A panic elsewhere leaves what is behind these locks whole: each change is one call.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `eprintln!` panics when nobody reads any more, and evidence would be lost.
fn say(line: &str) {
    writeln!(io::stderr(), "billet-agent: {line}").ok();
}

/// One line of JSON. A reader that is gone stops no erase.
fn print(line: &Value) {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).ok();
}

/// A key for this one run: it proves that a document was not changed since, not
/// who made it. Under billetd the key is pinned by the heartbeat.
fn ephemeral_key() -> anyhow::Result<evidence::Key> {
    let pair = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384)?;
    let certificate = rcgen::CertificateParams::new(vec!["billet-agent".to_owned()])?.self_signed(&pair)?;
    Ok(evidence::Key::new(&pair.serialize_der(), &certificate.pem())?)
}
