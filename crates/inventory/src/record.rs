//! Recording: the files a scan reads, and nothing more, so that the scan can be
//! repeated elsewhere.

mod pseudonym;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    Options, Root,
    identity::vpd,
    machine, platform,
    reader::Reader,
    recording::{Entry, LISTING, Tree},
    scan_with, smbios,
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
    let reader = Reader::new(root);
    let inventory = scan_with(&reader, options);
    let mut seen = only_what_matters(reader.into_seen(), identifiers);
    if identifiers == Identifiers::Replace {
        seen = pseudonym::replace(&seen, &inventory);
    }
    if fs::read_dir(dir).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(RecordError::NotEmpty { dir: dir.to_owned() });
    }
    let mut listed = Tree::default();
    for (path, entry) in seen.entries() {
        match entry {
            Entry::File(content) if path.starts_with("proc") => write(&dir.join(path), content)?,
            Entry::File(_) | Entry::Link(_) | Entry::Directory | Entry::Broken(_) => {
                listed.insert(path.clone(), entry.clone());
            }
        }
    }
    write(&dir.join(LISTING), listed.to_string().as_bytes())
}

/// Of files that hold much besides: the part that is used. A kernel command line
/// may carry secrets, SMBIOS tables carry every serial number of the machine, and
/// page 83h of a disk names its ports too.
fn only_what_matters(tree: Tree, identifiers: Identifiers) -> Tree {
    let mut nth = 3000;
    let mut blot = |text: &str| {
        nth += 1;
        match identifiers {
            Identifiers::Keep => text.to_owned(),
            Identifiers::Replace => pseudonym::stand_in(text, 0, nth),
        }
    };
    let cut = tree.entries().map(|(path, entry)| {
        let entry = match entry {
            Entry::File(content) if path == Path::new(smbios::TABLE) => {
                Entry::File(smbios::recorded_part(content, &mut blot))
            }
            Entry::File(content) if path.ends_with("vpd_pg83") => Entry::File(vpd::recorded_part(content)),
            Entry::File(content) if path == Path::new(machine::COMMAND_LINE) => {
                Entry::File(platform::recorded_command_line(content, identifiers))
            }
            Entry::File(_) | Entry::Link(_) | Entry::Directory | Entry::Broken(_) => entry.clone(),
        };
        (path.clone(), entry)
    });
    cut.collect()
}

fn write(path: &Path, content: &[u8]) -> Result<(), RecordError> {
    let failed = |err| RecordError::Write { path: path.to_owned(), err };
    fs::create_dir_all(path.parent().unwrap_or(Path::new("."))).map_err(failed)?;
    fs::write(path, content).map_err(failed)
}
