//! The initramfs archive (cpio `newc`), the same bytes for the same contents.
//!
//! Times are 0, owners are root, inode numbers count up, entries are sorted with
//! every folder before what is in it: see the kernel's
//! Documentation/driver-api/early-userspace/buffer-format.rst.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use cpio::newc;

/// The most one file may weigh: the format has 32 bits for a size, some tools 31.
const FILE_LIMIT: usize = (1 << 31) - 1;

/// What a name in the archive is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A folder, mode 0755.
    Folder,
    /// A file.
    File {
        /// Its contents.
        bytes: Vec<u8>,
        /// Permission bits.
        mode: u32,
    },
    /// A symbolic link to this path.
    Link(String),
    /// A character device node, mode 0600.
    Device {
        /// Its driver.
        major: u32,
        /// Its number there.
        minor: u32,
    },
}

/// The contents of an archive: paths without a leading slash.
pub type Entries = BTreeMap<String, Entry>;

/// Why there is no archive.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// A file is too large for the format.
    #[error("{path} has {bytes} bytes, more than an initramfs file may have")]
    TooLarge {
        /// Its path.
        path: String,
        /// Its size.
        bytes: usize,
    },
    /// A path lies in something that is not a folder of the archive.
    #[error("{path} lies in no folder of the archive; add its folder")]
    NoFolder {
        /// The path.
        path: String,
    },
    /// The archive could not be written.
    #[error("the archive was not written")]
    Write(#[from] io::Error),
}

/// The archive of `entries`.
///
/// # Errors
/// When a file is too large, or lies in a folder that is not there.
pub fn archive(entries: &Entries) -> Result<Vec<u8>, ArchiveError> {
    let mut out = Vec::new();
    for (index, (path, entry)) in entries.iter().enumerate() {
        let folder = path.rsplit_once('/').map(|(folder, _)| folder);
        if folder.is_some_and(|folder| entries.get(folder) != Some(&Entry::Folder)) {
            return Err(ArchiveError::NoFolder { path: path.clone() });
        }
        append(&mut out, path, entry, index)?;
    }
    newc::trailer(&mut out)?;
    // GNU cpio's block size: some boot loaders read nothing shorter.
    out.resize(out.len().next_multiple_of(512), 0);
    Ok(out)
}

fn append(out: &mut Vec<u8>, path: &str, entry: &Entry, index: usize) -> Result<(), ArchiveError> {
    let (mode, links, contents): (u32, u32, &[u8]) = match entry {
        Entry::Folder => (0o040_755, 2, &[]),
        Entry::File { bytes, mode } => (0o100_000 | mode, 1, bytes),
        Entry::Link(target) => (0o120_777, 1, target.as_bytes()),
        Entry::Device { .. } => (0o020_600, 1, &[]),
    };
    let too_large = || ArchiveError::TooLarge { path: path.to_owned(), bytes: contents.len() };
    if contents.len() > FILE_LIMIT {
        return Err(too_large());
    }
    let size = u32::try_from(contents.len()).map_err(|_| too_large())?;
    let number = u32::try_from(index + 1).map_err(|_| too_large())?;
    let mut header = newc::Builder::new(path).ino(number).mode(mode).nlink(links).mtime(0);
    if let Entry::Device { major, minor } = entry {
        header = header.rdev_major(*major).rdev_minor(*minor);
    }
    let mut writer = header.write(out, size);
    writer.write_all(contents)?;
    writer.finish()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Entries {
        let file = Entry::File { bytes: b"agent".to_vec(), mode: 0o755 };
        let device = Entry::Device { major: 5, minor: 1 };
        Entries::from([
            ("init".to_owned(), file),
            ("dev".to_owned(), Entry::Folder),
            ("dev/console".to_owned(), device),
            ("lib".to_owned(), Entry::Link("usr/lib".to_owned())),
        ])
    }

    #[test]
    fn an_archive_holds_what_was_put_in_with_no_trace_of_when_or_by_whom() {
        let bytes = archive(&entries()).expect("an archive");
        let mut rest = &bytes[..];
        let mut seen = Vec::new();
        loop {
            let reader = newc::Reader::new(rest).expect("an entry");
            if reader.entry().is_trailer() {
                break;
            }
            let entry = reader.entry().clone();
            seen.push((entry.name().to_owned(), entry.mode(), entry.file_size(), entry.rdev_major()));
            assert_eq!((entry.mtime(), entry.uid(), entry.gid()), (0, 0, 0));
            rest = reader.finish().expect("its end");
        }
        let want = [
            ("dev", 0o040_755, 0, 0),
            ("dev/console", 0o020_600, 0, 5),
            ("init", 0o100_755, 5, 0),
            ("lib", 0o120_777, 7, 0),
        ];
        assert_eq!(seen, want.map(|(name, mode, size, major)| (name.to_owned(), mode, size, major)));
        assert_eq!(bytes, archive(&entries()).expect("again"));
    }

    #[test]
    fn a_file_without_its_folder_is_refused() {
        let mut entries = entries();
        entries.insert("etc/ssl".to_owned(), Entry::Folder);
        assert!(matches!(archive(&entries), Err(ArchiveError::NoFolder { path }) if path == "etc/ssl"));
    }
}
