use std::{
    fs::{self, File},
    io::{self, Read as _},
    path::{Path, PathBuf},
    str::FromStr,
};

use crate::{
    limits,
    recording::{
        Entry, LISTING, ParseRecordingError, Tree,
        archive::{self, UnpackError},
    },
};

/// Where a machine is read from: the running one, a tree that has `sys/` and
/// `proc/` below it, or a recording made by [`record`](crate::record()).
#[derive(Clone, Debug)]
pub struct Root {
    place: Place,
}

#[derive(Clone, Debug)]
enum Place {
    Live,
    Directory(PathBuf),
    /// `sysfs.txt`, read, and the directory that has `proc/`.
    Recording(Tree, PathBuf),
    /// A listing that holds everything.
    Listing(Tree),
}

/// Why a recording cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum OpenRecordingError {
    /// Its listing cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The listing.
        path: PathBuf,
        /// What the file system answered.
        #[source]
        err: io::Error,
    },
    /// Its listing is not one.
    #[error("{} is not a recording; make one with `billet-agent record`", path.display())]
    Malformed {
        /// The listing.
        path: PathBuf,
        /// The first line that is wrong.
        #[source]
        err: ParseRecordingError,
    },
    /// An archive that is no recording.
    #[error("the archive is not a recording; make one with `billet-agent record`")]
    Archive(#[source] UnpackError),
}

impl Root {
    /// The machine this program runs on.
    #[must_use]
    pub fn live() -> Self {
        Self { place: Place::Live }
    }

    /// The tree below `dir`: `dir/sys`, `dir/proc`.
    #[must_use]
    pub fn at(dir: impl Into<PathBuf>) -> Self {
        Self { place: Place::Directory(dir.into()) }
    }

    /// The recording in `dir` (it has a `sysfs.txt`), or else the tree below it.
    ///
    /// # Errors
    /// [`OpenRecordingError`] when there is a `sysfs.txt` that is no listing.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, OpenRecordingError> {
        let dir = dir.into();
        let path = dir.join(LISTING);
        let text = match listing(&path) {
            Ok(text) => text,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(Self::at(dir)),
            Err(err) => return Err(OpenRecordingError::Read { path, err }),
        };
        let tree = text.parse().map_err(|err| OpenRecordingError::Malformed { path, err })?;
        Ok(Self { place: Place::Recording(tree, dir) })
    }

    /// The recording in `archive`: what [`record_archive`](crate::record_archive) made, decompressed.
    ///
    /// # Errors
    /// [`OpenRecordingError::Archive`] when it is damaged, holds what no recording
    /// does, or too much; [`OpenRecordingError::Malformed`] when its listing is none.
    pub fn unpack(archive: &mut dyn io::Read) -> Result<Self, OpenRecordingError> {
        let files = archive::unpack(archive).map_err(OpenRecordingError::Archive)?;
        let listing = files.iter().find(|(name, _)| name == Path::new(LISTING));
        let text = listing.map(|(_, content)| String::from_utf8_lossy(content)).unwrap_or_default();
        let malformed = |err| OpenRecordingError::Malformed { path: LISTING.into(), err };
        let mut tree: Tree = text.parse().map_err(malformed)?;
        for (name, content) in files.into_iter().filter(|(name, _)| name.starts_with("proc")) {
            tree.insert(name, Entry::File(content));
        }
        Ok(Self { place: Place::Listing(tree) })
    }

    /// True for the machine this program runs on.
    pub(crate) fn is_live(&self) -> bool {
        matches!(self.place, Place::Live)
    }

    /// Where the symbolic link at `path` points, if it is one.
    pub(crate) fn link(&self, path: &Path) -> Option<PathBuf> {
        match self.find(path) {
            Found::OnDisk(path) => fs::read_link(path).ok(),
            Found::InTree(tree) => tree.link(path),
        }
    }

    /// True for a directory, false for a file, an error for nothing.
    pub(crate) fn is_dir(&self, path: &Path) -> io::Result<bool> {
        match self.find(path) {
            Found::OnDisk(path) => Ok(fs::metadata(path)?.is_dir()),
            Found::InTree(tree) => tree.is_dir(path),
        }
    }

    /// The first `limit` bytes of a file. Only of a file: opening a pipe waits
    /// forever.
    pub(crate) fn read(&self, path: &Path, limit: usize) -> io::Result<Vec<u8>> {
        let full = match self.find(path) {
            Found::OnDisk(full) => full,
            Found::InTree(tree) => return tree.read(path, limit),
        };
        if !fs::metadata(&full)?.is_file() {
            return Err(io::Error::other("is not a file"));
        }
        let mut bytes = Vec::new();
        File::open(full)?.take(limit as u64).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    /// Up to `limit` names in a directory.
    pub(crate) fn names(&self, path: &Path, limit: usize) -> io::Result<Vec<String>> {
        let full = match self.find(path) {
            Found::OnDisk(full) => full,
            Found::InTree(tree) => return tree.names(path, limit),
        };
        let mut names = Vec::new();
        for entry in fs::read_dir(full)?.take(limit) {
            // A name that is not UTF-8 is no kernel's.
            names.extend(entry?.file_name().into_string());
        }
        Ok(names)
    }

    fn find(&self, path: &Path) -> Found<'_> {
        match &self.place {
            Place::Live => Found::OnDisk(Path::new("/").join(path)),
            Place::Directory(dir) => Found::OnDisk(dir.join(path)),
            Place::Recording(_, dir) if path.starts_with("proc") => Found::OnDisk(dir.join(path)),
            Place::Recording(tree, _) | Place::Listing(tree) => Found::InTree(tree),
        }
    }
}

/// A listing's text, of a file and not larger than any machine's.
fn listing(path: &Path) -> io::Result<String> {
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("is not a file"));
    }
    let mut text = String::new();
    File::open(path)?.take(limits::RECORDING_BYTES as u64 + 1).read_to_string(&mut text)?;
    if text.len() > limits::RECORDING_BYTES {
        return Err(io::Error::other(format!("is longer than {} bytes", limits::RECORDING_BYTES)));
    }
    Ok(text)
}

/// A machine in one listing, `proc/` too.
impl FromStr for Root {
    type Err = ParseRecordingError;

    fn from_str(listing: &str) -> Result<Self, ParseRecordingError> {
        Ok(Self { place: Place::Listing(listing.parse()?) })
    }
}

enum Found<'a> {
    OnDisk(PathBuf),
    InTree(&'a Tree),
}
