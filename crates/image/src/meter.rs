//! Where the time goes: how busy each part of the pipeline is, and so which
//! one everybody waits for.

use std::{
    array,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use crate::budget::LANES;

/// The shortest time over which utilisation is told.
const INTERVAL: Duration = Duration::from_millis(200);

/// A part of the pipeline that can be the slowest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// Waiting for the source and copying from it.
    Net,
    /// The digests of what is downloaded.
    Hash,
    /// Decompressing, and finding out what goes where.
    Decode,
    /// Writing and zeroing the disk.
    Write,
    /// Reading it back.
    Verify,
}

impl Part {
    /// All of them, in the order of the bytes.
    pub const ALL: [Part; 5] = [Part::Net, Part::Hash, Part::Decode, Part::Write, Part::Verify];

    /// As in reports: `net`, `hash`, `decode`, `write`, `verify`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Part::Net => "net",
            Part::Hash => "hash",
            Part::Decode => "decode",
            Part::Write => "write",
            Part::Verify => "verify",
        }
    }
}

/// How much of the last moment each part was busy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Utilisation([u8; 5]);

impl Utilisation {
    /// Percent of the time that `part` had work in hand; of all its threads,
    /// where it has several.
    #[must_use]
    pub fn of(self, part: Part) -> u8 {
        self.0[part as usize]
    }

    /// The part the others wait for; `None` before anything is known.
    #[must_use]
    pub fn bottleneck(self) -> Option<Part> {
        Part::ALL.into_iter().filter(|&part| self.of(part) > 0).max_by_key(|&part| self.of(part))
    }
}

/// What one part did in a whole write.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PartTime {
    /// Which.
    pub part: Part,
    /// Seconds of work, summed over its threads. Waiting for another part is
    /// no work; waiting for the network or the disk is.
    pub busy_s: f64,
    /// How many threads it had.
    pub threads: u32,
}

/// Counts the time that threads of one part are busy.
pub(crate) struct Meter {
    threads: AtomicU32,
    tally: Mutex<Tally>,
}

#[derive(Clone, Copy)]
struct Tally {
    running: u32,
    since: Instant,
    busy: Duration,
}

impl Tally {
    fn busy_until(&self, now: Instant) -> Duration {
        self.busy + now.saturating_duration_since(self.since) * self.running
    }
}

/// Undoes a change of the number of running threads, whatever happens between.
struct Change<'m> {
    meter: &'m Meter,
    back: fn(u32) -> u32,
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        self.meter.change(self.back);
    }
}

fn one_more(running: u32) -> u32 {
    running + 1
}

fn one_less(running: u32) -> u32 {
    running.saturating_sub(1)
}

impl Meter {
    fn new(threads: u32) -> Self {
        let tally = Tally { running: 0, since: Instant::now(), busy: Duration::ZERO };
        Self { threads: AtomicU32::new(threads), tally: Mutex::new(tally) }
    }

    /// Do `work`, which is what this part is for.
    pub(crate) fn busy<T>(&self, work: impl FnOnce() -> T) -> T {
        self.change(one_more);
        let _back = Change { meter: self, back: one_less };
        work()
    }

    /// Within [`busy`](Self::busy): wait for another part.
    pub(crate) fn waiting<T>(&self, wait: impl FnOnce() -> T) -> T {
        self.change(one_less);
        let _back = Change { meter: self, back: one_more };
        wait()
    }

    /// This part has so many threads more than it was made with.
    pub(crate) fn add_threads(&self, more: u32) {
        self.threads.fetch_add(more, Ordering::Relaxed);
    }

    fn change(&self, running: fn(u32) -> u32) {
        let mut tally = self.lock();
        let now = Instant::now();
        *tally = Tally { running: running(tally.running), since: now, busy: tally.busy_until(now) };
    }

    fn busy_so_far(&self) -> Duration {
        self.lock().busy_until(Instant::now())
    }

    fn threads(&self) -> u32 {
        self.threads.load(Ordering::Relaxed)
    }

    fn lock(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The meters of all parts.
pub(crate) struct Meters([Meter; 5]);

impl Meters {
    pub(crate) fn new() -> Self {
        let lanes = u32::try_from(LANES).expect("a few");
        Self(Part::ALL.map(|part| match part {
            Part::Net | Part::Hash | Part::Decode => Meter::new(1),
            Part::Write | Part::Verify => Meter::new(lanes),
        }))
    }

    pub(crate) fn of(&self, part: Part) -> &Meter {
        &self.0[part as usize]
    }

    /// What every part did so far.
    pub(crate) fn times(&self) -> [PartTime; 5] {
        Part::ALL.map(|part| {
            let meter = self.of(part);
            PartTime { part, busy_s: meter.busy_so_far().as_secs_f64(), threads: meter.threads() }
        })
    }
}

/// Turns what the meters count into utilisation.
pub(crate) struct Gauge {
    meters: Arc<Meters>,
    since: Instant,
    busy: [Duration; 5],
    last: Utilisation,
}

impl Gauge {
    pub(crate) fn new(meters: Arc<Meters>) -> Self {
        Self { meters, since: Instant::now(), busy: [Duration::ZERO; 5], last: Utilisation::default() }
    }

    /// How busy every part was of late.
    pub(crate) fn utilisation(&mut self) -> Utilisation {
        let passed = self.since.elapsed();
        if passed >= INTERVAL {
            let busy = array::from_fn(|part| self.meters.0[part].busy_so_far());
            self.last = Utilisation(array::from_fn(|part| {
                let work = busy[part].saturating_sub(self.busy[part]);
                percent(work, passed * self.meters.0[part].threads())
            }));
            (self.busy, self.since) = (busy, Instant::now());
        }
        self.last
    }
}

fn percent(part: Duration, whole: Duration) -> u8 {
    let percent = part.as_micros() * 100 / whole.as_micros().max(1);
    u8::try_from(percent.min(100)).expect("at most 100")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(running: u32, busy_s: u64) -> Tally {
        Tally { running, since: Instant::now(), busy: Duration::from_secs(busy_s) }
    }

    #[test]
    fn every_busy_thread_counts_and_a_waiting_one_does_not() {
        let tally = tally(3, 1);
        assert_eq!(tally.busy_until(tally.since + Duration::from_secs(2)), Duration::from_secs(7));
        let meter = Meter::new(1);
        let running = || meter.lock().running;
        let seen = meter.busy(|| (running(), meter.waiting(running), meter.busy(running)));
        assert_eq!((seen, running()), ((1, 0, 2), 0));
    }

    #[test]
    fn the_busiest_part_is_the_bottleneck() {
        assert_eq!(Utilisation::default().bottleneck(), None);
        assert_eq!(Utilisation([10, 99, 98, 0, 0]).bottleneck(), Some(Part::Hash));
        assert_eq!(percent(Duration::from_secs(1), Duration::from_secs(4)), 25);
        assert_eq!(percent(Duration::from_secs(5), Duration::ZERO), 100);
    }
}
