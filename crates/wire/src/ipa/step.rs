//! Steps: what an agent offers and what a conductor orders.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A step as `get_…_steps` lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its name.
    pub step: String,
    /// Higher runs first; 0 runs only when asked for.
    pub priority: i64,
    /// The hardware interface it belongs to: `deploy` or `raid`.
    pub interface: String,
    /// Whether the conductor reboots the machine after it.
    #[serde(default)]
    pub reboot_requested: bool,
    /// Whether an operator may abort it. Deploy and service steps have no such key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abortable: Option<bool>,
    /// Its arguments.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argsinfo: Option<BTreeMap<String, StepArgument>>,
}

/// One argument of a step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepArgument {
    /// For people.
    pub description: String,
    /// Whether the step refuses to run without it.
    #[serde(default)]
    pub required: bool,
}

/// Steps by the hardware manager that serves them.
pub type StepsByManager = BTreeMap<String, Vec<Step>>;

/// Result of `clean.get_clean_steps`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CleanSteps {
    /// Steps by hardware manager.
    pub clean_steps: StepsByManager,
    /// Versions by hardware manager, sent back with every step.
    pub hardware_manager_version: BTreeMap<String, String>,
}

/// Result of `deploy.get_deploy_steps`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeploySteps {
    /// Steps by hardware manager.
    pub deploy_steps: StepsByManager,
    /// Versions by hardware manager, sent back with every step.
    pub hardware_manager_version: BTreeMap<String, String>,
}

/// Result of `service.get_service_steps`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSteps {
    /// Steps by hardware manager.
    pub service_steps: StepsByManager,
    /// Versions by hardware manager, sent back with every step.
    pub hardware_manager_version: BTreeMap<String, String>,
}

/// A step as `execute_…_step` orders it. It is echoed whole in the result,
/// so unknown keys are kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepCall {
    /// Its name.
    pub step: String,
    /// The hardware interface it belongs to.
    #[serde(default)]
    pub interface: String,
    /// Arguments by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub args: Option<Map<String, Value>>,
    /// Everything else.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// What an agent needs of the node object that conductors send along.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeView {
    /// The node.
    #[serde(default)]
    pub uuid: String,
    /// Among others `root_device` and `skip_block_devices`.
    #[serde(default)]
    pub properties: Map<String, Value>,
    /// Among others `root_device`, which wins.
    #[serde(default)]
    pub instance_info: Map<String, Value>,
    /// Among others the erase policy.
    #[serde(default)]
    pub driver_internal_info: Map<String, Value>,
}
