//! The world a plan is carried out in, and what it tells that world.

use std::time::Duration;

use model::Bytes;

use crate::{Seed, Time, prove::TooLong, watch::Watch};

/// What an erasure is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Writing the canaries.
    Canaries,
    /// The drive erases itself; not every drive tells how far it is.
    ByDrive,
    /// Zeros by the kernel or the device.
    Zero,
    /// Writing.
    Overwrite,
    /// Reading back.
    Verify,
}

impl Phase {
    /// As progress reports name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Phase::Canaries => "canaries",
            Phase::ByDrive => "by the drive",
            Phase::Zero => "zero",
            Phase::Overwrite => "overwrite",
            Phase::Verify => "verify",
        }
    }
}

/// How far one phase is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// The phase.
    pub phase: Phase,
    /// Bytes done in it.
    pub done: Bytes,
    /// Bytes to be done in it.
    pub total: Bytes,
    /// How long the whole phase takes by the drive's own word.
    pub estimate: Option<Duration>,
}

/// The world a plan is carried out in.
pub struct Conditions<'a> {
    /// What the sample is drawn with: [`Seed::random`], or a chosen one in a test.
    pub seed: Seed,
    /// The time, and patience.
    pub time: &'a mut dyn Time,
    /// Told after every step.
    pub progress: &'a mut dyn FnMut(Progress),
}

impl Conditions<'_> {
    /// Until `limit`, by [`Conditions::time`].
    pub(crate) fn watch(&mut self, limit: Option<Duration>) -> Watch<'_> {
        Watch { time: self.time, progress: self.progress, limit }
    }

    /// Tells, and says when `limit` is over.
    pub(crate) fn tell_until(
        &mut self,
        limit: Option<Duration>,
    ) -> impl FnMut(Phase, Bytes, Bytes) -> Result<(), TooLong> {
        let Self { time, progress, .. } = self;
        move |phase, done, total| {
            progress(Progress { phase, done, total, estimate: None });
            limit.filter(|limit| time.elapsed() > *limit).map_or(Ok(()), |limit| Err(TooLong { limit }))
        }
    }

    pub(crate) fn tell(&mut self, phase: Phase, done: Bytes, total: Bytes) {
        (self.progress)(Progress { phase, done, total, estimate: None });
    }
}
