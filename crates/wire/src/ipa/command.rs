//! A command and its result.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ErrorClass;

/// What is posted to `/v1/commands/`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommandRequest {
    /// `extension.command`.
    pub name: String,
    /// Arguments by name.
    pub params: Map<String, Value>,
}

/// Where a command is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum CommandStatus {
    /// Not ended.
    #[serde(rename = "RUNNING")]
    Running,
    /// Ended well.
    #[serde(rename = "SUCCEEDED")]
    Succeeded,
    /// Ended badly; there is an error.
    #[serde(rename = "FAILED")]
    Failed,
    /// The step list the conductor holds is another agent's: it must ask again.
    #[serde(rename = "CLEAN_VERSION_MISMATCH", alias = "VERSION_MISMATCH")]
    VersionMismatch,
}

/// Why a command failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandError {
    /// Class name, such as `CleaningError`.
    #[serde(rename = "type")]
    pub class: String,
    /// The class's code.
    pub code: u16,
    /// The class's message.
    #[serde(default)]
    pub message: String,
    /// What failed, on what, and what to do. A conductor shows this first.
    #[serde(default)]
    pub details: String,
}

impl CommandError {
    /// A failure of `class` with its particulars.
    #[must_use]
    pub fn new(class: ErrorClass, details: impl Into<String>) -> Self {
        Self {
            class: class.name().to_owned(),
            code: class.code(),
            message: class.message().to_owned(),
            details: details.into(),
        }
    }
}

/// A command as the agent reports it. Exactly these keys in this order.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CommandResult {
    /// A UUID.
    pub id: String,
    /// The bare name, without its extension: a conductor matches on it.
    pub command_name: String,
    /// Where it is.
    pub command_status: CommandStatus,
    /// Why it failed.
    pub command_error: Option<CommandError>,
    /// What it returned; while running, its progress (ours; conductors ignore it).
    pub command_result: Option<Value>,
}

/// What `GET /v1/commands/` answers, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Commands {
    /// Every command since the agent started.
    pub commands: Vec<CommandResult>,
}

/// How far a running command is. Travels as `{"progress": …}` in
/// `command_result` while the command runs; Ironic's conductor reads results
/// of ended commands only, so it never sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// The step, such as `write_image`.
    pub step: String,
    /// Bytes done.
    pub bytes: u64,
    /// Bytes in all, where known.
    pub total: Option<u64>,
    /// Speed, in bytes per second, over the last report interval.
    pub bytes_per_s: u64,
    /// For people.
    pub message: String,
    /// One by one, where a step works on several; the first
    /// [`LISTED_DEVICES`](Progress::LISTED_DEVICES), those at work before the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DeviceProgress>,
}

impl Progress {
    /// The most devices that are listed: a few hundred bytes each, and billetd
    /// keeps 16 KiB of a node's progress.
    pub const LISTED_DEVICES: usize = 48;
}

/// How far one of several devices is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceProgress {
    /// `/dev/…`.
    pub device: String,
    /// What is being done to it: `waiting`, `overwrite`, `verify`, `done`, `failed` and others.
    pub phase: String,
    /// Bytes done in this phase.
    pub bytes: u64,
    /// Bytes to be done in this phase.
    pub total: u64,
    /// Of this phase, 0 to 100.
    pub percent: u8,
    /// Speed, in bytes per second, over the last ten seconds.
    pub bytes_per_s: u64,
    /// Seconds to the end of this phase: the device's own estimate, or by the
    /// speed of the last minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remaining_s: Option<u64>,
}
