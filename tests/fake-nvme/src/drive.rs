//! A drive: its files, its sanitize, its power.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    hash::{BuildHasher, Hasher, RandomState},
    io,
    net::{Shutdown, TcpStream},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{Action, Faults, Namespace, Spec, sanitize::Sanitize, sanitize::Status, tper::Tper};

/// Erasing goes in pieces of this many bytes.
const PIECE: u64 = 1 << 20;

/// A handle of a drive; clones are the same drive. Its folder holds its content, and what it
/// remembers over a power loss: another drive made in the same folder is the same one, later.
#[derive(Clone, Debug)]
pub struct Drive(Arc<Mutex<Inside>>);

#[derive(Debug)]
pub(crate) struct Inside {
    pub(crate) spec: Spec,
    pub(crate) sanitize: Sanitize,
    pub(crate) powered: bool,
    folder: PathBuf,
    files: BTreeMap<u32, File>,
    connections: Vec<TcpStream>,
    controllers: u16,
    erases: Vec<(u8, u32)>,
    pub(crate) tper: Option<Tper>,
}

impl Drive {
    /// A drive with its files in `folder`.
    ///
    /// # Panics
    /// When those cannot be made.
    #[must_use]
    pub fn new(folder: &Path, spec: Spec) -> Self {
        let files = spec.namespaces.iter().map(|one| (one.id, open(folder, one).expect("a file"))).collect();
        let sanitize = Sanitize::load(&folder.join("sanitize")).expect("a state of a drive");
        let folder = folder.to_owned();
        let (connections, controllers, erases) = (Vec::new(), 0, Vec::new());
        let inside = Inside {
            spec,
            sanitize,
            powered: true,
            folder,
            files,
            connections,
            controllers,
            erases,
            tper: None,
        };
        Self(Arc::new(Mutex::new(inside)))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where the content of a namespace is.
    #[must_use]
    pub fn file(&self, namespace: u32) -> PathBuf {
        file(&self.lock().folder, namespace)
    }

    /// The numbers of its namespaces.
    #[must_use]
    pub fn namespaces(&self) -> Vec<u32> {
        self.lock().spec.namespaces.iter().map(|one| one.id).collect()
    }

    /// The whole content of a namespace.
    ///
    /// # Panics
    /// When there is no such namespace.
    #[must_use]
    pub fn content(&self, namespace: u32) -> Vec<u8> {
        std::fs::read(self.file(namespace)).expect("a namespace")
    }

    /// Put `content` at the beginning of a namespace, over and over, to its end.
    ///
    /// # Panics
    /// When there is no such namespace, or no content.
    pub fn plant(&self, namespace: u32, content: &[u8]) {
        assert!(!content.is_empty(), "nothing to plant");
        let inside = self.lock();
        let file = inside.files.get(&namespace).expect("a namespace");
        let length = file.metadata().expect("a file").len();
        let length = usize::try_from(length).expect("in memory");
        let all: Vec<u8> = content.iter().copied().cycle().take(length).collect();
        file.write_all_at(&all, 0).expect("planted");
    }

    /// Change what is wrong with it.
    pub fn with_faults(&self, change: impl FnOnce(&mut Faults)) {
        change(&mut self.lock().spec.faults);
    }

    /// Give it an owner with this password; what is on it may be locked. It comes from a
    /// factory that printed [`LABEL`](crate::LABEL) on it.
    pub fn own(&self, password: &str, locked: bool) {
        self.lock().tper = Some(Tper::owned(password, locked));
    }

    /// Whether somebody owns it.
    #[must_use]
    pub fn is_owned(&self) -> bool {
        self.lock().tper.as_ref().is_some_and(Tper::is_owned)
    }

    /// How its last sanitize is.
    #[must_use]
    pub fn status(&self) -> Status {
        self.lock().sanitize.status
    }

    /// Every Format (80h) and Sanitize (84h) it took, with command dword 10.
    #[must_use]
    pub fn erases(&self) -> Vec<(u8, u32)> {
        self.lock().erases.clone()
    }

    /// Cut its power: hosts lose their connections and get no new ones.
    pub fn power_off(&self) {
        self.lock().power_off();
    }

    /// It comes back as it was. A sanitize goes on.
    pub fn power_on(&self) {
        self.lock().powered = true;
    }
}

impl Inside {
    /// A host's connection, to be cut with the power.
    pub(crate) fn connected(&mut self, stream: TcpStream) {
        self.connections.push(stream);
    }

    /// The number of a new controller; two hosts never share one.
    pub(crate) fn new_controller(&mut self) -> u16 {
        self.controllers += 1;
        self.controllers
    }

    pub(crate) fn power_off(&mut self) {
        self.powered = false;
        for stream in self.connections.drain(..) {
            // The host may have gone before.
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub(crate) fn remember(&mut self, opcode: u8, cdw10: u32) {
        self.erases.push((opcode, cdw10));
    }

    /// Write the state down; from here on a power loss keeps it.
    pub(crate) fn store(&self) -> io::Result<()> {
        self.sanitize.store(&self.folder.join("sanitize"))
    }

    /// A namespace that a host sees, and its content.
    pub(crate) fn attached(&self, id: u32) -> Option<(&Namespace, &File)> {
        let namespace = self.spec.namespaces.iter().find(|one| one.id == id && one.attached)?;
        Some((namespace, self.files.get(&id)?))
    }

    /// Let a running sanitize go one poll on.
    pub(crate) fn advance(&mut self) -> io::Result<()> {
        if self.sanitize.status != Status::Running {
            return Ok(());
        }
        let faults = &mut self.spec.faults;
        let next = self.sanitize.polls + 1;
        if faults.stalls_at_poll.is_some_and(|at| next >= at) {
            return Ok(());
        }
        self.sanitize.polls = next;
        let (blinks, dies) = (faults.loses_power_at_poll == Some(next), faults.dies_at_poll == Some(next));
        self.erase_on()?;
        if next >= self.spec.polls {
            self.end();
        }
        self.store()?;
        if blinks || dies {
            self.spec.faults.loses_power_at_poll = None;
            self.spec.faults.dies_at_poll = None;
            self.power_off();
            self.powered = blinks;
        }
        Ok(())
    }

    fn end(&mut self) {
        let faults = &mut self.spec.faults;
        let fails = faults.failing_sanitizes > 0;
        faults.failing_sanitizes = faults.failing_sanitizes.saturating_sub(1);
        self.sanitize.status = if fails { Status::Failed } else { Status::Done };
        self.sanitize.left = false;
        self.sanitize.erased = !fails;
    }

    /// Erase the part of every namespace, attached or not, that this poll brings.
    fn erase_on(&self) -> io::Result<()> {
        let Some(action) = self.sanitize.action() else { return Ok(()) };
        let (polls, total) = (u64::from(self.sanitize.polls), u64::from(self.spec.polls.max(1)));
        // What fails, fails before its end.
        if self.spec.faults.lies || (self.spec.faults.failing_sanitizes > 0 && polls >= total) {
            return Ok(());
        }
        for one in &self.spec.namespaces {
            let part = |polls: u64| one.bytes / total * polls.min(total);
            let end = if polls >= total { one.bytes } else { part(polls) };
            let file = self.files.get(&one.id).ok_or(io::ErrorKind::NotFound)?;
            wipe(file, part(polls.saturating_sub(1)), end, action, self.sanitize.pattern)?;
        }
        Ok(())
    }

    /// Erase the whole of a namespace at once.
    pub(crate) fn erase(&self, id: u32, action: Action) -> io::Result<()> {
        let namespace = self.spec.namespaces.iter().find(|one| one.id == id);
        let (Some(one), Some(file)) = (namespace, self.files.get(&id)) else { return Ok(()) };
        wipe(file, 0, one.bytes, action, 0)
    }
}

fn file(folder: &Path, id: u32) -> PathBuf {
    folder.join(format!("ns{id:x}"))
}

fn open(folder: &Path, namespace: &Namespace) -> io::Result<File> {
    let path = file(folder, namespace.id);
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
    file.set_len(namespace.bytes)?;
    Ok(file)
}

fn wipe(file: &File, from: u64, to: u64, action: Action, pattern: u32) -> io::Result<()> {
    let mut at = from;
    while at < to {
        let length = PIECE.min(to - at);
        let piece = match action {
            Action::Block => vec![0; usize::try_from(length).unwrap_or(0)],
            Action::Overwrite => words(length, |_| u64::from(pattern) << 32 | u64::from(pattern)),
            Action::Crypto => {
                let key = RandomState::new().build_hasher().finish();
                words(length, |n| mixed(key ^ n))
            }
        };
        file.write_all_at(&piece, at)?;
        at += length;
    }
    Ok(())
}

/// Numbers that look like noise (splitmix64).
fn mixed(number: u64) -> u64 {
    let z = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

fn words(length: u64, word: impl Fn(u64) -> u64) -> Vec<u8> {
    (0..length / 8).flat_map(|n| word(n).to_le_bytes()).collect()
}
