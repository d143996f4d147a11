//! The table of the node's life.

use super::{Effect, Event, State};

/// What an event means for a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// To another state, with these things to do; what was being done is dropped.
    Go(State, &'static [Effect]),
    /// As it was; what is being done goes on.
    Stay,
}

/// The event makes no sense here, and the node stays as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a node in {:?} takes no {event:?}", state.name())]
pub struct Denied {
    /// Where the node is.
    pub state: State,
    /// What came.
    pub event: Event,
}

const NOTHING: &[Effect] = &[];
const BOOT: &[Effect] = &[Effect::BootRamdisk];
const AWAIT: &[Effect] = &[Effect::AwaitAgent];
const STOP: &[Effect] = &[Effect::PowerOff];
/// After a failure of the agent's work: its logs first, then the power.
const GIVE_UP: &[Effect] = &[Effect::CollectLogs, Effect::PowerOff];

/// The only way from one state to another.
///
/// # Errors
/// [`Denied`] for every pair not listed: the table is closed by default, so a
/// new state or event can do nothing until a line is written for it (and shown
/// in `tests/life_cycle.txt`).
pub fn next(state: State, event: Event) -> Result<Verdict, Denied> {
    use Event as E;
    use State as S;
    use Verdict::{Go, Stay};
    let verdict = match (state, event) {
        // Under management.
        (S::Enroll, E::Manage) => Go(S::Verifying, &[Effect::VerifyBmc]),
        (S::Verifying, E::Done) => Go(S::Manageable, NOTHING),
        (S::Verifying, E::Failed) => Go(S::Enroll, NOTHING),
        (S::Available | S::InspectFailed | S::CleanFailed | S::AdoptFailed, E::Manage) => {
            Go(S::Manageable, NOTHING)
        }
        (S::Manageable | S::AdoptFailed, E::Adopt) => Go(S::Adopting, &[Effect::VerifyBmc]),
        (S::Adopting, E::Done) => Go(S::Active, NOTHING),
        (S::Adopting, E::Failed) => Go(S::AdoptFailed, NOTHING),

        // Inspection. The inventory may come while the boot is still being confirmed.
        (S::Manageable | S::InspectFailed, E::Inspect) => Go(S::InspectBoot, BOOT),
        (S::InspectBoot, E::Done) => Go(S::InspectWait, AWAIT),
        (S::InspectBoot | S::InspectWait, E::Inspected) => Go(S::InspectFinish, &[Effect::ReleaseAgent]),
        (S::InspectBoot | S::InspectWait, E::Failed) => Go(S::InspectFailed, STOP),
        (S::InspectWait, E::TimedOut | E::Abort) => Go(S::InspectFailed, STOP),
        (S::InspectFinish, E::Done) => Go(S::Manageable, NOTHING),
        (S::InspectFinish, E::Failed) => Go(S::InspectFailed, STOP),

        // Cleaning. Available is reached through the proof, and from nowhere else.
        (S::Manageable, E::Provide) => Go(S::CleanBoot, BOOT),
        (S::CleanBoot, E::Done) => Go(S::CleanWaitAgent, AWAIT),
        (S::CleanBoot | S::CleanWaitAgent, E::Heartbeat) => Go(S::CleanSteps, &[Effect::FetchCleanSteps]),
        (S::CleanSteps, E::StepsKnown) | (S::CleanWaitStep, E::StepEnded) => {
            Go(S::CleanStart, &[Effect::StartCleanStep])
        }
        (S::CleanStart, E::StepStarted) => Go(S::CleanWaitStep, &[Effect::WatchStep]),
        (S::CleanStart, E::StepsExhausted) => Go(S::CleanProof, &[Effect::JudgeErasure]),
        (S::CleanProof, E::ErasureProven) => Go(S::CleanFinish, &[Effect::ReleaseAgent]),
        (S::CleanFinish, E::Done) => Go(S::Available, NOTHING),
        (S::CleanWaitAgent, E::TimedOut | E::Abort) | (S::CleanBoot | S::CleanFinish, E::Failed) => {
            Go(S::CleanFailed, STOP)
        }
        (S::CleanSteps | S::CleanStart | S::CleanWaitStep | S::CleanProof, E::Failed)
        | (S::CleanWaitStep, E::Abort) => Go(S::CleanFailed, GIVE_UP),

        // Deployment.
        (S::Available | S::DeployFailed, E::Deploy) | (S::Active | S::DeployFailed, E::Rebuild) => {
            Go(S::DeployBoot, BOOT)
        }
        (S::DeployBoot, E::Done) => Go(S::DeployWaitAgent, AWAIT),
        (S::DeployBoot | S::DeployWaitAgent, E::Heartbeat) => Go(S::DeploySteps, &[Effect::FetchDeploySteps]),
        (S::DeploySteps, E::StepsKnown) => Go(S::DeployStart, &[Effect::StartWriteImage]),
        (S::DeployStart, E::StepStarted) => Go(S::DeployWaitWrite, &[Effect::WatchStep]),
        (S::DeployWaitWrite, E::StepEnded) => {
            Go(S::DeployFinish, &[Effect::PrepareInstanceBoot, Effect::TearDownAgent, Effect::BootInstance])
        }
        (S::DeployFinish, E::Done) => Go(S::Active, NOTHING),
        (S::DeployBoot, E::Failed) | (S::DeployWaitAgent, E::TimedOut | E::Abort) => {
            Go(S::DeployFailed, STOP)
        }
        (S::DeploySteps | S::DeployStart | S::DeployWaitWrite | S::DeployFinish, E::Failed)
        | (S::DeployWaitWrite, E::Abort) => Go(S::DeployFailed, GIVE_UP),

        // Reclaiming.
        (S::Active | S::DeployFailed | S::Error | S::DeployWaitAgent | S::DeployWaitWrite, E::Undeploy) => {
            Go(S::Deleting, &[Effect::PowerOff, Effect::ForgetInstance])
        }
        (S::Deleting, E::Done) => Go(S::CleanBoot, BOOT),
        (S::Deleting, E::Failed) => Go(S::Error, NOTHING),

        // A heartbeat is always recorded and, elsewhere, changes nothing. A
        // stop after a failure ends one way or the other; the failure stays.
        (_, E::Heartbeat) => Stay,
        (S::InspectFailed | S::CleanFailed | S::DeployFailed, E::Done | E::Failed) => Stay,
        _ => return Err(Denied { state, event }),
    };
    Ok(verdict)
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, fmt::Write as _};

    use super::*;

    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/life_cycle.txt");

    fn goes() -> Vec<(State, Event, State, &'static [Effect])> {
        let mut all = Vec::new();
        for state in State::ALL {
            for event in Event::ALL {
                if let Ok(Verdict::Go(to, effects)) = next(state, event) {
                    all.push((state, event, to, effects));
                }
            }
        }
        all
    }

    /// The table a reviewer reads: a changed transition is a changed line.
    /// `BLESS=1` writes it anew.
    #[test]
    fn the_whole_life_cycle() {
        let mut table = String::new();
        for (state, event, to, effects) in goes() {
            writeln!(table, "{state:?} + {event:?} -> {to:?} {effects:?}").expect("strings take text");
        }
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(GOLDEN, &table).expect("the golden file is writable");
        }
        assert_eq!(table, std::fs::read_to_string(GOLDEN).expect("the golden file is there"));
    }

    /// Take the one edge away that stands for proof, and nothing leads to `Available`.
    #[test]
    fn no_path_leads_to_available_without_proven_erasure() {
        let mut reached: BTreeSet<&str> =
            State::ALL.iter().filter(|state| **state != State::Available).map(|state| state.name()).collect();
        // `CleanFinish` lives behind the proof; start everywhere else.
        reached.remove(State::CleanFinish.name());
        loop {
            let before = reached.len();
            for (from, event, to, _) in goes() {
                if reached.contains(from.name()) && event != Event::ErasureProven {
                    reached.insert(to.name());
                }
            }
            if reached.len() == before {
                break;
            }
        }
        assert!(!reached.contains(State::Available.name()), "a dirty node is free");
        for (from, event, to, _) in goes() {
            assert_eq!(event == Event::ErasureProven, to == State::CleanFinish, "{from:?} + {event:?}");
        }
    }

    #[test]
    fn the_proof_is_made_by_judging_and_by_nothing_else() {
        for (_, _, to, effects) in goes() {
            assert_eq!(to == State::CleanProof, effects.contains(&Effect::JudgeErasure), "{to:?}");
        }
    }

    /// A busy node has something to do, so it moves on by itself; a node at
    /// rest takes some verb.
    #[test]
    fn no_node_is_lost() {
        let verbs = [Event::Manage, Event::Inspect, Event::Provide, Event::Deploy, Event::Undeploy];
        for (from, event, to, effects) in goes() {
            assert!(!to.is_busy() || !effects.is_empty(), "{from:?} + {event:?} stops in {to:?}");
        }
        for state in State::ALL {
            let busy = state.is_busy();
            let ends = [Event::Failed, Event::TimedOut].iter().any(|event| next(state, *event).is_ok());
            assert!(!busy || ends, "{state:?} cannot fail");
            assert!(busy || verbs.iter().any(|verb| next(state, *verb).is_ok()), "{state:?} is a dead end");
        }
    }

    /// No two operations on one node: a busy node takes no verb but those that stop it.
    #[test]
    fn a_busy_node_takes_no_second_operation() {
        for (from, event, to, _) in goes() {
            let starts = matches!(
                event,
                Event::Manage
                    | Event::Inspect
                    | Event::Provide
                    | Event::Adopt
                    | Event::Deploy
                    | Event::Rebuild
            );
            assert!(!(from.is_busy() && starts), "{from:?} + {event:?} -> {to:?}");
        }
    }

    #[test]
    fn a_heartbeat_is_never_denied() {
        for state in State::ALL {
            assert!(next(state, Event::Heartbeat).is_ok(), "{state:?}");
        }
    }

    #[test]
    fn stored_effects_are_found_again() {
        for effect in Effect::ALL {
            assert_eq!(Effect::of_name(&effect.name()), Some(effect));
        }
    }
}
