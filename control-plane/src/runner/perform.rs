//! Doing the pending effects of a node, in order.

use std::{sync::Arc, time::Duration};

use uuid::Uuid;

use super::{Inner, Outcome, agent_client::AgentError, clean, deploy, lock, power, proof, transition::chain};
use crate::{
    node::{Effect, Event},
    record::Node,
    store::{Along, ChangeError, StoreError},
};

/// Logs larger than this (base64 characters) are not kept.
const LOGS_LIMIT: usize = 16 << 20;
/// How long an agent that has just inspected may take until its first heartbeat, which follows at once.
const FIRST_CALL_LIMIT: Duration = Duration::from_secs(10);

/// Why an effect was not achieved: what failed, on what, and what to do.
#[derive(Debug, thiserror::Error)]
pub(super) enum EffectError {
    #[error("node {node}: its driver settings are not usable")]
    BmcConfig {
        node: String,
        #[source]
        err: bmc::ConfigError,
    },
    #[error("node {node}: its BMC failed")]
    Bmc {
        node: String,
        #[source]
        err: bmc::BmcError,
    },
    #[error("node {node} did not reach \"{wanted}\" within {after:?}; look at its BMC and try again")]
    PowerStuck { node: String, wanted: &'static str, after: Duration },
    #[error("node {node}: {step} failed on its agent")]
    Agent {
        node: String,
        step: String,
        #[source]
        err: AgentError,
    },
    #[error("node {node}: {step} failed: {details}")]
    Step { node: String, step: String, details: String },
    #[error("node {node}: {what}")]
    Refused { node: String, what: String },
    #[error("node {node} is gone")]
    Gone { node: Uuid },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Inner {
    /// The node, freshly read.
    pub(super) async fn node(&self, uuid: Uuid) -> Result<Node, EffectError> {
        self.store.node(uuid).await?.ok_or(EffectError::Gone { node: uuid })
    }

    /// Change a node without moving it.
    pub(super) async fn change(
        &self,
        uuid: Uuid,
        mut change: impl FnMut(&mut Node),
    ) -> Result<(), EffectError> {
        self.change_along(uuid, |node| {
            change(node);
            Along::default()
        })
        .await
    }

    /// Change a node without moving it, and store what `change` says along with it.
    pub(super) async fn change_along(
        &self,
        uuid: Uuid,
        mut change: impl FnMut(&mut Node) -> Along,
    ) -> Result<(), EffectError> {
        let changed = self.store.change(uuid, |node| {
            let along = change(node);
            Ok::<_, std::convert::Infallible>(((), along))
        });
        match changed.await {
            Ok(()) => Ok(()),
            Err(ChangeError::NoSuchNode { node }) => Err(EffectError::Gone { node }),
            Err(ChangeError::Store(error)) => Err(error.into()),
            Err(ChangeError::Refused(never)) => match never {},
        }
    }
}

/// An event that needs no words.
pub(super) fn event(event: Event) -> Option<Outcome> {
    Some(Outcome { event, words: None })
}

/// Do what is pending for `node`. The first effect that ends in an event ends
/// the list; without one, the end is [`Event::Done`].
pub(super) async fn all(inner: Arc<Inner>, node: Uuid) -> Outcome {
    match in_order(&inner, node).await {
        Ok(outcome) => outcome.unwrap_or(Outcome { event: Event::Done, words: None }),
        Err(error) => Outcome { event: Event::Failed, words: Some(chain(&error)) },
    }
}

async fn in_order(inner: &Inner, node: Uuid) -> Result<Option<Outcome>, EffectError> {
    for (position, effect) in inner.store.pending_effects(node).await? {
        tracing::debug!(%node, ?effect, "begins");
        match one(inner, node, effect).await {
            Ok(None) => inner.store.effect_done(node, position).await?,
            // The row stays until the transition replaces it: a kill right here repeats the effect.
            Ok(outcome) => return Ok(outcome),
            Err(error) if effect.is_best_effort() => {
                tracing::warn!(%node, ?effect, error = chain(&error), "skipped");
                inner.store.effect_done(node, position).await?;
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

async fn one(inner: &Inner, uuid: Uuid, effect: Effect) -> Result<Option<Outcome>, EffectError> {
    let node = inner.node(uuid).await?;
    match effect {
        Effect::VerifyBmc => power::look(inner, &node).await.map(|_| None),
        Effect::BootRamdisk => boot_ramdisk(inner, &node).await,
        Effect::AwaitAgent => await_agent(inner, uuid).await,
        Effect::ReleaseAgent if inner.settings.fast_track => Ok(None),
        Effect::ReleaseAgent | Effect::PowerOff => power::off(inner, &node).await.map(|()| None),
        Effect::FetchCleanSteps => clean::fetch_steps(inner, &node).await,
        Effect::StartCleanStep => clean::start_step(inner, &node).await,
        Effect::WatchStep => super::agent_client::watch(inner, &node).await,
        Effect::JudgeErasure => proof::judge(inner, &node).await,
        Effect::FetchDeploySteps => deploy::fetch_steps(inner, &node).await,
        Effect::StartWriteImage => deploy::start_write(inner, &node).await,
        Effect::PrepareInstanceBoot => deploy::prepare_boot(inner, &node).await.map(|()| None),
        Effect::TearDownAgent => deploy::tear_down(inner, &node).await.map(|()| None),
        Effect::BootInstance => power::bring(inner, &node, bmc::PowerState::On).await.map(|()| None),
        Effect::ForgetInstance => deploy::forget_instance(inner, uuid).await.map(|()| None),
        Effect::CollectLogs => collect_logs(inner, &node).await.map(|()| None),
    }
}

/// With fast track, an agent that called lately is as good as a booted one, and one that has just
/// inspected its machine is about to call.
async fn boot_ramdisk(inner: &Inner, node: &Node) -> Result<Option<Outcome>, EffectError> {
    let serves = node.state.ramdisk() == Some(crate::node::Ramdisk::Serve);
    if inner.settings.fast_track && serves {
        if calls_lately(inner, node) {
            tracing::info!(node = %node.title(), "fast track: the agent is there already");
            return Ok(event(Event::Heartbeat));
        }
        if inspected_lately(node) {
            // Its heartbeat moves the node on, and ends this from outside.
            tokio::time::sleep(FIRST_CALL_LIMIT).await;
        }
    }
    power::boot_ramdisk(inner, node).await?;
    Ok(None)
}

fn inspected_lately(node: &Node) -> bool {
    node.known.inspection_finished_at.is_some_and(|time| time.elapsed() < FIRST_CALL_LIMIT)
}

fn calls_lately(inner: &Inner, node: &Node) -> bool {
    let lately =
        node.agent.last_heartbeat.is_some_and(|time| time.elapsed() < inner.settings.heartbeat_timeout);
    lately && node.agent.url.is_some() && lock(&inner.tokens).contains_key(&node.uuid)
}

/// Sleep until nobody has called for too long. A heartbeat moves the node on
/// and ends this from outside.
async fn await_agent(inner: &Inner, uuid: Uuid) -> Result<Option<Outcome>, EffectError> {
    let limit = inner.settings.callback_timeout;
    loop {
        let node = inner.node(uuid).await?;
        let silent = node.known.provision_updated_at.map_or(limit, crate::clock::Time::elapsed);
        if silent >= limit {
            let words = format!(
                "Timeout reached: the ramdisk of node {} did not call within {} s; look at its serial console, and check that it boots from the network and reaches {}",
                node.title(),
                limit.as_secs(),
                inner.settings.advertise
            );
            return Ok(Some(Outcome { event: Event::TimedOut, words: Some(words) }));
        }
        tokio::time::sleep(limit.saturating_sub(silent)).await;
    }
}

/// Keep the agent's logs, if it is there to be asked.
async fn collect_logs(inner: &Inner, node: &Node) -> Result<(), EffectError> {
    let Some(agent) = inner.agent_now(node)? else { return Ok(()) };
    let params = serde_json::Map::new();
    let result = agent
        .command("log.collect_system_logs", params, true)
        .await
        .map_err(inner.agent_failed(node, "collect_system_logs"))?;
    let logs = result
        .command_result
        .as_ref()
        .and_then(|result| result.get("system_logs"))
        .and_then(|logs| logs.as_str());
    if let Some(logs) = logs.filter(|logs| logs.len() <= LOGS_LIMIT) {
        inner.store.put_agent_logs(node.uuid, logs).await?;
    }
    Ok(())
}
