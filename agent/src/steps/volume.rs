//! A partition as a file that can only be read: what the FAT library wants.

use std::io::{self, Read, Seek, SeekFrom, Write};

use disk::Target;
use model::Bytes;

/// How much is read at once; a whole number of blocks of any disk.
const CHUNK: u64 = 64 << 10;

/// A window onto a disk.
pub(super) struct Volume<T> {
    disk: T,
    start: u64,
    length: u64,
    at: u64,
    chunk: Vec<u8>,
    /// Where `chunk` is from; nowhere at first.
    chunk_at: Option<u64>,
}

impl<T: Target> Volume<T> {
    /// The `length` bytes from `start`, both whole blocks.
    pub(super) fn new(disk: T, start: Bytes, length: Bytes) -> Self {
        Self { disk, start: start.0, length: length.0, at: 0, chunk: Vec::new(), chunk_at: None }
    }

    /// Have the chunk that holds `at`.
    fn fetch(&mut self, at: u64) -> io::Result<()> {
        let first = at / CHUNK * CHUNK;
        if self.chunk_at == Some(first) {
            return Ok(());
        }
        let length = CHUNK.min(self.length - first);
        self.chunk_at = None;
        self.chunk.resize(usize::try_from(length).map_err(io::Error::other)?, 0);
        self.disk.read_at(Bytes(self.start + first), &mut self.chunk)?;
        self.chunk_at = Some(first);
        Ok(())
    }
}

impl<T: Target> Read for Volume<T> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.length || into.is_empty() {
            return Ok(0);
        }
        self.fetch(self.at)?;
        let from = usize::try_from(self.at % CHUNK).map_err(io::Error::other)?;
        let count = (&self.chunk[from..]).read(into)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl<T> Seek for Volume<T> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let to = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(delta) => self.length.checked_add_signed(delta),
            SeekFrom::Current(delta) => self.at.checked_add_signed(delta),
        };
        self.at = to.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

impl<T> Write for Volume<T> {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "a pattern")]
mod tests {
    use disk::FakeDisk;

    use super::*;

    #[test]
    fn a_window_shows_its_part_and_no_more() {
        let mut disk = FakeDisk::filled(7, Bytes(1 << 20), 512_u32.try_into().unwrap());
        disk.bytes_mut()[4096..4096 + 200_000].iter_mut().enumerate().for_each(|(at, byte)| *byte = at as u8);
        let mut volume = Volume::new(disk, Bytes(4096), Bytes(200_192));
        let mut all = Vec::new();
        volume.read_to_end(&mut all).unwrap();
        assert_eq!(all.len(), 200_192);
        assert!(all[..200_000].iter().enumerate().all(|(at, byte)| *byte == at as u8));
        assert_eq!(volume.seek(SeekFrom::End(-192)).unwrap(), 200_000);
        let mut rest = [0; 300];
        assert_eq!(volume.read(&mut rest).unwrap(), 192);
        assert!(volume.seek(SeekFrom::Current(-1_000_000)).is_err());
        assert!(volume.write(b"x").is_err());
    }
}
