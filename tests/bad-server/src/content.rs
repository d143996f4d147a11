//! What a server has: files, each in one or more versions, and a script for each.

use std::{
    fs, io,
    os::unix::fs::FileExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::Act;

/// The bytes of one version of a file.
#[derive(Clone, Debug)]
pub enum Content {
    /// In memory.
    Memory(Arc<[u8]>),
    /// In a file that nobody changes, which may be larger than memory.
    OnDisk(Arc<fs::File>, u64),
}

impl Content {
    /// The content of the file at `path`.
    ///
    /// # Errors
    /// Whatever the kernel says.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = fs::File::open(path)?;
        let length = file.metadata()?.len();
        Ok(Self::OnDisk(Arc::new(file), length))
    }

    /// How many bytes it has.
    #[must_use]
    pub fn length(&self) -> u64 {
        match self {
            Content::Memory(bytes) => bytes.len() as u64,
            Content::OnDisk(_, length) => *length,
        }
    }

    /// Fill `into` from `at`.
    pub(crate) fn read_at(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        match self {
            Content::OnDisk(file, _) => file.read_exact_at(into, at),
            Content::Memory(bytes) => {
                let start = usize::try_from(at).map_err(io::Error::other)?;
                let part = bytes.get(start..start + into.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
                into.copy_from_slice(part);
                Ok(())
            }
        }
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Content::Memory(bytes.into())
    }
}

/// A file, and what is done with each request for it.
#[derive(Debug)]
pub struct File {
    versions: Vec<Content>,
    stream: Script,
    parts: Script,
}

/// One act a request, then the same for ever.
#[derive(Debug, Default)]
struct Script {
    acts: Vec<Act>,
    then: Act,
    next: AtomicUsize,
}

impl Script {
    fn next(&self) -> Act {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.acts.get(number).unwrap_or(&self.then).clone()
    }
}

impl File {
    /// A file with one version, served well.
    pub fn new(content: impl Into<Content>) -> Self {
        Self { versions: vec![content.into()], stream: Script::default(), parts: Script::default() }
    }

    /// With another version, for acts that name it.
    #[must_use]
    pub fn version(mut self, content: impl Into<Content>) -> Self {
        self.versions.push(content.into());
        self
    }

    /// What is done with requests in turn, those for a closed range aside.
    #[must_use]
    pub fn acts(mut self, acts: impl IntoIterator<Item = Act>) -> Self {
        self.stream.acts.extend(acts);
        self
    }

    /// What is done with all requests after those, closed ranges aside.
    #[must_use]
    pub fn then(mut self, act: Act) -> Self {
        self.stream.then = act;
        self
    }

    /// What is done with requests for a closed range in turn.
    #[must_use]
    pub fn parts(mut self, acts: impl IntoIterator<Item = Act>) -> Self {
        self.parts.acts.extend(acts);
        self
    }

    /// What is done with all requests for a closed range after those.
    #[must_use]
    pub fn parts_then(mut self, act: Act) -> Self {
        self.parts.then = act;
        self
    }

    /// The same for every request.
    #[must_use]
    pub fn always(self, act: Act) -> Self {
        self.then(act.clone()).parts_then(act)
    }

    /// What is done with the next request.
    pub(crate) fn act(&self, closed_range: bool) -> Act {
        if closed_range { self.parts.next() } else { self.stream.next() }
    }

    /// The version that `act` gives; the last one when there are fewer.
    pub(crate) fn content(&self, act: &Act) -> &Content {
        &self.versions[act.version.min(self.versions.len() - 1)]
    }
}
