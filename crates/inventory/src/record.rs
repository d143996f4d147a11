//! Recording: the files a scan reads, and nothing more, so that the scan can be
//! repeated elsewhere.

mod forms;
mod frames;
mod identifier;
mod pseudonym;
mod rules;
mod walks;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    Options, Root, limits, machine, platform,
    reader::Reader,
    recording::{
        Entry, LISTING, Tree,
        archive::{self, Files},
    },
    scan_with,
};

/// What happens to serial numbers, MACs, UUIDs and addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identifiers {
    /// Each becomes another of the same shape, the same one everywhere.
    Replace,
    /// They stay.
    Keep,
}

/// Why a recording was not written.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The directory exists and is not empty: nothing is overwritten.
    #[error("{} is not empty; name a new directory", dir.display())]
    NotEmpty {
        /// The directory.
        dir: PathBuf,
    },
    /// A file could not be written.
    #[error("cannot write {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the file system answered.
        #[source]
        err: io::Error,
    },
    /// An archive could not be made.
    #[error("the recording does not fit into an archive; record into a directory")]
    Pack(#[source] io::Error),
}

/// Write what a scan of `root` reads to `dir`: `sysfs.txt` in the form of
/// `hardware-fixtures`, and the files of `proc/` as they are.
///
/// # Errors
/// [`RecordError`] naming what could not be written.
pub fn record(
    root: &Root,
    options: &Options,
    identifiers: Identifiers,
    dir: &Path,
) -> Result<(), RecordError> {
    if fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(RecordError::NotEmpty { dir: dir.to_owned() });
    }
    files(root, options, identifiers).iter().try_for_each(|(name, content)| write(&dir.join(name), content))
}

/// The same as one file, a `.tar.zst` that [`Root::unpack`] reads when it is decompressed.
///
/// # Errors
/// [`RecordError::Pack`] when a file's name is longer than an archive's may be.
pub fn record_archive(
    root: &Root,
    options: &Options,
    identifiers: Identifiers,
) -> Result<Vec<u8>, RecordError> {
    archive::pack(&files(root, options, identifiers)).map_err(RecordError::Pack)
}

const ENOTDIR: i32 = 20;

/// The files of a recording.
fn files(root: &Root, options: &Options, identifiers: Identifiers) -> Files {
    let reader = Reader::new(root);
    let inventory = scan_with(&reader, options);
    let mut seen = without_secrets(reader.into_seen());
    if identifiers == Identifiers::Replace {
        seen = pseudonym::replace(&seen, &inventory);
    }
    let mut files = Files::new();
    let mut listed = Tree::default();
    for (path, entry) in seen.entries() {
        match entry {
            // A file was looked into as if it were a directory; it is none in the recording either.
            Entry::Broken(ENOTDIR) => {}
            Entry::File(content) if path.starts_with("proc") => files.push((path.clone(), content.clone())),
            Entry::File(_) | Entry::Link(_) | Entry::Directory | Entry::Broken(_) => {
                listed.insert(path.clone(), entry.clone());
            }
        }
    }
    files.push((LISTING.into(), listed.to_string().into_bytes()));
    files
}

/// Without the secrets of the kernel's command line, whoever the recording is for.
fn without_secrets(tree: Tree) -> Tree {
    let Ok(command_line) = tree.read(Path::new(machine::COMMAND_LINE), limits::FILE_BYTES) else {
        return tree;
    };
    let mut tree = tree;
    let told = platform::recorded_command_line(&command_line, Identifiers::Keep);
    tree.insert(machine::COMMAND_LINE.into(), Entry::File(told));
    tree
}

fn write(path: &Path, content: &[u8]) -> Result<(), RecordError> {
    let failed = |err| RecordError::Write { path: path.to_owned(), err };
    fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).map_err(failed)?;
    fs::write(path, content).map_err(failed)
}
