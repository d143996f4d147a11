//! What the disk sees of a write, in which order, and what becomes of its faults.

use std::{
    io::{self, Read},
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use disk::{Event, FakeDisk, Target};
use image::{MemorySource, Options, Part, Source, Verify, WriteError, install};
use model::{Algorithm, BlockSize, Bytes, Digest, Hasher};

const MIB: u64 = 1 << 20;
const SIZE: u64 = 24 * MIB;

fn digest(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(bytes);
    hasher.finish()
}

fn disk() -> FakeDisk {
    FakeDisk::filled(0xaa, Bytes(SIZE), 512.try_into().expect("a block size"))
}

/// An image as long as the disk, of data with holes of 128 KiB.
fn image() -> Vec<u8> {
    let byte =
        |at: u64| if at / (128 << 10) % 5 == 3 { 0 } else { u8::try_from(at * 31 % 251).expect("small") + 1 };
    (0..SIZE).map(byte).collect()
}

fn options(image: &[u8]) -> Options {
    Options { digests: vec![digest(image)], ..Options::default() }
}

/// The bytes that are neither in the head nor in the tail.
fn is_body(range: &Range<u64>) -> bool {
    range.start >= MIB && range.end <= SIZE - MIB
}

#[test]
fn the_ends_are_zero_before_the_first_write_and_written_after_the_last_read() {
    let (image, mut disk) = (image(), disk());
    install(MemorySource::new(image.clone()), &mut disk, options(&image), |_| {}).expect("installed");
    let events = disk.events();
    assert_eq!(events[..3], [Event::Write(0..MIB), Event::Write(SIZE - MIB..SIZE), Event::Sync]);
    let body = |event: &Event| match event {
        Event::Write(range) | Event::Zero(range) | Event::Read(range) => is_body(range),
        Event::Sync => false,
    };
    let last = events.iter().rposition(body).expect("there is a body");
    assert!(matches!(events[last], Event::Read(_)), "the body is read back last");
    let ends: Vec<&Event> =
        events[last + 1..].iter().filter(|event| !matches!(event, Event::Read(_))).collect();
    let expected = [
        Event::Write(SIZE - MIB..SIZE),
        Event::Sync,
        Event::Write(4096..MIB),
        Event::Sync,
        Event::Write(0..4096),
    ];
    assert_eq!(ends[..5], expected.iter().collect::<Vec<_>>());
    assert!(ends[5..].iter().all(|event| **event == Event::Sync) && ends.len() > 5, "{ends:?}");
}

#[test]
fn every_byte_is_read_back_after_its_last_write() {
    let (image, mut disk) = (image(), disk());
    let report =
        install(MemorySource::new(image.clone()), &mut disk, options(&image), |_| {}).expect("installed");
    assert_eq!(report.verified, Bytes(SIZE));
    assert_eq!(report.written.0 + report.zeroed.0, SIZE);
    let events = disk.events();
    for sector in (0..SIZE).step_by(512) {
        let holds = |range: &Range<u64>| range.contains(&sector);
        let written = events
            .iter()
            .rposition(|event| matches!(event, Event::Write(range) | Event::Zero(range) if holds(range)));
        let read = events.iter().rposition(|event| matches!(event, Event::Read(range) if holds(range)));
        let sync = written
            .and_then(|at| events[at..].iter().position(|event| *event == Event::Sync).map(|n| at + n));
        assert!(read > sync && sync > written && written.is_some(), "byte {sector}");
    }
}

#[test]
fn every_fault_of_a_disk_is_an_error_at_its_byte_and_nothing_boots() {
    let image = image();
    for at in [MIB, 3 * MIB + 512, 9 * MIB + 5 * 512, SIZE - MIB - 512] {
        let fault = at..at + 1;
        let mut disks = [disk(), disk(), disk()];
        disks[0].broken = fault.clone();
        disks[1].full = fault.clone();
        disks[2].unreadable = fault;
        for mut disk in disks {
            let error = install(MemorySource::new(image.clone()), &mut disk, options(&image), |_| {});
            let Err(WriteError::Disk { at: named, .. }) = error else { panic!("{at}: {error:?}") };
            assert!(named.0 <= at && at < named.0 + MIB, "{at} is called {named:?}");
            let bytes = disk.bytes();
            let ends = bytes[..1 << 20].iter().chain(&bytes[23 << 20..]);
            assert!(ends.copied().all(|byte| byte == 0), "{at}");
        }
    }
}

#[test]
fn a_disk_that_vanishes_at_any_moment_is_an_error() {
    let image = image();
    for writes in (0..).step_by(23) {
        let mut disk = disk();
        disk.vanishes_after = Some(writes);
        let outcome = install(MemorySource::new(image.clone()), &mut disk, options(&image), |_| {});
        if disk.writes() < writes {
            outcome.expect("it did not vanish");
            return;
        }
        assert!(outcome.is_err(), "after {writes} writes");
    }
}

fn index(at: u64) -> usize {
    usize::try_from(at).expect("small")
}

/// A disk with a cache that loses a range when it should be written out.
struct Forgetful {
    disk: FakeDisk,
    loses: Range<u64>,
    cache: Mutex<Vec<(u64, Vec<u8>)>>,
}

impl Target for Forgetful {
    fn size(&self) -> Bytes {
        self.disk.size()
    }
    fn block(&self) -> BlockSize {
        self.disk.block()
    }
    fn write_at(&self, offset: Bytes, data: &[u8]) -> io::Result<()> {
        self.cache.lock().expect("no panic").push((offset.0, data.to_vec()));
        Ok(())
    }
    fn zero_at(&self, offset: Bytes, length: Bytes) -> io::Result<()> {
        self.write_at(offset, &vec![0; index(length.0)])
    }
    fn read_at(&self, offset: Bytes, into: &mut [u8]) -> io::Result<()> {
        self.disk.read_at(offset, into)?;
        let asked = offset.0..offset.0 + into.len() as u64;
        for (at, data) in self.cache.lock().expect("no panic").iter() {
            let (start, end) = (asked.start.max(*at), asked.end.min(at + data.len() as u64));
            if start < end {
                into[index(start - asked.start)..index(end - asked.start)]
                    .copy_from_slice(&data[index(start - at)..index(end - at)]);
            }
        }
        Ok(())
    }
    fn sync(&self) -> io::Result<()> {
        for (at, data) in std::mem::take(&mut *self.cache.lock().expect("no panic")) {
            let range = at..at + data.len() as u64;
            if !range.contains(&self.loses.start) {
                self.disk.write_at(Bytes(at), &data)?;
            }
        }
        self.disk.sync()
    }
}

/// It is told, and where the disk drops even the zeros that make it unbootable, that too.
fn says_it_lies(err: &WriteError) -> bool {
    let cause = if let WriteError::NotCleared { cause, .. } = err { cause } else { err };
    matches!(cause, WriteError::DiskLies { .. })
}

#[test]
fn a_disk_that_forgets_what_was_only_in_its_cache_is_caught() {
    let image = image();
    for lost in [0, MIB, 5 * MIB + 512, SIZE - 512] {
        let cache = Mutex::default();
        let mut disk = Forgetful { disk: disk(), loses: lost..lost + 1, cache };
        let error = install(MemorySource::new(image.clone()), &mut disk, options(&image), |_| {});
        assert!(error.as_ref().is_err_and(says_it_lies), "{lost}: {error:?}");
    }
}

/// A source that had to begin again.
struct Retried(MemorySource);

impl Read for Retried {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Source for Retried {
    fn length(&self) -> Option<Bytes> {
        self.0.length()
    }
    fn retries(&self) -> u32 {
        3
    }
    fn refetched(&self) -> Bytes {
        Bytes(4096)
    }
}

#[test]
fn the_report_tells_what_every_part_did() {
    let (image, mut disk) = (image(), disk());
    let source = Retried(MemorySource::new(image.clone()));
    let report = install(source, &mut disk, options(&image), |_| {}).expect("installed");
    assert_eq!((report.retries, report.refetched), (3, Bytes(4096)));
    assert_eq!(report.parts.map(|time| time.part), Part::ALL);
    let total: f64 = report.seconds.iter().sum();
    for time in report.parts {
        assert!(time.busy_s > 0.0 && time.busy_s <= total * f64::from(time.threads), "{time:?} of {total}");
    }
}

#[test]
fn what_is_not_proven_is_not_counted() {
    let image = image();
    for (verify, expected) in [(Verify::Full, SIZE), (Verify::Ends, 2 * MIB)] {
        let mut disk = disk();
        let options = Options { verify, ..options(&image) };
        let report =
            install(MemorySource::new(image.clone()), &mut disk, options, |_| {}).expect("installed");
        assert_eq!(report.verified, Bytes(expected));
        assert!(*disk.bytes() == image);
    }
}

#[test]
fn a_caller_that_panics_leaves_no_thread_waiting() {
    let (image, mut disk) = (image(), disk());
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        install(MemorySource::new(image.clone()), &mut disk, options(&image), |_| {
            panic!("a panic of the test")
        })
    }));
    assert!(panicked.is_err());
    assert!(disk.bytes()[..1 << 20].iter().all(|&byte| byte == 0 || byte == 0xaa));
}

/// A source that gives half of the image, and then nothing until it is stopped.
struct Stalled {
    half: io::Cursor<Vec<u8>>,
    stop: Arc<AtomicBool>,
    gave_up: Arc<AtomicBool>,
}

impl Read for Stalled {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.half.read(into)?;
        let started = Instant::now();
        while count == 0 && started.elapsed() < Duration::from_secs(20) {
            if self.stop.load(Ordering::Relaxed) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            thread::park_timeout(Duration::from_millis(20));
        }
        if count == 0 {
            self.gave_up.store(true, Ordering::Relaxed);
            return Err(io::ErrorKind::TimedOut.into());
        }
        Ok(count)
    }
}

impl Source for Stalled {
    fn length(&self) -> Option<Bytes> {
        Some(Bytes(SIZE))
    }
    fn stop(&self) -> Option<Arc<AtomicBool>> {
        Some(Arc::clone(&self.stop))
    }
}

#[test]
fn a_server_that_stalls_does_not_hide_a_disk_that_failed() {
    let (image, mut disk) = (image(), disk());
    disk.broken = 9 * MIB..9 * MIB + 1;
    let half = io::Cursor::new(image[..index(SIZE / 2)].to_vec());
    let (stop, gave_up) = (Arc::default(), Arc::new(AtomicBool::new(false)));
    let source = Stalled { half, stop, gave_up: Arc::clone(&gave_up) };
    let error = install(source, &mut disk, options(&image), |_| {});
    assert!(matches!(error, Err(WriteError::Disk { at: Bytes(at), .. }) if at == 9 * MIB), "{error:?}");
    assert!(!gave_up.load(Ordering::Relaxed), "it was waited for");
}
