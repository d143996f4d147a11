//! `get_…_steps` and `execute_…_step`, the same for every phase.

use serde_json::{Value, json};
use wire::ipa::{ErrorClass, NodeView, StepCall};

use super::{
    Machine,
    table::{MANAGER, MANAGER_VERSION, Phase, Step},
};
use crate::command::{Failure, Outcome, Params, Reporter};

type Done = Result<Outcome, Failure>;

/// Arguments that nobody may read back.
const SECRETS: [&str; 2] = ["opal_msid", "opal_psids"];

pub(super) fn get_clean(machine: &mut Machine, params: &Params, _: &Reporter) -> Done {
    list(Phase::Clean, machine, params)
}

pub(super) fn get_deploy(machine: &mut Machine, params: &Params, _: &Reporter) -> Done {
    list(Phase::Deploy, machine, params)
}

pub(super) fn get_service(machine: &mut Machine, params: &Params, _: &Reporter) -> Done {
    list(Phase::Service, machine, params)
}

pub(super) fn clean(machine: &mut Machine, params: &Params, report: &Reporter) -> Done {
    execute(Phase::Clean, machine, params, report)
}

pub(super) fn deploy(machine: &mut Machine, params: &Params, report: &Reporter) -> Done {
    execute(Phase::Deploy, machine, params, report)
}

pub(super) fn service(machine: &mut Machine, params: &Params, report: &Reporter) -> Done {
    execute(Phase::Service, machine, params, report)
}

fn version() -> Value {
    json!({ MANAGER_VERSION.0: MANAGER_VERSION.1 })
}

fn list(phase: Phase, machine: &mut Machine, params: &Params) -> Done {
    learn_node(machine, params)?;
    let name = phase.name();
    Ok(Outcome::Data(json!({
        format!("{name}_steps"): { MANAGER: phase.listed() },
        "hardware_manager_version": version(),
    })))
}

fn execute(phase: Phase, machine: &mut Machine, params: &Params, report: &Reporter) -> Done {
    let name = phase.name();
    let told = params.get(&format!("{name}_version")).filter(|told| !told.is_null());
    if told.is_some_and(|told| *told != version()) {
        tracing::warn!(?told, "the conductor's steps are another agent's; it is asked to fetch ours");
        return Ok(Outcome::VersionMismatch);
    }
    learn_node(machine, params)?;
    let ordered = params.get("step").cloned().unwrap_or(Value::Null);
    let call: StepCall = serde_json::from_value(ordered.clone()).map_err(|err| {
        Failure::new(ErrorClass::InvalidCommandParams, format!("step is not a step: {err}"))
    })?;
    let step = row(phase, &call)?;
    let arguments = call.args.unwrap_or_default();
    if let Some(missing) =
        step.arguments.iter().find(|argument| argument.required && !arguments.contains_key(argument.name))
    {
        let text = format!("{} step {} needs the argument {}", name, step.name, missing.name);
        return Err(Failure::new(ErrorClass::InvalidCommandParams, text));
    }
    let told = echo(ordered);
    let answer = |result: Value| json!({ format!("{name}_result"): result, format!("{name}_step"): told });
    match (step.run)(machine, &arguments, report) {
        Ok(result) => Ok(Outcome::Data(answer(result))),
        Err(Failure { class, details, result }) => {
            Err(Failure { class, details, result: result.map(answer) })
        }
    }
}

/// The step as it is answered: conductors compare its name and interface, and
/// keep the answer. What opens drives is in no answer.
fn echo(mut step: Value) -> Value {
    let arguments = step.get_mut("args").and_then(Value::as_object_mut);
    let secrets = arguments.into_iter().flatten().filter(|(name, _)| SECRETS.contains(&name.as_str()));
    secrets.for_each(|(_, value)| *value = wire::ironic::MASKED.into());
    step
}

fn row(phase: Phase, call: &StepCall) -> Result<&'static Step, Failure> {
    let same = |step: &&Step| {
        step.name == call.step && (call.interface.is_empty() || step.interface == call.interface)
    };
    phase.steps().iter().find(same).ok_or_else(|| {
        let text = format!(
            "this agent has no {} step {}.{}; it has {}",
            phase.name(),
            call.interface,
            call.step,
            phase.steps().iter().map(|step| step.name).collect::<Vec<_>>().join(", ")
        );
        Failure::new(ErrorClass::HardwareManagerMethodNotFound, text)
    })
}

/// Conductors send the node along; its newest version is the one to follow.
fn learn_node(machine: &mut Machine, params: &Params) -> Result<(), Failure> {
    let Some(node) = params.get("node").filter(|node| !node.is_null()) else { return Ok(()) };
    let node: NodeView = serde_json::from_value(node.clone()).map_err(|err| {
        Failure::new(ErrorClass::InvalidCommandParams, format!("node is not a node: {err}"))
    })?;
    machine.learn(node);
    Ok(())
}
