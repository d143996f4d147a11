//! The lanes: a few threads that write, and read back what was written when
//! there is nothing to write.
//!
//! placer ──jobs──▶ lanes ──write──▶ disk ──sync──▶ read back
//!
//! Writing goes first. What the disk can do beyond it, because the network or
//! the decoder is slower, goes into reading back, a window behind the writer:
//! [`WINDOW`] bytes are synced, then read. So the read-back costs time of its
//! own only where the disk is the slowest part. No two jobs in flight overlap,
//! and the first failure stops all lanes.

use std::{
    collections::VecDeque,
    ops::Range,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use disk::{Pool, Target};
use model::Bytes;

use crate::{
    budget::{LANES, QUEUED, RECORDS},
    extent::Slice,
    meter::{Meters, Part},
    readback::{Batch, Record, Records},
    writer::{PutError, disk_failed},
};

/// Bytes written between two syncs. Fewer would keep a disk flushing, more
/// would leave more to be read back when all is written.
const WINDOW: u64 = 256 << 20;
/// How often the progress of a read-back is told.
const TELL_EVERY: Duration = Duration::from_millis(100);

/// One thing to be done to the disk, in whole blocks.
#[derive(Debug)]
pub(crate) enum Job {
    /// Put these bytes, at most a chunk, there.
    Write { at: u64, bytes: Slice },
    /// Make so many bytes there zero.
    Zero { at: u64, length: u64 },
}

impl Job {
    fn range(&self) -> Range<u64> {
        match self {
            Job::Write { at, bytes } => *at..at + bytes.bytes().len() as u64,
            Job::Zero { at, length } => *at..at + length,
        }
    }

    fn run(&self, target: &impl Target) -> Result<(), PutError> {
        match self {
            Job::Write { at, bytes } => target.write_at(Bytes(*at), bytes.bytes()).map_err(disk_failed(*at)),
            Job::Zero { at, length } => target.blank_at(Bytes(*at), Bytes(*length)).map_err(disk_failed(*at)),
        }
    }

    fn record(&self) -> Record {
        match self {
            Job::Write { at, bytes } => Record::data(*at, bytes.bytes()),
            Job::Zero { at, length } => Record::zeros(*at, *length),
        }
    }
}

/// What a lane does next.
enum Task {
    Run(Job),
    Sync(Vec<Record>),
    Prove(Batch),
}

/// What the lanes are to do before they end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    /// Wait for more jobs.
    Closed,
    /// Do all jobs.
    Written,
    /// Do all jobs, and read everything back.
    Proven,
}

struct State {
    jobs: VecDeque<Job>,
    in_flight: Vec<Range<u64>>,
    records: Records,
    syncing: bool,
    proving: usize,
    /// How many lanes there are; with none, jobs are done where they arise.
    staff: usize,
    /// How many of them have nothing to do.
    idle: usize,
    until: Until,
    /// The first failure, until somebody takes it to report it.
    failure: Option<PutError>,
    stopped: bool,
    written: u64,
    zeroed: u64,
    /// [`WINDOW`], but for tests.
    window: u64,
}

/// The queue in front of the lanes, and all that is known about what they did.
pub(crate) struct Lanes {
    state: Mutex<State>,
    /// There may be something to do for a lane.
    work: Condvar,
    /// There may be room in the queue, or all is done.
    room: Condvar,
    /// Whether anything of the body will be read back, and so needs a digest.
    remembers: bool,
    meters: Arc<Meters>,
    pool: Pool,
}

/// Stops everybody when a lane panics, or the one that feeds the lanes does.
struct Alarm<'l>(&'l Lanes);

impl Drop for Alarm<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.lock().stopped = true;
            self.0.work.notify_all();
            self.0.room.notify_all();
        }
    }
}

impl State {
    /// What can be done now, if anything.
    fn task(&mut self) -> Option<Task> {
        let crowded = self.records.len() >= RECORDS;
        if !crowded && let Some(job) = self.jobs.pop_front() {
            self.in_flight.push(job.range());
            return Some(Task::Run(job));
        }
        if !self.syncing && self.sync_is_due(crowded) {
            self.syncing = true;
            return Some(Task::Sync(self.records.take_fresh()));
        }
        let batch = self.records.next()?;
        self.proving += 1;
        Some(Task::Prove(batch))
    }

    fn sync_is_due(&self, crowded: bool) -> bool {
        let idle = self.jobs.is_empty() && self.in_flight.is_empty();
        match self.until {
            Until::Proven if idle => self.records.unsynced() > 0 || self.records.has_fresh(),
            Until::Closed | Until::Written | Until::Proven => {
                crowded && self.records.has_fresh() || self.records.unsynced() >= self.window
            }
        }
    }

    /// True when a lane has no more to do and none will come.
    fn is_done(&self) -> bool {
        let idle = self.jobs.is_empty() && self.in_flight.is_empty();
        match self.until {
            Until::Closed => false,
            Until::Written => self.jobs.is_empty(),
            Until::Proven => {
                let left = self.records.len() + self.proving;
                idle && !self.syncing && left == 0 && self.records.unsynced() == 0
            }
        }
    }

    fn is_free(&self, range: &Range<u64>) -> bool {
        let apart = |other: &Range<u64>| other.end <= range.start || range.end <= other.start;
        self.in_flight.iter().all(apart) && self.jobs.iter().all(|job| apart(&job.range()))
    }

    fn fail(&mut self, err: PutError) {
        self.stopped = true;
        self.failure.get_or_insert(err);
    }

    fn failed(&mut self) -> Result<(), PutError> {
        match (self.failure.take(), self.stopped) {
            (Some(err), _) => Err(err),
            (None, true) => Err(PutError::Stopped),
            (None, false) => Ok(()),
        }
    }
}

impl Lanes {
    pub(crate) fn new(records: Records, meters: Arc<Meters>, pool: Pool) -> Self {
        let remembers = records.remembers();
        let state = State {
            jobs: VecDeque::new(),
            in_flight: Vec::new(),
            records,
            syncing: false,
            proving: 0,
            staff: 0,
            idle: 0,
            until: Until::Closed,
            failure: None,
            stopped: false,
            written: 0,
            zeroed: 0,
            window: WINDOW,
        };
        Self { state: Mutex::new(state), work: Condvar::new(), room: Condvar::new(), remembers, meters, pool }
    }

    /// Have threads do the jobs that `feed` submits. Returns, with what `feed`
    /// said, when all are done or one failed.
    pub(crate) fn run<T: Target, R>(
        &self,
        target: &T,
        feed: impl FnOnce() -> R,
    ) -> (R, Result<(), PutError>) {
        self.staff(target, Until::Written, feed)
    }

    /// Sync, and read back everything that was written and is not proven.
    /// `progress` gets the bytes that are still to be read.
    pub(crate) fn prove<T: Target>(
        &self,
        target: &T,
        mut progress: impl FnMut(Bytes),
    ) -> Result<(), PutError> {
        self.lock().records.keep_last();
        let told = || {
            let mut state = self.lock();
            state.until = Until::Proven;
            self.work.notify_all();
            while !state.stopped && !state.is_done() {
                state = self.room.wait_timeout(state, TELL_EVERY).unwrap_or_else(PoisonError::into_inner).0;
                let waiting = state.records.waiting();
                drop(state);
                progress(waiting);
                state = self.lock();
            }
        };
        self.staff(target, Until::Proven, told).1
    }

    fn staff<T: Target, R>(
        &self,
        target: &T,
        until: Until,
        feed: impl FnOnce() -> R,
    ) -> (R, Result<(), PutError>) {
        let mut state = self.lock();
        (state.staff, state.until, state.idle) = (LANES, Until::Closed, 0);
        drop(state);
        let fed = thread::scope(|scope| {
            let lanes: Vec<_> = (0..LANES).map(|_| scope.spawn(|| self.work(target))).collect();
            let alarm = Alarm(self);
            let fed = feed();
            drop(alarm);
            self.lock().until = until;
            self.work.notify_all();
            // A lane that panicked has stopped the others, which is told below.
            lanes.into_iter().for_each(|lane| drop(lane.join()));
            fed
        });
        let mut state = self.lock();
        (state.staff, state.until) = (0, Until::Closed);
        (fed, state.failed())
    }

    /// One lane.
    fn work<T: Target>(&self, target: &T) {
        let _alarm = Alarm(self);
        let mut buffer = self.pool.take();
        while let Some(task) = self.next() {
            let outcome = match task {
                Task::Run(job) => self.perform(&job, target),
                Task::Sync(records) => self.sync(records, target),
                Task::Prove(batch) => self.read_back(&batch, target, &mut buffer),
            };
            if let Err(err) = outcome {
                self.lock().fail(err);
            }
            self.wake();
        }
    }

    fn next(&self) -> Option<Task> {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return None;
            }
            if let Some(task) = state.task() {
                // It may have been a job, which leaves room.
                self.room.notify_one();
                return Some(task);
            }
            if state.is_done() {
                return None;
            }
            state.idle += 1;
            state = self.work.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    /// A task has ended: wake those for whom that makes a difference.
    fn wake(&self) {
        let state = self.lock();
        if state.stopped || state.is_done() || state.idle > 0 && state.records.has_synced() {
            self.work.notify_all();
        } else if state.idle > 0 && !state.jobs.is_empty() {
            self.work.notify_one();
        }
        self.room.notify_one();
    }

    fn perform(&self, job: &Job, target: &impl Target) -> Result<(), PutError> {
        let record = self.meters.of(Part::Write).busy(|| {
            job.run(target)?;
            Ok(self.remembers.then(|| job.record()))
        })?;
        let range = job.range();
        let mut state = self.lock();
        state.in_flight.retain(|other| *other != range);
        match job {
            Job::Write { .. } => state.written += range.end - range.start,
            Job::Zero { .. } => state.zeroed += range.end - range.start,
        }
        match record {
            Some(record) => state.records.push(record),
            None => state.records.pass(range.end - range.start),
        }
        Ok(())
    }

    fn sync(&self, records: Vec<Record>, target: &impl Target) -> Result<(), PutError> {
        self.meters.of(Part::Write).busy(|| target.sync()).map_err(PutError::Sync)?;
        let mut state = self.lock();
        state.records.synced(records);
        state.syncing = false;
        Ok(())
    }

    fn read_back(&self, batch: &Batch, target: &impl Target, buffer: &mut [u8]) -> Result<(), PutError> {
        self.meters.of(Part::Verify).busy(|| batch.prove(target, buffer))?;
        let mut state = self.lock();
        state.proving -= 1;
        state.records.prove(batch.length());
        Ok(())
    }

    /// Queue `job`, when there is room and nothing in flight is in its place.
    /// With no lanes it is done here and now.
    ///
    /// # Errors
    /// What failed in any lane.
    pub(crate) fn submit(&self, job: Job, target: &impl Target) -> Result<(), PutError> {
        let mut state = self.relieved(target)?;
        if state.staff == 0 {
            drop(state);
            return self.perform(&job, target);
        }
        while state.jobs.len() >= QUEUED || !state.is_free(&job.range()) {
            state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.failed()?;
        }
        state.jobs.push_back(job);
        if state.idle > 0 {
            self.work.notify_one();
        }
        Ok(())
    }

    /// Remember what is on the disk without the lanes' doing, `written` bytes
    /// of it new. Waits while there is too much to remember.
    ///
    /// # Errors
    /// What failed in any lane.
    pub(crate) fn record(&self, record: Record, written: u64, target: &impl Target) -> Result<(), PutError> {
        let mut state = self.relieved(target)?;
        state.written += written;
        state.records.push(record);
        // No job tells the lanes that there is something to read back now.
        if state.idle > 0 && state.sync_is_due(state.records.len() >= RECORDS) {
            self.work.notify_one();
        }
        Ok(())
    }

    /// The state, when there is room for another record.
    fn relieved(&self, target: &impl Target) -> Result<MutexGuard<'_, State>, PutError> {
        let mut state = self.lock();
        state.failed()?;
        while state.records.len() >= RECORDS {
            if state.staff == 0 {
                drop(state);
                self.prove(target, |_| {})?;
                state = self.lock();
            } else {
                state = self.room.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            state.failed()?;
        }
        Ok(state)
    }

    /// Whether all is well so far, for those who have nothing to submit.
    ///
    /// # Errors
    /// What failed in any lane.
    pub(crate) fn check(&self) -> Result<(), PutError> {
        self.lock().failed()
    }

    /// From now on everything is read back.
    pub(crate) fn prove_all(&self) {
        self.lock().records.prove_all();
    }

    /// Bytes written.
    pub(crate) fn written(&self) -> Bytes {
        Bytes(self.lock().written)
    }

    /// Bytes made zero.
    pub(crate) fn zeroed(&self) -> Bytes {
        Bytes(self.lock().zeroed)
    }

    /// Bytes read back and found right.
    pub(crate) fn proven(&self) -> Bytes {
        self.lock().records.proven()
    }

    /// Bytes that wait to be read back.
    pub(crate) fn waiting(&self) -> Bytes {
        self.lock().records.waiting()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "lanes_tests.rs"]
mod tests;
