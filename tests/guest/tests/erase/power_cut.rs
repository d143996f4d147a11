//! The power fails in the middle of an erase: the drive is not clean then, and a
//! fresh agent that finds it finishes.

use std::{
    thread,
    time::{Duration, Instant},
};

use guest::{
    drive::Drive,
    machine::{Guest, Machine},
};

use crate::BOOT;

/// How often the power fails; `BILLET_POWER_CUTS` may name more.
const CUTS: u64 = 20;
/// Each is a server with a drive, and its share of the cuts.
const SEEDS: [u64; 2] = [4, 5];
/// The drive's size, and what it writes in a second: an erase takes a little more than one.
const MIB: u64 = 8;
const MIB_EACH_SECOND: u64 = 8;

/// A cheap, seeded generator.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// A slow drive, which has no zeros of its own: each is written.
fn boot(drive: &Drive, row: &str) -> Guest {
    Machine::new()
        .slow_drive(drive, MIB_EACH_SECOND, "virtio-blk-pci,write-zeroes=off,discard=off")
        .start(&BOOT, &[row])
}

/// Let it go on for a random part of what an erase takes: the longest wait is the
/// whole of it, so that any moment may be the last.
fn erase_for_a_while(guest: &mut Guest, random: &mut Random) -> Duration {
    guest.wait_for("canaries");
    let until = Instant::now() + Duration::from_millis(random.below(1000 * MIB / MIB_EACH_SECOND));
    let began = Instant::now();
    while Instant::now() < until {
        thread::yield_now();
    }
    began.elapsed()
}

/// Cut the power so often, with a fresh agent after each; how often some of the tenant was left then.
fn cut_again_and_again(seed: u64, cuts: u64) -> u64 {
    let drive = Drive::used("CUT", MIB);
    let mut random = Random(seed);
    let mut left_behind = 0;
    for cut in 0..cuts {
        let mut guest = boot(&drive, "cut");
        guest.wait_for("finished");
        assert!(drive.survivors().is_none(), "cut {seed}.{cut}: {:?}", drive.survivors());
        guest.go_on();
        let after = erase_for_a_while(&mut guest, &mut random);
        guest.kill();
        let survivors = drive.survivors();
        eprintln!("cut {seed}.{cut} after {after:?}: {} sectors of the tenant", survivors.sectors);
        left_behind += u64::from(!survivors.is_none());
    }
    let _ = boot(&drive, "finish").end();
    assert!(drive.survivors().is_none(), "{:?}", drive.survivors());
    left_behind
}

#[test]
fn after_any_power_cut_a_fresh_agent_finishes_and_nothing_of_the_tenant_is_left() {
    let cuts = std::env::var("BILLET_POWER_CUTS").ok().and_then(|cuts| cuts.parse().ok()).unwrap_or(CUTS);
    // Two servers, one for each core that these tests run on.
    let left_behind: u64 = thread::scope(|scope| {
        let half =
            move |seed| scope.spawn(move || cut_again_and_again(seed, cuts.div_ceil(SEEDS.len() as u64)));
        let halves = SEEDS.map(half);
        halves.map(|half| half.join().expect("nothing left")).iter().sum()
    });
    assert!(left_behind > 0, "the power never failed before all was gone: nothing was tested");
}
