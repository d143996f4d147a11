//! Commands that only tell.

use inventory::{Depth, Options, scan};
use wire::ipa::ErrorClass;

use super::Machine;
use crate::{
    command::{Failure, Outcome, Params, Reporter},
    json, logs,
};

type Done = Result<Outcome, Failure>;

/// `{"system_logs": "<base64 tar.gz>"}`.
pub(super) fn collect_system_logs(machine: &mut Machine, _: &Params, _: &Reporter) -> Done {
    let system_logs = archive(machine)?;
    Ok(Outcome::Data(serde_json::json!({ "system_logs": system_logs })))
}

fn archive(machine: &Machine) -> Result<String, Failure> {
    // Results are left out: steps echo their arguments, and a config drive holds secrets.
    let mut commands = machine.board.history();
    for command in &mut commands {
        command.command_result = None;
    }
    let fail = |text: String| Failure::new(ErrorClass::CommandExecution, text);
    let collected = logs::Collected {
        inventory: json::pretty(&machine.inventory()).map_err(|err| fail(err.to_string()))?.into(),
        commands: json::pretty(&commands).map_err(|err| fail(err.to_string()))?.into(),
    };
    logs::collect(&machine.logs, &collected).map_err(|err| fail(format!("cannot pack the logs: {err}")))
}

/// The inventory, in Ironic's form: what an inspection tells, devices asked.
pub(super) fn get_hardware_info(machine: &mut Machine, _: &Params, _: &Reporter) -> Done {
    let options = Options { depth: Depth::Whole, ..machine.options.clone() };
    let inventory = wire::ipa::Inventory::from(&scan(&machine.root, &options));
    serde_json::to_value(inventory)
        .map(Outcome::Data)
        .map_err(|err| Failure::of(ErrorClass::CommandExecution, &err))
}
