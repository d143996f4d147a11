//! The narrow port through which bytes reach a disk.

use std::io;

use model::{BlockSize, Bytes};

/// A disk as the writers see it. A few verbs are enough for imaging and for
/// erasing; the real disk ([`Device`](crate::Device)) and
/// [`FakeDisk`](crate::FakeDisk) both speak them. Several threads may speak at
/// once, about ranges that do not overlap: that is what keeps a queue in the
/// disk full. Who may speak at all is who was given the one `&mut`.
pub trait Target: Sync {
    /// Usable capacity.
    fn size(&self) -> Bytes;
    /// The granularity of every write.
    fn block(&self) -> BlockSize;
    /// Write `data` at `offset`. Both are whole blocks.
    ///
    /// # Errors
    /// Whatever the kernel reports; a failed write leaves the range undefined.
    fn write_at(&self, offset: Bytes, data: &[u8]) -> io::Result<()>;
    /// Make `length` bytes at `offset` read back as zeros. Both are whole blocks.
    ///
    /// # Errors
    /// Whatever the kernel reports; a failed call leaves the range undefined.
    fn zero_at(&self, offset: Bytes, length: Bytes) -> io::Result<()>;
    /// Make `length` bytes at `offset` read back as zeros, in whatever way costs
    /// least: what was there before may stay on the medium, out of reach. For
    /// an image, not for an erase. Both are whole blocks.
    ///
    /// # Errors
    /// Whatever the kernel reports; a failed call leaves the range undefined.
    fn blank_at(&self, offset: Bytes, length: Bytes) -> io::Result<()> {
        self.zero_at(offset, length)
    }
    /// Read back exactly `into.len()` bytes from `offset`, from the medium and
    /// not from a cache. Both are whole blocks.
    ///
    /// # Errors
    /// Whatever the kernel reports.
    fn read_at(&self, offset: Bytes, into: &mut [u8]) -> io::Result<()>;
    /// Return once everything written so far is on the medium.
    ///
    /// # Errors
    /// Whatever the kernel reports; nothing may be assumed durable then.
    fn sync(&self) -> io::Result<()>;
}
