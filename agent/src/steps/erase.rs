//! `erase_devices` and its kin: every disk, each with its signed evidence, or
//! the step fails, with the evidence of those that are clean.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use erase::{Policy, PolicyError, RateLimit, ReadOnly, Request};
use inventory::Root;
use model::inventory::Disk;
use serde_json::{Map, Value};
use wire::ipa::ErrorClass;

use super::Machine;
use crate::{
    command::{Failure, Reporter, chain},
    erasing::{self, Load, Lost, Meter, Papers, Patience, Stage, Turns, Wish},
};

/// The most disks that keep the host busy at once, whatever a node says.
const MAX_CONCURRENCY: u64 = 32;
/// Failures that are told in words; a machine full of dead disks has one reason.
const MOST_TOLD: usize = 32;

type Args = Map<String, Value>;
type Done = Result<Value, Failure>;

/// No byte of the old tenant stays.
pub(super) fn devices(machine: &mut Machine, _: &Args, report: &Reporter) -> Done {
    let request = of_node(machine, Policy::FULL)?;
    every_disk(machine, Wish { request, express: false }, "erase_devices", report)
}

/// No partition table and no signature stays.
pub(super) fn metadata(machine: &mut Machine, _: &Args, report: &Reporter) -> Done {
    let mut request = of_node(machine, Policy::METADATA)?;
    // Ironic's agent leaves read-only disks out here, whatever the node says; we do
    // too, and say so in the evidence.
    request.policy.read_only = ReadOnly::Skip;
    every_disk(machine, Wish { request, express: false }, "erase_devices_metadata", report)
}

/// What goes within seconds: keys of drives that can, else partition tables and signatures.
pub(super) fn express(machine: &mut Machine, _: &Args, report: &Reporter) -> Done {
    let request = of_node(machine, Policy::FULL)?;
    every_disk(machine, Wish { request, express: true }, "erase_devices_express", report)
}

/// As `devices`, and as the arguments say: they count more than the node.
pub(super) fn with_policy(machine: &mut Machine, args: &Args, report: &Reporter) -> Done {
    let request = of_node(machine, Policy::FULL)?.with(args).map_err(|err| refused(&err))?;
    every_disk(machine, Wish { request, express: false }, "erase_devices_with_policy", report)
}

fn of_node(machine: &Machine, policy: Policy) -> Result<Request, Failure> {
    let node = &machine.node;
    Request::of_node(policy, &node.driver_internal_info, &node.properties).map_err(|err| refused(&err))
}

fn refused(err: &PolicyError) -> Failure {
    Failure::of(ErrorClass::InvalidCommandParams, err)
}

/// What every worker needs to know.
struct Work {
    root: Root,
    disks: Vec<Disk>,
    wish: Wish,
    step: &'static str,
    papers: Papers,
    turns: Arc<Turns>,
    /// One for all: it is the host that is spared.
    limit: Option<RateLimit>,
    meter: Mutex<Meter>,
    report: Reporter,
}

/// How it went with one disk.
struct End {
    document: Option<Value>,
    /// Why it is not clean, in words.
    failure: Option<String>,
}

fn every_disk(machine: &Machine, wish: Wish, step: &'static str, report: &Reporter) -> Done {
    let work = Arc::new(Work::new(machine, wish, step, report)?);
    let theirs = Arc::clone(&work);
    let (mut documents, mut failures) = (Map::new(), Vec::new());
    erasing::all(
        work.disks.len(),
        &work.turns,
        move |worker| theirs.one_disk(worker),
        |worker, end| {
            let (document, failure) = work.ended(worker, end);
            documents.extend(document.map(|document| (work.disks[worker].path(), document)));
            failures.extend(failure);
        },
    );
    if failures.is_empty() {
        return Ok(Value::Object(documents));
    }
    Err(Failure::new(ErrorClass::BlockDeviceErase, told(failures)).with_result(Value::Object(documents)))
}

/// Every reason, up to a limit.
fn told(mut failures: Vec<String>) -> String {
    failures.sort();
    let more = failures.len().saturating_sub(MOST_TOLD);
    failures.truncate(MOST_TOLD);
    if more > 0 {
        failures.push(format!("and {more} disks more"));
    }
    failures.join("; ")
}

impl Work {
    fn new(machine: &Machine, wish: Wish, step: &'static str, report: &Reporter) -> Result<Self, Failure> {
        let disks = machine.every_disk()?;
        let asked = machine.internal("disk_erasure_concurrency").and_then(Value::as_u64);
        let busy = usize::try_from(asked.unwrap_or(MAX_CONCURRENCY).min(MAX_CONCURRENCY)).unwrap_or(1);
        Ok(Self {
            root: machine.root.clone(),
            limit: wish.request.policy.rate_limit.map(RateLimit::new),
            wish,
            step,
            papers: Papers {
                key: Arc::clone(&machine.key),
                node: Some(machine.node.uuid.clone()).filter(|uuid| !uuid.is_empty()),
                operation: machine.internal("operation_uuid").and_then(Value::as_str).map(str::to_owned),
                clock_source: machine.clock_source,
            },
            turns: Arc::new(Turns::new(busy, Patience::REAL)),
            meter: Mutex::new(Meter::new(step, disks.iter().map(Disk::path))),
            report: report.clone(),
            disks,
        })
    }

    /// On a thread of its own: erase one disk and sign what there is to say.
    fn one_disk(&self, worker: usize) -> End {
        let disk = &self.disks[worker];
        let path = disk.path();
        let mut tell = |progress: erase::Progress| {
            match erasing::load(&progress) {
                Load::Heavy => self.turns.busy(worker),
                Load::Light => self.turns.light(worker),
                Load::ByDrive => self.turns.by_drive(worker),
            }
            self.meter().tell(&path, &progress, Instant::now());
            self.show();
        };
        let outcome = erasing::look(disk, &self.wish)
            .and_then(|ready| erasing::carry_out(&self.root, ready, self.limit.as_ref(), &mut tell));
        let failure = match &outcome {
            Ok(erased) => {
                tracing::info!(
                    disk = path,
                    method = erased.method.name(),
                    step = self.step,
                    "erased and proven"
                );
                None
            }
            // A disk rightly left alone is recorded as such; it never counts as clean.
            Err(err) if err.is_skip() => {
                tracing::warn!(disk = path, "left alone: {}", chain(err));
                None
            }
            Err(err) => Some(format!("{path}: {}", chain(err))),
        };
        match self.papers.document(outcome.as_ref()) {
            Ok(document) => End { document, failure },
            Err(err) => End { document: None, failure: failure.or(Some(format!("{path}: {}", chain(&err)))) },
        }
    }

    /// Show the end of one disk at once: others may take days more.
    fn ended(&self, worker: usize, end: Result<End, Lost>) -> (Option<Value>, Option<String>) {
        let path = self.disks[worker].path();
        let End { mut document, failure } = end.unwrap_or_else(|lost| End {
            document: None,
            failure: Some(format!("{path}: not erased: {lost}")),
        });
        if let Some(failure) = &failure {
            tracing::error!(step = self.step, "{failure}");
            // What cannot be signed is missing, and that is a failure already.
            document = document.or_else(|| self.papers.not_begun(&self.disks[worker], failure).ok());
        }
        self.meter().end(&path, if failure.is_some() { Stage::Failed } else { Stage::Done });
        if let Some(document) = &document {
            self.report.evidence(&path, document);
        }
        self.show();
        (document, failure)
    }

    fn show(&self) {
        self.report.report_devices(|| self.meter().progress(Instant::now()));
    }

    fn meter(&self) -> MutexGuard<'_, Meter> {
        // A panic elsewhere leaves the gauges whole enough to be shown.
        self.meter.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
