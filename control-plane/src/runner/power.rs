//! Power and boot device, through the BMC.

use std::time::{Duration, Instant};

use bmc::{Bmc, BootDevice, BootMode, Persistence, PowerAction, PowerState};
use serde_json::Value;
use uuid::Uuid;

use super::{Inner, chain, lock, perform::EffectError};
use crate::record::{Agent, Node};

/// Pause between two looks at the power state.
const POWER_POLL: Duration = Duration::from_secs(1);

/// The node's controller.
pub(super) fn bmc_of(node: &Node) -> Result<Bmc, EffectError> {
    let driver = node.text("driver").unwrap_or_default();
    Bmc::for_node(&node.uuid.to_string(), driver, &node.object("driver_info"))
        .map_err(|err| EffectError::BmcConfig { node: node.title(), err })
}

fn bmc_failed(node: &Node) -> impl Fn(bmc::BmcError) -> EffectError {
    let node = node.title();
    move |err| EffectError::Bmc { node: node.clone(), err }
}

/// `power on` or `power off`, as Ironic says it.
fn words(state: PowerState) -> &'static str {
    match state {
        PowerState::On => "power on",
        PowerState::Off => "power off",
    }
}

/// Ask for the power state and keep it.
pub(super) async fn look(inner: &Inner, node: &Node) -> Result<PowerState, EffectError> {
    let state = bmc_of(node)?.power_state().await.map_err(bmc_failed(node))?;
    keep(inner, node.uuid, state).await?;
    Ok(state)
}

async fn keep(inner: &Inner, node: Uuid, state: PowerState) -> Result<(), EffectError> {
    let known = Some(words(state).to_owned());
    let unchanged = inner.store.node(node).await?.is_none_or(|node| node.known.power_state == known);
    if unchanged {
        return Ok(());
    }
    inner
        .change(node, |node| {
            node.known.power_state.clone_from(&known);
            node.known.target_power_state = None;
        })
        .await
}

/// Bring the machine to `wanted` and wait until its BMC says so.
pub(super) async fn bring(inner: &Inner, node: &Node, wanted: PowerState) -> Result<(), EffectError> {
    let bmc = bmc_of(node)?;
    let action = match wanted {
        PowerState::On => PowerAction::On,
        PowerState::Off => PowerAction::ForceOff,
    };
    bmc.set_power(action).await.map_err(bmc_failed(node))?;
    if wait(inner, node, wanted, inner.settings.power_timeout).await? {
        return Ok(());
    }
    Err(EffectError::PowerStuck {
        node: node.title(),
        wanted: words(wanted),
        after: inner.settings.power_timeout,
    })
}

/// Whether the machine reaches `wanted` within `limit`.
pub(super) async fn wait(
    inner: &Inner,
    node: &Node,
    wanted: PowerState,
    limit: Duration,
) -> Result<bool, EffectError> {
    let began = Instant::now();
    let bmc = bmc_of(node)?;
    loop {
        let state = bmc.power_state().await.map_err(bmc_failed(node))?;
        if state == wanted {
            keep(inner, node.uuid, state).await?;
            return Ok(true);
        }
        if began.elapsed() >= limit {
            return Ok(false);
        }
        tokio::time::sleep(POWER_POLL.min(limit)).await;
    }
}

/// Nothing of the last boot's agent is valid any more.
pub(super) async fn forget_agent(inner: &Inner, node: Uuid) -> Result<(), EffectError> {
    lock(&inner.tokens).remove(&node);
    inner.change(node, |node| node.agent = Agent::default()).await
}

/// Power off, and forget the agent.
pub(super) async fn off(inner: &Inner, node: &Node) -> Result<(), EffectError> {
    bring(inner, node, PowerState::Off).await?;
    forget_agent(inner, node.uuid).await
}

/// The firmware a user wants; `None` leaves the machine as it is.
fn wanted_mode(node: &Node) -> Option<BootMode> {
    match node.capability("boot_mode").as_deref() {
        Some("uefi") => Some(BootMode::Uefi),
        Some("bios") => Some(BootMode::Bios),
        Some(_) | None => None,
    }
}

/// Boot the ramdisk from the network, once. The agent is forgotten when the
/// machine is off: no ramdisk runs then that could take the new token. It is
/// forgotten before as well: a last heartbeat of the old one must not be taken
/// for the new one's first, which would end this half done.
pub(super) async fn boot_ramdisk(inner: &Inner, node: &Node) -> Result<(), EffectError> {
    forget_agent(inner, node.uuid).await?;
    off(inner, node).await?;
    inner.change(node.uuid, |node| node.agent.awaited = true).await?;
    let bmc = bmc_of(node)?;
    bmc.set_boot(BootDevice::Pxe, Persistence::Once, wanted_mode(node)).await.map_err(bmc_failed(node))?;
    bring(inner, node, PowerState::On).await
}

/// The disk is what the machine boots from now on.
pub(super) async fn boot_from_disk(node: &Node) -> Result<(), EffectError> {
    let bmc = bmc_of(node)?;
    bmc.set_boot(BootDevice::Disk, Persistence::Continuous, wanted_mode(node)).await.map_err(bmc_failed(node))
}

/// Whether the machine boots by UEFI: as wanted, else as it was inspected, else
/// as its BMC says.
pub(super) async fn is_uefi(inner: &Inner, node: &Node) -> Result<bool, EffectError> {
    if let Some(mode) = wanted_mode(node) {
        return Ok(mode == BootMode::Uefi);
    }
    let found = inner.store.inventory(node.uuid).await?;
    let seen = found
        .as_ref()
        .and_then(|found| found.inventory.pointer("/boot/current_boot_mode"))
        .and_then(Value::as_str);
    if let Some(mode) = seen {
        return Ok(mode == "uefi");
    }
    let mode = bmc_of(node)?.boot_mode().await.map_err(bmc_failed(node))?;
    Ok(mode == Some(BootMode::Uefi))
}

/// What `PUT …/states/power` asks for: accepted by the BMC when this returns.
pub(super) async fn request(
    inner: &Inner,
    uuid: Uuid,
    action: PowerAction,
) -> Result<PowerState, EffectError> {
    let node = inner.node(uuid).await?;
    let wanted = match action {
        PowerAction::On | PowerAction::ForceRestart => PowerState::On,
        PowerAction::ForceOff | PowerAction::GracefulShutdown => PowerState::Off,
    };
    bmc_of(&node)?.set_power(action).await.map_err(bmc_failed(&node))?;
    match action {
        PowerAction::On => {}
        // What runs after this is nobody's ramdisk until one is booted again.
        PowerAction::ForceOff | PowerAction::GracefulShutdown | PowerAction::ForceRestart => {
            forget_agent(inner, uuid).await?;
        }
    }
    inner.change(uuid, |node| node.known.target_power_state = Some(words(wanted).to_owned())).await?;
    Ok(wanted)
}

/// Wait until the BMC says so; if it never does, the node's `last_error` says that.
pub(super) async fn confirm(inner: &Inner, uuid: Uuid, wanted: PowerState) -> Result<(), EffectError> {
    let node = inner.node(uuid).await?;
    let limit = inner.settings.power_timeout;
    let reached = wait(inner, &node, wanted, limit).await;
    let error = match &reached {
        Ok(true) => None,
        Ok(false) => {
            Some(chain(&EffectError::PowerStuck { node: node.title(), wanted: words(wanted), after: limit }))
        }
        Err(error) => Some(chain(error)),
    };
    inner
        .change(uuid, |node| {
            node.known.target_power_state = None;
            if error.is_some() {
                node.known.last_error.clone_from(&error);
            }
        })
        .await
}
