//! A server loses its power while `billetd` has it cleaned: it is not available, and
//! it is when a fresh agent has finished, which it proves.
//!
//! `tests/guest` cuts the power at more moments, of the erase alone.

use std::{fs::File, os::unix::fs::FileExt as _, path::Path, time::Duration};

use serde_json::{Value, json};
use tests::{can_use_loop_devices, programs::House};

/// The disk's size, and what it writes in a second.
const MIB: u64 = 32;
const MIB_EACH_SECOND: u64 = 8;
/// What every sector of the disk holds at first.
const SECRET: &[u8; 16] = b"TENANT'S SECRET ";
const SECTOR: usize = 512;
/// When this place is gone, the power fails: the clean step before, of tables and
/// signatures, takes 8 MiB at each end, and the erase of everything is in the middle.
const PLACE: u64 = 14 << 20;
/// So much is looked at there: more than a canary.
const LOOKED_AT: usize = 64 << 10;
/// How often the disk is looked at.
const POLL: Duration = Duration::from_millis(50);
/// How long the erase may take to begin.
const POLLS: usize = 3_000;

/// A disk with the secret in every sector.
fn used_disk(path: &Path) {
    let disk = File::create(path).expect("a new file");
    let mib = SECRET.repeat((1 << 20) / SECRET.len());
    for at in 0..MIB {
        disk.write_all_at(&mib, at << 20).expect("room for a disk");
    }
}

/// How many of its sectors hold any of the secret.
fn survivors(path: &Path) -> usize {
    let disk = std::fs::read(path).expect("a disk");
    let holds = |sector: &&[u8]| sector.chunks(SECRET.len()).any(|line| line == SECRET);
    disk.chunks(SECTOR).filter(holds).count()
}

/// Nothing of the secret is at [`PLACE`] any more.
fn is_under_way(disk: &File) -> bool {
    let mut bytes = [0; LOOKED_AT];
    disk.read_exact_at(&mut bytes, PLACE).expect("a disk");
    !bytes.windows(SECRET.len()).step_by(SECRET.len()).any(|line| line == SECRET)
}

/// The disk at `path`, which writes slowly and has no zeros of its own.
fn slow_disk(path: &Path) -> [Value; 2] {
    let raw = json!({"driver": "raw", "node-name": "file", "file": {"driver": "file", "filename": path}});
    [raw, json!({"driver": "throttle", "node-name": "disk", "throttle-group": "slow", "file": "file"})]
}

#[tokio::test]
async fn a_server_that_loses_its_power_while_it_is_cleaned_is_available_only_after_a_proven_erase() {
    if !can_use_loop_devices() {
        return;
    }
    let house = House::open_cleaning("full").await;
    let id = house.enroll().await;
    let dir = tempfile::tempdir().expect("a temporary directory");
    let disk = dir.path().join("disk");
    used_disk(&disk);
    house.provision(&id, "manage", "manageable").await;
    let limit = format!("throttle-group,id=slow,x-bps-write={}", MIB_EACH_SECOND << 20);
    let slow = ["-object", &limit, "-global", "virtio-blk-device.write-zeroes=off"];
    let guest = |name: &str| house.guest_with(name, 256, &slow_disk(&disk), &slow);

    house.provision(&id, "provide", "clean wait").await;
    let mut cut = guest("cut");
    let file = File::open(&disk).expect("a disk");
    let mut polls = 0;
    while !is_under_way(&file) {
        polls += 1;
        assert!(polls < POLLS, "the erase does not begin\n{}", cut.said());
        tokio::time::sleep(POLL).await;
    }
    cut.kill();
    let left = survivors(&disk);
    assert!(left > 0, "the power failed too late: nothing was tested");
    // billetd would notice in five minutes that nobody answers; the operator says so.
    let node = house.provision(&id, "abort", "clean failed").await;
    eprintln!("{left} sectors were left; last_error: {:?}", node.text("/last_error"));

    house.provision(&id, "manage", "manageable").await;
    let before = house.provision(&id, "provide", "clean wait").await;
    let _fresh = guest("fresh");
    house.wait_since(&before, &id, "available").await;
    assert_eq!(survivors(&disk), 0, "the node is available");
    let answer = house.api.get(&format!("/v1/nodes/{id}/erasures")).await.expect("the evidence");
    let erasures = answer["erasures"].as_array().expect("a list");
    let is_clean = |erasure: &Value| erasure.to_string().contains("\"clean\"");
    assert!(erasures.iter().any(is_clean), "{answer:#}");
}
