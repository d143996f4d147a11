//! What a guest tells its test: one JSON object a line, on a serial port of its own.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The guest's side of the line.
pub const PORT: &str = "/dev/ttyS1";
/// The kernel parameter with the names of the rows to run, separated by commas.
pub const ROWS_PARAMETER: &str = "guest-rows";

/// One line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Message {
    /// A row has come to a place that its test waits for.
    Mark(String),
    /// A row has ended.
    Row(Row),
    /// No more rows; the guest powers off.
    End,
}

/// How one row ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// Its name.
    pub name: String,
    /// What it found out.
    pub found: Value,
    /// Why it failed; `None` when it did not.
    pub error: Option<String>,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}
