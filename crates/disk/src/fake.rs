//! A disk in memory, for tests: stricter than any real one, and broken in any
//! way that is asked for.

use std::{
    io,
    ops::Range,
    sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard},
};

use model::{BlockSize, Bytes};

use crate::Target;

/// A disk in memory that is as strict as the worst real one: accesses that are not whole blocks
/// panic, writes in flight that overlap panic, and it can lie about, or fail,
/// any range.
#[derive(Debug)]
pub struct FakeDisk {
    /// Writes touching this range fail with `EIO` and change nothing.
    pub broken: Range<u64>,
    /// Writes touching this range claim success and change nothing.
    pub lying: Range<u64>,
    /// Reads touching this range fail with `EIO`.
    pub unreadable: Range<u64>,
    /// Writes touching this range land up to its start, then fail with
    /// `ENOSPC`: a thin disk whose pool is full.
    pub full: Range<u64>,
    /// After so many writes and zeroings everything fails with `ENODEV`.
    pub vanishes_after: Option<u64>,
    /// The sync of this number, the first being 0, fails with `EIO`.
    pub failing_sync: Option<u64>,
    bytes: RwLock<Vec<u8>>,
    state: Mutex<State>,
    block: BlockSize,
}

/// One thing that was done to a [`FakeDisk`], when it began.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// These bytes were written.
    Write(Range<u64>),
    /// These bytes were made zero.
    Zero(Range<u64>),
    /// These bytes were read.
    Read(Range<u64>),
    /// What was written before was to reach the medium.
    Sync,
}

#[derive(Debug, Default)]
struct State {
    events: Vec<Event>,
    in_flight: Vec<Range<u64>>,
    writes: u64,
    syncs: u64,
}

impl FakeDisk {
    /// A healthy disk holding `fill` everywhere.
    ///
    /// # Panics
    /// When `size` is not whole blocks.
    #[expect(clippy::cast_possible_truncation, reason = "fake disks fit in memory")]
    pub fn filled(fill: u8, size: Bytes, block: BlockSize) -> Self {
        assert_eq!(size.0 % block.get(), 0, "a disk is whole blocks");
        Self {
            broken: 0..0,
            lying: 0..0,
            unreadable: 0..0,
            full: 0..0,
            vanishes_after: None,
            failing_sync: None,
            bytes: RwLock::new(vec![fill; size.0 as usize]),
            state: Mutex::default(),
            block,
        }
    }

    /// What is on the medium. Writes wait while this is held.
    pub fn bytes(&self) -> RwLockReadGuard<'_, Vec<u8>> {
        self.bytes.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is on the medium, to be changed behind everybody's back.
    pub fn bytes_mut(&mut self) -> &mut Vec<u8> {
        self.bytes.get_mut().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything done to it so far, in the order in which it began.
    pub fn events(&self) -> Vec<Event> {
        self.state().events.clone()
    }

    /// How often it was written or zeroed.
    pub fn writes(&self) -> u64 {
        self.state().writes
    }

    /// How often it was synced.
    pub fn syncs(&self) -> u64 {
        self.state().syncs
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `ENODEV` once it is gone.
    fn present(&self, writes: u64) -> io::Result<()> {
        match self.vanishes_after {
            Some(after) if writes >= after => Err(io::Error::from_raw_os_error(19 /* ENODEV */)),
            Some(_) | None => Ok(()),
        }
    }

    fn check_blocks(&self, range: &Range<u64>) {
        assert_eq!(range.start % self.block.get(), 0, "unaligned access at {}", range.start);
        assert_eq!(range.end % self.block.get(), 0, "access to a partial block at {}", range.end);
    }

    fn begin(&self, event: Event, range: &Range<u64>) -> io::Result<()> {
        self.check_blocks(range);
        let mut state = self.state();
        self.present(state.writes)?;
        let beside = state.in_flight.iter().all(|other| !overlap(other, range));
        assert!(beside, "two writes in flight overlap at {}", range.start);
        state.in_flight.push(range.clone());
        state.writes += 1;
        state.events.push(event);
        Ok(())
    }

    fn end(&self, range: &Range<u64>) {
        let mut state = self.state();
        let place = state.in_flight.iter().position(|other| other == range);
        state.in_flight.swap_remove(place.expect("begun"));
    }

    /// Do what a write of `range` does on this disk.
    fn change(&self, range: &Range<u64>, write: impl FnOnce(&mut [u8])) -> io::Result<()> {
        if overlap(range, &self.broken) {
            return Err(io::Error::from_raw_os_error(5 /* EIO */));
        }
        if overlap(range, &self.lying) {
            return Ok(());
        }
        let full = overlap(range, &self.full);
        let end = if full { self.full.start.max(range.start) } else { range.end };
        let mut bytes = self.bytes.write().unwrap_or_else(PoisonError::into_inner);
        write(&mut bytes[index(range.start)..index(end)]);
        if full {
            Err(io::Error::from_raw_os_error(28 /* ENOSPC */))
        } else {
            Ok(())
        }
    }
}

fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}

fn index(at: u64) -> usize {
    usize::try_from(at).expect("fake disks fit in memory")
}

impl Target for FakeDisk {
    fn size(&self) -> Bytes {
        Bytes(self.bytes().len() as u64)
    }

    fn block(&self) -> BlockSize {
        self.block
    }

    fn write_at(&self, offset: Bytes, data: &[u8]) -> io::Result<()> {
        let range = offset.0..offset.0 + data.len() as u64;
        self.begin(Event::Write(range.clone()), &range)?;
        let outcome = self.change(&range, |landing| landing.copy_from_slice(&data[..landing.len()]));
        self.end(&range);
        outcome
    }

    fn zero_at(&self, offset: Bytes, length: Bytes) -> io::Result<()> {
        let range = offset.0..offset.0 + length.0;
        self.begin(Event::Zero(range.clone()), &range)?;
        let outcome = self.change(&range, |landing| landing.fill(0));
        self.end(&range);
        outcome
    }

    fn read_at(&self, offset: Bytes, into: &mut [u8]) -> io::Result<()> {
        let range = offset.0..offset.0 + into.len() as u64;
        self.check_blocks(&range);
        let mut state = self.state();
        self.present(state.writes)?;
        state.events.push(Event::Read(range.clone()));
        drop(state);
        if overlap(&range, &self.unreadable) {
            return Err(io::Error::from_raw_os_error(5 /* EIO */));
        }
        let bytes = self.bytes();
        let source = bytes.get(index(range.start)..index(range.end));
        into.copy_from_slice(source.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn sync(&self) -> io::Result<()> {
        let mut state = self.state();
        self.present(state.writes)?;
        state.events.push(Event::Sync);
        let number = state.syncs;
        state.syncs += 1;
        if self.failing_sync == Some(number) {
            return Err(io::Error::from_raw_os_error(5 /* EIO */));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk() -> FakeDisk {
        FakeDisk::filled(0xaa, Bytes(4096), 512.try_into().expect("a block size"))
    }

    #[test]
    fn every_fault_is_what_it_says() {
        let mut full = disk();
        full.full = 1024..1025;
        assert_eq!(full.write_at(Bytes(512), &[1; 1024]).expect_err("full").raw_os_error(), Some(28));
        assert_eq!(full.bytes()[512..1536], [[1; 512], [0xaa; 512]].concat());
        let mut gone = disk();
        gone.vanishes_after = Some(1);
        gone.zero_at(Bytes(0), Bytes(512)).expect("still there");
        assert!(gone.sync().is_err() && gone.read_at(Bytes(0), &mut [0; 512]).is_err());
        let mut bad = disk();
        (bad.unreadable, bad.failing_sync) = (512..513, Some(1));
        assert!(bad.read_at(Bytes(0), &mut [0; 512]).is_ok());
        assert!(bad.read_at(Bytes(0), &mut [0; 1024]).is_err());
        assert!(bad.sync().is_ok() && bad.sync().is_err() && bad.sync().is_ok());
        assert_eq!(bad.syncs(), 3);
    }

    #[test]
    fn what_was_done_is_known_in_its_order() {
        let disk = disk();
        disk.write_at(Bytes(0), &[1; 512]).expect("written");
        disk.sync().expect("synced");
        disk.zero_at(Bytes(512), Bytes(512)).expect("zeroed");
        assert_eq!(disk.events(), [Event::Write(0..512), Event::Sync, Event::Zero(512..1024)]);
    }
}
