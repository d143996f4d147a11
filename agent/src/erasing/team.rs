//! All the disks of one order: looked at, planned, erased at once, each with
//! its signed document.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use erase::{Erased, Level, Mode, Progress};
use inventory::Root;
use model::inventory::Disk;
use serde_json::Value;

use super::{
    Looked, Meter, NotErased, Papers, Planned, Ready, Stage, Wish,
    crew::{Lost, Patience, Turns, all},
    look::{look, plan},
    worker::{Listener, Load, Writes, carry_out, load},
};
use crate::command::chain;

/// A disk that says nothing for so long when it is asked what it is keeps
/// nobody waiting: twice the kernel's limit for such a command.
const LOOK: Patience = Patience { turn: Duration::from_secs(60), life: Duration::from_secs(120) };

/// How it went with one disk.
#[derive(Clone, Debug)]
pub(crate) struct End {
    /// What is signed about it.
    pub(crate) document: Option<Value>,
    /// What was done, or why it is not clean.
    pub(crate) words: Result<String, String>,
}

/// What happens while a team works.
pub(crate) enum Event<'a> {
    /// Somebody is further; the meter says how far all are.
    Progress(&'a Mutex<Meter>),
    /// A disk is done with, others may take days more.
    Ended {
        /// Its path.
        device: &'a str,
        /// How it went.
        end: &'a End,
    },
}

/// Told of everything, by several threads.
pub(crate) type Watcher = dyn Fn(Event) + Send + Sync;

/// What every worker needs to know.
pub(crate) struct Team {
    root: Root,
    disks: Vec<Disk>,
    wish: Wish,
    writes: Writes,
    papers: Papers,
    turns: Arc<Turns>,
    meter: Mutex<Meter>,
    ends: Mutex<BTreeMap<usize, End>>,
    watcher: Box<Watcher>,
}

/// What a team works on and for whom.
pub(crate) struct Order {
    pub(crate) root: Root,
    pub(crate) disks: Vec<Disk>,
    pub(crate) wish: Wish,
    pub(crate) writes: Writes,
    pub(crate) papers: Papers,
    /// How many disks keep the host busy at once.
    pub(crate) busy: usize,
    /// What progress calls the order.
    pub(crate) name: &'static str,
}

impl Team {
    pub(crate) fn new(order: Order, watcher: Box<Watcher>) -> Arc<Self> {
        let Order { root, disks, wish, writes, papers, busy, name } = order;
        let limit = wish.request.policy.rate_limit;
        Arc::new(Self {
            root,
            wish,
            writes,
            papers,
            turns: Arc::new(Turns::new(busy, Patience::within(limit, disks.len()))),
            meter: Mutex::new(Meter::new(name, disks.iter().map(Disk::path))),
            ends: Mutex::default(),
            watcher,
            disks,
        })
    }

    /// Look at every disk and plan them all. Those that will not be erased have their end.
    pub(crate) fn plan(self: &Arc<Self>) -> Vec<Vec<Ready>> {
        let turns = Arc::new(Turns::new(self.disks.len(), LOOK));
        let mut looked: Vec<Looked> = Vec::new();
        let theirs = Arc::clone(self);
        let work = move |index: usize| look(index, &theirs.disks[index], &theirs.wish);
        all(self.disks.len(), &turns, work, |index, outcome| match outcome {
            Ok(Ok(one)) => looked.push(one),
            Ok(Err(err)) => self.not_erased(index, &err),
            Err(lost) => self.lost(index, lost),
        });
        looked.sort_by_key(|one| one.index);
        let Planned { groups, refused } = plan(looked, &self.wish);
        refused.iter().for_each(|(index, err)| self.not_erased(*index, err));
        groups
    }

    /// Erase all groups at once; how it went with every disk, by its path.
    pub(crate) fn erase(self: &Arc<Self>, groups: Vec<Vec<Ready>>) -> BTreeMap<String, End> {
        let members: Vec<Vec<usize>> =
            groups.iter().map(|group| group.iter().map(|ready| ready.looked.index).collect()).collect();
        let jobs: Vec<_> = groups.into_iter().map(|group| Mutex::new(Some(group))).collect();
        let theirs = Arc::clone(self);
        let work = move |worker: usize| {
            let group = jobs[worker].lock().unwrap_or_else(PoisonError::into_inner).take();
            let mut listener = Worker { team: &theirs, worker };
            let (root, wish, writes) = (&theirs.root, &theirs.wish, &theirs.writes);
            carry_out(root, group.unwrap_or_default(), wish, writes, &mut listener);
        };
        all(members.len(), &self.turns, work, |worker, outcome| {
            let lost = outcome.err().unwrap_or(Lost::Bug);
            let unended = members[worker].iter().filter(|index| !lock(&self.ends).contains_key(*index));
            unended.copied().collect::<Vec<_>>().into_iter().for_each(|index| self.lost(index, lost));
        });
        let ends = lock(&self.ends);
        ends.iter().map(|(index, end)| (self.disks[*index].path(), end.clone())).collect()
    }

    fn not_erased(&self, index: usize, err: &NotErased) {
        self.ended(index, Err(err));
    }

    /// There is no result: nobody knows what the disk holds.
    fn lost(&self, index: usize, lost: Lost) {
        let words = Err(format!("{}: not erased: {lost}", self.disks[index].path()));
        self.keep(index, End { document: None, words });
    }

    fn ended(&self, index: usize, outcome: Result<&Erased, &NotErased>) {
        let path = self.disks[index].path();
        let words = match outcome {
            Ok(erased) => Ok(done(&path, erased)),
            // A disk rightly left alone is recorded as such; it never counts as clean.
            Err(err) if err.is_skip() => Ok(format!("{path} is left alone: {}", chain(err))),
            Err(err) => Err(format!("{path}: {}", chain(err))),
        };
        let end = match self.papers.document(outcome) {
            Ok(document) => End { document, words },
            Err(err) => End { document: None, words: words.and(Err(format!("{path}: {}", chain(&err)))) },
        };
        self.keep(index, end);
    }

    fn keep(&self, index: usize, mut end: End) {
        let disk = &self.disks[index];
        if let Err(why) = &end.words {
            // What cannot be signed is missing, and that is a failure already.
            end.document = end.document.or_else(|| self.papers.not_begun(disk, why).ok());
        }
        let stage = if end.words.is_ok() { Stage::Done } else { Stage::Failed };
        let path = disk.path();
        lock(&self.meter).end(&path, stage);
        (self.watcher)(Event::Ended { device: &path, end: &end });
        lock(&self.ends).insert(index, end);
        (self.watcher)(Event::Progress(&self.meter));
    }
}

/// One group's way to the team.
struct Worker<'a> {
    team: &'a Team,
    worker: usize,
}

impl Listener for Worker<'_> {
    fn progress(&mut self, index: usize, progress: Progress) {
        match load(&progress) {
            Load::Heavy => self.team.turns.busy(self.worker),
            Load::Light => self.team.turns.light(self.worker),
            Load::ByDrive => self.team.turns.by_drive(self.worker),
        }
        lock(&self.team.meter).tell(&self.team.disks[index].path(), &progress, Instant::now());
        (self.team.watcher)(Event::Progress(&self.team.meter));
    }

    fn ended(&mut self, index: usize, outcome: Result<Erased, NotErased>) {
        self.team.turns.light(self.worker);
        self.team.ended(index, outcome.as_ref());
    }
}

/// What was done to one disk, in a line.
fn done(path: &str, erased: &Erased) -> String {
    let what = match erased.policy.mode {
        Mode::Full => "erased",
        Mode::Metadata => "cleared of partition tables and signatures; its data is still there",
    };
    let serial = &erased.subject.disk.serial;
    let serial = serial.as_deref().map(|serial| format!(" (serial {serial})")).unwrap_or_default();
    let worth = match erased.method.level().0 {
        Level::None => "",
        Level::Clear => ", clear",
        Level::Purge => ", purge",
    };
    let how = erased.method.name();
    format!("{path}{serial} is {what}: {how}{worth}, {} read back", erased.proof.bytes)
}

/// A panic elsewhere leaves what is behind these locks whole: each change is one call.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
