//! Memory that a disk can be read into and written from directly, and that is
//! used again.

use std::{
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, PoisonError},
};

/// Alignment of every [`Buffer`]: enough for `O_DIRECT` on 4Kn disks.
const ALIGNMENT: usize = 4096;

/// Bytes at an address that `O_DIRECT` accepts.
#[derive(Debug)]
pub struct Buffer {
    memory: Vec<u8>,
    start: usize,
    length: usize,
    /// Where its memory goes when nobody needs it any more.
    home: Option<Pool>,
}

impl Buffer {
    /// `length` zero bytes.
    #[must_use]
    pub fn zeroed(length: usize) -> Self {
        Self::around(vec![0; length + ALIGNMENT], length)
    }

    fn around(memory: Vec<u8>, length: usize) -> Self {
        let start = memory.as_ptr().addr().next_multiple_of(ALIGNMENT) - memory.as_ptr().addr();
        Self { memory, start, length, home: None }
    }

    /// A copy of `bytes`.
    #[must_use]
    pub fn copy_of(bytes: &[u8]) -> Self {
        let mut buffer = Self::zeroed(bytes.len());
        buffer.copy_from_slice(bytes);
        buffer
    }

    /// Forget everything after the first `length` bytes.
    pub fn truncate(&mut self, length: usize) {
        self.length = self.length.min(length);
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        if let Some(pool) = self.home.take() {
            pool.put(std::mem::take(&mut self.memory));
        }
    }
}

impl Deref for Buffer {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.memory[self.start..][..self.length]
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [u8] {
        &mut self.memory[self.start..][..self.length]
    }
}

/// Where buffers of one length come from and go back to. Memory fresh from the
/// kernel costs a fault and 4 KiB of zeroing for every page; used memory costs
/// nothing. Clones share the same memory.
#[derive(Clone, Debug)]
pub struct Pool {
    free: Arc<Mutex<Vec<Vec<u8>>>>,
    length: usize,
    most: usize,
}

impl Pool {
    /// Buffers of `length` bytes, of which `most` are kept while unused. How
    /// many are in use is for their users to bound.
    #[must_use]
    pub fn new(length: usize, most: usize) -> Self {
        Self { free: Arc::default(), length, most }
    }

    /// A buffer of the pool's length. What it holds is anybody's leftover.
    #[must_use]
    pub fn take(&self) -> Buffer {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let memory = free.unwrap_or_else(|| vec![0; self.length + ALIGNMENT]);
        let mut buffer = Buffer::around(memory, self.length);
        buffer.home = Some(self.clone());
        buffer
    }

    fn put(&self, memory: Vec<u8>) {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < self.most {
            free.push(memory);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_buffer_is_aligned_and_as_long_as_asked() {
        for length in [0, 1, 511, 512, 4096, 1 << 20] {
            let mut buffer = Buffer::zeroed(length);
            assert_eq!((buffer.len(), buffer.as_ptr().addr() % ALIGNMENT), (length, 0));
            buffer.fill(7);
            buffer.truncate(100);
            assert_eq!(buffer.len(), length.min(100));
        }
    }

    #[test]
    fn memory_that_was_given_back_is_used_again_whole() {
        let pool = Pool::new(4096, 1);
        let (mut one, other) = (pool.take(), pool.take());
        one.fill(7);
        one.truncate(10);
        let place = one.as_ptr();
        drop((one, other));
        let again = pool.take();
        assert_eq!((again.as_ptr(), again.len(), again[4095]), (place, 4096, 7));
        assert_ne!(pool.take().as_ptr(), place, "the other one was too many");
    }
}
