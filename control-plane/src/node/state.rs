//! Where a node is in its life.

use serde::{Deserialize, Serialize};

/// Where a node is in its life. Stored by [`name`](State::name); Ironic's word
/// for it is [`provision_state`](State::provision_state), which is coarser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum State {
    /// Made known; nothing about it is proven.
    Enroll,
    /// Its BMC is being tried.
    Verifying,
    /// Its BMC works; nobody says what is on its disks.
    Manageable,
    /// Its BMC is being tried before it is taken over as it runs.
    Adopting,
    /// It could not be taken over.
    AdoptFailed,
    /// The ramdisk is being booted to inspect it.
    InspectBoot,
    /// The ramdisk was booted; its inventory is awaited.
    InspectWait,
    /// The inventory is stored; the machine is being stopped.
    InspectFinish,
    /// It could not be inspected.
    InspectFailed,
    /// The ramdisk is being booted to clean it.
    CleanBoot,
    /// The ramdisk was booted; its first heartbeat is awaited.
    CleanWaitAgent,
    /// The agent is asked for its clean steps.
    CleanSteps,
    /// The next clean step is being started.
    CleanStart,
    /// A clean step runs.
    CleanWaitStep,
    /// All steps ended; the evidence of every disk is being judged.
    CleanProof,
    /// Every disk is proven erased; the machine is being stopped.
    CleanFinish,
    /// It could not be cleaned, or not provably.
    CleanFailed,
    /// Proven clean and nobody's.
    Available,
    /// The ramdisk is being booted to deploy it.
    DeployBoot,
    /// The ramdisk was booted; its first heartbeat is awaited.
    DeployWaitAgent,
    /// The agent is asked for its deploy steps.
    DeploySteps,
    /// The image is about to be written.
    DeployStart,
    /// The image is being written.
    DeployWaitWrite,
    /// The image is written; the machine is being made to boot it.
    DeployFinish,
    /// It could not be deployed.
    DeployFailed,
    /// The tenant's.
    Active,
    /// The tenant left; the machine is being stopped.
    Deleting,
    /// The tenant left and the machine could not be stopped.
    Error,
}

impl State {
    /// Every state, for tables.
    pub const ALL: [State; 28] = [
        Self::Enroll,
        Self::Verifying,
        Self::Manageable,
        Self::Adopting,
        Self::AdoptFailed,
        Self::InspectBoot,
        Self::InspectWait,
        Self::InspectFinish,
        Self::InspectFailed,
        Self::CleanBoot,
        Self::CleanWaitAgent,
        Self::CleanSteps,
        Self::CleanStart,
        Self::CleanWaitStep,
        Self::CleanProof,
        Self::CleanFinish,
        Self::CleanFailed,
        Self::Available,
        Self::DeployBoot,
        Self::DeployWaitAgent,
        Self::DeploySteps,
        Self::DeployStart,
        Self::DeployWaitWrite,
        Self::DeployFinish,
        Self::DeployFailed,
        Self::Active,
        Self::Deleting,
        Self::Error,
    ];

    /// Stored name, Ironic's word, and what it is on the way to.
    const fn row(self) -> (&'static str, &'static str, Option<&'static str>) {
        match self {
            Self::Enroll => ("enroll", "enroll", None),
            Self::Verifying => ("verifying", "verifying", Some("manageable")),
            Self::Manageable => ("manageable", "manageable", None),
            Self::Adopting => ("adopting", "adopting", Some("active")),
            Self::AdoptFailed => ("adopt failed", "adopt failed", Some("active")),
            Self::InspectBoot => ("inspecting: boot", "inspecting", Some("manageable")),
            Self::InspectWait => ("inspect wait", "inspect wait", Some("manageable")),
            Self::InspectFinish => ("inspecting: finish", "inspecting", Some("manageable")),
            Self::InspectFailed => ("inspect failed", "inspect failed", Some("manageable")),
            Self::CleanBoot => ("cleaning: boot", "cleaning", Some("available")),
            Self::CleanWaitAgent => ("clean wait: agent", "clean wait", Some("available")),
            Self::CleanSteps => ("cleaning: steps", "cleaning", Some("available")),
            Self::CleanStart => ("cleaning: start", "cleaning", Some("available")),
            Self::CleanWaitStep => ("clean wait: step", "clean wait", Some("available")),
            Self::CleanProof => ("cleaning: proof", "cleaning", Some("available")),
            Self::CleanFinish => ("cleaning: finish", "cleaning", Some("available")),
            Self::CleanFailed => ("clean failed", "clean failed", Some("available")),
            Self::Available => ("available", "available", None),
            Self::DeployBoot => ("deploying: boot", "deploying", Some("active")),
            Self::DeployWaitAgent => ("wait call-back: agent", "wait call-back", Some("active")),
            Self::DeploySteps => ("deploying: steps", "deploying", Some("active")),
            Self::DeployStart => ("deploying: start", "deploying", Some("active")),
            Self::DeployWaitWrite => ("wait call-back: write", "wait call-back", Some("active")),
            Self::DeployFinish => ("deploying: finish", "deploying", Some("active")),
            Self::DeployFailed => ("deploy failed", "deploy failed", Some("active")),
            Self::Active => ("active", "active", None),
            Self::Deleting => ("deleting", "deleting", Some("available")),
            Self::Error => ("error", "error", Some("available")),
        }
    }

    /// The stored name; unique.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.row().0
    }

    /// Ironic's `provision_state`.
    #[must_use]
    pub const fn provision_state(self) -> &'static str {
        self.row().1
    }

    /// Ironic's `target_provision_state`: null when the node is at rest.
    #[must_use]
    pub const fn target(self) -> Option<&'static str> {
        self.row().2
    }

    /// The state of a stored name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<State> {
        Self::ALL.into_iter().find(|state| state.name() == name)
    }

    /// Whether something is going on: no other change is welcome meanwhile.
    #[must_use]
    pub const fn is_busy(self) -> bool {
        match self {
            Self::Verifying
            | Self::Adopting
            | Self::InspectBoot
            | Self::InspectWait
            | Self::InspectFinish
            | Self::CleanBoot
            | Self::CleanWaitAgent
            | Self::CleanSteps
            | Self::CleanStart
            | Self::CleanWaitStep
            | Self::CleanProof
            | Self::CleanFinish
            | Self::DeployBoot
            | Self::DeployWaitAgent
            | Self::DeploySteps
            | Self::DeployStart
            | Self::DeployWaitWrite
            | Self::DeployFinish
            | Self::Deleting => true,
            Self::Enroll
            | Self::Manageable
            | Self::AdoptFailed
            | Self::InspectFailed
            | Self::CleanFailed
            | Self::Available
            | Self::DeployFailed
            | Self::Active
            | Self::Error => false,
        }
    }

    /// What the ramdisk is for in this state. `None`: it has no business here.
    #[must_use]
    pub const fn ramdisk(self) -> Option<Ramdisk> {
        match self {
            Self::InspectBoot | Self::InspectWait => Some(Ramdisk::Inspect),
            Self::CleanBoot
            | Self::CleanWaitAgent
            | Self::CleanSteps
            | Self::CleanStart
            | Self::CleanWaitStep
            | Self::CleanProof
            | Self::DeployBoot
            | Self::DeployWaitAgent
            | Self::DeploySteps
            | Self::DeployStart
            | Self::DeployWaitWrite => Some(Ramdisk::Serve),
            Self::Enroll
            | Self::Verifying
            | Self::Manageable
            | Self::Adopting
            | Self::AdoptFailed
            | Self::InspectFinish
            | Self::InspectFailed
            | Self::CleanFinish
            | Self::CleanFailed
            | Self::Available
            | Self::DeployFinish
            | Self::DeployFailed
            | Self::Active
            | Self::Deleting
            | Self::Error => None,
        }
    }
}

/// The store holds a state this program does not know.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not a state of a node; was the database written by a newer billetd?")]
pub struct UnknownState {
    /// What is stored.
    pub name: String,
}

impl TryFrom<String> for State {
    type Error = UnknownState;

    fn try_from(name: String) -> Result<Self, UnknownState> {
        Self::of_name(&name).ok_or(UnknownState { name })
    }
}

impl From<State> for String {
    fn from(state: State) -> String {
        state.name().to_owned()
    }
}

/// What a booted ramdisk has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ramdisk {
    /// Send its inventory.
    Inspect,
    /// Look up its node and take commands.
    Serve,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_names_are_unique_and_found_again() {
        for state in State::ALL {
            assert_eq!(State::of_name(state.name()), Some(state));
        }
        assert_eq!(State::of_name("dancing"), None);
    }
}
