//! Inspection: post what the machine is made of.

use std::time::Duration;

use model::{hints, inventory::Inventory};
use wire::ipa::{Collection, Configuration, Inspection, Manager};

use crate::{
    command::chain,
    config::{self, Pace},
    ironic::{CallError, Ironic},
    lookup::longer,
    steps::MANAGER_VERSION,
};

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
    let body = serde_json::to_vec(&report(config, inventory, logs)).map_err(InspectionError::Encode)?;
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

/// The body: flat, one key a collector.
fn report(config: &config::Inspection, inventory: &Inventory, logs: Option<String>) -> Inspection {
    let mut errors = Vec::new();
    let mut collectors = Vec::new();
    for name in &config.collectors {
        match name.as_str() {
            "default" | "logs" => collectors.push(name.clone()),
            other => errors.push(format!("* collector {other} is not known to this agent")),
        }
    }
    let ironic = wire::ipa::Inventory::from(inventory);
    let root = hints::choose(&inventory.disks, None).ok();
    let root_disk = root.and_then(|root| ironic.disks.iter().find(|disk| disk.name == root.path()).cloned());
    for error in &errors {
        tracing::warn!("{error}");
    }
    Inspection {
        inventory: ironic,
        root_disk,
        boot_interface: inventory.boot.interface.clone(),
        configuration: Configuration {
            collectors,
            managers: vec![Manager {
                name: MANAGER_VERSION.0.to_owned(),
                version: MANAGER_VERSION.1.to_owned(),
            }],
        },
        error: None,
        collected: Collection { logs: logs.filter(|_| config.collectors.iter().any(|name| name == "logs")) },
    }
}
