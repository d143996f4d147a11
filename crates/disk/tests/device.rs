//! The real device, on a loop device of our own and on a regular file.

use std::{fs, path::Path, process::Command};

use disk::{Device, OpenError, Target};
use model::Bytes;

const SIZE: u64 = 8 << 20;

/// A loop device that goes away with the test.
struct Loop(String);

impl Loop {
    /// `None`, loudly, where there can be none.
    fn over(file: &Path, sector: u32) -> Option<Self> {
        let output = Command::new("losetup")
            .args(["--show", "-f", "-b", &sector.to_string()])
            .arg(file)
            .output()
            .expect("losetup runs");
        if !output.status.success() {
            eprintln!("SKIPPED: needs root and loop devices: {}", String::from_utf8_lossy(&output.stderr));
            return None;
        }
        Some(Self(String::from_utf8_lossy(&output.stdout).trim().to_owned()))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        Command::new("losetup").args(["-d", &self.0]).status().ok();
    }
}

fn dirty_file() -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    fs::write(file.path(), vec![0xaa; usize::try_from(SIZE).expect("small")]).expect("written");
    file
}

fn writes_and_reads_back(device: &mut Device, block: u64) {
    assert_eq!((device.size(), device.block().get()), (Bytes(SIZE), block));
    // Memory at an odd address is copied, whatever direct I/O wants.
    let bytes: Vec<u8> = (0..3 * (1 << 20) + 1).map(|at: u32| at.to_le_bytes()[1]).collect();
    let odd = &bytes[1..];
    device.write_at(Bytes(1 << 20), odd).expect("written");
    device.zero_at(Bytes(block), Bytes(block * 2)).expect("zeroed");
    device.sync().expect("synced");
    let mut back = vec![0; odd.len() + 1];
    device.read_at(Bytes(1 << 20), &mut back[1..]).expect("read");
    assert!(back[1..] == *odd);
    let mut start = vec![0; usize::try_from(block * 4).expect("small")];
    device.read_at(Bytes(0), &mut start).expect("read");
    let fills: Vec<u8> = start.iter().step_by(usize::try_from(block).expect("small")).copied().collect();
    assert_eq!(fills, [0xaa, 0, 0, 0xaa]);
    assert!(device.read_at(Bytes(SIZE), &mut start).is_err(), "beyond the end");
}

#[test]
fn zeros_are_zeros_however_they_are_made_and_beside_them_nothing_changes() {
    let file = dirty_file();
    let Some(one) = Loop::over(file.path(), 512) else { return };
    // The device may learn that it has no zeros of its own: both orders.
    for blank_first in [true, false] {
        fs::write(&one.0, vec![0xaa; usize::try_from(SIZE).expect("small")]).expect("dirty again");
        let device = Device::open(&one.0).expect("opened");
        let blank = || device.blank_at(Bytes(1 << 20), Bytes(1 << 20)).expect("blank");
        let zero = || device.zero_at(Bytes(3 << 20), Bytes(1 << 20)).expect("zero");
        if blank_first {
            (blank(), zero())
        } else {
            (zero(), blank())
        };
        device.sync().expect("synced");
        let mut bytes = vec![1; usize::try_from(SIZE).expect("small")];
        device.read_at(Bytes(0), &mut bytes).expect("read");
        let fills: Vec<u8> = bytes.chunks(1 << 20).map(|mebibyte| mebibyte[0]).collect();
        assert!(bytes.chunks(1 << 20).all(|mebibyte| mebibyte.iter().all(|byte| *byte == mebibyte[0])));
        assert_eq!(fills, [0xaa, 0, 0xaa, 0, 0xaa, 0xaa, 0xaa, 0xaa]);
    }
}

#[test]
fn several_threads_write_one_device_at_once() {
    let file = dirty_file();
    let Some(one) = Loop::over(file.path(), 512) else { return };
    let device = Device::open(&one.0).expect("opened");
    let pattern = |thread: u8| vec![thread; 4096 + 1];
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let device = &device;
            // At an odd address, so that they share the bounce buffer too.
            scope.spawn(move || {
                for step in 0..64 {
                    let at = Bytes((step * 8 + u64::from(thread)) * 4096);
                    device.write_at(at, &pattern(thread)[1..]).expect("written");
                }
            });
        }
    });
    device.sync().expect("synced");
    let mut bytes = vec![0xff; 64 * 8 * 4096];
    device.read_at(Bytes(0), &mut bytes).expect("read");
    for (block, number) in bytes.chunks(4096).zip((0..8_u8).cycle()) {
        assert!(block.iter().all(|&byte| byte == number));
    }
}

#[test]
fn a_loop_device_of_either_sector_size_is_written_past_the_cache() {
    for sector in [512, 4096] {
        let file = dirty_file();
        let Some(device) = Loop::over(file.path(), sector) else { return };
        writes_and_reads_back(&mut Device::open(&device.0).expect("opened"), sector.into());
        let held = Device::open(&device.0).expect("opened");
        let refusal = Device::open(&device.0).expect_err("held by us");
        assert!(matches!(refusal, OpenError::Held { .. }), "{refusal}");
        drop(held);
    }
}

#[test]
fn a_regular_file_stands_for_a_disk() {
    let file = dirty_file();
    writes_and_reads_back(&mut Device::open(file.path()).expect("opened"), 512);
}

#[test]
fn an_empty_file_grows_and_a_full_one_does_not() {
    let file = tempfile::NamedTempFile::new().expect("a file");
    let mut device = Device::open(file.path()).expect("opened");
    device.grow_empty_file(Bytes(1000)).expect("grown");
    assert_eq!(device.size(), Bytes(1024));
    device.grow_empty_file(Bytes(4096)).expect("left");
    assert_eq!(device.size(), Bytes(1024));
}

#[test]
fn what_is_no_disk_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a directory");
    assert!(matches!(Device::open(dir.path()), Err(OpenError::NotADisk { .. })));
    assert!(matches!(Device::open(dir.path().join("none")), Err(OpenError::Open { .. })));
    let odd = dir.path().join("odd");
    fs::write(&odd, [0; 513]).expect("written");
    assert!(matches!(Device::open(&odd), Err(OpenError::PartialSector { size: 513, block: 512, .. })));
    fs::write(&odd, vec![0; 65536 + 512]).expect("written");
    let Some(device) = Loop::over(&odd, 4096) else { return };
    let refused = Device::open(&device.0);
    assert!(matches!(refused, Err(OpenError::PartialSector { size: 66048, block: 4096, .. })), "{refused:?}");
}

#[test]
fn a_file_under_a_loop_device_is_that_devices() {
    let file = dirty_file();
    let Some(device) = Loop::over(file.path(), 512) else { return };
    let refusal = Device::open(file.path()).expect_err("it may be mounted");
    let name = device.0.trim_start_matches("/dev/").to_owned();
    assert!(matches!(&refusal, OpenError::Held { users, .. } if *users == name), "{refusal}");
}
