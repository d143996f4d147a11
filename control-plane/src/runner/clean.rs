//! Cleaning, and the proof that a node is clean.

use evidence::{CertificatePem, Signed};
use serde_json::{Map, Value, json};
use wire::ipa::CommandResult;

use super::{Inner, Outcome, perform::EffectError, perform::event};
use crate::{
    clock::Time,
    node::Event,
    record::Node,
    store::{Erasure, Inventory},
    view,
};

/// More steps than this are no answer of an agent.
const STEPS_LIMIT: usize = 256;

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
    Ok(inner.store.put_inventory(node.uuid, &found).await?)
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
    for (device, document) in body.get("clean_result").and_then(Value::as_object).into_iter().flatten() {
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
        Ok(body) => objection(&body, node, step),
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
fn objection(body: &Value, node: &Node, step: &str) -> Option<String> {
    let text = |pointer: &str| body.pointer(pointer).and_then(Value::as_str);
    let enough: &[&str] = if step == "erase_devices" { &["clean"] } else { &["clean", "metadata-clean"] };
    let said = text("/result").unwrap_or("nothing");
    if !enough.contains(&said) {
        let reason = text("/reason").map(|reason| format!(" ({reason})")).unwrap_or_default();
        return Some(format!("the evidence says {said}, not clean{reason}"));
    }
    if text("/node").is_some_and(|other| other != node.uuid.to_string()) {
        return Some("the evidence is about another node".to_owned());
    }
    None
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

/// Every disk of the inventory must have good evidence of this operation.
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
    match missing_proof(&inventory, &erasures, step) {
        Ok(()) => Ok(event(Event::ErasureProven)),
        Err(what) => Err(refused(what)),
    }
}

/// The pure judgement: which disk lacks proof, and what to do.
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
    for disk in disks {
        if !erasures.iter().any(|erasure| is_about(erasure, disk)) {
            let (name, serial) = (text(disk, "name"), text(disk, "serial"));
            return Err(format!(
                "{step} gave no evidence for disk {} (serial {}) of its inventory; if the disk was removed, inspect the node again, then clean it",
                name.unwrap_or("without a name"),
                serial.unwrap_or("unknown")
            ));
        }
    }
    Ok(())
}

fn text<'a>(disk: &'a Value, key: &str) -> Option<&'a str> {
    disk.get(key).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty())
}

/// Names change between boots, serial numbers do not: the name counts only
/// where neither side has a serial number.
fn is_about(erasure: &Erasure, disk: &Value) -> bool {
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
    fn tables_erased_are_not_a_disk_erased() {
        let node = Node::new(uuid::Uuid::nil(), Map::new());
        let other = uuid::Uuid::from_u128(1).to_string();
        for (body, step, good) in [
            (json!({"result": "clean"}), "erase_devices", true),
            (json!({"result": "metadata-clean"}), "erase_devices", false),
            (json!({"result": "metadata-clean"}), "erase_devices_metadata", true),
            (json!({"result": "skipped", "reason": "read-only"}), "erase_devices", false),
            (json!({"result": "clean", "node": other}), "erase_devices", false),
            (json!({}), "erase_devices", false),
        ] {
            assert_eq!(objection(&body, &node, step).is_none(), good, "{body} {step}");
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
