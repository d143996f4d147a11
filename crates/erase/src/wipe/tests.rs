//! Overwrites that are cut off, that meet bad blocks, and that somebody wants shorter.

use std::{cell::Cell, ops::Range};

use disk::{Event, FakeDisk};
use model::Secret;

use super::*;
use crate::{
    Abilities, Conditions, EraseError, Erased, Journal, Mode, Policy, Seed, Verdict, Verify,
    execute::carry_out, marker::Trace, plan, plan::tests::subject,
};

const MIB: u64 = 1 << 20;
const SIZE: u64 = 64 * MIB;

/// Time that goes on by more than a marker waits whenever somebody looks.
#[derive(Default)]
struct Ticking(Cell<Duration>);

impl Time for Ticking {
    fn elapsed(&self) -> Duration {
        self.0.set(self.0.get() + Duration::from_secs(10));
        self.0.get()
    }

    fn wait(&mut self, how_long: Duration) {
        self.0.set(self.0.get() + how_long);
    }

    fn stamp(&self) -> String {
        String::new()
    }
}

fn used() -> FakeDisk {
    FakeDisk::filled(0xaa, Bytes(SIZE), 512.try_into().expect("a block size"))
}

fn marker(operation: &str, policy: Policy) -> Marker {
    let journal = Journal::new(operation, Secret::new("k".repeat(32))).expect("long enough");
    let mut marker = Marker::new(journal, &subject("sda"), policy.passes).expect("large enough");
    marker.back = 4 * MIB;
    marker
}

/// Overwritten by us: two passes are, and one is zeros by the kernel.
const TWO_PASSES: Policy = Policy { passes: 2, verify: Verify::Full, ..Policy::FULL };
const ONE_PASS: Policy = Policy { verify: Verify::Full, ..Policy::FULL };

fn erase(disk: &mut FakeDisk, policy: Policy, marker: &Marker) -> Result<Erased, EraseError> {
    let plan = plan(subject("sda"), &Abilities::default(), policy).expect("erasable");
    let mut time = Ticking::default();
    let mut conditions = Conditions { seed: Seed(3), time: &mut time, progress: &mut |_| () };
    carry_out(plan, disk, &mut conditions, Some(marker))
}

fn is_zero(disk: &FakeDisk, range: Range<u64>) -> bool {
    let index = |at: u64| usize::try_from(at).expect("fits");
    disk.bytes()[index(range.start)..index(range.end)].iter().all(|&byte| byte == 0)
}

/// What was written or zeroed, but for the canaries, which are short.
fn written(disk: &FakeDisk) -> Vec<Range<u64>> {
    let events = disk.events().into_iter().filter_map(|event| match event {
        Event::Write(range) | Event::Zero(range) => Some(range),
        Event::Read(_) | Event::Sync => None,
    });
    events.filter(|range| range.end - range.start > 4096).collect()
}

#[test]
fn an_overwrite_that_is_cut_off_anywhere_goes_on_and_skips_only_what_is_done() {
    let marker = marker("op", TWO_PASSES);
    let mut went_on = 0;
    // 64 canaries, 65 pieces and 1 to 65 markers a pass: the last is in the second pass in any case.
    for writes in [40, 70, 90, 110, 131, 150, 170, 195] {
        let mut disk = used();
        disk.vanishes_after = Some(writes);
        let error = erase(&mut disk, TWO_PASSES, &marker).expect_err("cut off");
        assert_eq!(error.verdict(), if writes > 64 { Verdict::DestroyRequired } else { Verdict::Failed });
        disk.vanishes_after = None;
        let before = written(&disk).len();
        let trace = marker.look(&disk);
        if let Trace::Own(mark) = trace
            && mark.pass == 1
        {
            assert!(
                is_zero(&disk, 0..4096) && is_zero(&disk, 8192..mark.before.max(8192)),
                "cut off after {writes}"
            );
        }
        let erased = erase(&mut disk, TWO_PASSES, &marker).expect("healthy again");
        assert!(is_zero(&disk, 0..SIZE), "cut off after {writes}");
        let Trace::Own(mark) = trace else { continue };
        if mark.is_at_the_start() {
            continue;
        }
        went_on += 1;
        assert!(erased.attempts[0].resumed && erased.attempts.len() == 1);
        assert!(erased.notes[1].contains("went on in pass"), "{:?}", erased.notes);
        let first = written(&disk)[before].clone();
        // Any lane may have been the first.
        let begins = mark.before..mark.before + lanes::LANES as u64 * MIB;
        assert!(begins.contains(&first.start), "cut off after {writes}: {first:?}");
    }
    assert!(went_on > 0, "none went on");
}

#[test]
fn zeros_by_the_kernel_go_on_too() {
    let marker = marker("op", ONE_PASS);
    let mut disk = used();
    let mark = Mark { method: Method::ZeroOut, pass: 0, before: 40 * MIB };
    disk.zero_at(Bytes(0), Bytes(40 * MIB)).expect("zeroed");
    disk.write_at(Bytes(4096), &marker.encode(mark).expect("zeros have one")).expect("written");
    let before = written(&disk).len();
    let erased = erase(&mut disk, ONE_PASS, &marker).expect("healthy");
    assert!(erased.attempts[0].resumed && is_zero(&disk, 0..SIZE));
    assert_eq!(written(&disk)[before..], vec![36 * MIB..SIZE; 1]);
}

#[test]
fn what_the_marker_calls_done_is_sampled_like_all_the_rest() {
    // An own marker whose words are not true: as if the drive had lost its cache.
    let marker = marker("op", ONE_PASS);
    let mut disk = used();
    let mark = Mark { method: Method::ZeroOut, pass: 0, before: 40 * MIB };
    disk.write_at(Bytes(4096), &marker.encode(mark).expect("zeros have one")).expect("written");
    let erased = erase(&mut disk, Policy { verify: Verify::Sample, ..ONE_PASS }, &marker).expect("anew");
    let errors: Vec<_> = erased.attempts.iter().map(|attempt| attempt.error.is_some()).collect();
    assert_eq!(errors, [true, false], "the short one is not proven, and all is done anew");
    assert!(is_zero(&disk, 0..SIZE));
}

#[test]
fn a_marker_of_somebody_else_shortens_nothing() {
    let mark = Mark { method: Method::ZeroOut, pass: 0, before: SIZE };
    let forged = marker("another", ONE_PASS).encode(mark).expect("zeros have one");
    let mut disk = used();
    disk.write_at(Bytes(4096), &forged).expect("written");
    let erased = erase(&mut disk, ONE_PASS, &marker("op", ONE_PASS)).expect("healthy");
    assert!(is_zero(&disk, 0..SIZE) && !erased.attempts[0].resumed);
    assert_eq!(erased.notes, ["it was being overwritten by somebody else, and is overwritten anew"]);
}

#[test]
fn the_marker_comes_after_what_it_says_and_goes_in_the_end() {
    let policy = TWO_PASSES;
    let mut disk = used();
    let _ = erase(&mut disk, policy, &marker("op", policy)).expect("healthy");
    let events = disk.events();
    let marks: Vec<_> = (0..events.len()).filter(|&n| events[n] == Event::Write(4096..8192)).collect();
    let [.., last] = marks[..] else { panic!("no marker") };
    assert!(marks.len() > 2, "{} markers, one a pass at least, and the zeros", marks.len());
    for (n, &mark) in marks[..marks.len() - 1].iter().enumerate() {
        // One flush after the canaries, and one before and one after each marker.
        let flushes = events[..mark].iter().filter(|event| **event == Event::Sync).count();
        assert!(flushes >= 2 * n + 2, "{flushes} flushes before marker {n}");
    }
    assert!(events[last..].contains(&Event::Sync) && is_zero(&disk, 4096..8192));
}

#[test]
fn everything_but_the_bad_blocks_is_gone_and_they_are_listed() {
    let mut disk = used();
    (disk.broken, disk.unreadable) = (5 * MIB + 512..5 * MIB + 1025, 9 * MIB..9 * MIB + 1);
    let error = erase(&mut disk, TWO_PASSES, &marker("op", TWO_PASSES)).expect_err("two bad places");
    assert_eq!(error.verdict(), Verdict::Incomplete);
    let (unwritten, unreadable) = error.bad_blocks();
    assert_eq!(unwritten.ranges(), vec![5 * MIB + 512..5 * MIB + 1536; 1]);
    assert_eq!(unreadable.ranges(), vec![9 * MIB..9 * MIB + 512; 1]);
    assert!(is_zero(&disk, 0..5 * MIB + 512) && is_zero(&disk, 5 * MIB + 1536..SIZE));
}

/// How far a marker ever said that `disk` was done, while it was overwritten once.
fn furthest_mark(disk: &FakeDisk, by_kernel: bool) -> u64 {
    let mut subject = subject("sda");
    subject.disk.size = disk.size();
    let journal = Journal::new("op", Secret::new("k".repeat(32))).expect("long enough");
    let mut marker = Marker::new(journal, &subject, 1).expect("large enough");
    marker.back = 0;
    let (zones, time, mut furthest) = (Zones::whole(&subject), Ticking::default(), 0);
    let mut progress = |_, _, _| {
        if let Trace::Own(mark) = marker.look(disk) {
            furthest = furthest.max(mark.before);
        }
    };
    let (progress, marker) = (&mut progress, Some(&marker));
    let mut wipe = Wipe { zones: &zones, time: &time, progress, marker, from: None, limit: None };
    let unwritten =
        if by_kernel { wipe.zero_out(disk) } else { wipe.overwrite(disk, 1, &mut Seed(1).draw()) };
    assert_eq!(unwritten.expect("done").is_some(), !disk.broken.is_empty());
    furthest
}

/// Whoever goes on does not know which blocks before the mark could not be written.
#[test]
fn no_mark_stands_behind_a_block_that_could_not_be_written() {
    let mut disk = FakeDisk::filled(0xaa, Bytes(192 * MIB), 512.try_into().expect("a block size"));
    assert!(furthest_mark(&disk, true) >= 64 * MIB, "a healthy disk is marked");
    disk.broken = 5 * MIB + 512..5 * MIB + 1024;
    for by_kernel in [true, false] {
        let furthest = furthest_mark(&disk, by_kernel);
        assert!(furthest <= 5 * MIB, "{furthest} by the kernel: {by_kernel}");
    }
}

#[test]
fn a_bad_block_in_the_place_of_a_canary_or_of_the_marker_is_only_a_bad_block() {
    for at in [0, 4096, SIZE - 512] {
        let mut disk = used();
        disk.broken = at..at + 1;
        for policy in [TWO_PASSES, ONE_PASS] {
            let error = erase(&mut disk, policy, &marker("op", policy)).expect_err("a bad block");
            assert_eq!(error.verdict(), Verdict::Incomplete, "{at}: {error:?}");
            assert_eq!(error.bad_blocks().0.ranges(), vec![at..at + 512; 1]);
            assert!(is_zero(&disk, 0..at) && is_zero(&disk, at + 512..SIZE));
            let EraseError::NotErased { attempts, .. } = &error else { panic!("{error}") };
            assert_eq!(attempts.len(), 1, "what one way of writing cannot, the other need not try");
        }
    }
}

#[test]
fn a_disk_that_takes_no_writes_is_to_be_destroyed() {
    let mut disk = used();
    disk.broken = 2 * MIB..SIZE;
    let error = erase(&mut disk, TWO_PASSES, &marker("op", TWO_PASSES)).expect_err("worn out");
    // Its canaries cannot be written either, and half of them is too few.
    assert_eq!(error.verdict(), Verdict::Failed);
    disk.broken = 40 * MIB..SIZE;
    let error = erase(&mut disk, TWO_PASSES, &marker("op", TWO_PASSES)).expect_err("worn out");
    assert_eq!(error.verdict(), Verdict::DestroyRequired);
}

#[test]
fn the_policy_s_time_ends_reading_back_too() {
    // As long as the zeros take: twice ten seconds and the canaries before.
    let policy = Policy { max_time: Some(Duration::from_secs(35)), ..ONE_PASS };
    let error = erase(&mut used(), policy, &marker("op", policy)).expect_err("too long");
    let EraseError::NotErased { attempts, .. } = &error else { panic!("{error}") };
    let first = attempts[0].error.as_deref().unwrap_or_default();
    assert!(first.contains("reading back was not done"), "{first}");
}

#[test]
fn the_policy_s_time_ends_an_overwrite() {
    let policy = Policy { max_time: Some(Duration::from_secs(3)), ..TWO_PASSES };
    let mut disk = used();
    let error = erase(&mut disk, policy, &marker("op", policy)).expect_err("too long");
    let EraseError::NotErased { attempts, .. } = &error else { panic!("{error}") };
    assert!(attempts[0].error.as_ref().is_some_and(|error| error.contains("all the policy gives it")));
    assert_eq!((error.verdict(), policy.mode), (Verdict::Failed, Mode::Full));
}
