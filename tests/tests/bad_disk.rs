//! Disks that fail or lie, in memory and under a real kernel: each write ends
//! with an error that names the byte and the cause, the disk does not boot, and
//! a retry on a healthy disk works.

use disk::FakeDisk;
use image::{MemorySource, Options, Report, Verify, WriteError, install};
use model::Bytes;
use serde_json::{Value, json};
use tests::{
    can_use_loop_devices,
    disk::{Fault, LoopDisk},
    images::{Mood, digest, gpt_image, serve},
    programs::{House, seen_by_guest},
    write::write,
};

const MIB: u64 = 1 << 20;
const DISK: u64 = 8 * MIB;

/// A used disk.
fn used() -> FakeDisk {
    FakeDisk::filled(0xaa, Bytes(DISK), 512.try_into().expect("a block size"))
}

/// A used disk with a fault.
fn with(fault: impl FnOnce(&mut FakeDisk)) -> FakeDisk {
    let mut disk = used();
    fault(&mut disk);
    disk
}

fn deploy(image: &[u8], disk: &mut FakeDisk, verify: Verify) -> Result<Report, WriteError> {
    let options = Options { digests: vec![digest(image)], verify, ..Options::default() };
    install(MemorySource::new(image.to_vec()), disk, options, |_| {})
}

/// Nothing at the disk's ends that could boot.
fn ends_are_zero(disk: &FakeDisk) -> bool {
    let (bytes, mib) = (disk.bytes(), usize::try_from(MIB).expect("fits"));
    bytes[..mib].iter().chain(&bytes[bytes.len() - mib..]).all(|&byte| byte == 0)
}

/// The error with all its causes.
fn told(err: WriteError) -> String {
    format!("{:#}", anyhow::Error::from(err))
}

/// What a write on this disk says, after every promise about it was checked.
fn fails(what: &str, mut disk: FakeDisk) -> String {
    let image = gpt_image(8);
    let err = deploy(&image, &mut disk, Verify::Full).expect_err(what);
    let not_cleared = matches!(err, WriteError::NotCleared { .. });
    assert!(!err.is_refusal(), "{what}: the image is not at fault");
    let said = told(err);
    // Zeros that were dropped leave what was there before, and nobody can help it.
    let takes_zeros = disk.lying.is_empty() || (disk.lying.start >= MIB && disk.lying.end <= DISK - MIB);
    assert!(ends_are_zero(&disk) || not_cleared || !takes_zeros, "{what}: may boot: {said}");
    assert!(!not_cleared || said.contains("do not boot it"), "{what}: {said}");
    let mut healthy = used();
    deploy(&image, &mut healthy, Verify::Full).unwrap_or_else(|err| panic!("{what}, retried: {err}"));
    assert!(*healthy.bytes() == image, "{what}, retried: another disk");
    said
}

/// Places on the disk where something may go wrong: both ends, both sides of
/// what is held back, and between.
const PLACES: [u64; 9] =
    [0, 4096, MIB - 512, MIB, MIB + 512, 3 * MIB + 4096, DISK - MIB - 512, DISK - MIB, DISK - 512];

#[test]
fn every_place_that_fails_is_named_with_its_cause() {
    for at in PLACES {
        for (what, errno, disk) in [
            ("writes fail", "os error 5", with(|disk| disk.broken = at..at + 1)),
            ("no space", "os error 28", with(|disk| disk.full = at..at + 1)),
            ("reads fail", "os error 5", with(|disk| disk.unreadable = at..at + 1)),
        ] {
            let said = fails(&format!("{what} at {at}"), disk);
            assert!(said.contains(errno), "{what} at {at}: {said}");
            let named =
                said.split("at byte ").nth(1).and_then(|rest| rest.split([';', ',', ' ', ':']).next());
            let named: u64 = named.unwrap_or_else(|| panic!("no byte in {said}")).parse().expect("a number");
            // The request that failed is named by its first byte; none is longer than a MiB.
            assert!(named <= at && at < named + MIB, "{what} at {at}: {said}");
        }
    }
}

#[test]
fn a_write_that_was_dropped_is_found_wherever_it_was() {
    for at in PLACES {
        let said = fails(&format!("dropped at {at}"), with(|disk| disk.lying = at..at + 1));
        assert!(said.contains("does not hold what was written"), "{at}: {said}");
    }
}

/// A drive that lies about everything, of which only a sample is read back.
#[test]
fn a_disk_that_drops_everything_is_caught_by_a_sample() {
    let image = gpt_image(8);
    let mut disk = with(|disk| disk.lying = 0..DISK);
    let err = deploy(&image, &mut disk, Verify::Sample).expect_err("a lie");
    assert!(matches!(err, WriteError::DiskLies { .. } | WriteError::NotCleared { .. }), "{err:?}");
}

#[test]
fn a_disk_may_vanish_at_any_write() {
    let image = gpt_image(8);
    for writes in 0.. {
        let mut disk = with(|disk| disk.vanishes_after = Some(writes));
        match deploy(&image, &mut disk, Verify::Full) {
            Ok(_) => {
                assert!(writes > 8, "every write failed once before");
                return;
            }
            Err(err) => {
                let said = told(err);
                assert!(said.contains("os error 19"), "after {writes} writes: {said}");
                // It went with what it held: the old disk before the first write, the new one
                // after the last, nothing that boots between.
                let bytes = disk.bytes();
                let boots = bytes[..512].iter().any(|&byte| byte != 0);
                assert!(writes == 0 || !boots || *bytes == image, "after {writes} writes: may boot: {said}");
            }
        }
    }
}

#[test]
fn a_sync_may_fail_at_any_time() {
    let image = gpt_image(8);
    for sync in 0.. {
        let mut disk = with(|disk| disk.failing_sync = Some(sync));
        if deploy(&image, &mut disk, Verify::Full).is_ok() {
            assert!(sync > 3, "every sync failed once before");
            return;
        }
        fails(&format!("sync {sync}"), with(|disk| disk.failing_sync = Some(sync)));
    }
}

/// The same under this machine's kernel: QEMU's blkdebug makes a file that
/// fails, and a loop device makes a disk of it.
#[test]
fn a_real_disk_that_fails_is_named_and_does_not_boot() {
    if !can_use_loop_devices() {
        return;
    }
    let image = gpt_image(16);
    let url = serve(&image, Mood::Good);
    let middle = 6 * MIB;
    for (on, at, errno, words) in [
        ("write", middle, 5, "the disk failed at byte"),
        ("write", middle, 61, "the disk failed at byte"),
        ("write", middle, 28, "the disk failed at byte"),
        ("write", 15 * MIB + 512, 5, "do not boot it"),
        ("flush", 0, 5, "the disk failed"),
    ] {
        let disk = LoopDisk::with_faults(16, &[Fault { on, at, errno }]);
        let ended = write(&[&url], &digest(&image), &disk.device);
        let what = format!("{on} at {at}, errno {errno}: {ended:#?}");
        assert_eq!(ended.code, Some(1), "{what}");
        assert!(ended.error().contains(words) && ended.error().contains("os error"), "{what}");
        let said_so = ended.error().contains("do not boot it");
        assert!(said_so || !disk.may_boot(), "{what}: may boot");
    }
}

/// The same in a virtual server: QEMU's blkdebug under virtio-blk, where reads
/// fail as well, and the words reach the node.
#[tokio::test]
async fn a_server_whose_disk_fails_says_where_and_does_not_boot() {
    if !can_use_loop_devices() {
        return;
    }
    let image = gpt_image(16);
    let house = House::open().await;
    let id = house.enroll().await;
    let cleaned = LoopDisk::used(32);
    house.make_available(&id, &cleaned.device).await;
    for kinds in [&["write", "write-zeroes"][..], &["read"]] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let disk = dir.path().join("disk");
        std::fs::write(&disk, vec![0xaa; image.len()]).expect("a used disk");
        let sector = 6 * MIB / 512;
        let rules: Vec<Value> = kinds
            .iter()
            .map(|kind| json!({"event": "none", "iotype": kind, "sector": sector, "errno": 5}))
            .collect();
        let file = json!({"driver": "file", "node-name": "file", "filename": disk});
        let faulty =
            json!({"driver": "blkdebug", "node-name": "disk", "image": "file", "inject-error": rules});
        let url = seen_by_guest(&serve(&image, Mood::Good));
        house.image(&id, &url, &digest(&image).hex(), "/dev/vda".as_ref()).await;
        let before = house.provision(&id, "active", "wait call-back").await;
        let guest = house.guest("faulty", 256, &[file, faulty]);
        let node = house.wait_since(&before, &id, "deploy failed").await;
        let error = node.text("/last_error").unwrap_or_default();
        // The kernel may have merged the request before with the one that fails.
        let places = [6 * MIB, 5 * MIB].map(|byte| format!("the disk failed at byte {byte};"));
        assert!(
            places.iter().any(|words| error.contains(words)) && error.contains("os error 5"),
            "{kinds:?}: {error}\n{}",
            guest.said()
        );
        let left = std::fs::read(&disk).expect("a disk");
        let mib = usize::try_from(MIB).expect("fits");
        let mut ends = left[..mib].iter().chain(&left[left.len() - mib..]);
        assert!(ends.all(|&byte| byte == 0), "{kinds:?}: may boot");
    }
}

#[test]
fn a_real_disk_that_is_pulled_out_or_full_is_an_error() {
    if !can_use_loop_devices() {
        return;
    }
    let image = gpt_image(16);
    let thin = LoopDisk::failing_after(64, 8);
    let ended = write(&[&serve(&image, Mood::Good)], &digest(&image), &thin.device);
    assert!(ended.code == Some(1) && ended.error().contains("the disk failed at byte"), "{ended:#?}");
    assert!(!thin.may_boot(), "{ended:#?}");
    // Pulled out while the image comes.
    let server =
        bad_server::Server::of(bad_server::File::new(image.clone()).acts([bad_server::Act::stall(8 * MIB)]));
    let disk = LoopDisk::with_faults(16, &[]);
    let writing = tests::write::start(&[&server.url("/image")], &digest(&image), &disk.device);
    server.wait_until(|seen| seen.iter().any(|seen| seen.stalls > 0));
    disk.vanish();
    server.release();
    let ended = writing.end();
    assert!(ended.code == Some(1) && ended.error().contains("the disk"), "{ended:#?}");
    // Healthy again, with the same image.
    let healthy = LoopDisk::used(16);
    assert!(write(&[&server.url("/image")], &digest(&image), &healthy.device).is_written());
    assert!(healthy.content() == image);
}
