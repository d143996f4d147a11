//! Commands: admitted one at a time, run on one thread, remembered.
//!
//! ```text
//! HTTP ─▶ wire::CommandRequest ─▶ table row ─▶ Queue.admit ─▶ worker ─▶ Ended
//!                                    │ 404/400      │ 409       └▶ Board.changed ─▶ waiters, heartbeat
//! ```

mod board;
mod failure;
mod queue;
mod reporter;
mod worker;

pub(crate) use board::{Board, Job, Refused};
pub(crate) use failure::{Failure, chain};
pub(crate) use queue::{Ended, Queue};
pub(crate) use reporter::Reporter;
pub(crate) use worker::start;

use serde_json::{Map, Value};

/// Arguments of a command, by name.
pub(crate) type Params = Map<String, Value>;

/// Whether the caller waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Answered when done, whatever the caller asked for.
    Sync,
    /// Answered at once as RUNNING, unless the caller asked to wait.
    Async,
}

/// What a command returns when it ends well.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Outcome {
    /// null.
    Nothing,
    /// A sentence; it travels as `{"result": …}`.
    Text(String),
    /// Itself.
    Data(Value),
    /// The conductor's step list is stale: it must ask again.
    VersionMismatch,
}

/// One command: a row of the table in [`crate::steps`].
pub(crate) struct Command<M: 'static> {
    /// Before the dot.
    pub(crate) extension: &'static str,
    /// After the dot.
    pub(crate) name: &'static str,
    /// Whether the caller waits.
    pub(crate) mode: Mode,
    /// Refuses parameters before anything runs.
    pub(crate) validate: fn(&Params) -> Result<(), Failure>,
    /// Does it.
    pub(crate) run: fn(&mut M, &Params, &Reporter) -> Result<Outcome, Failure>,
}

/// Accept any parameters.
pub(crate) fn anything(_: &Params) -> Result<(), Failure> {
    Ok(())
}
