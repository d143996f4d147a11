//! Where data is kept that came before its table, farther back than the window.

use std::{
    fs::{self, File, OpenOptions},
    io,
    ops::Range,
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::PathBuf,
    process,
};

use model::Bytes;

/// A place for data of an image that comes before the table that says where
/// it belongs, when the image can be read in order only.
#[derive(Clone, Debug)]
pub struct Spill {
    /// A directory for one file, which has no name and is gone with the write.
    pub dir: PathBuf,
    /// How long that file may become.
    pub limit: Bytes,
}

/// The most ranges that are kept, of 24 bytes each.
const MOST_RANGES: usize = 64 << 10;

/// A part of the stream that is kept, and where.
#[derive(Clone, Copy, Debug)]
struct Kept {
    host: u64,
    length: u64,
    at: u64,
}

/// A [`Spill`] that is in use.
#[derive(Debug)]
pub(super) struct Spilled {
    spill: Spill,
    /// Made when it is needed.
    file: Option<File>,
    /// In the order of the stream, which is that of the file.
    kept: Vec<Kept>,
    length: u64,
}

impl Spilled {
    /// Nothing is kept yet.
    pub(super) fn new(spill: Spill) -> Self {
        Self { spill, file: None, kept: Vec::new(), length: 0 }
    }

    /// How much may be kept.
    pub(super) fn limit(&self) -> Bytes {
        self.spill.limit
    }

    /// Keep `bytes`, which are at `host` in the stream, behind all kept before.
    /// What is too much is not kept: perhaps nobody asks for it.
    pub(super) fn keep(&mut self, host: u64, bytes: &[u8]) -> io::Result<()> {
        let length = bytes.len() as u64;
        let follows = self.kept.last().is_some_and(|last| last.host + last.length == host);
        if self.length + length > self.spill.limit.0 || (!follows && self.kept.len() >= MOST_RANGES) {
            return Ok(());
        }
        if self.file.is_none() {
            self.file = Some(nameless(&self.spill)?);
        }
        if let Some(file) = &self.file {
            file.write_all_at(bytes, self.length)?;
        }
        match self.kept.last_mut() {
            Some(last) if follows => last.length += length,
            Some(_) | None => self.kept.push(Kept { host, length, at: self.length }),
        }
        self.length += length;
        Ok(())
    }

    /// As much of `range` as is kept from its start on.
    pub(super) fn read(&self, range: Range<u64>) -> io::Result<Vec<u8>> {
        let number = self.kept.partition_point(|kept| kept.host <= range.start);
        let found = number.checked_sub(1).and_then(|number| self.kept.get(number));
        let end = found.map_or(0, |kept| kept.host + kept.length).min(range.end);
        let mut bytes = vec![0; usize::try_from(end.saturating_sub(range.start)).unwrap_or_default()];
        if let (Some(kept), Some(file)) = (found, &self.file) {
            file.read_exact_at(&mut bytes, kept.at + (range.start - kept.host))?;
        }
        Ok(bytes)
    }
}

/// A file that goes away with its handle.
fn nameless(spill: &Spill) -> io::Result<File> {
    let path = spill.dir.join(format!("billet-spill.{}.{:?}", process::id(), std::thread::current().id()));
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    fs::remove_file(&path)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_and_the_limit_holds() {
        let dir = tempfile::tempdir().expect("a directory");
        let spill = Spill { dir: dir.path().to_owned(), limit: Bytes(10) };
        let mut spilled = Spilled::new(spill);
        assert_eq!(spilled.read(0..4).expect("nothing"), b"");
        for (host, bytes) in [(100, &b"abc"[..]), (103, b"de"), (200, b"xyz"), (300, b"too much")] {
            spilled.keep(host, bytes).expect("kept");
        }
        assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 0, "it has no name");
        for (range, expected) in [
            (100..105, &b"abcde"[..]),
            (102..104, b"cd"),
            (104..200, b"e"),
            (200..203, b"xyz"),
            (105..106, b""),
            (300..302, b""),
            (0..5, b""),
        ] {
            assert_eq!(spilled.read(range.clone()).expect("read"), expected, "{range:?}");
        }
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error() {
        let spill = Spill { dir: "/nowhere".into(), limit: Bytes(10) };
        assert!(Spilled::new(spill).keep(0, b"a").is_err());
    }
}
