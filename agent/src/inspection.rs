//! Inspection: look at the machine, post what it is made of.

mod collectors;
mod look;

use std::time::Duration;

use model::inventory::Inventory;

use crate::{
    command::chain,
    config::{self, Pace},
    ironic::{CallError, Ironic},
    lookup::longer,
};

use collectors::{Found, report};

pub(crate) use collectors::whole;
pub(crate) use look::look;

/// How often a post that may succeed later is tried, as Ironic's agent does.
const ATTEMPTS: u32 = 5;

/// Why the inspection told nobody anything.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InspectionError {
    /// The body cannot be made.
    #[error("the inventory cannot be written as JSON")]
    Encode(#[source] serde_json::Error),
    /// Nobody took it.
    #[error("nobody takes the inspection of this machine; is its node waiting for one?")]
    Post(#[source] CallError),
}

/// Post `inventory`, and logs if they are asked for; the node's UUID comes back.
///
/// # Errors
/// [`InspectionError`]; the agent goes on without.
pub(crate) async fn inspect(
    ironic: &Ironic,
    config: &config::Inspection,
    inventory: &Inventory,
    logs: Option<String>,
    pace: &Pace,
) -> Result<String, InspectionError> {
    let body = report(&config.collectors, &Found { inventory, logs });
    let body = serde_json::to_vec(&body).map_err(InspectionError::Encode)?;
    let mut pause = pace.heartbeat_retry;
    for attempt in 1..=ATTEMPTS {
        match ironic.inspected(&config.urls, &body).await {
            Ok(uuid) => return Ok(uuid),
            Err(err) if attempt == ATTEMPTS || !may_pass(&err) => return Err(InspectionError::Post(err)),
            Err(err) => {
                tracing::warn!(attempt, "inspection not taken: {}; trying again", chain(&err));
                tokio::time::sleep(pause).await;
                pause = longer(pause, pace.retry_max.max(Duration::from_millis(1)));
            }
        }
    }
    unreachable_attempts()
}

/// The loop above returns in its last round.
fn unreachable_attempts() -> Result<String, InspectionError> {
    Err(InspectionError::Post(CallError::Nonsense {
        url: "nobody".to_owned(),
        flaw: "no attempt was made".to_owned(),
        text: String::new(),
    }))
}

/// Locked nodes and broken servers heal; refusals do not.
fn may_pass(err: &CallError) -> bool {
    match err {
        CallError::Unreachable { .. } => true,
        CallError::Refused { status, .. } => status.is_server_error() || status.as_u16() == 409,
        CallError::Nonsense { .. } => false,
    }
}
