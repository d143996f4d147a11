//! The proof that a node is clean: what its agent hands in, judged and kept.
//!
//! ```text
//! clean_result {disk: document} ──judged()──▶ Erasure ──▶ chain ──missing_proof()──▶ available
//!   of a step that runs, ended or failed                              └─▶ every disk without, and why
//! ```
//!
//! A disk that the node's own `skip_block_devices` names is accounted for by the
//! signed document that says so: recorded, never a success.

use evidence::{CertificatePem, Signed};
use model::hints::RootDeviceHints;
use serde_json::{Map, Value};
use wire::ipa::{CommandResult, CommandStatus};

use super::{Inner, Outcome, clean::step_name, perform::EffectError, perform::event};
use crate::{
    clock::Time,
    node::{Event, State},
    record::Node,
    store::{Along, Erasure},
};

/// More disks than this are in no machine.
const DEVICES_LIMIT: usize = 4096;
/// How far a server's clock may be off billetd's. The agent sets it by NTP where
/// there is one; a clock kept in local time is half a day off.
const CLOCK_TOLERANCE: jiff::SignedDuration = jiff::SignedDuration::from_hours(24);
/// What a skip list must name a disk by to account for it.
const LASTING: [&str; 3] = ["serial", "wwn", "wwn_with_extension"];
/// Disks without proof that `last_error` lists; their number is always in it.
const LISTED: usize = 40;

/// The documents a command carries so far. Each disk's is there from the moment
/// it ended, whatever became of the others: while the step runs, when it
/// succeeded and when it failed, in `command_result.clean_result`. Other steps
/// answer something else there.
fn documents<'a>(step: &str, result: &'a CommandResult) -> Option<&'a Map<String, Value>> {
    let result = result.command_result.as_ref().filter(|_| step.starts_with("erase_devices"))?;
    result.get("clean_result")?.as_object()
}

/// Check that the result is this step's, keep its evidence and go on to the next
/// step: one transaction.
pub(super) async fn take_result(
    inner: &Inner,
    node: &Node,
    step: &str,
    result: &CommandResult,
) -> Result<(), EffectError> {
    let failed = |details| EffectError::Step { node: node.title(), step: step.to_owned(), details };
    if result.command_status == CommandStatus::Succeeded {
        let answer = result.command_result.as_ref().and_then(|answer| answer.get("clean_step"));
        let echoed = answer.map(step_name).unwrap_or_default();
        if echoed != step {
            let details = format!("the agent answered for step {echoed:?}; boot the ramdisk again");
            return Err(failed(details));
        }
    }
    let count = documents(step, result).map_or(0, Map::len);
    if count > DEVICES_LIMIT {
        return Err(failed(format!(
            "the agent answered for {count} disks, more than {DEVICES_LIMIT}; check what runs on the machine"
        )));
    }
    let certificate = inner.node(node.uuid).await?.agent.certificate.unwrap_or_default();
    let judge = |(device, document): (&String, &Value)| judged(node, step, device, document, &certificate);
    let erasures: Vec<Erasure> = documents(step, result).into_iter().flatten().map(judge).collect();
    let ended = result.command_status == CommandStatus::Succeeded;
    if !erasures.is_empty() || ended {
        keep(inner, node, result, &erasures, ended).await?;
    }
    Ok(())
}

/// Keep the evidence of a running step if there is more of it than the `kept`
/// documents of before; how many there are. A disk that hangs does not delay
/// the certificates of the others.
pub(super) async fn take_early(
    inner: &Inner,
    node: &Node,
    step: &str,
    result: &CommandResult,
    kept: usize,
) -> Result<usize, EffectError> {
    let count = documents(step, result).map_or(0, Map::len);
    if count > kept {
        take_result(inner, node, step, result).await?;
    }
    Ok(count)
}

async fn keep(
    inner: &Inner,
    node: &Node,
    result: &CommandResult,
    erasures: &[Erasure],
    ended: bool,
) -> Result<(), EffectError> {
    inner
        .change_along(node.uuid, |node| {
            if ended {
                node.operation.ends(&result.id);
            }
            Along { erasures: erasures.to_vec(), ..Along::default() }
        })
        .await?;
    if result.command_status != CommandStatus::Running {
        for erasure in erasures {
            inner.metrics.erasure(erasure.verified, erasure.method().unwrap_or("unknown"));
        }
    }
    Ok(())
}

/// The evidence of one disk, with a verdict: signed by the key this very agent
/// showed in its heartbeat, about this disk, and saying it is clean.
fn judged(node: &Node, step: &str, device: &str, document: &Value, certificate: &str) -> Erasure {
    let now = Time::now();
    let (left_alone, reason) = match verified_body(document, certificate) {
        Err(reason) => (None, Some(reason)),
        Ok(body) => match (left_alone(&body, node), objection(&body, node, step, device, now)) {
            (Some(hints), None) => {
                let reason = format!(
                    "left alone, as skip_block_devices of the node says ({hints}); its data is still there"
                );
                (Some(hints), Some(reason))
            }
            (_, objection) => (None, objection),
        },
    };
    Erasure {
        operation: node.operation.id,
        began_at: node.operation.started_at.map(|time| time.to_string()),
        step: step.to_owned(),
        device: Some(device.to_owned()),
        node_uuid: node.uuid,
        verified: reason.is_none(),
        reason,
        left_alone,
        received_at: now.to_string(),
        document: document.clone(),
    }
}

/// What is kept when erasing ended with no word about each disk: that it was
/// begun and came to nothing. `None` when nothing can have been erased.
pub(super) fn came_to_nothing(node: &Node, from: State, event: Event, words: &str) -> Option<Erasure> {
    let erasing = matches!(from, State::CleanStart | State::CleanWaitStep | State::CleanProof);
    let ended = matches!(event, Event::Failed | Event::TimedOut | Event::Abort);
    (erasing && ended).then(|| Erasure {
        operation: node.operation.id,
        began_at: node.operation.started_at.map(|time| time.to_string()),
        step: node.operation.step().map(step_name).unwrap_or_default(),
        device: None,
        node_uuid: node.uuid,
        verified: false,
        reason: Some(words.to_owned()),
        left_alone: None,
        received_at: Time::now().to_string(),
        document: Value::Null,
    })
}

/// The entry of the node's `skip_block_devices` for which a genuine body says
/// that the disk was left alone. Names change between boots, and a tenant can
/// change sizes: by them his disk would be taken for the one to leave alone.
fn left_alone(body: &Value, node: &Node) -> Option<String> {
    let text = |key: &str| body.get(key).and_then(Value::as_str);
    let hints = text("skipped_by").filter(|_| text("result") == Some("skipped"))?;
    let names_it = |entry: &&Value| LASTING.iter().any(|hint| entry.get(hint).is_some());
    let says = |entry: &Value| {
        serde_json::from_value::<RootDeviceHints>(entry.clone()).is_ok_and(|known| known.to_string() == hints)
    };
    let entries = node.declared.get("properties")?.get("skip_block_devices")?.as_array()?;
    entries.iter().filter(names_it).any(says).then(|| hints.to_owned())
}

/// What a genuine body does not prove. Erased tables are `metadata-clean`,
/// which proves less than `clean` and only what that step promises.
fn objection(body: &Value, node: &Node, step: &str, device: &str, now: Time) -> Option<String> {
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
    let enough: &[&str] =
        if step == "erase_devices_metadata" { &["clean", "metadata-clean"] } else { &["clean"] };
    let said = text("/result").unwrap_or("nothing");
    if !enough.contains(&said) && left_alone(body, node).is_none() {
        let reason = text("/reason").map(|reason| format!(" ({reason})")).unwrap_or_default();
        let advice = text("/skipped_by").map_or(
            "",
            |_| "; to free the node without it, name it by serial or wwn in skip_block_devices of the node",
        );
        return Some(format!("the evidence says {said}, not clean{reason}{advice}"));
    }
    let bound = [
        ("/node", node.uuid.to_string(), "node"),
        ("/operation", node.operation.id.to_string(), "operation"),
        ("/device/path", device.to_owned(), "device"),
    ];
    if let Some(other) = bound.into_iter().find(|(pointer, ours, _)| text(pointer) != Some(ours)) {
        return Some(format!(
            "the evidence is about another {}: {}, not {}",
            other.2,
            text(other.0).unwrap_or("nobody says which"),
            other.1
        ));
    }
    wrong_time(text("/issued_at"), node.operation.started_at, now)
}

/// A certificate carries its time into files that are kept for years.
fn wrong_time(issued_at: Option<&str>, began: Option<Time>, now: Time) -> Option<String> {
    let Some(issued) = issued_at.and_then(|text| text.parse::<Time>().ok()) else {
        return Some("the evidence does not say when it was issued".to_owned());
    };
    let early = began.is_some_and(|began| began.since(issued) > CLOCK_TOLERANCE);
    let late = issued.since(now) > CLOCK_TOLERANCE;
    (early || late).then(|| {
        format!(
            "the evidence says it was issued at {issued}, and here it is {now}: set the clock of the server, or give it an NTP server, and check billetd's own"
        )
    })
}

fn verified_body(document: &Value, certificate: &str) -> Result<Value, String> {
    if certificate.is_empty() {
        return Err("the agent sent no certificate to check its evidence with".to_owned());
    }
    let pinned: CertificatePem =
        certificate.parse().map_err(|error| format!("the agent's certificate is not usable: {error}"))?;
    let signed: Signed = serde_json::from_value(document.clone())
        .map_err(|error| format!("there is no signed evidence: {error}"))?;
    evidence::verify(&signed, Some(&pinned)).map_err(|error| super::transition::chain(&error))
}

/// Every disk of the inventory, and every disk that the machine has now, must
/// have good evidence of this operation. The agent is asked once more because an
/// inventory comes without a password and may be old: a disk that it does not
/// name, or that came after the erasure began, must not be freed with the node.
pub(super) async fn judge(inner: &Inner, node: &Node) -> Result<Option<Outcome>, EffectError> {
    let step = inner.settings.clean_policy.proving_step();
    let refused = |what| EffectError::Refused { node: node.title(), what };
    let found = inner.store.inventory(node.uuid).await?;
    let inventory = found.map(|found| found.inventory).unwrap_or(Value::Null);
    let erasures: Vec<Erasure> = inner
        .store
        .erasures_of(node.uuid, node.operation.id, step)
        .await?
        .into_iter()
        .map(|recorded| recorded.erasure)
        .collect();
    missing_proof(&inventory, &erasures, step).map_err(refused)?;
    let now = inner.ask(node, "poll.get_hardware_info", Map::new()).await?.command_result;
    missing_proof(&now.unwrap_or(Value::Null), &erasures, step)
        .map_err(|what| refused(format!("as the machine is now, {what}")))?;
    let left_alone: Vec<String> =
        erasures.iter().filter(|erasure| erasure.left_alone.is_some()).map(not_good).collect();
    if !left_alone.is_empty() {
        tracing::warn!(node = %node.title(), "it is freed with the data on {}", listed(&left_alone));
    }
    Ok(event(Event::ErasureProven))
}

/// The pure judgement: every disk that lacks proof, and what to do. A document
/// proves one disk: several may share a serial number, as the namespaces of an
/// NVMe controller do.
fn missing_proof(inventory: &Value, erasures: &[Erasure], step: &str) -> Result<(), String> {
    let disks = inventory.get("disks").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if disks.is_empty() {
        return Err("its inventory has no disks, so nothing proves that it is clean; inspect it again with a ramdisk that has its disk driver".to_owned());
    }
    let counts = |erasure: &&Erasure| erasure.verified || erasure.left_alone.is_some();
    let bad: Vec<String> = erasures.iter().filter(|erasure| !counts(erasure)).map(not_good).collect();
    if !bad.is_empty() {
        return Err(format!("the evidence of {step} is not good: {}; clean the node again", listed(&bad)));
    }
    let unproven = unproven(disks, latest(erasures));
    if unproven.is_empty() && erasures.iter().any(|erasure| erasure.verified) {
        return Ok(());
    }
    if unproven.is_empty() {
        return Err(format!(
            "skip_block_devices of the node leaves every disk alone, so {step} erased nothing; take one out of the list"
        ));
    }
    Err(format!(
        "{step} gave no evidence for {}, which its inventory names; if a disk was removed or changed, inspect the node again, then clean it",
        listed(&unproven)
    ))
}

fn not_good(erasure: &Erasure) -> String {
    let device = erasure.device.as_deref().unwrap_or("all of its disks");
    let serial = erasure.said("/device/serial").unwrap_or("unknown");
    format!("{device} (serial {serial}): {}", erasure.reason.as_deref().unwrap_or("no reason"))
}

/// A disk that handed in two documents has the later one only: it must not
/// prove another disk with the other.
fn latest(erasures: &[Erasure]) -> Vec<&Erasure> {
    let again = |at: usize, erasure: &Erasure| {
        erasures.iter().skip(at + 1).any(|later| later.device == erasure.device)
    };
    erasures
        .iter()
        .enumerate()
        .filter(|(at, erasure)| !again(*at, erasure))
        .map(|(_, erasure)| erasure)
        .collect()
}

/// The disks that none of `unused` is about, as words.
fn unproven(disks: &[Value], mut unused: Vec<&Erasure>) -> Vec<String> {
    let named = |erasure: &Erasure, disk: &Value| text(disk, "name") == erasure.device.as_deref();
    // Those under their own names first, so that no other disk takes their proof.
    let (own, renamed): (Vec<&Value>, Vec<&Value>) = disks
        .iter()
        .partition(|disk| unused.iter().any(|erasure| named(erasure, disk) && is_about(erasure, disk)));
    let mut without = Vec::new();
    for disk in own.into_iter().chain(renamed) {
        let fits = |erasure: &&Erasure| is_about(erasure, disk);
        let at = unused.iter().position(|erasure| named(erasure, disk) && fits(erasure));
        match at.or_else(|| unused.iter().position(fits)) {
            Some(at) => drop(unused.swap_remove(at)),
            None => without.push(format!(
                "disk {} (serial {})",
                text(disk, "name").unwrap_or("without a name"),
                text(disk, "serial").unwrap_or("unknown")
            )),
        }
    }
    without
}

/// What a person reads through, and how much more there is.
fn listed(all: &[String]) -> String {
    let shown = all.iter().take(LISTED).map(String::as_str).collect::<Vec<_>>().join("; ");
    match all.len().saturating_sub(LISTED) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}

fn text<'a>(disk: &'a Value, key: &str) -> Option<&'a str> {
    disk.get(key).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty())
}

/// Names change between boots, serial numbers do not: the name counts only
/// where neither side has a serial number. World wide name and size, where both
/// sides say them, must agree as well.
fn is_about(erasure: &Erasure, disk: &Value) -> bool {
    let device = erasure.document.pointer("/body/device").unwrap_or(&Value::Null);
    let differ = |ours: Option<&Value>, theirs: Option<&Value>| match (ours, theirs) {
        (Some(ours), Some(theirs)) => !ours.is_null() && !theirs.is_null() && ours != theirs,
        (None, _) | (_, None) => false,
    };
    if differ(device.get("wwn"), disk.get("wwn")) || differ(device.get("bytes"), disk.get("size")) {
        return false;
    }
    let evidenced = text(device, "serial");
    match (text(disk, "serial"), evidenced) {
        (Some(known), Some(serial)) => known == serial,
        (None, None) => text(disk, "name") == erasure.device.as_deref(),
        (Some(_), None) | (None, Some(_)) => false,
    }
}

#[cfg(test)]
mod tests;
