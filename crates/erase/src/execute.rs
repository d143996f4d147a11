//! Carrying out a plan: canaries, the method, the proof, and the next method
//! when there is no proof.

use std::time::Duration;

use disk::Target;
use model::Bytes;

use crate::{
    Answer, AttemptError, Conditions, Drive, EraseError, Hidden, Method, Mode, Namespaces, Phase, Plan,
    Policy, Progress, Proof, SelfEraseError, Subject, Unproven,
    bad::BadBlocks,
    canary::Canaries,
    cause, hidden,
    marker::{Journal, Mark, Marker},
    prove::{Attempt, Expectation, Memory, Search, UNIT},
    seed::Draw,
    wipe::{Unwritten, Wipe, WipeError},
    zones::Zones,
};

/// Proof that a disk was erased, and read back as erased.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "report the proof: without it the disk counts as dirty"]
pub struct Erased {
    /// The disk.
    pub subject: Subject,
    /// What was asked for.
    pub policy: Policy,
    /// What did it; the last of the attempts.
    pub method: Method,
    /// Everything that was tried.
    pub attempts: Vec<Attempt>,
    /// What was read back.
    pub proof: Proof,
    /// Of its drive, where that is an NVMe drive.
    pub namespaces: Namespaces,
    /// What the drive hid, where that was anything.
    pub hidden: Option<Hidden>,
    /// Why nothing better was done, and what else is worth knowing.
    pub notes: Vec<String>,
}

/// Carry out `plan` on `drive`.
///
/// # Errors
/// [`EraseError`]; the disk then counts as dirty.
pub fn execute<D: Drive>(
    plan: Plan,
    drive: &mut D,
    conditions: &mut Conditions,
) -> Result<Erased, EraseError> {
    execute_with_journal(plan, drive, conditions, None)
}

/// [`execute`], with a journal by which an overwrite that was cut off goes on
/// where it was.
///
/// # Errors
/// [`EraseError`]; the disk then counts as dirty.
pub fn execute_with_journal<D: Drive>(
    plan: Plan,
    drive: &mut D,
    conditions: &mut Conditions,
    journal: Option<&Journal>,
) -> Result<Erased, EraseError> {
    let marker = marker(&plan.subject, plan.policy, journal);
    carry_out(plan, drive, conditions, marker.as_ref())
}

pub(crate) fn carry_out<D: Drive>(
    plan: Plan,
    drive: &mut D,
    conditions: &mut Conditions,
    marker: Option<&Marker>,
) -> Result<Erased, EraseError> {
    let Plan { mut subject, policy, methods, mut zones, opal, namespaces, hidden, mut notes } = plan;
    same_disk(&subject, drive)?;
    if let Err(error) = hidden::show(hidden, policy.mode, drive, (&mut subject, &mut zones), &mut notes) {
        let last = SelfEraseError::from(error).into();
        return Err(EraseError::NotErased { disk: subject.path(), now: None, attempts: Vec::new(), last });
    }
    let limit = policy.max_time.map(|most| conditions.time.elapsed().saturating_add(most));
    let mut run = Run {
        disk: subject.path(),
        policy,
        zones: &zones,
        drive,
        conditions,
        marker,
        limit,
        attempts: Vec::new(),
    };
    let outcome = run.take_over(opal, &mut notes).and_then(|()| run.all(&methods, &mut notes));
    let attempts = run.attempts;
    let outcome = outcome.and_then(|proven| {
        hidden::is_none_left(policy.mode, drive).map_err(SelfEraseError::from)?;
        Ok(proven)
    });
    match outcome {
        Ok((method, proof)) => {
            notes.extend(forget_partitions(drive));
            Ok(Erased { subject, policy, method, attempts, proof, namespaces, hidden, notes })
        }
        Err(last) => {
            let now = cause::look(drive, &last).map(Box::new);
            Err(EraseError::NotErased { disk: subject.path(), now, attempts, last })
        }
    }
}

/// What the disk says on itself while it is overwritten. Without a journal, and
/// even without random numbers, it only says that somebody was at it.
fn marker(subject: &Subject, policy: Policy, journal: Option<&Journal>) -> Option<Marker> {
    let journal = journal.cloned().or_else(|| Journal::of_nobody().ok())?;
    match policy.mode {
        Mode::Full => Marker::new(journal, subject, policy.passes),
        Mode::Metadata => None,
    }
}

fn same_disk(subject: &Subject, drive: &impl Target) -> Result<(), EraseError> {
    let (planned, actual) = (subject.disk.size, drive.size());
    if planned == actual && subject.disk.logical_block == drive.block() {
        return Ok(());
    }
    Err(EraseError::AnotherDisk { disk: subject.path(), planned, actual, block: drive.block().get() })
}

/// One disk being erased.
struct Run<'a, 'b, D> {
    disk: String,
    policy: Policy,
    zones: &'a Zones,
    drive: &'a mut D,
    conditions: &'a mut Conditions<'b>,
    marker: Option<&'a Marker>,
    /// When to give up, by the conditions' time.
    limit: Option<Duration>,
    attempts: Vec<Attempt>,
}

impl<D: Drive> Run<'_, '_, D> {
    /// One method after the other until one is proven.
    fn all(&mut self, methods: &[Method], notes: &mut Vec<String>) -> Result<(Method, Proof), AttemptError> {
        if let Some(proven) = self.on_arrival(methods, notes)? {
            return Ok(proven);
        }
        if let Some(proven) = self.go_on(methods, notes)? {
            return Ok(proven);
        }
        let mut last = None;
        for &method in methods {
            match self.record(method, false, |run, answer| run.attempt(method, None, answer)) {
                Ok(proof) => return Ok((method, proof)),
                // Linux lets whoever reads meanwhile wait three minutes for each block.
                Err(error) if error.is_still_running() => return Err(error),
                // What the host cannot write in one way it cannot in the other.
                Err(error) if error.is_the_disk_s_fault() => return Err(error),
                Err(error) => last = Some(error),
            }
        }
        Err(last.expect("INVARIANT: a plan has at least one method"))
    }

    /// Try `method` and keep what came of it.
    fn record<T>(
        &mut self,
        method: Method,
        resumed: bool,
        run: impl FnOnce(&mut Self, &mut Answer) -> Result<T, AttemptError>,
    ) -> Result<T, AttemptError> {
        let start = self.conditions.time.stamp();
        let mut answer = Answer::default();
        let outcome = run(self, &mut answer);
        let error = outcome.as_ref().err().map(|error| chain(error));
        if let Some(error) = &error {
            tracing::warn!(disk = self.disk, method = method.name(), error, "not erased");
        }
        let end = self.conditions.time.stamp();
        self.attempts.push(Attempt { method, start, end, resumed, answer, error });
        outcome
    }

    /// Canaries, the method, the proof; an overwrite from where it was cut off.
    fn attempt(
        &mut self,
        method: Method,
        from: Option<Mark>,
        answer: &mut Answer,
    ) -> Result<Proof, AttemptError> {
        let unit = self.unit();
        let seed = self.conditions.seed;
        // Not the sample's own draw: its places would then be stamped and not sampled.
        let mut draw = Draw::after(seed);
        self.conditions.tell(Phase::Canaries, Bytes(0), self.zones.bytes());
        let memory = match Expectation::of(method) {
            Expectation::Changed | Expectation::Blank | Expectation::Decorrelated => {
                Memory::of(self.drive, self.zones, unit, seed)
            }
            Expectation::Zeros => Memory::default(),
        };
        // Only where something will be written: nothing else would make them go.
        let stamped = match from {
            Some(mark) if mark.pass + 1 == self.policy.passes => self.zones.from(mark.before),
            Some(_) | None => self.zones.clone(),
        };
        let canaries = Canaries::place(self.drive, &stamped, unit, &mut draw)?;
        let unwritten = self.wipe(method, from, &mut draw, answer)?;
        let except = unwritten.as_ref().map_or_else(BadBlocks::default, |(blocks, _)| blocks.clone());
        let proof = self.prove(method, &canaries, &memory, &except);
        let Some((unwritten, err)) = unwritten else { return proof };
        match proof {
            Ok(_) => Err(AttemptError::Incomplete { unwritten, unreadable: BadBlocks::default(), err }),
            Err(AttemptError::Unproven(Unproven::Unreadable { blocks: unreadable, .. })) => {
                Err(AttemptError::Incomplete { unwritten, unreadable, err })
            }
            Err(error) => Err(error),
        }
    }

    fn wipe(
        &mut self,
        method: Method,
        from: Option<Mark>,
        draw: &mut Draw,
        answer: &mut Answer,
    ) -> Result<Unwritten, AttemptError> {
        let passes = self.policy.passes;
        match method {
            Method::ByDrive(erase) => {
                self.conditions.watch(self.limit).erase(self.drive, erase, answer)?;
                self.drive.sync().map_err(WipeError::Sync)?;
            }
            Method::ZeroOut | Method::Metadata => {
                return Ok(self.by_host(self.zones, from, |mut wipe, drive| wipe.zero_out(drive))?);
            }
            Method::Overwrite => {
                return Ok(
                    self.by_host(self.zones, from, |mut wipe, drive| wipe.overwrite(drive, passes, draw))?
                );
            }
        }
        Ok(None)
    }

    fn by_host<T>(
        &mut self,
        zones: &Zones,
        from: Option<Mark>,
        with: impl FnOnce(Wipe, &D) -> Result<T, WipeError>,
    ) -> Result<T, WipeError> {
        let Conditions { time, progress, .. } = &mut *self.conditions;
        let mut tell = |phase, done, total| progress(Progress { phase, done, total, estimate: None });
        let wipe =
            Wipe { zones, time: &**time, progress: &mut tell, marker: self.marker, from, limit: self.limit };
        with(wipe, self.drive)
    }

    fn prove(
        &mut self,
        method: Method,
        canaries: &Canaries,
        memory: &Memory,
        except: &BadBlocks,
    ) -> Result<Proof, AttemptError> {
        let (unit, seed, zones) = (self.unit(), self.conditions.seed, self.zones);
        let expectation = Expectation::of(method);
        let verify = self.policy.verify;
        let search = Search { zones, unit, verify, expectation, seed, canaries, memory, except };
        let proof = search.run(self.drive, &mut self.conditions.tell_until(self.limit))?;
        if expectation != Expectation::Zeros {
            self.scrub(&search)?;
        }
        Ok(proof)
    }

    /// After a drive erased itself its ends hold anything; nothing may take that
    /// for a partition table.
    fn scrub(&mut self, search: &Search) -> Result<(), AttemptError> {
        let zones = Zones::of_scrub(self.drive.size(), self.drive.block());
        let unwritten =
            self.by_host(&zones, None, |wipe, drive| Wipe { marker: None, ..wipe }.zero_out(drive))?;
        if let Some((unwritten, err)) = unwritten {
            return Err(AttemptError::Incomplete { unwritten, unreadable: BadBlocks::default(), err });
        }
        let ends = Search {
            zones: &zones,
            verify: crate::Verify::Full,
            expectation: Expectation::Zeros,
            memory: &Memory::default(),
            ..*search
        };
        ends.run(self.drive, &mut self.conditions.tell_until(self.limit))?;
        Ok(())
    }

    /// The smallest piece that is stamped and sampled.
    fn unit(&self) -> u64 {
        UNIT.max(self.drive.block().get())
    }
}

/// The kernel may keep showing partitions that are gone; that is worth a note,
/// and takes nothing from the proof. `EINVAL`: the device cannot have any.
fn forget_partitions(drive: &mut impl Drive) -> Option<String> {
    match drive.reread_partitions() {
        Ok(()) => None,
        Err(err) if err.raw_os_error() == Some(22 /* EINVAL */) => None,
        Err(err) => Some(format!("the kernel kept its old view of the partitions: {err}")),
    }
}

/// An error and its causes in one line, for records that outlive it.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

mod arrival;
#[cfg(test)]
mod tests;
