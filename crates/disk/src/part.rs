//! A part of a disk as a file, for libraries that read file systems.

use std::{
    io::{self, Read, Seek, SeekFrom, Write},
    ops::Range,
};

use model::Bytes;

use crate::{Buffer, Target};

/// Bytes read at once; file systems ask for less.
const CHUNK: u64 = 64 << 10;

/// A part of a disk that can be read and not written.
#[derive(Debug)]
pub struct Part<'t, T: Target> {
    target: &'t T,
    range: Range<u64>,
    at: u64,
    /// The chunk read last, and where on the disk it starts.
    chunk: Buffer,
    chunk_at: Option<u64>,
}

impl<'t, T: Target> Part<'t, T> {
    /// `length` bytes of `target` from `start`, or what there is of them.
    pub fn new(target: &'t T, start: Bytes, length: Bytes) -> Self {
        let size = target.size().0;
        let range = start.0.min(size)..start.0.saturating_add(length.0).min(size);
        Self { target, range, at: 0, chunk: Buffer::zeroed(0), chunk_at: None }
    }

    /// Have the chunk around `at` (on the disk) in memory.
    fn load(&mut self, at: u64) -> io::Result<u64> {
        let start = at / CHUNK * CHUNK;
        if self.chunk_at != Some(start) {
            let length = CHUNK.min(self.target.size().0 - start);
            let length = usize::try_from(length).map_err(io::Error::other)?;
            self.chunk_at = None;
            self.chunk = Buffer::zeroed(length);
            self.target.read_at(Bytes(start), &mut self.chunk)?;
            self.chunk_at = Some(start);
        }
        Ok(start)
    }
}

impl<T: Target> Read for Part<'_, T> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let at = self.range.start.saturating_add(self.at);
        if at >= self.range.end || into.is_empty() {
            return Ok(0);
        }
        let left = self.range.end - at;
        let place = usize::try_from(at - self.load(at)?).map_err(io::Error::other)?;
        let count = into.len().min(self.chunk.len() - place).min(usize::try_from(left).unwrap_or(usize::MAX));
        into[..count].copy_from_slice(&self.chunk[place..][..count]);
        self.at += count as u64;
        Ok(count)
    }
}

impl<T: Target> Seek for Part<'_, T> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let at = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::End(by) => (self.range.end - self.range.start).checked_add_signed(by),
            SeekFrom::Current(by) => self.at.checked_add_signed(by),
        };
        self.at = at.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}

/// Libraries want it; it always fails.
impl<T: Target> Write for Part<'_, T> {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::ReadOnlyFilesystem.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FakeDisk;

    #[test]
    fn a_part_reads_like_a_file() {
        let block = 512.try_into().expect("a block size");
        let mut disk = FakeDisk::filled(0, Bytes(256 << 10), block);
        for (at, byte) in (0_u32..).zip(disk.bytes_mut()) {
            *byte = at.to_le_bytes()[0] ^ at.to_le_bytes()[2];
        }
        let expected = disk.bytes()[1000..150_000].to_vec();
        let mut part = Part::new(&disk, Bytes(1000), Bytes(149_000));
        let mut all = Vec::new();
        part.read_to_end(&mut all).expect("read");
        assert_eq!(all, expected);
        part.seek(SeekFrom::End(-5)).expect("sought");
        let mut end = Vec::new();
        part.read_to_end(&mut end).expect("read");
        assert_eq!(end, expected[expected.len() - 5..]);
        assert!(part.seek(SeekFrom::Current(-200_000)).is_err());
        assert!(part.write(b"x").is_err());
    }

    #[test]
    fn a_part_beyond_the_disk_is_empty() {
        let block = 512.try_into().expect("a block size");
        let disk = FakeDisk::filled(1, Bytes(1024), block);
        let mut all = Vec::new();
        Part::new(&disk, Bytes(4096), Bytes(u64::MAX)).read_to_end(&mut all).expect("read");
        assert!(all.is_empty());
    }
}
