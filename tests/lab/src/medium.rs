//! A disk's bytes, read by the lab itself: what the agent proves is proven once more.

use std::{
    fs::File,
    io::{self, Read, Seek as _, SeekFrom},
    path::Path,
};

use anyhow::{Context, Result};
use nix::{
    errno::Errno,
    unistd::{Whence, lseek},
};

/// How much is read at a time.
const CHUNK: usize = 1 << 20;

/// Is every byte of the disk `path` zero?
///
/// # Errors
/// When it cannot be read.
pub async fn is_zero(path: &Path) -> Result<bool> {
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || {
        scan(&path).with_context(|| format!("read the disk {}", path.display()))
    });
    read.await.context("reading the disk panicked")?
}

/// Holes are zeros by definition, and most of an erased disk is hole: only what the file system holds
/// as data is read.
fn scan(path: &Path) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let mut at = 0;
    while let Some(data) = next(&file, at, Whence::SeekData)? {
        // A file ends in a hole; one that is cut off meanwhile does not.
        at = next(&file, data, Whence::SeekHole)?.ok_or(io::ErrorKind::UnexpectedEof)?;
        file.seek(SeekFrom::Start(data))?;
        if !reads_zero(&mut (&file).take(at - data))? {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The next data or hole at or after `at`; none past the last.
fn next(file: &File, at: u64, what: Whence) -> io::Result<Option<u64>> {
    let at = i64::try_from(at).map_err(io::Error::other)?;
    match lseek(file, at, what) {
        Ok(found) => u64::try_from(found).map(Some).map_err(io::Error::other),
        Err(Errno::ENXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn reads_zero(data: &mut impl Read) -> io::Result<bool> {
    let mut buffer = vec![0; CHUNK];
    let zeros = vec![0; CHUNK];
    loop {
        let count = data.read(&mut buffer)?;
        if count == 0 {
            return Ok(true);
        }
        if buffer.get(..count) != zeros.get(..count) {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    async fn verdict(path: &Path, length: u64, at: u64, bytes: &[u8]) -> bool {
        let mut file = File::create(path).unwrap();
        file.set_len(length).unwrap();
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(bytes).unwrap();
        is_zero(path).await.unwrap()
    }

    #[tokio::test]
    async fn one_byte_anywhere_is_seen_and_written_zeros_are_zeros() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("disk");
        let length = 5 * CHUNK as u64 + 3;
        for at in [0, 1, 4096, CHUNK as u64, length - 1] {
            assert!(!verdict(&path, length, at, &[1]).await, "a byte at {at}");
            assert!(verdict(&path, length, at, &[0]).await, "a zero at {at}");
        }
        assert!(verdict(&path, length, 0, &vec![0; 2 * CHUNK]).await);
        assert!(!verdict(&path, length, 0, &[vec![0; 2 * CHUNK], vec![7]].concat()).await);
    }
}
