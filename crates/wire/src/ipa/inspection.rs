//! What an inspection posts to `/v1/continue_inspection`.

use serde::Serialize;

use super::{
    collected::Collection,
    inventory::{Disk, Inventory},
};

/// The body: flat, one key a collector.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Inspection {
    /// The machine.
    pub inventory: Inventory,
    /// The disk that is taken when nobody gives hints. Absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root_disk: Option<Disk>,
    /// The NIC the machine was booted from, as `BOOTIF` has it.
    pub boot_interface: Option<String>,
    /// How it was collected.
    pub configuration: Configuration,
    /// Not null makes Ironic fail the inspection.
    pub error: Option<String>,
    /// What the other collectors found.
    #[serde(flatten)]
    pub collected: Collection,
}

/// How an inspection was collected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Configuration {
    /// Names of the collectors that ran.
    pub collectors: Vec<String>,
    /// Collectors that were asked for and that this agent does not have. Ours:
    /// Ironic's agent posts no inventory then.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unknown_collectors: Vec<String>,
    /// The hardware managers that took part.
    pub managers: Vec<Manager>,
}

/// A hardware manager.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Manager {
    /// `generic_hardware_manager`.
    pub name: String,
    /// Its version.
    pub version: String,
}
