//! Finding out which node this machine is.

use std::time::Duration;

use model::{Mac, Secret};
use wire::ironic::{LookupResponse, MASKED, Microversion};

use crate::{
    command::chain,
    config::Pace,
    ironic::{CallError, Ironic},
};

/// The shortest token taken; Ironic's are 43 characters.
const MIN_TOKEN: usize = 32;

/// What this machine says it is.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// All its addresses.
    pub(crate) macs: Vec<Mac>,
    /// For the person at the console.
    pub(crate) serial: Option<String>,
    /// What an inspection was told.
    pub(crate) node: Option<String>,
}

/// What the lookup gave.
pub(crate) struct Found {
    /// The node and how to behave.
    pub(crate) response: LookupResponse,
    /// The token to use from now on.
    pub(crate) token: Option<Secret>,
    /// What the control plane speaks.
    pub(crate) version: Microversion,
}

/// Why the agent must not go on.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum LookupError {
    /// The token was handed to another agent with this machine's addresses.
    #[error(
        "the token of node {node} was handed out before and this agent does not have it: either another \
         machine answers for {macs}, or this agent was started twice in one boot; power-cycle the node"
    )]
    TokenTaken {
        /// The node.
        node: String,
        /// Our addresses.
        macs: String,
    },
}

/// Ask until the control plane knows this machine. Never gives up: a machine
/// that nobody expects may be enrolled later.
///
/// # Errors
/// [`LookupError::TokenTaken`].
pub(crate) async fn lookup(
    ironic: &Ironic,
    identity: &Identity,
    own: Option<&Secret>,
    fixed: Option<Microversion>,
    pace: &Pace,
) -> Result<Found, LookupError> {
    let mut pause = pace.retry_min;
    loop {
        match try_once(ironic, identity, fixed).await {
            Ok((version, response)) => {
                let token = token(&response, own, identity)?;
                return Ok(Found { response, token, version });
            }
            Err(err) => {
                tell(identity, &err, pause);
                tokio::time::sleep(pause).await;
                pause = longer(pause, pace.retry_max);
            }
        }
    }
}

async fn try_once(
    ironic: &Ironic,
    identity: &Identity,
    fixed: Option<Microversion>,
) -> Result<(Microversion, LookupResponse), CallError> {
    let version = match fixed {
        Some(version) => version,
        None => ironic.version().await?,
    };
    let response = ironic.lookup(version, &identity.macs, identity.node.as_deref()).await?;
    Ok((version, response))
}

/// Half as long again, up to `limit`.
pub(crate) fn longer(pause: Duration, limit: Duration) -> Duration {
    (pause * 3 / 2).min(limit)
}

fn tell(identity: &Identity, err: &CallError, pause: Duration) {
    let me = identity.to_string();
    let again_s = pause.as_secs_f32();
    if matches!(err, CallError::Refused { status, .. } if status.as_u16() == 404) {
        tracing::warn!(
            "the control plane does not expect this machine ({me}): enroll a node with one of these \
             addresses, or set it going; asking again in {again_s:.1} s"
        );
    } else {
        tracing::warn!("lookup of {me} failed: {}; again in {again_s:.1} s", chain(err));
    }
}

impl std::fmt::Display for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&addresses(&self.macs))?;
        match &self.serial {
            Some(serial) => write!(f, ", serial number {serial}"),
            None => Ok(()),
        }
    }
}

fn addresses(macs: &[Mac]) -> String {
    if macs.is_empty() {
        return "no network card".to_owned();
    }
    macs.iter().map(Mac::to_string).collect::<Vec<_>>().join(", ")
}

/// Told tokens win; a masked one is fine when we have our own.
fn token(
    response: &LookupResponse,
    own: Option<&Secret>,
    identity: &Identity,
) -> Result<Option<Secret>, LookupError> {
    match &response.config.agent_token {
        Some(told) if told.expose().len() >= MIN_TOKEN => Ok(Some(told.clone())),
        Some(told) if told.expose() == MASKED && own.is_none() => {
            Err(LookupError::TokenTaken { node: response.node.uuid.clone(), macs: addresses(&identity.macs) })
        }
        Some(_) | None => Ok(own.cloned()),
    }
}
