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
    assert!(matches!(Device::open(&odd), Err(OpenError::PartialSector { size: 513, .. })));
}
