//! Drivers for the hardware that is there, and for what comes later.
//!
//! ```text
//! coldplug: /sys/devices/**/modalias ─┐
//! later:    uevents ──────────────────┴▶ Pack::matching ▶ plan ▶ crew ▶ kernel
//! ```
//!
//! A driver may take half a minute to find its disks, and loading it takes as
//! long. So modules that nobody waits for go to a small crew of threads, and a
//! slow disk adapter does not keep the network card waiting.

use std::{
    collections::BTreeSet,
    ffi::CString,
    fs::File,
    io,
    path::Path,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, mpsc},
    thread,
    time::{Duration, Instant},
};

use crate::{
    cmdline::Params,
    fatal::chain,
    modules::{LoadError, Loader, Pack, give},
    uevent::{Heard, Listener, modaliases},
};

/// Where the ramdisk keeps its modules.
pub const PACK_PATH: &str = "/lib/billet/modules.pack";
/// Modules that are loaded at the same time. Each holds its bytes in memory.
const CREW: usize = 3;
/// After this long without news the unpacked block is given back.
const IDLE: Duration = Duration::from_millis(500);

/// The kernel, with module options from the command line (`nvme_core.io_timeout=5`).
pub struct Kernel {
    /// Whose options to use.
    pub params: Params,
}

impl Loader for Kernel {
    fn load(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let options = CString::new(self.params.module_options(name)).unwrap_or_default();
        Ok(nix::kmod::init_module(bytes, &options)?)
    }
}

/// What has been loaded so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Modules in the order they were done.
    pub loaded: Vec<String>,
    /// Why others are not loaded, one line each.
    pub failed: Vec<String>,
}

/// Did the devices come to rest?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Settled {
    /// No news for as long as asked.
    Quiet,
    /// There was still news when the time was up.
    TimedOut,
}

#[derive(Default)]
struct Progress {
    report: Report,
    /// Modules that the crew is loading.
    in_flight: BTreeSet<String>,
    /// The devices that were there at the start have their modules.
    coldplugged: bool,
    /// When a device was announced or a module was done.
    last_news: Option<Instant>,
}

/// Progress, shared by the watcher, the crew and whoever waits.
#[derive(Clone, Default)]
struct Board(Arc<(Mutex<Progress>, Condvar)>);

impl Board {
    fn lock(&self) -> MutexGuard<'_, Progress> {
        // Progress is valid after every statement, so a panic elsewhere harms nothing here.
        self.0.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn news(&self, change: impl FnOnce(&mut Progress)) {
        let mut progress = self.lock();
        change(&mut progress);
        progress.last_news = Some(Instant::now());
        self.0.1.notify_all();
    }

    fn finish(&self, name: &str, result: Result<(), LoadError>) {
        self.news(|progress| {
            progress.in_flight.remove(name);
            match result {
                Ok(()) => progress.report.loaded.push(name.to_owned()),
                Err(err @ LoadError::NoDevice { .. }) => tracing::debug!("{err}"),
                Err(err @ (LoadError::Unpack { .. } | LoadError::Refused { .. })) => {
                    tracing::warn!(err = chain(&err), "a driver is missing");
                    progress.report.failed.push(chain(&err));
                }
            }
        });
    }

    /// Wait until none of `names` is being loaded. The kernel ends every load sometime.
    fn wait_for(&self, names: &[&str]) {
        let flying = |progress: &mut Progress| names.iter().any(|&name| progress.in_flight.contains(name));
        let waited = self.0.1.wait_while(self.lock(), flying);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }
}

/// The pack, and the order in which its modules go to the kernel.
struct Yard {
    pack: Option<Pack<File>>,
    kernel: Arc<Kernel>,
    crew: mpsc::SyncSender<(String, Vec<u8>)>,
    board: Board,
    /// Modules that were given to the kernel, whatever it said.
    tried: BTreeSet<String>,
}

impl Yard {
    /// Load the modules that drive `modaliases`.
    fn drive(&mut self, modaliases: &BTreeSet<String>) {
        let Some(pack) = &self.pack else { return };
        let wanted = modaliases.iter().flat_map(|modalias| pack.matching(modalias));
        let names = model::order::set(wanted.map(str::to_owned));
        self.load(&names.iter().map(String::as_str).collect::<Vec<_>>());
    }

    /// Load `names` and what they need: needs here and now, the others by the crew.
    fn load(&mut self, names: &[&str]) {
        let Some(pack) = &mut self.pack else { return };
        let plan: Vec<String> =
            pack.plan(names).filter(|&name| !self.tried.contains(name)).map(str::to_owned).collect();
        for name in &plan {
            self.tried.insert(name.clone());
            self.board.wait_for(&pack.needs_of(name).collect::<Vec<_>>());
            if pack.is_needed(name, &plan) {
                self.board.finish(name, pack.load_one(name, &*self.kernel));
                continue;
            }
            match pack.bytes(name) {
                Ok(bytes) => {
                    let bytes = bytes.unwrap_or_default().to_vec();
                    self.board.news(|progress| _ = progress.in_flight.insert(name.clone()));
                    // The crew ends only when its yard does.
                    let _ = self.crew.send((name.clone(), bytes));
                }
                Err(err) => self.board.finish(name, Err(LoadError::Unpack { name: name.clone(), err })),
            }
        }
    }

    fn rest(&mut self) {
        if let Some(pack) = &mut self.pack {
            pack.forget();
        }
    }
}

/// The running search for drivers. It goes on for as long as the machine runs.
#[derive(Clone)]
pub struct Drivers {
    board: Board,
    yard: Arc<Mutex<Yard>>,
}

impl Drivers {
    /// Open the pack at `pack`. Without one (a kernel with everything built in)
    /// nothing is ever loaded.
    ///
    /// # Errors
    /// When the kernel gives no thread.
    pub fn open(pack: &Path, params: Params) -> io::Result<Self> {
        let board = Board::default();
        let kernel = Arc::new(Kernel { params });
        let crew = start_crew(&kernel, &board)?;
        let yard = Yard { pack: open_pack(pack), kernel, crew, board: board.clone(), tried: BTreeSet::new() };
        Ok(Self { board, yard: Arc::new(Mutex::new(yard)) })
    }

    /// Load modules for the devices of this machine, now and from now on, in a
    /// thread. Call it once.
    ///
    /// # Errors
    /// When the kernel gives no socket or no thread.
    pub fn search(&self) -> io::Result<()> {
        let listener = Listener::open()?; // before coldplug: a device is seen twice rather than never
        let watcher = self.clone();
        thread::Builder::new().name("drivers".into()).spawn(move || {
            watcher.coldplug();
            watcher.watch(&listener);
        })?;
        Ok(())
    }

    /// Load `names` with what they need, and wait for them. For what no device
    /// asks for: file systems, mostly. Names that are not in the pack are taken to
    /// be in the kernel.
    ///
    /// # Errors
    /// One line for each module that could not be loaded, now or before.
    pub fn load(&self, names: &[&str]) -> Result<(), Vec<String>> {
        let mut yard = self.yard();
        yard.load(names);
        let planned: Vec<String> =
            yard.pack.iter().flat_map(|pack| pack.plan(names)).map(str::to_owned).collect();
        drop(yard);
        self.board.wait_for(&planned.iter().map(String::as_str).collect::<Vec<_>>());
        let loaded = self.board.lock().report.loaded.clone();
        let missing = planned.into_iter().filter(|name| !loaded.contains(name));
        let missing: Vec<String> = missing.map(|name| format!("module {name} is not loaded")).collect();
        if missing.is_empty() { Ok(()) } else { Err(missing) }
    }

    /// Wait until the devices of this machine have their drivers and nothing new
    /// was announced for `quiet`, but not longer than `limit`.
    pub fn settle(&self, quiet: Duration, limit: Duration) -> Settled {
        let start = Instant::now();
        let mut progress = self.board.lock();
        loop {
            let still = progress.last_news.map_or(start.elapsed(), |news| news.elapsed());
            let busy = !progress.coldplugged || !progress.in_flight.is_empty();
            let left = limit.saturating_sub(start.elapsed());
            if !busy && still >= quiet {
                return Settled::Quiet;
            }
            if left.is_zero() {
                return Settled::TimedOut;
            }
            let wait = if busy { left } else { left.min(quiet.saturating_sub(still)) };
            progress = self.board.0.1.wait_timeout(progress, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// What has been loaded so far.
    #[must_use]
    pub fn report(&self) -> Report {
        self.board.lock().report.clone()
    }

    fn coldplug(&self) {
        let found = modaliases(Path::new("/sys/devices"));
        let mut yard = self.yard();
        let always: Vec<String> = yard.pack.iter().flat_map(Pack::always).map(str::to_owned).collect();
        let wanted =
            yard.pack.iter().flat_map(|pack| found.iter().flat_map(|modalias| pack.matching(modalias)));
        let names = model::order::set(wanted.map(str::to_owned).chain(always));
        yard.load(&names.iter().map(String::as_str).collect::<Vec<_>>()); // one plan: each block unpacked once
        drop(yard);
        self.board.news(|progress| progress.coldplugged = true);
    }

    fn watch(&self, listener: &Listener) {
        let mut idle = false;
        loop {
            match listener.next(if idle { None } else { Some(IDLE) }) {
                Ok(Heard::Event(event)) => {
                    idle = false;
                    self.board.news(|_| {});
                    self.yard().drive(&event.new_modalias().map(str::to_owned).into_iter().collect());
                }
                Ok(Heard::Lost) => {
                    idle = false;
                    tracing::warn!("announcements of devices were lost; looking for all devices again");
                    self.yard().drive(&modaliases(Path::new("/sys/devices")));
                }
                Ok(Heard::Quiet) => {
                    idle = true;
                    self.yard().rest();
                }
                Err(err) => {
                    tracing::error!(%err, "new devices are not noticed any more");
                    return;
                }
            }
        }
    }

    fn yard(&self) -> MutexGuard<'_, Yard> {
        // What was tried is written before it is tried, so the yard is valid after a panic.
        self.yard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open_pack(path: &Path) -> Option<Pack<File>> {
    let pack = Pack::open_path(path);
    pack.inspect_err(|err| tracing::warn!(path = %path.display(), err = chain(err), "no modules to load"))
        .ok()
}

/// Start the threads that load modules; each takes the next one when it is free.
fn start_crew(kernel: &Arc<Kernel>, board: &Board) -> io::Result<mpsc::SyncSender<(String, Vec<u8>)>> {
    let (crew, work) = mpsc::sync_channel::<(String, Vec<u8>)>(0);
    let work = Arc::new(Mutex::new(work));
    for _ in 0..CREW {
        let (kernel, board, work) = (Arc::clone(kernel), board.clone(), Arc::clone(&work));
        thread::Builder::new().name("modules".into()).spawn(move || {
            loop {
                let next = work.lock().unwrap_or_else(PoisonError::into_inner).recv();
                let Ok((name, bytes)) = next else { return };
                board.finish(&name, give(&name, &bytes, &*kernel));
            }
        })?;
    }
    Ok(crew)
}
