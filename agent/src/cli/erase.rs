//! `billet-agent erase`: disks named by hand, on a machine that runs already.
//!
//! ```text
//! args ─▶ request, disks ─▶ look at all ─▶ (printed)
//!                                      └─▶ ask ─▶ all at once ─▶ a document for each
//! ```

mod args;
mod dossier;
mod plan;
mod show;

use std::{
    fs,
    io::{self, BufRead, IsTerminal, Write},
    path::PathBuf,
    process::ExitCode,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use erase::RateLimit;
use inventory::{Options, Root};
use model::inventory::Disk;
use serde_json::{Map, Value};

pub(crate) use args::Args;
use dossier::Dossier;
use plan::Plans;
use show::Show;

use crate::{
    command::chain,
    erasing::{self, Load, Lost, Meter, Papers, Patience, Ready, Stage, Turns},
};

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
    let limit = request.policy.rate_limit;
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
    Ok(erase(args, plans.ready(), limit.map(RateLimit::new), dossier))
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

/// What every worker needs to know.
struct Crew {
    jobs: Vec<Mutex<Option<Ready>>>,
    limit: Option<RateLimit>,
    turns: Arc<Turns>,
    meter: Mutex<Meter>,
    show: Mutex<Show>,
    papers: Papers,
}

/// How it went with one disk.
struct End {
    document: Option<Value>,
    /// What was done, or why it is not clean.
    words: Result<String, String>,
}

fn erase(
    args: &Args,
    ready: Vec<Ready>,
    limit: Option<RateLimit>,
    mut dossier: Option<Dossier>,
) -> anyhow::Result<ExitCode> {
    let paths: Vec<String> = ready.iter().map(|ready| ready.subject.path()).collect();
    let crew = Arc::new(Crew {
        limit,
        turns: Arc::new(Turns::new(MOST_BUSY, Patience::REAL)),
        meter: Mutex::new(Meter::new("erase", paths.iter().cloned())),
        show: Mutex::new(Show::new(args.json, io::stderr().is_terminal())),
        papers: Papers {
            key: Arc::new(ephemeral_key()?),
            node: None,
            operation: None,
            clock_source: "system",
        },
        jobs: ready.into_iter().map(|ready| Mutex::new(Some(ready))).collect(),
    });
    let theirs = Arc::clone(&crew);
    let (mut documents, mut errors) = (Map::new(), Map::new());
    erasing::all(
        paths.len(),
        &crew.turns,
        move |worker| theirs.one_disk(worker),
        |worker, end| {
            let path = &paths[worker];
            let End { document, words } = crew.ended(path, end);
            let kept = match (&mut dossier, &document) {
                (Some(dossier), Some(document)) => dossier.keep(path, document),
                (None, _) | (_, None) => Ok(()),
            };
            documents.extend(document.map(|document| (path.clone(), document)));
            match (&words, kept) {
                (Ok(words), Ok(())) => say(words),
                (Ok(_), Err(err)) => {
                    errors.insert(path.clone(), format!("{err:#}").into());
                }
                (Err(why), _) => {
                    errors.insert(path.clone(), why.as_str().into());
                }
            }
            errors.get(path).and_then(Value::as_str).into_iter().for_each(say);
        },
    );
    let ok = errors.is_empty();
    if args.json {
        print(&serde_json::json!({ "ok": ok, "devices": documents, "errors": errors }));
    }
    Ok(if ok { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Crew {
    /// On a thread of its own: erase one disk and sign what there is to say.
    fn one_disk(&self, worker: usize) -> End {
        let job = self.jobs[worker].lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(ready) = job else {
            let why = "it was begun twice; report this as a bug of billet-agent".to_owned();
            return End { document: None, words: Err(why) };
        };
        let path = ready.subject.path();
        let mut tell = |progress: erase::Progress| {
            match erasing::load(&progress) {
                Load::Heavy => self.turns.busy(worker),
                Load::Light => self.turns.light(worker),
                Load::ByDrive => self.turns.by_drive(worker),
            }
            self.meter().tell(&path, &progress, Instant::now());
            self.show().meter(&self.meter);
        };
        let outcome = erasing::carry_out(&Root::live(), ready, self.limit.as_ref(), &mut tell);
        let words = match &outcome {
            Ok(erased) => Ok(plan::done(&path, erased)),
            Err(err) => Err(format!("{path}: {}", chain(err))),
        };
        match self.papers.document(outcome.as_ref()) {
            Ok(document) => End { document, words },
            Err(err) => End { document: None, words: words.and(Err(format!("{path}: {}", chain(&err)))) },
        }
    }

    fn ended(&self, path: &str, end: Result<End, Lost>) -> End {
        let end = end
            .unwrap_or_else(|lost| End { document: None, words: Err(format!("{path}: not erased: {lost}")) });
        self.meter().end(path, if end.words.is_ok() { Stage::Done } else { Stage::Failed });
        self.show().end(path, &end);
        end
    }

    fn meter(&self) -> MutexGuard<'_, Meter> {
        self.meter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn show(&self) -> MutexGuard<'_, Show> {
        self.show.lock().unwrap_or_else(PoisonError::into_inner)
    }
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
