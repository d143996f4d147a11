//! `erase_devices` and its kin: every disk, each with its signed evidence, or
//! the step fails, with the evidence of those that are clean.

use std::sync::{Mutex, PoisonError};

use erase::{Journal, Policy, PolicyError, RateLimit, ReadOnly, Request};
use model::Secret;
use serde_json::{Map, Value};
use wire::ipa::ErrorClass;

use super::Machine;
use crate::{
    command::{Failure, Reporter},
    erasing::{Event, Meter, Order, Papers, Team, Wish, Writes},
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

fn every_disk(machine: &Machine, wish: Wish, step: &'static str, report: &Reporter) -> Done {
    let team = Team::new(order(machine, wish, step)?, Box::new(watcher(report.clone(), step)));
    let groups = team.plan();
    let (mut documents, mut failures) = (Map::new(), Vec::new());
    for (path, end) in team.erase(groups) {
        documents.extend(end.document.map(|document| (path, document)));
        failures.extend(end.words.err());
    }
    if failures.is_empty() {
        return Ok(Value::Object(documents));
    }
    Err(Failure::new(ErrorClass::BlockDeviceErase, told(failures)).with_result(Value::Object(documents)))
}

fn order(machine: &Machine, wish: Wish, name: &'static str) -> Result<Order, Failure> {
    let asked = machine.internal("disk_erasure_concurrency").and_then(Value::as_u64);
    let operation = machine.internal("operation_uuid").and_then(Value::as_str).map(str::to_owned);
    Ok(Order {
        root: machine.root.clone(),
        disks: machine.every_disk()?,
        writes: Writes {
            journal: journal(machine),
            limit: wish.request.policy.rate_limit.map(RateLimit::new),
        },
        wish,
        papers: Papers {
            key: machine.key.clone(),
            node: Some(machine.node.uuid.clone()).filter(|uuid| !uuid.is_empty()),
            operation,
            clock_source: machine.clock_source,
        },
        busy: usize::try_from(asked.unwrap_or(MAX_CONCURRENCY).min(MAX_CONCURRENCY)).unwrap_or(1),
        name,
    })
}

/// What lets an overwrite go on that an earlier agent began: billetd keeps it
/// for as long as the node is nobody's. Without it, and with a weak one, every
/// overwrite begins at the start.
fn journal(machine: &Machine) -> Option<Journal> {
    let journal = machine.internal("erase_journal")?;
    let text = |key: &str| journal.get(key).and_then(Value::as_str);
    match Journal::new(text("operation")?, Secret::new(text("key")?)) {
        Ok(journal) => Some(journal),
        Err(weak) => {
            tracing::warn!("{weak}; every overwrite begins at the start");
            None
        }
    }
}

/// To the conductor, the heartbeat and the console.
fn watcher(report: Reporter, step: &'static str) -> impl Fn(Event) + Send + Sync {
    move |event| match event {
        Event::Progress(meter) => report.report_devices(|| {
            let meter: &Mutex<Meter> = meter;
            meter.lock().unwrap_or_else(PoisonError::into_inner).progress(std::time::Instant::now())
        }),
        Event::Ended { device, end } => {
            match &end.words {
                Ok(words) => tracing::info!(step, "{words}"),
                Err(why) => tracing::error!(step, "{why}"),
            }
            end.document.iter().for_each(|document| report.evidence(device, document));
        }
    }
}

/// Every reason, up to a limit.
fn told(mut failures: Vec<String>) -> String {
    model::order::sort(&mut failures);
    let more = failures.len().saturating_sub(MOST_TOLD);
    failures.truncate(MOST_TOLD);
    if more > 0 {
        failures.push(format!("and {more} disks more"));
    }
    failures.join("; ")
}
