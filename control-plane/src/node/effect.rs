//! What is to be done to the world. Every effect can be done twice.

/// Something to do. Stored with the state it belongs to, done in order
/// afterwards, and done again from the first unfinished one after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// Ask the BMC for the power state.
    VerifyBmc,
    /// Forget the last agent, then boot the ramdisk once (or find it running).
    BootRamdisk,
    /// Wait until somebody calls; too late is [`Event::TimedOut`](super::Event::TimedOut).
    AwaitAgent,
    /// Power off and forget the agent; with fast track, leave it running.
    ReleaseAgent,
    /// Power off and forget the agent.
    PowerOff,
    /// Ask the agent for its clean steps and keep those of the policy.
    FetchCleanSteps,
    /// Start the next clean step.
    StartCleanStep,
    /// Poll the running command until it ends.
    WatchStep,
    /// Judge the evidence of every disk.
    JudgeErasure,
    /// Ask the agent for its deploy steps.
    FetchDeploySteps,
    /// Start writing the image.
    StartWriteImage,
    /// Boot loader, and the disk as boot device.
    PrepareInstanceBoot,
    /// Have the agent power off; if it does not, cut the power.
    TearDownAgent,
    /// Power on.
    BootInstance,
    /// Forget the tenant: instance, image and config drive.
    ForgetInstance,
    /// Keep the agent's logs for people.
    CollectLogs,
}

impl Effect {
    /// Every effect, for tables.
    pub const ALL: [Effect; 16] = [
        Self::VerifyBmc,
        Self::BootRamdisk,
        Self::AwaitAgent,
        Self::ReleaseAgent,
        Self::PowerOff,
        Self::FetchCleanSteps,
        Self::StartCleanStep,
        Self::WatchStep,
        Self::JudgeErasure,
        Self::FetchDeploySteps,
        Self::StartWriteImage,
        Self::PrepareInstanceBoot,
        Self::TearDownAgent,
        Self::BootInstance,
        Self::ForgetInstance,
        Self::CollectLogs,
    ];

    /// The stored name.
    #[must_use]
    pub fn name(self) -> String {
        format!("{self:?}")
    }

    /// The effect of a stored name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Effect> {
        Self::ALL.into_iter().find(|effect| effect.name() == name)
    }

    /// Whether the operation goes on when this one fails.
    #[must_use]
    pub const fn is_best_effort(self) -> bool {
        match self {
            Self::CollectLogs => true,
            Self::VerifyBmc
            | Self::BootRamdisk
            | Self::AwaitAgent
            | Self::ReleaseAgent
            | Self::PowerOff
            | Self::FetchCleanSteps
            | Self::StartCleanStep
            | Self::WatchStep
            | Self::JudgeErasure
            | Self::FetchDeploySteps
            | Self::StartWriteImage
            | Self::PrepareInstanceBoot
            | Self::TearDownAgent
            | Self::BootInstance
            | Self::ForgetInstance => false,
        }
    }
}
