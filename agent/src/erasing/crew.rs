//! One worker a disk, all at once. What keeps the host busy takes turns; a
//! disk that hangs delays nobody, and is given up.

use std::{
    collections::{HashMap, VecDeque},
    io,
    panic::{self, AssertUnwindSafe},
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError,
        mpsc::{Sender, channel},
    },
    thread,
    time::{Duration, Instant},
};

use model::Bytes;

/// The most threads, whatever the number of disks; more wait their turn.
const MOST_WORKERS: usize = 256;
/// How often somebody looks whether a disk hangs.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The most that one disk is about to write at any time: 64 MiB of zeros in each of four lanes.
const AHEAD: u64 = 256 << 20;

/// How long a disk may give no sign of life.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Then another may take its turn.
    pub(crate) turn: Duration,
    /// Then it is given up: longer than the kernel tries to bring a disk back,
    /// with all its retries and resets.
    pub(crate) life: Duration,
}

impl Patience {
    /// For real disks.
    pub(crate) const REAL: Self = Self { turn: Duration::from_secs(60), life: Duration::from_secs(30 * 60) };

    /// For `disks` real disks that share a limit of bytes in a second: each may
    /// wait for what all the others are about to write.
    pub(crate) fn within(limit: Option<Bytes>, disks: usize) -> Self {
        let ahead = AHEAD.saturating_mul(u64::try_from(disks).unwrap_or(u64::MAX));
        let wait = limit.map_or(0, |limit| ahead / limit.0.max(1));
        Self { life: Self::REAL.life.saturating_add(Duration::from_secs(wait)), ..Self::REAL }
    }
}

/// Who works, and when they last gave a sign of life.
#[derive(Debug)]
pub(crate) struct Turns {
    limit: usize,
    patience: Patience,
    now: Mutex<HashMap<usize, Sign>>,
    changed: Condvar,
}

#[derive(Clone, Copy, Debug)]
enum Sign {
    /// Keeps the host busy, seen then.
    Busy(Instant),
    /// Costs the host next to nothing, seen then.
    Light(Instant),
    /// Waits: for its turn, or for a drive that is at it by itself and whose
    /// command has a time limit of its own.
    Idle,
}

impl Turns {
    /// `limit` workers keep the host busy at once.
    pub(crate) fn new(limit: usize, patience: Patience) -> Self {
        Self { limit: limit.max(1), patience, now: Mutex::default(), changed: Condvar::new() }
    }

    /// `worker` is about to keep the host busy, or goes on doing so: wait for its
    /// turn, if it has none.
    pub(crate) fn busy(&self, worker: usize) {
        let mut now = self.lock();
        loop {
            let mine = matches!(now.get(&worker), Some(Sign::Busy(_)));
            if mine || self.taken(&now) < self.limit {
                now.insert(worker, Sign::Busy(Instant::now()));
                return;
            }
            now.insert(worker, Sign::Idle);
            let waited = self.changed.wait_timeout(now, LOOK_EVERY.min(self.patience.turn));
            now = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn taken(&self, now: &HashMap<usize, Sign>) -> usize {
        let taken = |sign: &&Sign| match sign {
            Sign::Busy(seen) => seen.elapsed() < self.patience.turn,
            Sign::Light(_) | Sign::Idle => false,
        };
        now.values().filter(taken).count()
    }

    /// `worker` is alive, and does what needs no turn.
    pub(crate) fn light(&self, worker: usize) {
        self.set(worker, Sign::Light(Instant::now()));
    }

    /// `worker`'s drive is at it by itself.
    pub(crate) fn by_drive(&self, worker: usize) {
        self.set(worker, Sign::Idle);
    }

    fn set(&self, worker: usize, sign: Sign) {
        self.lock().insert(worker, sign);
        self.changed.notify_all();
    }

    fn gone(&self, worker: usize) {
        self.lock().remove(&worker);
        self.changed.notify_all();
    }

    /// Those who gave no sign of life for too long.
    fn hanging(&self) -> Vec<usize> {
        let hangs = |sign: &Sign| match sign {
            Sign::Busy(seen) | Sign::Light(seen) => seen.elapsed() >= self.patience.life,
            Sign::Idle => false,
        };
        self.lock().iter().filter(|(_, sign)| hangs(sign)).map(|(worker, _)| *worker).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<usize, Sign>> {
        // A panic elsewhere leaves the map whole: each change is one call.
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why there is no result about a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub(crate) enum Lost {
    /// No sign of life.
    #[error(
        "it answers nothing any more, neither yes nor no; power-cycle the machine, and replace the disk if it hangs again"
    )]
    Hangs,
    /// A bug.
    #[error("billet-agent has a bug in its erasure; its log has the place: report it, and try again")]
    Bug,
    /// No thread.
    #[error("the kernel gives no thread to erase it with; does the machine have enough memory?")]
    NoThread,
}

/// Do `work` for each of 0 to `count`, each on a thread of its own, and tell
/// `ended` in the order in which they end. One that hangs is given up: its
/// thread is left to the kernel, and keeps its disk open.
pub(crate) fn all<T: Send + 'static>(
    count: usize,
    turns: &Arc<Turns>,
    work: impl Fn(usize) -> T + Send + Sync + 'static,
    mut ended: impl FnMut(usize, Result<T, Lost>),
) {
    let (done, results) = channel();
    let work = Arc::new(work);
    let mut waiting: VecDeque<usize> = (0..count).collect();
    let mut working = Vec::new();
    while !waiting.is_empty() || !working.is_empty() {
        while working.len() < MOST_WORKERS
            && let Some(index) = waiting.pop_front()
        {
            turns.light(index);
            match begin(index, &work, &done) {
                Ok(()) => working.push(index),
                Err(_) if !working.is_empty() => {
                    waiting.push_front(index);
                    break;
                }
                Err(_) => ended(index, Err(Lost::NoThread)),
            }
        }
        let mut end = |index, result| {
            // Nobody waits any more for one that was given up.
            if let Some(place) = working.iter().position(|other| *other == index) {
                working.swap_remove(place);
                turns.gone(index);
                ended(index, result);
            }
        };
        if let Ok((index, result)) = results.recv_timeout(LOOK_EVERY.min(turns.patience.life)) {
            end(index, result);
        }
        turns.hanging().into_iter().for_each(|index| end(index, Err(Lost::Hangs)));
    }
}

fn begin<T: Send + 'static>(
    index: usize,
    work: &Arc<impl Fn(usize) -> T + Send + Sync + 'static>,
    done: &Sender<(usize, Result<T, Lost>)>,
) -> io::Result<()> {
    let (work, done) = (Arc::clone(work), done.clone());
    let run = move || {
        // A bug must not leave a disk without an end.
        let result = panic::catch_unwind(AssertUnwindSafe(|| work(index)));
        // Nobody listens when the others are done and this one was given up.
        let _ = done.send((index, result.map_err(|_| Lost::Bug)));
    };
    thread::Builder::new().name(format!("erase {index}")).spawn(run).map(drop)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn no_more_than_the_limit_keep_the_host_busy_and_drives_at_work_do_not_count() {
        let turns = Arc::new(Turns::new(2, Patience::REAL));
        let (busy, most) = (AtomicUsize::new(0), Arc::new(AtomicUsize::new(0)));
        let (seen, theirs) = (Arc::clone(&most), Arc::clone(&turns));
        let work = move |worker| {
            theirs.by_drive(worker);
            theirs.busy(worker);
            seen.fetch_max(busy.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            theirs.busy(worker);
            thread::yield_now();
            busy.fetch_sub(1, Ordering::SeqCst);
            theirs.light(worker);
            worker * 2
        };
        let mut results = Vec::new();
        all(100, &turns, work, |index, result| results.push((index, result)));
        results.sort_unstable();
        assert_eq!(results, (0..100).map(|n| (n, Ok(n * 2))).collect::<Vec<_>>());
        assert_eq!(most.load(Ordering::SeqCst), 2);
    }

    /// They answer nothing because they are not asked.
    #[test]
    fn disks_that_wait_for_a_low_limit_do_not_hang() {
        let plain = Patience::REAL.life;
        assert_eq!(Patience::within(None, 1000).life, plain);
        assert_eq!(Patience::within(Some(Bytes(1 << 30)), 8).life, plain + Duration::from_secs(2));
        // 64 MiB for each of 32 disks at 1 MiB/s take 34 minutes.
        assert!(Patience::within(Some(Bytes(1 << 20)), 32).life > Duration::from_secs(64 * 60));
        assert!(Patience::within(Some(Bytes(1)), usize::MAX).life > plain);
    }

    #[test]
    fn a_disk_that_hangs_delays_nobody_and_is_given_up() {
        // Long enough for threads to come up on a busy machine.
        let short = Patience { turn: Duration::from_millis(1), life: Duration::from_secs(3) };
        let turns = Arc::new(Turns::new(1, short));
        let theirs = Arc::clone(&turns);
        let (_let_go, never) = channel::<()>();
        let never = Mutex::new(never);
        let work = move |worker| {
            theirs.busy(worker);
            match worker {
                0 => drop(never.lock().unwrap().recv()),
                1 => panic!("a bug, for the test"),
                _ => {}
            }
        };
        let mut ends = Vec::new();
        all(4, &turns, work, |index, result: Result<(), Lost>| ends.push((index, result)));
        assert_eq!(ends.last(), Some(&(0, Err(Lost::Hangs))), "the others were not kept waiting: {ends:?}");
        ends.sort_unstable();
        assert_eq!(ends, [(0, Err(Lost::Hangs)), (1, Err(Lost::Bug)), (2, Ok(())), (3, Ok(()))]);
    }
}
