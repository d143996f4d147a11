//! The power fails in the middle of a write: afterwards the disk is the image,
//! whole and proven, or nothing boots from it; and a retry works.
//!
//! Three ways, from thorough to real: every prefix of what a disk was told,
//! replayed with any part of its volatile cache lost; the program killed while it
//! writes a loop device; a virtual server that dies with its QEMU.

use std::{
    os::unix::fs::FileExt,
    path::Path,
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bad_server::{Act, File, Server};
use disk::{FakeDisk, Target};
use image::{MemorySource, Options, install};
use model::{BlockSize, Bytes};
use tests::{
    can_use_loop_devices,
    disk::LoopDisk,
    images::{digest, gpt_image},
    programs::{House, raw_disk, seen_by_guest},
    write::{start, write},
};

const MIB: usize = 1 << 20;
const BLOCK: usize = 512;
const OLD: u8 = 0xaa;

/// A cheap, seeded generator.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % limit
    }
}

/// What a disk was told, in the order in which it was.
enum Told {
    /// These bytes are to be there.
    Write { at: usize, bytes: Vec<u8> },
    /// A sync returned: of what was told before, all that had returned when it
    /// began is on the medium. It is known by its places in the log.
    Synced(Vec<usize>),
}

/// A disk that remembers all it was told.
struct Recorder {
    disk: FakeDisk,
    log: Mutex<(Vec<Told>, Vec<usize>)>,
}

impl Recorder {
    fn new(size: usize) -> Self {
        let block = 512.try_into().expect("a block size");
        Self { disk: FakeDisk::filled(OLD, Bytes(size as u64), block), log: Mutex::default() }
    }

    fn log(&self) -> MutexGuard<'_, (Vec<Told>, Vec<usize>)> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, at: Bytes, bytes: Vec<u8>) -> usize {
        let (told, _) = &mut *self.log();
        told.push(Told::Write { at: usize::try_from(at.0).expect("in memory"), bytes });
        told.len() - 1
    }
}

impl Target for Recorder {
    fn size(&self) -> Bytes {
        self.disk.size()
    }

    fn block(&self) -> BlockSize {
        self.disk.block()
    }

    fn write_at(&self, offset: Bytes, data: &[u8]) -> std::io::Result<()> {
        let place = self.tell(offset, data.to_vec());
        self.disk.write_at(offset, data)?;
        self.log().1.push(place);
        Ok(())
    }

    fn zero_at(&self, offset: Bytes, length: Bytes) -> std::io::Result<()> {
        self.write_at(offset, &vec![0; usize::try_from(length.0).expect("in memory")])
    }

    fn read_at(&self, offset: Bytes, into: &mut [u8]) -> std::io::Result<()> {
        self.disk.read_at(offset, into)
    }

    fn sync(&self) -> std::io::Result<()> {
        let returned = self.log().1.clone();
        self.disk.sync()?;
        self.log().0.push(Told::Synced(returned));
        Ok(())
    }
}

/// The medium after a power cut when `told` was told: what was synced is there,
/// of the rest any blocks.
fn after_a_cut(told: &[Told], size: usize, random: &mut Random) -> Vec<u8> {
    let mut durable = vec![false; told.len()];
    for told in told {
        if let Told::Synced(places) = told {
            places.iter().for_each(|&place| durable[place] = true);
        }
    }
    let mut medium = vec![OLD; size];
    for (told, durable) in told.iter().zip(durable) {
        let Told::Write { at, bytes } = told else { continue };
        // Of one cut, all blocks, none, or some.
        let mood = random.below(3);
        for (block, at) in bytes.chunks(BLOCK).zip((*at..).step_by(BLOCK)) {
            if durable || mood == 0 || (mood == 1 && random.below(2) == 0) {
                medium[at..at + block.len()].copy_from_slice(block);
            }
        }
    }
    medium
}

/// Where blocks of both ends of a disk of `length` begin.
fn ends(length: usize) -> impl Iterator<Item = usize> {
    (0..MIB).chain(length - MIB..length).step_by(BLOCK)
}

fn is_all(bytes: &[u8], byte: u8) -> bool {
    bytes.chunks(BLOCK).all(|block| *block == [byte; BLOCK][..block.len()])
}

/// The promise about a disk that lost its power. `image` is all of it, and
/// nowhere zero but at its ends.
fn boots_only_what_is_right(disk: &[u8], image: &[u8], cleared: bool) -> Result<(), String> {
    let body = MIB..disk.len() - MIB;
    if !cleared {
        // The old system may be there still, and nothing new is.
        let old = is_all(&disk[body], OLD);
        return if old { Ok(()) } else { Err("it was written before the ends were cleared".to_owned()) };
    }
    let block = |at: usize| &disk[at..at + BLOCK];
    let wrong = ends(disk.len()).find(|&at| !is_all(block(at), 0) && *block(at) != image[at..at + BLOCK]);
    if let Some(at) = wrong {
        return Err(format!("the block at {at} is neither zero nor the image's"));
    }
    let anything = ends(disk.len()).any(|at| !is_all(block(at), 0));
    if anything && disk[body.clone()] != image[body] {
        return Err("something that may boot is before an incomplete disk".to_owned());
    }
    // All but the first blocks is there before those.
    if !is_all(block(0), 0) && disk[4096..] != image[4096..] {
        return Err("the first sector came before the rest".to_owned());
    }
    Ok(())
}

#[test]
fn at_every_moment_with_any_cache_lost_nothing_wrong_boots() {
    let image = gpt_image(5);
    let options = || Options { digests: vec![digest(&image)], ..Options::default() };
    let mut disk = Recorder::new(image.len());
    install(MemorySource::new(image.clone()), &mut disk, options(), |_| {}).expect("installed");
    assert!(*disk.disk.bytes() == image, "a write that is not cut is whole");
    let (told, _) = &*disk.log();
    let first_sync = told.iter().position(|told| matches!(told, Told::Synced(_))).expect("a sync");
    let mut random = Random(7);
    let (mut dead, mut whole) = (0, 0);
    for cut in 0..=told.len() {
        for _ in 0..4 {
            let medium = after_a_cut(&told[..cut], image.len(), &mut random);
            if let Err(what) = boots_only_what_is_right(&medium, &image, cut > first_sync) {
                panic!("cut at {cut} of {}: {what}", told.len());
            }
            dead += u32::from(ends(medium.len()).all(|at| is_all(&medium[at..at + BLOCK], 0)));
            whole += u32::from(medium == image);
        }
    }
    assert!(dead >= 8 && whole > 0, "{dead} dead, {whole} whole: the cuts were not everywhere");
    // A retry finds any such disk.
    for cut in [first_sync, told.len() / 2, told.len() - 1] {
        let mut disk = Recorder::new(image.len());
        *disk.disk.bytes_mut() = after_a_cut(&told[..cut], image.len(), &mut random);
        install(MemorySource::new(image.clone()), &mut disk, options(), |_| {}).expect("a retry");
        assert!(*disk.disk.bytes() == image, "cut at {cut}, retried");
    }
}

/// The judge of these tests is one that says no.
#[test]
fn what_must_not_be_is_seen() {
    let image = gpt_image(6);
    let mut disk = vec![0; image.len()];
    let judge = |disk: &[u8]| boots_only_what_is_right(disk, &image, true);
    assert!(judge(&disk).is_ok() && judge(&image).is_ok());
    disk[..MIB].copy_from_slice(&image[..MIB]);
    assert!(judge(&disk).is_err(), "a table before an empty disk");
    disk.copy_from_slice(&image);
    disk[2 * MIB] ^= 1;
    assert!(judge(&disk).is_err(), "a wrong byte");
    disk.fill(0);
    disk[100] = OLD;
    assert!(judge(&disk).is_err(), "the old tenant's boot code");
    disk.fill(OLD);
    disk[2 * MIB] = 0;
    assert!(boots_only_what_is_right(&disk, &image, false).is_err(), "written before it was cleared");
}

/// SIGKILL at twenty moments: while a byte comes, and while the disk is read
/// back or committed.
#[test]
fn a_killed_write_leaves_nothing_that_boots_wrong_and_a_retry_works() {
    if !can_use_loop_devices() {
        return;
    }
    let image = gpt_image(16);
    let expected = digest(&image);
    let mut random = Random(20);
    let mut dead = 0;
    for moment in 0..20 {
        let disk = LoopDisk::used(16);
        let held = disk.content();
        if moment % 4 == 3 {
            // At a line of its progress, of which the later ones are of verify and commit.
            let server = Server::of(File::new(image.clone()));
            let mut writing = start(&[&server.url("/image")], &expected, &disk.device);
            for _ in 0..=random.below(5) {
                writing.next_line();
            }
            writing.kill();
        } else {
            let at = random.below(image.len()) as u64;
            let server = Server::of(File::new(image.clone()).then(Act::stall(at)));
            let writing = start(&[&server.url("/image")], &expected, &disk.device);
            server.wait_until(|seen| seen.iter().any(|seen| seen.stalls > 0));
            writing.kill();
        }
        let left = disk.content();
        if let Err(what) = killed_well(&left, &image, &held) {
            panic!("moment {moment}: {what}");
        }
        dead += u32::from(!disk.may_boot());
        let good = Server::of(File::new(image.clone()));
        let ended = write(&[&good.url("/image")], &expected, &disk.device);
        assert!(ended.is_written(), "moment {moment}, retried: {ended:#?}");
        assert!(disk.content() == image, "moment {moment}, retried: another disk");
    }
    assert!(dead >= 5, "only {dead} of 20 were killed while writing");
}

/// The same promise when it is not known whether the disk, which `held` this,
/// was begun: then it boots what it held, or nothing.
fn killed_well(disk: &[u8], image: &[u8], held: &[u8]) -> Result<(), String> {
    let body = MIB..disk.len() - MIB;
    let is_held = |at: usize| disk[at..at + BLOCK] == held[at..at + BLOCK];
    let is_zero = |at: usize| is_all(&disk[at..at + BLOCK], 0);
    if disk[body.clone()] == held[body] && ends(disk.len()).all(|at| is_held(at) || is_zero(at)) {
        return Ok(());
    }
    boots_only_what_is_right(disk, image, true)
}

/// The cuts of a virtual server that `make test` does; `BILLET_POWER_CUTS` may name more.
const GUEST_CUTS: usize = 5;

/// What is waited for before a virtual server loses its power.
#[derive(Clone, Copy, Debug)]
enum Moment {
    /// So many bytes of the image were sent, and no more.
    Byte(usize),
    /// All of it was sent: the rest is written, or read back.
    Sent,
    /// The disk's first or last MiB is written: it is being committed.
    Commit,
}

/// A virtual server of 256 MiB deploys a qcow2, and its QEMU is killed; what QEMU had told the host
/// is what is left. The next deployment finds the disk so, and the last one is
/// not cut.
#[tokio::test]
async fn a_server_that_loses_its_power_boots_nothing_wrong_and_a_retry_works() {
    if !can_use_loop_devices() {
        return;
    }
    let image = gpt_image(48);
    let file = qcow2(&image);
    let sha256 = digest(&file).hex();
    let house = House::open().await;
    let id = house.enroll().await;
    let cleaned = LoopDisk::used(32);
    house.make_available(&id, &cleaned.device).await;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let disk = dir.path().join("disk");
    std::fs::write(&disk, vec![OLD; image.len()]).expect("a used disk");
    let cuts = std::env::var("BILLET_POWER_CUTS").ok().and_then(|cuts| cuts.parse().ok());
    let cuts = cuts.unwrap_or(GUEST_CUTS);
    let mut random = Random(11);
    for cut in 0..=cuts {
        let moment = match cut % 5 {
            3 => Moment::Sent,
            4 => Moment::Commit,
            _ => Moment::Byte(random.below(file.len() - 1)),
        };
        let last = cut == cuts;
        let act = match moment {
            Moment::Byte(at) if !last => Act::stall(at as u64),
            Moment::Byte(_) | Moment::Sent | Moment::Commit => Act::good(),
        };
        let server = Server::of(File::new(file.clone()).then(act));
        house.image(&id, &seen_by_guest(&server.url("/image")), &sha256, "/dev/vda".as_ref()).await;
        let before = house.provision(&id, "active", "wait call-back").await;
        let held = std::fs::read(&disk).expect("a disk");
        let mut guest = house.guest("cut", 256, &[raw_disk(&disk)]);
        if last {
            house.wait_since(&before, &id, "active").await;
            break;
        }
        wait_for(moment, &server, &disk, file.len());
        guest.kill();
        let left = std::fs::read(&disk).expect("a disk");
        if let Err(what) = killed_well(&left, &image, &held) {
            panic!("cut {cut}, {moment:?}: {what}\n{}", guest.said());
        }
        // Nobody answers there any more: the operator says so.
        house.provision(&id, "abort", "deploy failed").await;
    }
    assert!(std::fs::read(&disk).expect("a disk") == image, "the retry made another disk");
}

fn qcow2(raw: &[u8]) -> Vec<u8> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (from, to) = (dir.path().join("raw"), dir.path().join("qcow2"));
    std::fs::write(&from, raw).expect("written");
    let status = Command::new("qemu-img")
        .args(["convert", "-f", "raw", "-O", "qcow2"])
        .args([&from, &to])
        .status()
        .expect("qemu-img is installed (Debian package qemu-utils)");
    assert!(status.success(), "qemu-img: {status}");
    std::fs::read(&to).expect("an image")
}

fn wait_for(moment: Moment, server: &Server, disk: &Path, length: usize) {
    let disk_length = usize::try_from(std::fs::metadata(disk).expect("a disk").len()).expect("in memory");
    match moment {
        Moment::Byte(_) => server.wait_until(|seen| seen.iter().any(|seen| seen.stalls > 0)),
        Moment::Sent | Moment::Commit => {
            server.wait_until(|seen| seen.iter().map(|seen| seen.sent).sum::<u64>() >= length as u64);
        }
    }
    if matches!(moment, Moment::Commit) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !ends(disk_length).any(|at| !is_all(&block_of(disk, at), 0)) {
            assert!(Instant::now() < deadline, "nothing was committed");
            std::thread::yield_now();
        }
    }
}

fn block_of(disk: &Path, at: usize) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let file = std::fs::File::open(disk).expect("a disk");
    file.read_exact_at(&mut block, at as u64).expect("a block");
    block
}
