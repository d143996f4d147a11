//! Saying "I am here", forever: the conductor acts on heartbeats, so one
//! follows promptly when a command ends, and none is ever the last.

use std::{sync::Arc, time::Duration};

use tokio::{sync::watch, time::Instant};
use wire::ironic::{Heartbeat, Microversion};

use crate::{
    command::{Board, chain},
    config::Pace,
    ironic::{Ironic, STATUS_VERSION},
    lookup::longer,
};

/// How many heartbeats in a row are sent early for one unread result; after
/// them the usual interval goes on.
const MAX_FORCED: u32 = 60;

/// The most that a heartbeat says of the running command, in characters.
const LONGEST_MESSAGE: usize = 500;

/// How long the last word may take: the machine restarts after it.
const LAST_WORD: Duration = Duration::from_secs(10);

/// What beats.
pub(crate) struct Heart {
    /// Where to.
    pub(crate) ironic: Arc<Ironic>,
    /// What the control plane speaks.
    pub(crate) version: Microversion,
    /// For whom.
    pub(crate) node: String,
    /// What is sent.
    pub(crate) beat: Heartbeat,
    /// The time after which a silent agent is missed.
    pub(crate) timeout: Duration,
    /// How long things wait.
    pub(crate) pace: Pace,
}

/// Beat until the process ends.
pub(crate) async fn run<M: Send + 'static>(heart: Heart, board: Arc<Board<M>>) {
    let mut changes = board.changes();
    let (mut failures, mut forced) = (0_u32, 0);
    loop {
        let beat = heart.beat_now(board.doing());
        match heart.ironic.heartbeat(heart.version, &heart.node, &beat).await {
            Ok(()) => {
                if failures > 0 {
                    tracing::info!(failures, "heartbeats are accepted again");
                }
                failures = 0;
            }
            Err(err) => {
                failures = failures.saturating_add(1);
                tracing::warn!(failures, "heartbeat failed: {}", chain(&err));
            }
        }
        forced = if board.unread() { forced + 1 } else { 0 };
        let due = Instant::now() + heart.pause(failures, forced);
        if rest(due, &mut changes, &board).await == Rest::Interrupted {
            forced = 0;
        }
    }
}

/// Say once why this agent ends, if the control plane still hears it.
pub(crate) async fn last(ironic: &Ironic, version: Microversion, node: &str, mut beat: Heartbeat, why: &str) {
    beat.agent_status = Some("error".to_owned());
    beat.agent_status_message = Some(why.to_owned());
    match tokio::time::timeout(LAST_WORD, ironic.heartbeat(version, node, &beat)).await {
        Ok(Ok(())) => tracing::info!("the control plane knows why this agent ends"),
        Ok(Err(err)) => {
            tracing::warn!("the control plane does not hear why this agent ends: {}", chain(&err))
        }
        Err(_) => tracing::warn!("the control plane does not answer while this agent ends"),
    }
}

#[derive(PartialEq, Eq)]
enum Rest {
    Full,
    Interrupted,
}

/// Wait until `due`, or until a command has left a result to read.
async fn rest<M>(due: Instant, changes: &mut watch::Receiver<u64>, board: &Board<M>) -> Rest {
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(due) => return Rest::Full,
            _ = changes.changed() => if board.unread() { return Rest::Interrupted },
        }
    }
}

impl Heart {
    /// With what the running command is doing, for a control plane that can hear it.
    fn beat_now(&self, doing: Option<String>) -> Heartbeat {
        let told = doing.filter(|_| self.version >= STATUS_VERSION);
        let message = told.map(|text| text.chars().take(LONGEST_MESSAGE).collect());
        Heartbeat { agent_status_message: message, ..self.beat.clone() }
    }

    /// Until the next beat, if nothing happens.
    fn pause(&self, failures: u32, forced: u32) -> Duration {
        if failures > 0 {
            let mut pause = self.pace.heartbeat_retry;
            for _ in 1..failures.min(MAX_FORCED) {
                pause = longer(pause, self.pace.retry_max);
            }
            return spread(pause, 1.0, 1.5);
        }
        let usual = spread(self.timeout, 0.3, 0.6);
        if forced > 0 && forced <= MAX_FORCED { self.pace.forced_gap.min(usual) } else { usual }
    }
}

/// A random time between `from` and `to` times `base`, so that a rack of
/// machines does not beat in step.
fn spread(base: Duration, from: f64, to: f64) -> Duration {
    let random = getrandom::u32().unwrap_or(0);
    base.mul_f64(from + (to - from) * f64::from(random) / f64::from(u32::MAX))
}
