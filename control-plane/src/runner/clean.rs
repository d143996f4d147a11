//! Cleaning, and the proof that a node is clean.

use evidence::{CertificatePem, Signed};
use serde_json::{Map, Value, json};
use wire::ipa::CommandResult;

use super::{Inner, Outcome, perform::EffectError, perform::event};
use crate::{
    clock::Time,
    node::{Event, State},
    record::Node,
    store::{Erasure, Inventory},
    view,
};

/// More steps than this are no answer of an agent.
const STEPS_LIMIT: usize = 256;
/// More disks than this are in no machine.
const DEVICES_LIMIT: usize = 4096;

/// A step's name.
pub(super) fn step_name(step: &Value) -> String {
    step.get("step").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// All steps of all hardware managers.
pub(super) fn steps_of(result: &CommandResult, key: &str) -> Vec<Value> {
    let managers =
        result.command_result.as_ref().and_then(|result| result.get(key)).and_then(Value::as_object);
    managers
        .into_iter()
        .flat_map(|managers| managers.values())
        .filter_map(Value::as_array)
        .flatten()
        .take(STEPS_LIMIT)
        .cloned()
        .collect()
}

/// Which hardware managers said so.
pub(super) fn version_of(result: &CommandResult) -> Value {
    let version = result.command_result.as_ref().and_then(|result| result.get("hardware_manager_version"));
    version.cloned().unwrap_or(Value::Null)
}

/// `node` and `ports`, which go with every command about steps.
pub(super) async fn arguments(inner: &Inner, node: &Node) -> Result<Map<String, Value>, EffectError> {
    let base = &inner.settings.advertise;
    let ports: Vec<Value> = inner
        .store
        .ports(Some(node.uuid))
        .await?
        .iter()
        .map(|port| Value::Object(view::port(port, base)))
        .collect();
    let mut map = Map::new();
    map.insert("node".to_owned(), Value::Object(view::node(node, base)));
    map.insert("ports".to_owned(), ports.into());
    Ok(map)
}

/// Ask for the clean steps and keep those of the policy, in its order.
pub(super) async fn fetch_steps(inner: &Inner, node: &Node) -> Result<Option<Outcome>, EffectError> {
    if inner.store.inventory(node.uuid).await?.is_none() {
        inspect_in_passing(inner, node).await?;
    }
    let result = inner.ask(node, "clean.get_clean_steps", arguments(inner, node).await?).await?;
    let offered = steps_of(&result, "clean_steps");
    let mut steps = Vec::new();
    for wanted in inner.settings.clean_policy.steps() {
        let Some(step) = offered.iter().find(|step| step_name(step) == *wanted) else {
            let what = format!(
                "its agent has no clean step {wanted}; boot the ramdisk that belongs to this billetd"
            );
            return Err(EffectError::Refused { node: node.title(), what });
        };
        let mut step = step.clone();
        step["requires_ramdisk"] = true.into();
        steps.push(step);
    }
    let version = version_of(&result);
    inner
        .change(node.uuid, |node| {
            node.operation.steps.clone_from(&steps);
            node.operation.ended = 0;
            node.operation.command = None;
            node.operation.version = version.clone();
            node.operation.seen = Some(result.id.clone());
        })
        .await?;
    Ok(event(Event::StepsKnown))
}

/// A node that was never inspected: its disks must be known before they can be
/// proven erased.
async fn inspect_in_passing(inner: &Inner, node: &Node) -> Result<(), EffectError> {
    let result = inner.ask(node, "poll.get_hardware_info", Map::new()).await?;
    let inventory = result.command_result.unwrap_or(Value::Null);
    let found = Inventory { inventory, plugin_data: json!({}) };
    if !inner.store.put_inventory(node.uuid, &found, |state| state == State::CleanSteps).await? {
        let what = "it is not being cleaned any more".to_owned();
        return Err(EffectError::Refused { node: node.title(), what });
    }
    Ok(())
}

/// Start the next step, if there is one.
pub(super) async fn start_step(inner: &Inner, node: &Node) -> Result<Option<Outcome>, EffectError> {
    let Some(step) = node.operation.step() else { return Ok(event(Event::StepsExhausted)) };
    let name = step_name(step);
    let mut params = arguments(inner, node).await?;
    params.insert("step".to_owned(), step.clone());
    params.insert("clean_version".to_owned(), node.operation.version.clone());
    let started = inner
        .agent(node)
        .await?
        .start("clean.execute_clean_step", &params, node.operation.seen.as_deref())
        .await
        .map_err(inner.agent_failed(node, &name))?;
    inner.change(node.uuid, |node| node.operation.command = Some(started.id.clone())).await?;
    Ok(event(Event::StepStarted))
}

/// Check that the result is this step's, and keep its evidence.
pub(super) async fn take_result(
    inner: &Inner,
    node: &Node,
    step: &str,
    result: &CommandResult,
) -> Result<(), EffectError> {
    let body = result.command_result.clone().unwrap_or(Value::Null);
    let echoed = body.get("clean_step").map(step_name).unwrap_or_default();
    if echoed != step {
        let details = format!("the agent answered for step {echoed:?}; boot the ramdisk again");
        return Err(EffectError::Step { node: node.title(), step: step.to_owned(), details });
    }
    let certificate = inner.node(node.uuid).await?.agent.certificate.unwrap_or_default();
    let documents = body.get("clean_result").and_then(Value::as_object);
    let count = documents.map_or(0, Map::len);
    if count > DEVICES_LIMIT {
        let details = format!(
            "the agent answered for {count} disks, more than {DEVICES_LIMIT}; check what runs on the machine"
        );
        return Err(EffectError::Step { node: node.title(), step: step.to_owned(), details });
    }
    for (device, document) in documents.into_iter().flatten() {
        let erasure = judged(node, step, device, document, &certificate);
        inner.metrics.erasure(erasure.verified, erasure.method.as_deref().unwrap_or("unknown"));
        inner.store.put_erasure(&erasure).await?;
    }
    Ok(())
}

/// The evidence of one disk, with a verdict: signed by the key this very agent
/// showed in its heartbeat, about this disk, and saying it is clean.
fn judged(node: &Node, step: &str, device: &str, document: &Value, certificate: &str) -> Erasure {
    let body = verified_body(document, certificate);
    let shown = body.as_ref().ok().or_else(|| document.get("body")).cloned().unwrap_or(Value::Null);
    let text = |pointer: &str| shown.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
    let reason = match body {
        Err(reason) => Some(reason),
        Ok(body) => objection(&body, node, step, device),
    };
    let method = shown.get("attempts").and_then(Value::as_array).and_then(|attempts| attempts.last());
    Erasure {
        operation: node.operation.id,
        step: step.to_owned(),
        device: device.to_owned(),
        node_uuid: node.uuid,
        verified: reason.is_none(),
        reason,
        method: method.and_then(|attempt| attempt.get("method")).and_then(Value::as_str).map(str::to_owned),
        level: text("/level"),
        serial: text("/device/serial"),
        received_at: Time::now().to_string(),
        document: document.clone(),
    }
}

/// What a genuine body does not prove. Erased tables are `metadata-clean`,
/// which proves less than `clean` and only what that step promises.
fn objection(body: &Value, node: &Node, step: &str, device: &str) -> Option<String> {
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
    let enough: &[&str] = if step == "erase_devices" { &["clean"] } else { &["clean", "metadata-clean"] };
    let said = text("/result").unwrap_or("nothing");
    if !enough.contains(&said) {
        let reason = text("/reason").map(|reason| format!(" ({reason})")).unwrap_or_default();
        return Some(format!("the evidence says {said}, not clean{reason}"));
    }
    let bound = [
        ("/node", node.uuid.to_string(), "node"),
        ("/operation", node.operation.id.to_string(), "operation"),
        ("/device/path", device.to_owned(), "device"),
    ];
    let other = bound.into_iter().find(|(pointer, ours, _)| text(pointer) != Some(ours))?;
    Some(format!(
        "the evidence is about another {}: {}, not {}",
        other.2,
        text(other.0).unwrap_or("nobody says which"),
        other.1
    ))
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
        .erasures(node.uuid)
        .await?
        .into_iter()
        .filter(|erasure| erasure.operation == node.operation.id && erasure.step == step)
        .collect();
    missing_proof(&inventory, &erasures, step).map_err(refused)?;
    let now = inner.ask(node, "poll.get_hardware_info", Map::new()).await?.command_result;
    missing_proof(&now.unwrap_or(Value::Null), &erasures, step)
        .map_err(|what| refused(format!("as the machine is now, {what}")))?;
    Ok(event(Event::ErasureProven))
}

/// The pure judgement: which disk lacks proof, and what to do. A document
/// proves one disk: several may share a serial number, as the namespaces of an
/// NVMe controller do.
fn missing_proof(inventory: &Value, erasures: &[Erasure], step: &str) -> Result<(), String> {
    let disks = inventory.get("disks").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    if disks.is_empty() {
        return Err("its inventory has no disks, so nothing proves that it is clean; inspect it again with a ramdisk that has its disk driver".to_owned());
    }
    if let Some(bad) = erasures.iter().find(|erasure| !erasure.verified) {
        let reason = bad.reason.as_deref().unwrap_or("no reason");
        return Err(format!(
            "the evidence of {step} on {} is not good: {reason}; clean the node again",
            bad.device
        ));
    }
    let mut unused: Vec<&Erasure> = erasures.iter().collect();
    let named = |erasure: &Erasure, disk: &Value| text(disk, "name") == Some(erasure.device.as_str());
    // Those under their own names first, so that no other disk takes their proof.
    let (own, renamed): (Vec<&Value>, Vec<&Value>) = disks
        .iter()
        .partition(|disk| unused.iter().any(|erasure| named(erasure, disk) && is_about(erasure, disk)));
    for disk in own.into_iter().chain(renamed) {
        let fits = |erasure: &&Erasure| is_about(erasure, disk);
        let at = unused.iter().position(|erasure| named(erasure, disk) && fits(erasure));
        let Some(at) = at.or_else(|| unused.iter().position(fits)) else {
            let (name, serial) = (text(disk, "name"), text(disk, "serial"));
            return Err(format!(
                "{step} gave no evidence for disk {} (serial {}) of its inventory; if the disk was removed or changed, inspect the node again, then clean it",
                name.unwrap_or("without a name"),
                serial.unwrap_or("unknown")
            ));
        };
        unused.swap_remove(at);
    }
    Ok(())
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
    let evidenced = erasure.serial.as_deref().map(str::trim).filter(|serial| !serial.is_empty());
    match (text(disk, "serial"), evidenced) {
        (Some(known), Some(serial)) => known == serial,
        (None, None) => text(disk, "name") == Some(erasure.device.as_str()),
        (Some(_), None) | (None, Some(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn erasure(device: &str, serial: Option<&str>, verified: bool) -> Erasure {
        Erasure {
            operation: uuid::Uuid::nil(),
            step: "erase_devices".to_owned(),
            device: device.to_owned(),
            node_uuid: uuid::Uuid::nil(),
            verified,
            reason: (!verified).then(|| "forged".to_owned()),
            method: None,
            level: None,
            serial: serial.map(str::to_owned),
            received_at: String::new(),
            document: Value::Null,
        }
    }

    #[test]
    fn every_disk_needs_its_own_good_evidence() {
        let two =
            json!({"disks": [{"name": "/dev/sda", "serial": "A"}, {"name": "/dev/sdb", "serial": "B"}]});
        let plain = json!({"disks": [{"name": "/dev/vda", "serial": null}]});
        let (a, b) = (erasure("/dev/sda", Some("A"), true), erasure("/dev/sdb", Some("B"), true));
        let renamed = [erasure("/dev/sdb", Some("A"), true), erasure("/dev/sda", Some("B"), true)];
        // Two namespaces of one controller: one serial number, two disks.
        let namespaces = json!({"disks": [{"name": "/dev/nvme0n1", "serial": "N", "wwn": "eui.1", "size": 1},
            {"name": "/dev/nvme0n2", "serial": "N", "wwn": "eui.2", "size": 1}]});
        let of = |device: &str, wwn: &str| Erasure {
            document: json!({"body": {"device": {"wwn": wwn, "bytes": 1}}}),
            ..erasure(device, Some("N"), true)
        };
        let (one, two_of_one) = (of("/dev/nvme0n1", "eui.1"), of("/dev/nvme0n2", "eui.2"));
        let larger = json!({"disks": [{"name": "/dev/sda", "serial": "A", "size": 2}]});
        let a = Erasure { document: json!({"body": {"device": {"bytes": 1}}}), ..a };
        let cases: &[(&Value, &[Erasure], Option<&str>)] = &[
            (&two, &[a.clone(), b.clone()], None),
            (&two, &renamed, None),
            (&two, std::slice::from_ref(&a), Some("/dev/sdb (serial B)")),
            (&two, &[a.clone(), erasure("/dev/sdb", Some("A"), true)], Some("serial B")),
            (&two, &[a.clone(), erasure("/dev/sdb", None, true)], Some("serial B")),
            (&two, &[a.clone(), erasure("/dev/sdb", Some("B"), false)], Some("forged")),
            (&plain, &[erasure("/dev/vda", None, true)], None),
            (&plain, &[erasure("/dev/vdb", None, true)], Some("/dev/vda")),
            (&plain, &[], Some("/dev/vda")),
            (&namespaces, &[one.clone(), two_of_one.clone()], None),
            (&namespaces, &[two_of_one, one.clone()], None),
            (&namespaces, std::slice::from_ref(&one), Some("/dev/nvme0n2")),
            (&namespaces, &[one.clone(), one.clone()], Some("/dev/nvme0n2")),
            (&larger, std::slice::from_ref(&a), Some("serial A")),
            (&json!({"disks": []}), &[], Some("no disks")),
            (&Value::Null, std::slice::from_ref(&b), Some("no disks")),
        ];
        for (inventory, erasures, refusal) in cases {
            let verdict = missing_proof(inventory, erasures, "erase_devices");
            match refusal {
                None => assert_eq!(verdict, Ok(()), "{inventory}"),
                Some(words) => {
                    let error = verdict.expect_err(words);
                    assert!(error.contains(words), "{error}");
                }
            }
        }
    }

    #[test]
    fn evidence_proves_this_node_this_operation_and_this_disk_only() {
        let node = Node::new(uuid::Uuid::from_u128(7), Map::new());
        let good = json!({"result": "clean", "node": node.uuid.to_string(),
            "operation": node.operation.id.to_string(), "device": {"path": "/dev/sda"}});
        let with = |pointer: &str, value: Value| {
            let mut body = good.clone();
            *body.pointer_mut(pointer).expect("it is there") = value;
            body
        };
        let other = uuid::Uuid::from_u128(1).to_string();
        for (body, step, objects) in [
            (good.clone(), "erase_devices", None),
            (with("/result", "metadata-clean".into()), "erase_devices", Some("says metadata-clean")),
            (with("/result", "metadata-clean".into()), "erase_devices_metadata", None),
            (with("/result", "skipped".into()), "erase_devices", Some("says skipped")),
            (with("/node", other.as_str().into()), "erase_devices", Some("another node")),
            (with("/node", Value::Null), "erase_devices", Some("another node")),
            (with("/operation", other.into()), "erase_devices", Some("another operation")),
            (with("/operation", Value::Null), "erase_devices", Some("another operation")),
            (with("/device/path", "/dev/sdb".into()), "erase_devices", Some("another device")),
            (json!({}), "erase_devices", Some("says nothing")),
        ] {
            let objection = objection(&body, &node, step, "/dev/sda");
            match objects {
                None => assert_eq!(objection, None, "{body} {step}"),
                Some(words) => assert!(objection.is_some_and(|text| text.contains(words)), "{body} {step}"),
            }
        }
    }

    #[test]
    fn what_is_not_signed_is_not_evidence() {
        let node = Node::new(uuid::Uuid::nil(), Map::new());
        for document in [Value::Null, json!({}), json!({"body": {"result": "clean"}})] {
            let erasure = judged(&node, "erase_devices", "/dev/sda", &document, "");
            assert!(!erasure.verified && erasure.reason.is_some(), "{document}");
        }
    }
}
