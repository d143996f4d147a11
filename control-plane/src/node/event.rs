//! What happens to a node.

/// Something that happened. The words that explain a failure travel beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// A user wants it under management (also: out of a failure).
    Manage,
    /// A user wants it inspected.
    Inspect,
    /// A user wants it made available.
    Provide,
    /// A user wants it taken over as it runs.
    Adopt,
    /// A user wants an image on it.
    Deploy,
    /// A user wants an image on it again.
    Rebuild,
    /// A user gives it back.
    Undeploy,
    /// A user wants the current operation stopped.
    Abort,
    /// Its agent called.
    Heartbeat,
    /// Its ramdisk sent an inventory, which is stored.
    Inspected,
    /// The effects of the last transition are done.
    Done,
    /// An effect, a step or the ramdisk failed.
    Failed,
    /// Nobody called in time.
    TimedOut,
    /// The agent said which steps it has.
    StepsKnown,
    /// The agent runs the step.
    StepStarted,
    /// The step succeeded.
    StepEnded,
    /// There is no further step.
    StepsExhausted,
    /// Every disk's erasure is proven by evidence.
    ErasureProven,
}

impl Event {
    /// Every event, for tables.
    pub const ALL: [Event; 18] = [
        Self::Manage,
        Self::Inspect,
        Self::Provide,
        Self::Adopt,
        Self::Deploy,
        Self::Rebuild,
        Self::Undeploy,
        Self::Abort,
        Self::Heartbeat,
        Self::Inspected,
        Self::Done,
        Self::Failed,
        Self::TimedOut,
        Self::StepsKnown,
        Self::StepStarted,
        Self::StepEnded,
        Self::StepsExhausted,
        Self::ErasureProven,
    ];

    /// The event of a `target` of `PUT …/states/provision`.
    #[must_use]
    pub fn of_verb(verb: &str) -> Option<Event> {
        match verb {
            "manage" => Some(Self::Manage),
            "inspect" => Some(Self::Inspect),
            "provide" => Some(Self::Provide),
            "adopt" => Some(Self::Adopt),
            "active" | "deploy" => Some(Self::Deploy),
            "rebuild" => Some(Self::Rebuild),
            "deleted" | "undeploy" => Some(Self::Undeploy),
            "abort" => Some(Self::Abort),
            _ => None,
        }
    }
}
