//! A limit on what is written in a second, for all disks of one machine
//! together: in a chassis whose power or backplane others share.

use std::{
    io,
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use disk::Target;
use model::{BlockSize, Bytes};

use crate::{Answer, CommandError, Drive, OpalKeys, SelfErase, State};

/// So much time's worth may be written at once after a pause.
const BURST: Duration = Duration::from_secs(1);
/// Zeros by the kernel are asked for in pieces of this at most, so that the
/// limit holds within every few seconds.
const PIECE: u64 = 64 << 20;

/// A token bucket. Reading back is not limited, and neither is what a drive
/// does by itself: both cost the others nothing.
#[derive(Debug)]
pub struct RateLimit {
    bytes_per_s: u64,
    /// Until when what was let through takes, at that rate.
    paid: Mutex<Instant>,
}

impl RateLimit {
    /// At most so much in a second; 0 counts as 1.
    #[must_use]
    pub fn new(bytes_per_s: Bytes) -> Self {
        Self { bytes_per_s: bytes_per_s.0.max(1), paid: Mutex::new(Instant::now()) }
    }

    /// Wait until `bytes` more may be written. Whoever comes pays for himself, in
    /// the order of coming, so nobody starves.
    fn wait(&self, bytes: u64) {
        thread::sleep(self.book(bytes, Instant::now()));
    }

    /// How long to wait from `now`.
    fn book(&self, bytes: u64, now: Instant) -> Duration {
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        let price = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_s);
        let price = Duration::from_nanos(u64::try_from(price).unwrap_or(u64::MAX));
        // What was not used longer ago than a burst is lost.
        let start = now.checked_sub(BURST).map_or(*paid, |earliest| earliest.max(*paid));
        *paid = start.checked_add(price).unwrap_or(start);
        paid.saturating_duration_since(now)
    }
}

/// A drive whose writes keep to a limit.
#[derive(Debug)]
pub struct Throttled<'a, D> {
    drive: D,
    limit: Option<&'a RateLimit>,
}

impl<'a, D: Drive> Throttled<'a, D> {
    /// `drive` within `limit`; without one, as it is.
    pub fn new(drive: D, limit: Option<&'a RateLimit>) -> Self {
        Self { drive, limit }
    }

    fn wait(&self, bytes: u64) {
        if let Some(limit) = self.limit {
            limit.wait(bytes);
        }
    }
}

impl<D: Drive> Target for Throttled<'_, D> {
    fn size(&self) -> Bytes {
        self.drive.size()
    }

    fn block(&self) -> BlockSize {
        self.drive.block()
    }

    fn write_at(&self, offset: Bytes, data: &[u8]) -> io::Result<()> {
        self.wait(data.len() as u64);
        self.drive.write_at(offset, data)
    }

    fn zero_at(&self, offset: Bytes, length: Bytes) -> io::Result<()> {
        if self.limit.is_none() {
            return self.drive.zero_at(offset, length);
        }
        let end = offset.0 + length.0;
        for at in (offset.0..end).step_by(usize::try_from(PIECE).unwrap_or(usize::MAX)) {
            let piece = PIECE.min(end - at);
            self.wait(piece);
            self.drive.zero_at(Bytes(at), Bytes(piece))?;
        }
        Ok(())
    }

    fn read_at(&self, offset: Bytes, into: &mut [u8]) -> io::Result<()> {
        self.drive.read_at(offset, into)
    }

    fn sync(&self) -> io::Result<()> {
        self.drive.sync()
    }
}

impl<D: Drive> Drive for Throttled<'_, D> {
    fn state(&mut self) -> Result<State, CommandError> {
        self.drive.state()
    }

    fn begin(&mut self, erase: SelfErase) -> Result<Answer, CommandError> {
        self.drive.begin(erase)
    }

    fn recover(&mut self) -> Result<Answer, CommandError> {
        self.drive.recover()
    }

    fn revert_opal(&mut self, keys: &OpalKeys) -> Result<Answer, CommandError> {
        self.drive.revert_opal(keys)
    }

    fn restore_size(&mut self) -> Result<Option<Answer>, CommandError> {
        self.drive.restore_size()
    }

    fn size_now(&mut self) -> io::Result<Option<Bytes>> {
        self.drive.size_now()
    }

    fn reread_partitions(&mut self) -> io::Result<()> {
        self.drive.reread_partitions()
    }
}

#[cfg(test)]
mod tests {
    use disk::FakeDisk;

    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn several_writers_share_one_rate_and_a_pause_saves_up_a_second_at_most() {
        let limit = RateLimit::new(Bytes(100 * MIB));
        let start = Instant::now();
        let at = |s: u64| start + Duration::from_secs(s);
        // Nothing is saved up before the first byte but the burst.
        *limit.paid.lock().expect("whole") = start;
        assert_eq!(limit.book(100 * MIB, at(0)), Duration::from_secs(1));
        assert_eq!(
            limit.book(100 * MIB, at(0)),
            Duration::from_secs(2),
            "another disk's write waits behind it"
        );
        assert_eq!(limit.book(50 * MIB, at(2)), Duration::from_millis(500));
        assert_eq!(
            limit.book(150 * MIB, at(3600)),
            Duration::from_millis(500),
            "a second is saved up, not an hour"
        );
        assert_eq!(RateLimit::new(Bytes(0)).bytes_per_s, 1, "no limit of nothing");
    }

    #[test]
    fn a_limited_disk_gets_every_byte_it_was_meant_to_get() {
        let limit = RateLimit::new(Bytes(1 << 40));
        let size = Bytes(130 * MIB);
        let disk = FakeDisk::filled(0xaa, size, 512.try_into().expect("a block size"));
        let throttled = Throttled::new(disk, Some(&limit));
        throttled.zero_at(Bytes(512), Bytes(size.0 - 512)).expect("zeroed");
        throttled.write_at(Bytes(0), &[7; 512]).expect("written");
        let bytes = throttled.drive.bytes();
        assert!(bytes[..512].iter().all(|&byte| byte == 7) && bytes[512..].iter().all(|&byte| byte == 0));
        assert_eq!(throttled.drive.writes(), 4, "three pieces of zeros, and the write");
    }
}
