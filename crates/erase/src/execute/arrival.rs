//! What an earlier owner or agent left on the drive: it is dealt with first.

use disk::Buffer;
use model::Bytes;

use super::{Run, chain};
use crate::{
    Answer, AttemptError, CommandError, Drive, Method, Proof, SelfErase, SelfEraseError, State,
    bad::BadBlocks,
    canary::Canaries,
    marker::Trace,
    opal::Ownership,
    prove::{Expectation, Memory},
};

impl<D: Drive> Run<'_, '_, D> {
    /// Revert the drive first if somebody owns it. When that fails it may be
    /// erased all the same, unless a part of it cannot be reached.
    pub(super) fn take_over(
        &mut self,
        opal: Option<Ownership>,
        notes: &mut Vec<String>,
    ) -> Result<(), AttemptError> {
        let Some(Ownership { keys, hides }) = opal else { return Ok(()) };
        let reverted = self.record(Method::ByDrive(SelfErase::OpalRevert), false, |run, answer| {
            let outcome = run.drive.revert_opal(&keys);
            *answer = outcome.as_ref().map_or_else(CommandError::answer, Answer::clone);
            outcome.map(drop).map_err(|error| SelfEraseError::from(error).into())
        });
        match reverted {
            Err(error) if !hides => {
                notes.push(format!("it still belongs to somebody by Opal: {}", chain(&error)));
                Ok(())
            }
            outcome => outcome,
        }
    }

    /// What an earlier agent left: an erase under way is watched to its end, a
    /// failed one or a lock is undone.
    pub(super) fn on_arrival(
        &mut self,
        methods: &[Method],
        notes: &mut Vec<String>,
    ) -> Result<Option<(Method, Proof)>, AttemptError> {
        match self.drive.state() {
            Ok(State::Ready | State::Done { .. }) => Ok(None),
            Ok(State::Failed { .. }) => self.lead_out(methods, notes),
            Ok(State::Locked { .. }) => self.unlock(notes).map(|()| None),
            Ok(State::Erasing { erase, .. }) => {
                let found = format!("it was erasing itself by {} when this agent came", erase.name());
                notes.push(found);
                self.watch_on(erase, methods, notes)
            }
            Err(error) => {
                notes.push(format!("it did not say what it was doing: {}", chain(&error)));
                Ok(None)
            }
        }
    }

    /// Out of somebody's password. A drive that keeps it, and gives no block away,
    /// is not asked for all of them: each takes it seconds to refuse.
    pub(super) fn unlock(&mut self, notes: &mut Vec<String>) -> Result<(), AttemptError> {
        let error = match self.drive.recover() {
            Ok(answer) => {
                notes.push(format!("it was locked; recovered: {}", answer.words()));
                return Ok(());
            }
            Err(error) => error,
        };
        let mut block = Buffer::zeroed(usize::try_from(self.unit()).expect("INVARIANT: a few KiB"));
        match self.drive.read_at(Bytes(0), &mut block) {
            Ok(()) => {
                notes.push(format!("a password is set on it: {}", chain(&error)));
                Ok(())
            }
            Err(_) => Err(SelfEraseError::from(error).into()),
        }
    }

    /// Out of a failed erase. Some drives leave it only by another one, which then runs.
    fn lead_out(
        &mut self,
        methods: &[Method],
        notes: &mut Vec<String>,
    ) -> Result<Option<(Method, Proof)>, AttemptError> {
        self.recover::<()>("its last erase had failed", notes);
        match self.drive.state() {
            Ok(State::Erasing { erase, .. }) => self.watch_on(erase, methods, notes),
            Ok(State::Ready | State::Done { .. } | State::Failed { .. } | State::Locked { .. }) | Err(_) => {
                Ok(None)
            }
        }
    }

    /// A drive that cannot be recovered shows that in every attempt that follows.
    fn recover<T>(&mut self, found: &str, notes: &mut Vec<String>) -> Option<T> {
        notes.push(match self.drive.recover() {
            Ok(answer) => format!("{found}; recovered: {}", answer.words()),
            Err(error) => format!("{found}; it could not be recovered: {}", chain(&error)),
        });
        None
    }

    /// Without canaries the end of a foreign erase counts only where every
    /// block has to be blank after it; else the disk is erased again.
    fn watch_on(
        &mut self,
        erase: SelfErase,
        methods: &[Method],
        notes: &mut Vec<String>,
    ) -> Result<Option<(Method, Proof)>, AttemptError> {
        let method = Method::ByDrive(erase);
        let ended = match self.conditions.watch(self.limit).until_done(self.drive) {
            Ok(answer) => answer,
            Err(SelfEraseError::Failed { .. }) => return Ok(self.recover("that erase failed", notes)),
            Err(error) => return Err(error.into()),
        };
        if !methods.contains(&method) || !Expectation::of(method).is_of_every_block() {
            return Ok(None);
        }
        let proof = self.record(method, true, |run, answer| {
            *answer = ended;
            run.prove(method, &Canaries::default(), &Memory::default(), &BadBlocks::default())
        });
        Ok(proof.ok().map(|proof| (method, proof)))
    }

    /// Go on with an overwrite that was cut off, where the disk itself proves
    /// that it was this one. If that comes to nothing, all is done anew.
    pub(super) fn go_on(
        &mut self,
        methods: &[Method],
        notes: &mut Vec<String>,
    ) -> Result<Option<(Method, Proof)>, AttemptError> {
        let Some(marker) = self.marker else { return Ok(None) };
        let mark = match marker.look(self.drive) {
            Trace::None => return Ok(None),
            Trace::Foreign => {
                notes.push("it was being overwritten by somebody else, and is overwritten anew".to_owned());
                return Ok(None);
            }
            Trace::Own(mark) => mark,
        };
        if !methods.contains(&mark.method) || mark.is_at_the_start() {
            return Ok(None);
        }
        let at = Bytes(mark.before);
        notes.push(format!("an overwrite that was cut off went on in pass {} at {at}", mark.pass + 1));
        match self.record(mark.method, true, |run, answer| run.attempt(mark.method, Some(mark), answer)) {
            Ok(proof) => Ok(Some((mark.method, proof))),
            Err(error) if error.is_the_disk_s_fault() => Err(error),
            Err(_) => Ok(None),
        }
    }
}
