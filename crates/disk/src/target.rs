use std::io;

use model::{BlockSize, Bytes};

/// A disk as the writers see it. A few verbs are enough for imaging and for
/// erasing; the real disk ([`Device`](crate::Device)) and
/// [`FakeDisk`](crate::FakeDisk) both speak them.
pub trait Target {
    /// Usable capacity.
    fn size(&self) -> Bytes;
    /// The granularity of every write.
    fn block(&self) -> BlockSize;
    /// Write `data` at `offset`. Both are whole blocks.
    ///
    /// # Errors
    /// Whatever the kernel reports; a failed write leaves the range undefined.
    fn write_at(&mut self, offset: Bytes, data: &[u8]) -> io::Result<()>;
    /// Make `length` bytes at `offset` read back as zeros. Both are whole blocks.
    ///
    /// # Errors
    /// Whatever the kernel reports; a failed call leaves the range undefined.
    fn zero_at(&mut self, offset: Bytes, length: Bytes) -> io::Result<()>;
    /// Read back exactly `into.len()` bytes from `offset`, from the medium and
    /// not from a cache. Both are whole blocks.
    ///
    /// # Errors
    /// Whatever the kernel reports.
    fn read_at(&mut self, offset: Bytes, into: &mut [u8]) -> io::Result<()>;
    /// Return once everything written so far is on the medium.
    ///
    /// # Errors
    /// Whatever the kernel reports; nothing may be assumed durable then.
    fn sync(&mut self) -> io::Result<()>;
}
