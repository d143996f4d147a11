//! SATA and SAS drives in user space (`tests/fake-sas`), behind the kernel's own
//! disk driver: every way in which they erase themselves, and every way in which
//! they fail to. What is on them is read from the drive itself, past the kernel.

use std::time::Duration;

use disk::Device;
use erase::{Conditions, EraseError, Erased, Policy, Seed, Time, Verdict, Verify};
use fake_sas::{Attached, Drive, Kind, Sanitizing, Security};
use guest::secret::{self, Survivors};
use model::inventory::Disk;
use serde_json::{Value, json};

use super::Named;
use crate::{bench::Bench, modules};

pub(crate) const ROWS: &[Named] = &[
    ("sas-sanitize", |bench| sanitized(bench, Kind::Sas, "scsi.sanitize.crypto")),
    ("sas-sanitize-fails-once", |bench| fails_once(bench, Kind::Sas)),
    ("sas-sanitize-fails", |bench| fails(bench, Kind::Sas)),
    ("sas-lies", |bench| lies(bench, Kind::Sas)),
    ("sas-stalls", |bench| stalls(bench, Kind::Sas)),
    ("sas-found-sanitizing", |bench| found(bench, Kind::Sas, Sanitizing::Running { progress: 0 })),
    ("sas-found-failed", |bench| found(bench, Kind::Sas, Sanitizing::Failed)),
    ("sas-power-cut", |bench| power_cut(bench, Drive::new(Kind::Sas, BLOCKS))),
    ("sas-refuses", refuses),
    ("sas-unreadable", unreadable),
    ("sas-unwritable", unwritable),
    ("sata-sanitize", |bench| sanitized(bench, Kind::Sata, "ata.sanitize.crypto")),
    ("sata-sanitize-fails-once", |bench| fails_once(bench, Kind::Sata)),
    ("sata-sanitize-fails", |bench| fails(bench, Kind::Sata)),
    ("sata-lies", |bench| lies(bench, Kind::Sata)),
    ("sata-stalls", |bench| stalls(bench, Kind::Sata)),
    ("sata-found-sanitizing", |bench| found(bench, Kind::Sata, Sanitizing::Running { progress: 0 })),
    ("sata-found-failed", |bench| found(bench, Kind::Sata, Sanitizing::Failed)),
    ("sata-security", |bench| security(bench, true, "ata.security-erase.enhanced")),
    ("sata-security-normal", |bench| security(bench, false, "ata.security-erase.normal")),
    ("sata-security-fails", security_fails),
    ("sata-security-lies", security_lies),
    ("sata-power-cut", |bench| power_cut(bench, without_sanitize())),
    ("sata-frozen", frozen),
    ("sata-hidden", |bench| hidden(bench, false)),
    ("sata-hidden-by-address", |bench| hidden(bench, true)),
    ("sata-locked", locked),
    ("sata-locked-for-good", locked_for_good),
];

/// Sectors of these drives: 512 KiB, because every command takes milliseconds here.
const BLOCKS: u64 = 1024;

/// A drive in a slot of its own, with the old tenant's data in every sector.
struct Used<'a> {
    attached: Attached,
    bench: &'a Bench,
}

impl<'a> Used<'a> {
    fn new(bench: &'a Bench, mut drive: Drive) -> Self {
        modules::mount_configfs();
        modules::load("target_core_user", "");
        modules::load("tcm_loop", "");
        secret::fill(drive.media.bytes_mut(), 0);
        Self { attached: Attached::new(0, drive).expect("a drive in /dev"), bench }
    }

    fn disk(&self) -> Disk {
        let name = self.attached.name().expect("the kernel's disk");
        self.bench.find(&name, |disk| disk.name == name)
    }

    fn erase(&self, policy: Policy) -> Result<Erased, EraseError> {
        let disk = self.disk();
        let plan = self.bench.plan(&disk, policy).expect("a disk that may be erased");
        let mut drive = Device::open(disk.path()).expect("a free disk");
        let seed = Seed::random().expect("random numbers");
        let mut time = Hurried(Duration::ZERO);
        let mut conditions = Conditions { seed, time: &mut time, progress: &mut |_| () };
        erase::execute(plan, &mut drive, &mut conditions)
    }

    /// An erase that has to succeed by `method` and leave nothing, wherever it is.
    fn erased_by(&self, policy: Policy, method: &str) -> Erased {
        let erased = self.erase(policy).expect("an erased drive");
        assert_eq!(erased.method.name(), method, "{:?}", erased.attempts);
        assert!(self.survivors().is_none(), "{:?}", self.survivors());
        erased
    }

    /// An erase that has to fail; its words, causes and all attempts.
    fn not_erased(&self, policy: Policy) -> String {
        let error = self.erase(policy).expect_err("a drive that is not erased");
        let attempts = match &error {
            EraseError::NotErased { attempts, .. } => format!("{attempts:?}"),
            other => format!("{other:?}"),
        };
        format!("{}\n{attempts}", self.bench.words(&error))
    }

    fn survivors(&self) -> Survivors {
        Survivors::among(self.attached.drive().media.bytes()).expect("memory")
    }
}

/// Time that passes as fast as somebody waits: the drive counts questions, not seconds.
struct Hurried(Duration);

impl Time for Hurried {
    fn elapsed(&self) -> Duration {
        self.0
    }

    fn wait(&mut self, how_long: Duration) {
        self.0 += how_long;
    }

    fn stamp(&self) -> String {
        String::new()
    }
}

/// With overwriting by the host when all else fails.
const FALLBACK: Policy = Policy { allow_fallback: true, ..Policy::FULL };

fn without_sanitize() -> Drive {
    let mut drive = Drive::new(Kind::Sata, BLOCKS);
    drive.sanitize_supported = false;
    drive
}

fn sanitized(bench: &Bench, kind: Kind, method: &str) -> Value {
    let used = Used::new(bench, Drive::new(kind, BLOCKS).slow(5));
    let erased = used.erased_by(Policy::FULL, method);
    json!({"answer": erased.attempts[0].answer.words()})
}

/// A failed sanitize is left and tried once more.
fn fails_once(bench: &Bench, kind: Kind) -> Value {
    let mut drive = Drive::new(kind, BLOCKS);
    drive.faults.failures = 1;
    let used = Used::new(bench, drive);
    let erased = used.erase(Policy::FULL).expect("the second time");
    assert!(used.survivors().is_none());
    assert_eq!(erased.attempts.len(), 1, "{:?}", erased.attempts);
    json!({"journal": used.attached.drive().journal.len()})
}

/// Every way fails: not clean. The host may overwrite if the policy says so.
fn fails(bench: &Bench, kind: Kind) -> Value {
    let mut drive = Drive::new(kind, BLOCKS);
    drive.faults.failures = u32::MAX;
    let used = Used::new(bench, drive);
    let words = used.not_erased(Policy::FULL);
    assert!(!used.survivors().is_none(), "nothing was to be erased");
    let _ = used.erased_by(FALLBACK, "zero-out");
    json!({"words": words})
}

/// It says all is done and nothing is: found out by the canaries.
fn lies(bench: &Bench, kind: Kind) -> Value {
    let mut drive = Drive::new(kind, BLOCKS);
    drive.faults.lie = true;
    let used = Used::new(bench, drive);
    let words = used.not_erased(Policy::FULL);
    assert!(words.contains("not proven"), "{words}");
    let _ = used.erased_by(FALLBACK, "zero-out");
    json!({"words": words})
}

fn stalls(bench: &Bench, kind: Kind) -> Value {
    let mut drive = Drive::new(kind, BLOCKS).slow(4);
    drive.faults.stall_at = Some(1 << 15);
    let used = Used::new(bench, drive);
    let words = used.not_erased(Policy::FULL);
    assert!(words.contains("made no progress"), "{words}");
    assert!(matches!(used.attached.drive().sanitizing(), Sanitizing::Running { .. }), "broken off");
    used.attached.drive().faults.stall_at = None;
    let _ = used.erase(Policy::FULL).expect("it goes on");
    assert!(used.survivors().is_none());
    json!({"words": words})
}

/// An earlier agent, or its power, went away.
fn found(bench: &Bench, kind: Kind, state: Sanitizing) -> Value {
    let used = Used::new(bench, Drive::new(kind, BLOCKS).slow(4));
    // Not before: the kernel would wait three minutes for the partition table. It
    // has looked for one when somebody else could read.
    let _ = bench.plan(&used.disk(), Policy::FULL).expect("a used drive");
    used.attached.drive().found(state);
    let erased = used.erase(Policy::FULL).expect("watched, and erased");
    assert!(used.survivors().is_none());
    json!({"notes": erased.notes})
}

/// The power goes in the middle; the next agent finishes.
fn power_cut(bench: &Bench, mut drive: Drive) -> Value {
    drive.faults.power_cut = true;
    let used = Used::new(bench, drive);
    let words = used.not_erased(Policy::FULL);
    assert!(!used.survivors().is_none(), "half of it was to stay");
    let sanitizing = matches!(used.attached.drive().sanitizing(), Sanitizing::Running { .. });
    if sanitizing {
        // The cable stays: the kernel would wait three minutes for the partition table.
        used.attached.drive().power_on();
    } else {
        used.attached.power_cycle().expect("power");
    }
    let erased = used.erase(Policy::FULL).expect("the next agent finishes");
    assert!(used.survivors().is_none());
    assert_eq!(used.attached.drive().security.password, None);
    json!({"words": words, "notes": erased.notes})
}

fn refuses(bench: &Bench) -> Value {
    let mut drive = Drive::new(Kind::Sas, BLOCKS);
    drive.faults.refuse_sanitize = true;
    let used = Used::new(bench, drive);
    let words = used.not_erased(Policy::FULL);
    assert!(words.contains("the drive refused SCSI SANITIZE"), "{words}");
    let _ = used.erased_by(FALLBACK, "zero-out");
    json!({"words": words})
}

/// A sector that cannot be read is not proven to be empty.
fn unreadable(bench: &Bench) -> Value {
    let mut drive = Drive::new(Kind::Sas, BLOCKS);
    drive.faults.unreadable = (800..820).collect();
    let used = Used::new(bench, drive);
    let policy = Policy { verify: Verify::Full, ..Policy::FULL };
    let error = used.erase(policy).expect_err("sectors that cannot be read");
    assert_eq!(error.verdict(), Verdict::Incomplete, "{error:?}");
    let (unwritten, unread) = error.bad_blocks();
    assert!(unwritten.is_empty(), "{unwritten:?}");
    assert_eq!(unread.ranges(), [800 * 512..820 * 512; 1]);
    json!({"words": bench.words(&error)})
}

/// Sectors that take no data, on a drive that cannot erase itself: all others are erased.
fn unwritable(bench: &Bench) -> Value {
    let mut drive = Drive::new(Kind::Sas, BLOCKS);
    drive.sanitize_supported = false;
    drive.faults.unwritable = (800..820).collect();
    let used = Used::new(bench, drive);
    let error = used.erase(Policy::FULL).expect_err("sectors that take no data");
    assert_eq!(error.verdict(), Verdict::Incomplete, "{error:?}");
    assert_eq!(error.bad_blocks().0.ranges(), [800 * 512..820 * 512; 1]);
    assert_eq!(used.survivors().sectors, 20, "{:?}", used.survivors());
    json!({"words": bench.words(&error)})
}

fn security(bench: &Bench, enhanced: bool, method: &str) -> Value {
    let mut drive = without_sanitize();
    drive.security.enhanced = enhanced;
    let used = Used::new(bench, drive);
    let erased = used.erased_by(Policy::FULL, method);
    assert_eq!(used.attached.drive().security.password, None);
    json!({"answer": erased.attempts[0].answer.words()})
}

fn security_fails(bench: &Bench) -> Value {
    let mut drive = without_sanitize();
    drive.faults.failures = u32::MAX;
    let used = Used::new(bench, drive);
    let words = used.not_erased(Policy::FULL);
    assert_eq!(used.attached.drive().security.password, None, "no password is left behind");
    let _ = used.erased_by(FALLBACK, "zero-out");
    json!({"words": words})
}

fn security_lies(bench: &Bench) -> Value {
    let mut drive = without_sanitize();
    drive.faults.lie = true;
    let used = Used::new(bench, drive);
    let words = used.not_erased(Policy::FULL);
    assert!(words.contains("not proven"), "{words}");
    json!({"words": words})
}

/// A frozen drive is overwritten by the host, and the record says why.
fn frozen(bench: &Bench) -> Value {
    let mut drive = without_sanitize();
    drive.security.frozen = true;
    let used = Used::new(bench, drive);
    let erased = used.erased_by(Policy::FULL, "zero-out");
    assert!(erased.notes.iter().any(|note| note.contains("frozen")), "{:?}", erased.notes);
    json!({"notes": erased.notes})
}

/// What a host protected area or a lower accessible address hides is shown, to the kernel too,
/// and overwritten.
fn hidden(bench: &Bench, amax: bool) -> Value {
    let mut drive = without_sanitize().hiding(BLOCKS - 200);
    drive.security.frozen = true;
    drive.amax = amax;
    let used = Used::new(bench, drive);
    assert_eq!(used.disk().size.0, (BLOCKS - 200) * 512);
    let erased = used.erased_by(Policy::FULL, "zero-out");
    assert_eq!(erased.subject.disk.size.0, BLOCKS * 512);
    assert_eq!(used.disk().size.0, BLOCKS * 512);
    json!({"notes": erased.notes})
}

/// ironic-python-agent left its password.
fn locked(bench: &Bench) -> Value {
    let mut drive = without_sanitize();
    drive.security = Security::locked_with(b"NULL");
    let used = Used::new(bench, drive);
    // One of the known passwords is left out, by chance; the power gives another chance.
    let mut tries = 0;
    let erased = loop {
        match used.erase(Policy::FULL) {
            Ok(erased) => break erased,
            Err(error) => assert!(tries < 20, "{}", used.bench.words(&error)),
        }
        tries += 1;
        used.attached.power_cycle().expect("power");
    };
    assert!(used.survivors().is_none());
    assert_eq!(used.attached.drive().security.password, None);
    json!({"notes": erased.notes, "power_cycles": tries})
}

/// Nobody knows the password: not clean, and one guess is left to its owner.
fn locked_for_good(bench: &Bench) -> Value {
    let mut drive = without_sanitize();
    drive.security = Security::locked_with(b"somebody's");
    let used = Used::new(bench, drive);
    let words = used.not_erased(FALLBACK);
    assert!(words.contains("a password that is not known is set on it"), "{words}");
    assert_eq!(used.attached.drive().security.attempts, 1);
    json!({"words": words})
}
