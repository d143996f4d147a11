use std::sync::Mutex;

use disk::{Buffer, Event, FakeDisk};
use model::BlockSize;

use super::*;
use crate::{extent::CHUNK, stage::Verify};

const MIB: u64 = CHUNK as u64;

fn disk(size: u64) -> FakeDisk {
    FakeDisk::filled(0xaa, Bytes(size), 512.try_into().expect("a block size"))
}

fn lanes(window: u64) -> Lanes {
    let lanes = Lanes::new(Records::new(Verify::Full), Arc::new(Meters::new()), Pool::new(CHUNK, 8));
    lanes.lock().window = window;
    lanes
}

fn write(at: u64, fill: u8, length: usize) -> Job {
    let mut buffer = Buffer::zeroed(length);
    buffer.fill(fill);
    Job::Write { at, bytes: Slice::new(Arc::new(buffer), 0..length) }
}

fn covers(outer: &Range<u64>, inner: &Range<u64>) -> bool {
    outer.start <= inner.start && inner.end <= outer.end
}

/// That every read follows a sync which followed the write of what is read.
fn check_order(events: &[Event]) {
    for (now, event) in events.iter().enumerate() {
        let Event::Read(read) = event else { continue };
        let last_write = events[..now].iter().rposition(|event| match event {
            Event::Write(range) | Event::Zero(range) => range.start < read.end && read.start < range.end,
            Event::Read(_) | Event::Sync => false,
        });
        let last_sync = events[..now].iter().rposition(|event| *event == Event::Sync);
        assert!(last_sync > last_write && last_write.is_some(), "{read:?} is read too early");
    }
}

#[test]
fn what_was_written_is_synced_and_read_back_while_writing_goes_on() {
    let (disk, lanes) = (disk(64 * MIB), lanes(4 * MIB));
    let (fed, done) = lanes.run(&disk, || {
        (0..64).try_for_each(|number: u64| {
            let fill = u8::try_from(number).expect("small");
            let at = number * 37 % 64 * MIB;
            let zeros = Job::Zero { at, length: MIB };
            lanes.submit(if number.is_multiple_of(3) { zeros } else { write(at, fill, CHUNK) }, &disk)
        })
    });
    fed.and(done).expect("written");
    assert_eq!(disk.writes(), 64);
    assert!(disk.syncs() >= 1, "windows are synced on the way");
    lanes.prove(&disk, |_| {}).expect("proven");
    assert_eq!((lanes.proven(), lanes.waiting()), (Bytes(64 * MIB), Bytes(0)));
    assert_eq!((lanes.written().0 + lanes.zeroed().0, lanes.zeroed()), (64 * MIB, Bytes(22 * MIB)));
    let events = disk.events();
    check_order(&events);
    for start in (0..64).map(|number| number * MIB) {
        let piece = start..start + MIB;
        assert!(events.iter().any(|event| matches!(event, Event::Read(read) if covers(read, &piece))));
    }
}

#[test]
fn what_is_remembered_is_bounded() {
    let (disk, lanes) = (disk(40 * MIB), lanes(u64::MAX));
    let most = Mutex::new(0);
    let pieces = 40 * MIB / 512;
    let (fed, done) = lanes.run(&disk, || {
        (0..pieces).try_for_each(|number| {
            let mut most = most.lock().expect("no panic");
            *most = lanes.lock().records.len().max(*most);
            lanes.submit(Job::Zero { at: number * 512, length: 512 }, &disk)
        })
    });
    fed.and(done).expect("written");
    let most = most.into_inner().expect("no panic");
    assert!(most <= RECORDS + LANES && usize::try_from(pieces).expect("small") > RECORDS, "{most}");
    lanes.prove(&disk, |_| {}).expect("proven");
    assert_eq!(lanes.proven(), Bytes(40 * MIB));
    check_order(&disk.events());
}

#[test]
fn without_lanes_jobs_are_done_at_once_and_proven_all_the_same() {
    let (disk, lanes) = (disk(40 * MIB), lanes(MIB));
    for at in (0..40 * MIB).step_by(512) {
        lanes.submit(Job::Zero { at, length: 512 }, &disk).expect("zeroed");
    }
    lanes.prove(&disk, |_| {}).expect("proven");
    assert_eq!(lanes.proven(), Bytes(40 * MIB));
    assert!(disk.bytes().iter().all(|&byte| byte == 0));
}

/// A disk that dawdles over every write, and panics when another one that
/// overlaps it comes meanwhile.
struct Dawdles(FakeDisk, Mutex<Vec<Range<u64>>>);

impl Target for Dawdles {
    fn size(&self) -> Bytes {
        self.0.size()
    }
    fn block(&self) -> BlockSize {
        self.0.block()
    }
    fn write_at(&self, offset: Bytes, data: &[u8]) -> std::io::Result<()> {
        let range = offset.0..offset.0 + data.len() as u64;
        let mut writes = self.1.lock().expect("no panic");
        assert!(writes.iter().all(|other| other.end <= range.start || range.end <= other.start), "overlap");
        writes.push(range.clone());
        drop(writes);
        (0..200).for_each(|_| thread::yield_now());
        self.1.lock().expect("no panic").retain(|other| *other != range);
        Ok(())
    }
    fn zero_at(&self, offset: Bytes, length: Bytes) -> std::io::Result<()> {
        self.0.zero_at(offset, length)
    }
    fn read_at(&self, offset: Bytes, into: &mut [u8]) -> std::io::Result<()> {
        self.0.read_at(offset, into)
    }
    fn sync(&self) -> std::io::Result<()> {
        self.0.sync()
    }
}

#[test]
fn jobs_that_overlap_wait_for_each_other() {
    let (disk, lanes) = (Dawdles(disk(4 * MIB), Mutex::default()), lanes(u64::MAX));
    let (fed, done) = lanes.run(&disk, || {
        (0..200).try_for_each(|number: u64| lanes.submit(write(number % 3 * 512, 1, 2048), &disk))
    });
    fed.and(done).expect("written");
}

#[test]
fn the_first_failure_is_kept_and_stops_the_lanes() {
    let (mut disk, lanes) = (disk(64 * MIB), lanes(u64::MAX));
    disk.broken = 9 * MIB + 512..9 * MIB + 513;
    let (fed, done) = lanes
        .run(&disk, || (0..64).try_for_each(|number| lanes.submit(write(number * MIB, 1, CHUNK), &disk)));
    let err = fed.and(done).expect_err("broken");
    assert!(matches!(err, PutError::Disk { at, .. } if at == Bytes(9 * MIB)), "{err}");
    assert!(disk.writes() <= 9 + 1 + (LANES + QUEUED) as u64, "{} writes", disk.writes());
    assert!(matches!(lanes.submit(write(0, 1, 512), &disk), Err(PutError::Stopped)));
    assert!(matches!(lanes.prove(&disk, |_| {}), Err(PutError::Stopped)));
}

/// A disk whose driver panics.
struct Panics(FakeDisk);

impl Target for Panics {
    fn size(&self) -> Bytes {
        self.0.size()
    }
    fn block(&self) -> BlockSize {
        self.0.block()
    }
    fn write_at(&self, offset: Bytes, _: &[u8]) -> std::io::Result<()> {
        panic!("a panic of the test, at {offset}");
    }
    fn zero_at(&self, offset: Bytes, length: Bytes) -> std::io::Result<()> {
        self.0.zero_at(offset, length)
    }
    fn read_at(&self, offset: Bytes, into: &mut [u8]) -> std::io::Result<()> {
        self.0.read_at(offset, into)
    }
    fn sync(&self) -> std::io::Result<()> {
        self.0.sync()
    }
}

#[test]
fn a_lane_that_panics_is_an_error_and_no_wait_without_end() {
    let (disk, lanes) = (Panics(disk(64 * MIB)), lanes(u64::MAX));
    let (fed, done) = lanes
        .run(&disk, || (0..64).try_for_each(|number| lanes.submit(write(number * MIB, 1, CHUNK), &disk)));
    assert!(matches!(fed.and(done), Err(PutError::Stopped)));
}
