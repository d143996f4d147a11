//! One event, taken in: the table's verdict and the bookkeeping around it.

use uuid::Uuid;

use super::{HandleError, Inner, proof};
use crate::{
    clock::Time,
    node::{Denied, Event, State, Verdict, next},
    record::{Agent, EraseJournal, Node, Operation},
    store::{Along, Moment},
};

/// The longest `last_error` kept, in characters.
const WORDS_LIMIT: usize = 4000;

/// `error` and everything below it, as one sentence.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        source = error.source();
    }
    text
}

/// Ask the table, keep the books, store everything in one transaction.
pub(super) async fn handle(
    inner: &Inner,
    uuid: Uuid,
    event: Event,
    words: Option<String>,
) -> Result<Verdict, HandleError> {
    let words = words.map(|words| words.chars().take(WORDS_LIMIT).collect::<String>());
    let (from, verdict, title) = inner
        .store
        .change(uuid, |node| {
            let from = node.state;
            let verdict = next(from, event)?;
            let along = match verdict {
                Verdict::Stay => Along::default(),
                Verdict::Go(to, effects) => {
                    let moment = enter(node, event, to, words.as_deref(), inner.settings.fast_track);
                    let said = node.known.last_error.as_deref().unwrap_or_default();
                    let nothing = proof::came_to_nothing(node, from, event, said);
                    Along {
                        effects: Some(effects),
                        moment: Some(moment),
                        erasures: nothing.into_iter().collect(),
                    }
                }
            };
            Ok::<_, Denied>(((from, verdict, node.title()), along))
        })
        .await?;
    if let Verdict::Go(to, _) = verdict {
        tracing::info!(node = %title, ?event, from = from.name(), to = to.name(), words = words.as_deref(), "transition");
        inner.metrics.transition(from.name(), to.name());
    }
    Ok(verdict)
}

/// Bring `node` into `to` and say so.
fn enter(node: &mut Node, event: Event, to: State, words: Option<&str>, fast_track: bool) -> Moment {
    let from = node.state;
    node.state = to;
    node.known.provision_updated_at = Some(Time::now());
    match event {
        Event::Manage
        | Event::Inspect
        | Event::Provide
        | Event::Adopt
        | Event::Deploy
        | Event::Rebuild
        | Event::Undeploy => node.known.last_error = None,
        Event::Abort => {
            node.known.last_error = Some(format!(
                "The operation was aborted by a user in state \"{}\"; start it again, or manage the node.",
                from.provision_state()
            ));
        }
        Event::Failed | Event::TimedOut => {
            let reason = words.unwrap_or("no reason was given; see the log of billetd");
            node.known.last_error = Some(reason.to_owned());
        }
        Event::Heartbeat
        | Event::Inspected
        | Event::Done
        | Event::StepsKnown
        | Event::StepStarted
        | Event::StepEnded
        | Event::StepsExhausted
        | Event::ErasureProven => {}
    }
    begin_operation(node, to, fast_track);
    keep_journal(node, from, to);
    moment(node, from, event, words)
}

fn begin_operation(node: &mut Node, to: State, fast_track: bool) {
    if matches!(to, State::InspectBoot | State::CleanBoot | State::DeployBoot) {
        node.operation = Operation::begin();
        // In the same transaction, or a heartbeat of the last boot's agent would
        // be taken for the first one of the agent that is about to be booted.
        if to == State::InspectBoot || !fast_track {
            node.agent = Agent::default();
        }
    }
    if to == State::InspectBoot {
        node.known.inspection_started_at = Some(Time::now());
        node.known.inspection_finished_at = None;
    }
    if to == State::InspectFinish {
        node.known.inspection_finished_at = Some(Time::now());
    }
}

/// A cleaning that failed may be begun again and go on, as long as nobody but the
/// ramdisk was on the machine. A tenant who left was on it.
fn keep_journal(node: &mut Node, from: State, to: State) {
    match to {
        State::CleanBoot => {
            let kept = node.erase_journal.take().filter(|_| from != State::Deleting);
            node.erase_journal = kept.or_else(|| EraseJournal::random().ok());
        }
        State::CleanWaitAgent
        | State::CleanSteps
        | State::CleanStart
        | State::CleanWaitStep
        | State::CleanProof
        | State::CleanFailed
        | State::Manageable
        | State::InspectBoot
        | State::InspectWait
        | State::InspectFinish
        | State::InspectFailed => {}
        State::Enroll
        | State::Verifying
        | State::Adopting
        | State::AdoptFailed
        | State::CleanFinish
        | State::Available
        | State::DeployBoot
        | State::DeployWaitAgent
        | State::DeploySteps
        | State::DeployStart
        | State::DeployWaitWrite
        | State::DeployFinish
        | State::DeployFailed
        | State::Active
        | State::Deleting
        | State::Error => node.erase_journal = None,
    }
}

fn moment(node: &Node, from: State, event: Event, words: Option<&str>) -> Moment {
    let failed = matches!(event, Event::Failed | Event::TimedOut | Event::Abort);
    let what = format!("{} -> {} ({event:?})", from.name(), node.state.name());
    let words = if event == Event::Abort { node.known.last_error.as_deref() } else { words };
    Moment {
        uuid: Uuid::new_v4(),
        node_uuid: node.uuid,
        created_at: Time::now().to_string(),
        event: words.map_or(what.clone(), |words| format!("{what}: {words}")),
        event_type: "provisioning".to_owned(),
        severity: if failed { "ERROR" } else { "INFO" },
    }
}
