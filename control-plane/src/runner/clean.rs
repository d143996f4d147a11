//! Cleaning: the agent's steps, one after the other.

use serde_json::{Map, Value, json};
use wire::ipa::CommandResult;

use super::{Inner, Outcome, perform::EffectError, perform::event};
use crate::{
    node::{Event, State},
    record::{EraseJournal, Node},
    store::Inventory,
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

/// `node` and `ports`, which go with every command about steps; in `node`, for the
/// agent alone, what lets an overwrite go on.
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
    let mut shown = Value::Object(view::node(node, base));
    if let Some(EraseJournal { operation, key }) = &node.erase_journal {
        shown["driver_internal_info"]["erase_journal"] =
            json!({"operation": operation.to_string(), "key": key.expose()});
    }
    map.insert("node".to_owned(), shown);
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
