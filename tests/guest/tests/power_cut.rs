//! The power fails in the middle of an erase: the drive is not clean then, and a
//! fresh agent that finds it finishes.

use std::{
    path::Path,
    time::{Duration, Instant},
};

use guest::{
    boot::Boot,
    drive::Drive,
    machine::{Guest, Machine},
};

/// How often the power fails; `BILLET_POWER_CUTS` may name more.
const CUTS: u64 = 5;
/// The drive's size, and what it writes in a second: an erase takes a little more than one.
const MIB: usize = 8;
const MIB_EACH_SECOND: usize = 8;

/// A cheap, seeded generator.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// A slow drive, which has no zeros of its own: each is written.
fn boot(boot: &Boot, drive: &Drive, row: &str) -> Guest {
    let throttle = format!("throttle-group,id=slow,x-bps-write={}", MIB_EACH_SECOND << 20);
    Machine::new()
        .arguments(&["-object", &throttle])
        .backing(drive)
        .arguments(&["-blockdev", "driver=throttle,node-name=throttled,throttle-group=slow,file=CUT"])
        .arguments(&["-device", "virtio-blk-pci,drive=throttled,serial=CUT,write-zeroes=off,discard=off"])
        .start(boot, &[row])
}

/// Let it go on for a random part of what an erase takes: the longest wait is the
/// whole of it, so that any moment may be the last.
fn erase_for_a_while(guest: &mut Guest, random: &mut Random) -> Duration {
    guest.wait_for("canaries");
    let whole = u64::try_from(1000 * MIB / MIB_EACH_SECOND).expect("seconds");
    let until = Instant::now() + Duration::from_millis(random.below(whole));
    let began = Instant::now();
    while Instant::now() < until {
        std::thread::yield_now();
    }
    began.elapsed()
}

#[test]
fn after_any_power_cut_a_fresh_agent_finishes_and_nothing_of_the_tenant_is_left() {
    let image = Boot::new(Path::new(env!("CARGO_BIN_EXE_erase-guest")), &[]);
    let cuts = std::env::var("BILLET_POWER_CUTS").ok().and_then(|cuts| cuts.parse().ok()).unwrap_or(CUTS);
    let drive = Drive::used("CUT", MIB);
    let mut random = Random(4);
    let mut left_behind = 0;
    for cut in 0..cuts {
        let mut guest = boot(&image, &drive, "cut");
        guest.wait_for("finished");
        assert!(drive.survivors().is_none(), "cut {cut}: {:?}", drive.survivors());
        guest.go_on();
        let after = erase_for_a_while(&mut guest, &mut random);
        guest.kill();
        let survivors = drive.survivors();
        eprintln!("cut {cut} after {after:?}: {} sectors of the tenant", survivors.sectors);
        left_behind += u64::from(!survivors.is_none());
    }
    assert!(left_behind > 0, "the power never failed before all was gone: nothing was tested");
    let _ = boot(&image, &drive, "finish").end();
    assert!(drive.survivors().is_none(), "{:?}", drive.survivors());
}
