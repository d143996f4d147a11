//! Waiting for a drive that erases itself: it is asked every second, told of,
//! and given up when it stands still. The command is never broken off.

use std::time::Duration;

use model::Bytes;

use crate::{Answer, CommandError, Drive, Phase, Progress, SelfErase, State, Time};

/// How often a drive is asked how far it is.
const POLL: Duration = Duration::from_secs(1);
/// A drive that tells nothing new for this long, and for twice its own estimate, stands still.
const PATIENCE: Duration = Duration::from_secs(600);
/// A drive that says it takes longer is not believed.
const LONGEST: Duration = Duration::from_secs(7 * 24 * 60 * 60);
/// A drive may answer nothing, or that it is busy, while its controller restarts: so many questions in a row.
const SILENT_ANSWERS: u32 = 30;

/// Why a drive did not erase itself.
#[derive(Debug, thiserror::Error)]
pub enum SelfEraseError {
    /// It refused, or does not answer.
    #[error("the drive did not erase itself")]
    Command(#[from] CommandError),
    /// It says that it failed.
    #[error("the drive says that its erase failed")]
    Failed {
        /// The drive's words.
        answer: Answer,
    },
    /// It makes no progress. It may still be at it: the next erasure watches on.
    #[error("the drive made no progress for {} s at {percent} %; it is left to it: try again later, or replace it", waited.as_secs())]
    Stalled {
        /// Since the last progress.
        waited: Duration,
        /// How far it was.
        percent: u64,
    },
    /// The time the policy gives is over. The drive goes on.
    #[error("the drive was not done after {} s, which is all the policy gives it; it is left to it: try again later", limit.as_secs())]
    TooLong {
        /// What the policy gives.
        limit: Duration,
    },
}

impl SelfEraseError {
    /// The drive's last words, where it had any.
    fn answer(&self) -> Answer {
        match self {
            SelfEraseError::Command(error) => error.answer(),
            SelfEraseError::Failed { answer } => answer.clone(),
            SelfEraseError::Stalled { .. } | SelfEraseError::TooLong { .. } => Answer::default(),
        }
    }
}

/// The surroundings of a wait.
pub(crate) struct Watch<'a> {
    pub(crate) time: &'a mut dyn Time,
    pub(crate) progress: &'a mut dyn FnMut(Progress),
    /// When to give up, by `time`; the policy's `max_time`.
    pub(crate) limit: Option<Duration>,
}

impl Watch<'_> {
    /// Have the drive erase itself and wait for it. A drive that says it failed
    /// is recovered and asked once more. `said` are its words, however it ends.
    pub(crate) fn erase<D: Drive>(
        &mut self,
        drive: &mut D,
        erase: SelfErase,
        said: &mut Answer,
    ) -> Result<(), SelfEraseError> {
        match self.once(drive, erase, said) {
            Err(SelfEraseError::Failed { answer }) => {
                tracing::warn!(method = erase.name(), ?answer, "the drive says it failed; once more");
                drive.recover()?;
                let again = self.once(drive, erase, said);
                *said = std::mem::take(said).with("first_try", format_args!("failed: {}", answer.words()));
                again.inspect_err(|_| usable(drive))
            }
            outcome => outcome.inspect_err(|_| usable(drive)),
        }
    }

    fn once<D: Drive>(
        &mut self,
        drive: &mut D,
        erase: SelfErase,
        said: &mut Answer,
    ) -> Result<(), SelfEraseError> {
        let whole = drive.size();
        let total = whole;
        (self.progress)(Progress { phase: Phase::ByDrive, done: Bytes(0), total, estimate: None });
        let begun = drive.begin(erase).inspect_err(|error| *said = error.answer())?;
        *said = begun.clone();
        let ended = match erase {
            // It is over when it answers; the log tells of the last sanitize, however long ago.
            SelfErase::NvmeFormat(_) => Ok(Answer::default()),
            SelfErase::NvmeSanitize(_)
            | SelfErase::AtaSanitize(_)
            | SelfErase::AtaSecurity(_)
            | SelfErase::ScsiSanitize(_)
            | SelfErase::OpalRevert => self.until_done(drive),
        };
        *said = begun.and(ended.as_ref().map_or_else(SelfEraseError::answer, Answer::clone));
        ended?;
        (self.progress)(Progress { phase: Phase::ByDrive, done: whole, total, estimate: None });
        Ok(())
    }

    /// Wait until the drive erases no more.
    pub(crate) fn until_done<D: Drive>(&mut self, drive: &mut D) -> Result<Answer, SelfEraseError> {
        let start = self.time.elapsed();
        let (mut furthest, mut since, mut silent) = (None, start, 0);
        loop {
            let state = match drive.state() {
                Ok(state) => state,
                Err(CommandError::Kernel { .. } | CommandError::Refused { .. })
                    if silent < SILENT_ANSWERS =>
                {
                    silent += 1;
                    self.time.wait(POLL);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            silent = 0;
            let (done, estimate) = match state {
                State::Ready => return Ok(Answer::default()),
                State::Done { answer } => return Ok(answer),
                State::Failed { answer } | State::Locked { answer } => {
                    return Err(SelfEraseError::Failed { answer });
                }
                State::Erasing { done, estimate, .. } => (done, estimate),
            };
            let now = self.time.elapsed();
            if done > furthest {
                (furthest, since) = (done, now);
            }
            self.tell(drive.size(), done.map(|done| done.of(drive.size().0)), estimate);
            self.patience(now, start, since, furthest.map_or(0, |done| done.of(100)), estimate)?;
            self.time.wait(POLL);
        }
    }

    fn tell(&mut self, total: Bytes, done: Option<u64>, estimate: Option<Duration>) {
        let done = Bytes(done.unwrap_or(0));
        (self.progress)(Progress { phase: Phase::ByDrive, done, total, estimate });
    }

    fn patience(
        &self,
        now: Duration,
        start: Duration,
        since: Duration,
        percent: u64,
        estimate: Option<Duration>,
    ) -> Result<(), SelfEraseError> {
        let waited = now.saturating_sub(since);
        if waited > PATIENCE.max((estimate.unwrap_or_default() * 2).min(LONGEST)) {
            return Err(SelfEraseError::Stalled { waited, percent });
        }
        match self.limit {
            Some(limit) if now > limit => Err(SelfEraseError::TooLong { limit: limit.saturating_sub(start) }),
            Some(_) | None => Ok(()),
        }
    }
}

/// After an erase that did not end well: another way is tried, or the drive is
/// handed over, and neither goes with a drive that refuses everything. What
/// cannot be undone shows there.
fn usable<D: Drive>(drive: &mut D) {
    if matches!(drive.state(), Ok(State::Failed { .. } | State::Locked { .. })) {
        let recovered = drive.recover();
        tracing::debug!(?recovered, "after an erase that failed");
    }
}

#[cfg(test)]
mod tests;
