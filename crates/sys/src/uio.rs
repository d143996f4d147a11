//! Memory that the kernel shares with a driver in user space: `/dev/uioN`,
//! `Documentation/driver-api/uio-howto.rst`.

#![allow(unsafe_code)]

use std::{
    ffi::c_void,
    io,
    num::NonZeroUsize,
    os::fd::AsFd,
    ptr::{self, NonNull},
    sync::atomic::{AtomicU32, Ordering},
};

use nix::sys::mman::{MapFlags, ProtFlags, mmap, munmap};

/// The first region of the device, mapped for reading and writing.
#[derive(Debug)]
pub struct Mapping {
    start: NonNull<c_void>,
    length: NonZeroUsize,
}

// SAFETY: the memory belongs to the mapping and not to a thread; every access is checked
// to lie within it.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Map `length` bytes, as long as `maps/map0/size` says.
    ///
    /// # Errors
    /// `ENODEV` when `fd` cannot be mapped; `EINVAL` when the region is shorter.
    pub fn new(fd: impl AsFd, length: NonZeroUsize) -> io::Result<Self> {
        let protection = ProtFlags::PROT_READ | ProtFlags::PROT_WRITE;
        // SAFETY: a new mapping at a place of the kernel's choice; nothing else points into it.
        let start = unsafe { mmap(None, length, protection, MapFlags::MAP_SHARED, fd, 0) }?;
        Ok(Self { start, length })
    }

    /// Copy out what is at `at`. Who shares the memory has to have handed it over, by
    /// a word read with [`Mapping::load`].
    ///
    /// # Errors
    /// `InvalidInput` outside the mapping.
    pub fn read(&self, at: usize, into: &mut [u8]) -> io::Result<()> {
        let from = self.place(at, into.len())?;
        // SAFETY: `place` checked that so many bytes lie within the mapping; ours is other memory.
        unsafe { ptr::copy_nonoverlapping(from.as_ptr(), into.as_mut_ptr(), into.len()) };
        Ok(())
    }

    /// Copy `bytes` to `at`. They are handed over by a [`Mapping::store`].
    ///
    /// # Errors
    /// `InvalidInput` outside the mapping.
    pub fn write(&self, at: usize, bytes: &[u8]) -> io::Result<()> {
        let to = self.place(at, bytes.len())?;
        // SAFETY: as in `read`.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to.as_ptr(), bytes.len()) };
        Ok(())
    }

    /// The word at `at`, and with it everything written before it was.
    ///
    /// # Errors
    /// `InvalidInput` outside the mapping, or when `at` is not a multiple of 4.
    pub fn load(&self, at: usize) -> io::Result<u32> {
        Ok(self.word(at)?.load(Ordering::Acquire))
    }

    /// Set the word at `at`, after everything written before.
    ///
    /// # Errors
    /// `InvalidInput` outside the mapping, or when `at` is not a multiple of 4.
    pub fn store(&self, at: usize, value: u32) -> io::Result<()> {
        self.word(at)?.store(value, Ordering::Release);
        Ok(())
    }

    fn word(&self, at: usize) -> io::Result<&AtomicU32> {
        if !at.is_multiple_of(4) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let place = self.place(at, 4)?;
        // SAFETY: within the mapping, which begins on a page, and at a multiple of 4.
        Ok(unsafe { AtomicU32::from_ptr(place.cast().as_ptr()) })
    }

    fn place(&self, at: usize, length: usize) -> io::Result<NonNull<u8>> {
        match at.checked_add(length) {
            // SAFETY: not past the end of the mapping, as just checked.
            Some(end) if end <= self.length.get() => Ok(unsafe { self.start.cast::<u8>().add(at) }),
            Some(_) | None => Err(io::ErrorKind::InvalidInput.into()),
        }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped in `new` with this length, and no reference outlives `self`.
        // A failure is left alone: there is nobody to tell and nothing to do.
        let _ = unsafe { munmap(self.start, self.length.get()) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mapped() -> Mapping {
        let file = tempfile::tempfile().expect("a file");
        file.set_len(4096).expect("a page");
        Mapping::new(&file, NonZeroUsize::new(4096).expect("not zero")).expect("mapped")
    }

    #[test]
    fn what_is_written_is_read() {
        let memory = mapped();
        memory.write(4092, &7_u32.to_ne_bytes()).expect("within");
        assert_eq!(memory.load(4092).expect("within"), 7);
        memory.store(8, 9).expect("within");
        let mut bytes = [0; 4];
        memory.read(8, &mut bytes).expect("within");
        assert_eq!(u32::from_ne_bytes(bytes), 9);
    }

    #[test]
    fn nothing_outside_is_touched() {
        let memory = mapped();
        let outside = |result: io::Result<()>| {
            assert_eq!(result.expect_err("outside").kind(), io::ErrorKind::InvalidInput);
        };
        outside(memory.read(4090, &mut [0; 7]));
        outside(memory.write(usize::MAX, &[0; 2]));
        outside(memory.load(4096).map(drop));
        outside(memory.store(2, 0));
    }
}
