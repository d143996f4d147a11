//! NVMe drives that sanitize, format, fail and lie: `fake-nvme` on the host,
//! behind the kernel's own `nvme-tcp`. The host looks into their files afterwards.

use std::{
    fs::{self, File},
    io::{Read as _, Write as _},
    ops::Range,
    path::Path,
    time::Duration,
};

use disk::Device;
use erase::{
    Abilities, Answer, Clock, Conditions, EraseError, Erased, Level, Opal, Plan, Policy, Progress, Refusal,
    Request, Seed, Subject, Time, Verdict, Verify,
};
use model::{Secret, inventory::Disk};
use serde_json::{Value, json};

use super::Named;
use crate::{
    bench::{Bench, survivors, wait_for},
    modules, programs,
};

pub(crate) const ROWS: &[Named] = &[
    ("sanitize-crypto", |bench| purged(bench, "sanitize-crypto", "nvme.sanitize.crypto", "0xc")),
    ("sanitize-block", |bench| purged(bench, "sanitize-block", "nvme.sanitize.block", "0xa")),
    ("sanitize-overwrite", |bench| purged(bench, "sanitize-overwrite", "nvme.sanitize.overwrite", "0x1b")),
    ("format-crypto", |bench| formatted(bench, "format-crypto", "nvme.format.crypto", "0x400")),
    ("format-user-data", |bench| formatted(bench, "format-user-data", "nvme.format.user-data", "0x200")),
    ("format-4k", |bench| formatted(bench, "format-4k", "nvme.format.user-data", "0x201")),
    ("sanitize-slow", slow),
    ("sanitize-fails-once", fails_once),
    ("sanitize-fails", fails),
    ("sanitize-refused", refused),
    ("format-fails", format_fails),
    ("sanitize-lies", |bench| lies(bench, "sanitize-lies")),
    ("format-lies", |bench| lies(bench, "format-lies")),
    ("sanitize-stalls", stalls),
    ("sanitize-power-loss", power_loss),
    ("sanitize-cut", cut),
    ("sanitize-cut-found", cut_found),
    ("failed-before", failed_before),
    ("failed-for-good", failed_before_for_good),
    ("unwritable", unwritable),
    ("unreadable", unreadable),
    ("namespaces-all", namespaces_all),
    ("namespaces-one", namespaces_one),
    ("unattached", unattached),
    ("opal-locked", opal_locked),
    ("opal-factory", opal_factory),
];

/// The bytes of some drives that cannot be written, or read: the test on the host says so to them.
const BROKEN: Range<u64> = 1 << 20..(1 << 20) + 512;
/// What `fake-nvme` prints on its drives.
const LABEL: &str = "PSID0123456789ABCDEFPSID01234567";

/// A drive that is asked every second is asked without the seconds.
#[derive(Default)]
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

/// A connected drive; its serial number is the row's name.
struct Drive<'b> {
    bench: &'b Bench,
    controller: String,
}

impl<'b> Drive<'b> {
    /// Connect the drive of this name with so many namespaces.
    fn connect(bench: &'b Bench, name: &str, namespaces: usize) -> (Self, Vec<Disk>) {
        const FABRICS: &str = "/dev/nvme-fabrics";
        reach_the_host();
        modules::load("nvme_tcp", "");
        let port = bench.params().get("fake-nvme").expect("the port of the drives");
        let mut fabrics = wait_for(FABRICS, || File::options().read(true).write(true).open(FABRICS).ok());
        let options = format!(
            "transport=tcp,traddr=10.0.2.2,trsvcid={port},nqn=nqn.2026-11.example.billet:{name},\
             nr_io_queues=1,reconnect_delay=1,ctrl_loss_tmo=60"
        );
        fabrics.write_all(options.as_bytes()).unwrap_or_else(|err| panic!("{options}: {err}"));
        let mut answer = String::new();
        fabrics.read_to_string(&mut answer).expect("an answer");
        let instance = answer.trim().trim_start_matches("instance=").split(',').next();
        let controller = format!("nvme{}", instance.expect("an instance"));
        let disks = wait_for(name, || {
            let mut disks = bench.disks();
            disks.retain(|disk| disk.serial.as_deref() == Some(name));
            (disks.len() == namespaces).then_some(disks)
        });
        (Self { bench, controller }, disks)
    }

    fn one(bench: &'b Bench, name: &str) -> (Self, Disk) {
        let (drive, mut disks) = Self::connect(bench, name, 1);
        (drive, disks.remove(0))
    }

    /// Erase `disk`, with every second told to `progress` and none waited for.
    fn erase_in_a_hurry(
        &self,
        disk: &Disk,
        policy: Policy,
        progress: &mut dyn FnMut(Progress),
    ) -> Result<Erased, EraseError> {
        let plan = self.bench.plan(disk, policy).expect("a disk that may be erased");
        execute(plan, disk, &mut Hurried::default(), progress)
    }

    fn erase(&self, disk: &Disk, policy: Policy) -> Result<Erased, EraseError> {
        self.erase_in_a_hurry(disk, policy, &mut |_| ())
    }
}

impl Drop for Drive<'_> {
    fn drop(&mut self) {
        let _ = fs::write(format!("/sys/class/nvme/{}/delete_controller", self.controller), "1");
    }
}

fn execute(
    plan: Plan,
    disk: &Disk,
    time: &mut dyn Time,
    progress: &mut dyn FnMut(Progress),
) -> Result<Erased, EraseError> {
    let mut drive = Device::open(disk.path()).expect("a free disk");
    let mut conditions = Conditions { seed: Seed::random().expect("random numbers"), time, progress };
    erase::execute(plan, &mut drive, &mut conditions)
}

/// The address that QEMU's network expects, once.
fn reach_the_host() {
    let name = wait_for("a network card", || {
        let names = fs::read_dir("/sys/class/net").expect("sysfs").flatten();
        let mut names = names.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.find(|name| name != "lo")
    });
    if fs::read_to_string(format!("/sys/class/net/{name}/operstate")).is_ok_and(|state| state.trim() == "up")
    {
        return;
    }
    programs::run("ip", &["address", "add", "10.0.2.15/24", "dev", &name]);
    programs::run("ip", &["link", "set", &name, "up"]);
}

fn fact(answer: &Answer, name: &str) -> String {
    answer.0.get(name).cloned().unwrap_or_else(|| panic!("no {name} in {answer:?}"))
}

/// Every attempt with what the drive said to it, and the notes.
fn found(erased: &Erased) -> Value {
    let attempts: Vec<_> =
        erased.attempts.iter().map(|one| json!([one.method.name(), one.answer, one.error])).collect();
    json!({"attempts": attempts, "notes": erased.notes})
}

fn attempts(error: &EraseError) -> Vec<String> {
    let EraseError::NotErased { attempts, .. } = error else { panic!("{error}") };
    attempts
        .iter()
        .map(|one| format!("{}: {}", one.method.name(), one.error.as_deref().unwrap_or("no error")))
        .collect()
}

/// The drive sanitizes itself, and every sector is read back.
fn purged(bench: &Bench, name: &str, method: &str, cdw10: &str) -> Value {
    let (drive, disk) = Drive::one(bench, name);
    let policy = Policy { min_level: Level::Purge, verify: Verify::Full, ..Policy::FULL };
    let erased = drive.erase(&disk, policy).expect("a purged drive");
    let [attempt] = &erased.attempts[..] else { panic!("{:?}", erased.attempts) };
    assert_eq!((erased.method.name(), erased.method.level().0), (method, Level::Purge));
    let facts = ["cdw10", "status", "sstat_before", "sstat_after"].map(|name| fact(&attempt.answer, name));
    assert_eq!(facts, [cdw10, "0x0", "0x0", "0x101"]);
    assert!(survivors(&disk).is_none(), "{:?}", survivors(&disk));
    found(&erased)
}

fn formatted(bench: &Bench, name: &str, method: &str, cdw10: &str) -> Value {
    let (drive, disk) = Drive::one(bench, name);
    let erased = drive.erase(&disk, Policy::FULL).expect("an erased drive");
    assert_eq!(erased.method.name(), method);
    assert_eq!(fact(&erased.attempts[0].answer, "cdw10"), cdw10);
    assert!(survivors(&disk).is_none(), "{:?}", survivors(&disk));
    found(&erased)
}

/// It takes its time, tells how far it is and how long it will take, and is waited for.
fn slow(bench: &Bench) -> Value {
    let (drive, disk) = Drive::one(bench, "sanitize-slow");
    let (mut steps, mut estimate) = (Vec::new(), None);
    let told = &mut |progress: Progress| {
        if progress.phase == erase::Phase::ByDrive {
            steps.push(progress.done.0);
            estimate = estimate.or(progress.estimate);
        }
    };
    let erased = drive.erase_in_a_hurry(&disk, Policy::FULL, told).expect("an erased drive");
    assert!(steps.len() > 40 && steps.is_sorted(), "{steps:?}");
    assert_eq!(estimate, Some(Duration::from_secs(30)));
    found(&erased)
}

/// The drive says that it failed, is made to read and write again, and asked once more.
fn fails_once(bench: &Bench) -> Value {
    let (drive, disk) = Drive::one(bench, "sanitize-fails-once");
    let erased = drive.erase(&disk, Policy::FULL).expect("an erased drive");
    let [attempt] = &erased.attempts[..] else { panic!("{:?}", erased.attempts) };
    assert_eq!(fact(&attempt.answer, "first_try"), "failed: scdw10 0xc, sstat_after 0x3");
    found(&erased)
}

/// It fails every time in every way: never clean without leave to fall back, and
/// then each attempt is on record.
fn fails(bench: &Bench) -> Value {
    let (drive, disk) = Drive::one(bench, "sanitize-fails");
    let error = drive.erase(&disk, Policy::FULL).expect_err("a drive that fails");
    let tried = attempts(&error);
    let failed = "the drive's own erase failed: the drive says that its erase failed";
    for (tried, name) in tried.iter().zip(["crypto", "block", "overwrite"]) {
        assert_eq!(*tried, format!("nvme.sanitize.{name}: {failed}"));
    }
    assert!(!survivors(&disk).is_none(), "it failed, and reads again");
    let policy = Policy { allow_fallback: true, ..Policy::FULL };
    let erased = drive.erase(&disk, policy).expect("it formats");
    assert_eq!((erased.method.name(), erased.attempts.len()), ("nvme.format.crypto", 4));
    json!([tried, found(&erased)])
}

/// SANICAP has it, and the drive refuses it: the next method, and the refusal on record.
fn refused(bench: &Bench) -> Value {
    let (drive, disk) = Drive::one(bench, "sanitize-refused");
    let policy = Policy { allow_fallback: true, ..Policy::FULL };
    let erased = drive.erase(&disk, policy).expect("it formats");
    assert_eq!(fact(&erased.attempts[0].answer, "status"), "0x4002");
    assert_eq!((erased.method.name(), erased.attempts.len()), ("nvme.format.crypto", 4));
    found(&erased)
}

/// It cannot sanitize itself and every format fails: never clean without leave to overwrite.
fn format_fails(bench: &Bench) -> Value {
    let (drive, disk) = Drive::one(bench, "format-fails");
    let error = drive.erase(&disk, Policy::FULL).expect_err("a drive that fails");
    let tried = attempts(&error);
    let failed = "the drive's own erase failed: ";
    let names = ["crypto", "user-data"].map(|name| format!("nvme.format.{name}: {failed}"));
    assert_eq!(tried.len(), names.len(), "{tried:?}");
    assert!(tried.iter().zip(&names).all(|(tried, name)| tried.starts_with(name)), "{tried:?}");
    assert!(!survivors(&disk).is_none(), "nothing was to be erased");
    let policy = Policy { allow_fallback: true, ..Policy::FULL };
    let erased = drive.erase(&disk, policy).expect("overwritten");
    assert_eq!((erased.method.name(), erased.attempts.len()), ("zero-out", 3));
    json!([tried, found(&erased)])
}

/// It says it is done and nothing changed: the canaries say so.
fn lies(bench: &Bench, name: &str) -> Value {
    let (drive, disk) = Drive::one(bench, name);
    let error = drive.erase(&disk, Policy::FULL).expect_err("a drive that lies");
    let tried = attempts(&error);
    assert!(tried.iter().all(|tried| tried.ends_with("the drive lies")), "{tried:?}");
    assert!(!survivors(&disk).is_none(), "it was to do nothing");
    json!(tried)
}

/// It stands still: that is said, and it is left to it. When it moves again the next
/// erasure watches it to its end, which counts because every block is blank then.
fn stalls(bench: &Bench) -> Value {
    let (drive, disk) = Drive::one(bench, "sanitize-stalls");
    let error = drive.erase(&disk, Policy::FULL).expect_err("a drive that stands still");
    let words = bench.words(&error);
    assert!(words.contains("the drive made no progress for") && words.contains("25 %"), "{words}");
    bench.mark_and_wait("stalled");
    let erased = drive.erase(&disk, Policy { verify: Verify::Full, ..Policy::FULL }).expect("it ends");
    let [attempt] = &erased.attempts[..] else { panic!("{:?}", erased.attempts) };
    assert_eq!((attempt.method.name(), attempt.resumed), ("nvme.sanitize.block", true));
    assert_eq!(fact(&attempt.answer, "sstat_after"), "0x101");
    json!([words, found(&erased)])
}

/// Its power fails in the middle, and the connection with it. It goes on by itself.
fn power_loss(bench: &Bench) -> Value {
    let (_drive, disk) = Drive::one(bench, "sanitize-power-loss");
    let plan = bench.plan(&disk, Policy::FULL).expect("a plan");
    // With the seconds: the kernel connects again in its own time.
    let erased = execute(plan, &disk, &mut Clock::new(String::new), &mut |_| ()).expect("an erased drive");
    assert_eq!((erased.method.name(), erased.attempts.len()), ("nvme.sanitize.crypto", 1));
    found(&erased)
}

/// The machine's power fails while the drive sanitizes itself: the host cuts it.
fn cut(bench: &Bench) -> Value {
    let (_drive, disk) = Drive::one(bench, "sanitize-cut");
    let plan = bench.plan(&disk, Policy::FULL).expect("a plan");
    let told = &mut |progress: Progress| {
        if progress.phase == erase::Phase::ByDrive && progress.done.0 > 0 {
            bench.mark("sanitizing");
        }
    };
    let _never_told = execute(plan, &disk, &mut Clock::new(String::new), told);
    panic!("the power was to fail");
}

/// The next machine finds it at it, and watches it to its end.
fn cut_found(bench: &Bench) -> Value {
    let (drive, disk) = Drive::one(bench, "sanitize-cut");
    let erased = drive.erase(&disk, Policy { verify: Verify::Full, ..Policy::FULL }).expect("it ends");
    assert!(erased.attempts[0].resumed && erased.attempts.len() == 1, "{:?}", erased.attempts);
    found(&erased)
}

/// Somebody's sanitize failed long ago and the drive refuses everything: it is led out of that.
fn failed_before(bench: &Bench) -> Value {
    let (drive, disk) = Drive::one(bench, "failed-before");
    let erased = drive.erase(&disk, Policy::FULL).expect("an erased drive");
    let recovered = |note: &String| note.starts_with("its last erase had failed; recovered");
    assert!(erased.notes.iter().any(recovered), "{:?}", erased.notes);
    found(&erased)
}

/// The same where only another sanitize leads out of it.
fn failed_before_for_good(bench: &Bench) -> Value {
    let (drive, disk) = Drive::one(bench, "failed-for-good");
    let erased = drive.erase(&disk, Policy::FULL).expect("an erased drive");
    assert!(erased.attempts[0].resumed && erased.attempts.len() == 1, "{:?}", erased.attempts);
    found(&erased)
}

/// Blocks that take no data, on a drive that cannot erase itself.
fn unwritable(bench: &Bench) -> Value {
    let (drive, disk) = Drive::one(bench, "unwritable");
    let error = drive.erase(&disk, Policy::FULL).expect_err("blocks that take no data");
    assert_eq!(error.verdict(), Verdict::Incomplete, "{error:?}");
    assert_eq!(error.bad_blocks().0.ranges(), [BROKEN]);
    json!(bench.words(&error))
}

/// The drive sanitizes itself, and some blocks cannot be read: nobody knows what they hold.
fn unreadable(bench: &Bench) -> Value {
    let (drive, disk) = Drive::one(bench, "unreadable");
    let policy = Policy { verify: Verify::Full, ..Policy::FULL };
    let error = drive.erase(&disk, policy).expect_err("blocks that cannot be read");
    assert_eq!(error.verdict(), Verdict::Incomplete, "{error:?}");
    let (unwritten, unread) = error.bad_blocks();
    assert!(unwritten.is_empty(), "{unwritten:?}");
    assert_eq!(unread.ranges(), [BROKEN]);
    json!(bench.words(&error))
}

/// All namespaces are to be erased: the drive sanitizes itself, and each has its own proof.
fn namespaces_all(bench: &Bench) -> Value {
    let (_drive, disks) = Drive::connect(bench, "namespaces-all", 3);
    let read = |disk: &Disk| Abilities::read(Path::new(&disk.path())).expect("a drive that answers");
    let mut abilities: Vec<_> = disks.iter().map(read).collect();
    assert_eq!(erase::in_turns(&mut abilities), [vec![0, 1, 2]]);
    assert_eq!(abilities[0].nvme.namespaces.attached, [1, 0xa, 0x1f]);
    let drive = &abilities[0].nvme.namespaces.drive;
    assert!(drive.starts_with("nvme") && drive.ends_with("billet:namespaces-all namespaces-all"), "{drive}");
    let mut all = Vec::new();
    for (disk, abilities) in disks.iter().zip(&abilities) {
        let subject = Subject::read(Path::new("/"), disk).expect("a disk that can be looked at");
        let plan = erase::plan(subject, abilities, Policy::FULL).expect("a plan");
        let erased = execute(plan, disk, &mut Hurried::default(), &mut |_| ()).expect("an erased namespace");
        assert_eq!(erased.method.level().0, Level::Purge);
        all.push(found(&erased));
    }
    disks.iter().for_each(|disk| assert!(survivors(disk).is_none(), "{:?}", survivors(disk)));
    json!(all)
}

/// One namespace is to be erased: by a format of its own, and the others keep their data.
fn namespaces_one(bench: &Bench) -> Value {
    let (drive, disks) = Drive::connect(bench, "namespaces-one", 3);
    let erased = drive.erase(&disks[1], Policy::FULL).expect("an erased namespace");
    assert_eq!(erased.method.name(), "nvme.format.user-data");
    assert_eq!(fact(&erased.attempts[0].answer, "nsid"), "0xa");
    let left = disks.iter().map(|disk| survivors(disk).sectors > 0).collect::<Vec<_>>();
    assert_eq!(left, [true, false, true]);
    found(&erased)
}

/// Data in a namespace that no host sees: the whole drive's erase takes it; without
/// one the drive is not called clean.
fn unattached(bench: &Bench) -> Value {
    let (_drive, disk) = Drive::one(bench, "unattached-only");
    let refusal: Refusal = bench.plan(&disk, Policy::FULL).expect_err("data is left on the drive");
    let (drive, disk) = Drive::one(bench, "unattached");
    let erased = drive.erase(&disk, Policy::FULL).expect("an erased drive");
    assert_eq!(erased.method.name(), "nvme.sanitize.block");
    json!([refusal.to_string(), found(&erased)])
}

/// Erase `disk`, whose label is said to be `label`; `None` where the kernel tells of no
/// owner: before 6.3 it has no Opal for drives over fabrics.
fn take_over(disk: &Disk, label: &str) -> Option<Result<Erased, EraseError>> {
    let abilities = Abilities::read(Path::new(&disk.path())).expect("a drive that answers");
    abilities.opal.owned?;
    let subject = Subject::read(Path::new("/"), disk).expect("a disk that can be looked at");
    let psids = [(disk.serial.clone().unwrap_or_default(), Secret::new(label))].into();
    let request = Request { opal: Opal { psids, msid: None }, ..Request::from(Policy::FULL) };
    let plan = request.plan(subject, &abilities).expect("a plan");
    Some(execute(plan, disk, &mut Hurried::default(), &mut |_| ()))
}

/// Somebody's password locks it: only the label's opens it, and then it sanitizes itself.
/// Where the kernel does not tell, the drive is not called clean.
fn opal_locked(bench: &Bench) -> Value {
    let (drive, disk) = Drive::one(bench, "opal-locked");
    let Some(wrong) = take_over(&disk, "PSID-OF-ANOTHER") else {
        let error = drive.erase(&disk, Policy::FULL).expect_err("a locked drive");
        return json!({"this kernel tells of no owner": bench.words(&error)});
    };
    let refused = attempts(&wrong.expect_err("a wrong label"));
    assert!(refused.len() == 1 && refused[0].starts_with("opal.revert: "), "{refused:?}");
    let erased = take_over(&disk, LABEL).expect("owned").expect("an erased drive");
    let names: Vec<_> = erased.attempts.iter().map(|one| one.method.name()).collect();
    assert_eq!(names, ["opal.revert", "nvme.sanitize.crypto"]);
    let told = ["sid_before", "reverted_by", "locking_before", "locking_after"];
    assert_eq!(
        told.map(|name| fact(&erased.attempts[0].answer, name)),
        ["changed", "psid", "on, locked", "off"]
    );
    assert!(survivors(&disk).is_none(), "{:?}", survivors(&disk));
    json!([refused, found(&erased)])
}

/// Locking is on with the password of the factory: it needs no label.
fn opal_factory(bench: &Bench) -> Value {
    let (drive, disk) = Drive::one(bench, "opal-factory");
    let Some(erased) = take_over(&disk, "PSID-OF-ANOTHER") else {
        let error = drive.erase(&disk, Policy::FULL).expect_err("it refuses to erase itself");
        return json!({"this kernel tells of no owner": bench.words(&error)});
    };
    let erased = erased.expect("an erased drive");
    let told = ["sid_before", "psid", "reverted_by"].map(|name| fact(&erased.attempts[0].answer, name));
    assert_eq!(told, ["factory", "status 0x01", "msid"]);
    found(&erased)
}
