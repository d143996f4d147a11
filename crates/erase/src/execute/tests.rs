//! Honest drives, broken drives and drives that lie.

use std::{io, ops::Range, sync::Mutex};

use disk::{FakeDisk, Target};
use model::BlockSize;

use super::*;
use crate::{
    Abilities, CommandError, Context, Fraction, Level, NvmeAbilities, ProofKind, SecureErase, Seed,
    SelfErase, State, Verify, plan, plan::tests::subject, time::FakeTime,
};

mod hidden;
mod owned;

const MIB: u64 = 1 << 20;
const MIB_LENGTH: usize = 1 << 20;

/// What a fake drive makes of Format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Firmware {
    /// Zeros for SES 1, noise for SES 2.
    Honest,
    /// Says yes and does nothing.
    Lies,
    /// Says yes and leaves the last MiB.
    Lazy,
    /// Does SES 1, lies about SES 2 (QEMU with FNA 0 the other way round).
    LiesAboutKeys,
    /// Erases only what was written since it was opened: our canaries.
    Cunning,
    /// Says no.
    Fails,
}

struct FakeNvme {
    disk: FakeDisk,
    firmware: Firmware,
    /// Reads touching this byte fail.
    unreadable: Option<u64>,
    /// Nothing changes these bytes, whatever is said.
    keeps: Range<usize>,
    /// Where we wrote.
    written: Mutex<Vec<Range<usize>>>,
    changing: Mutex<()>,
    /// What it says when asked, the last first; then that it is ready.
    states: Vec<State>,
    /// How often it was recovered.
    recovered: usize,
}

impl FakeNvme {
    /// Change the medium, but for what it keeps.
    fn change<T>(&self, change: impl FnOnce(&FakeDisk) -> T) -> T {
        let _one_at_a_time = self.changing.lock().expect("no panic");
        let kept = self.disk.bytes()[self.keeps.clone()].to_vec();
        let outcome = change(&self.disk);
        self.disk.write_at(Bytes(self.keeps.start as u64), &kept).expect("whole blocks");
        outcome
    }

    fn fill(&self, byte: u8) {
        let size = usize::try_from(self.disk.size().0).expect("fits");
        self.change(|disk| disk.write_at(Bytes(0), &vec![byte; size])).expect("written");
    }
}

impl Target for FakeNvme {
    fn size(&self) -> Bytes {
        self.disk.size()
    }
    fn block(&self) -> BlockSize {
        self.disk.block()
    }
    fn write_at(&self, offset: Bytes, data: &[u8]) -> io::Result<()> {
        let start = usize::try_from(offset.0).expect("fits");
        self.written.lock().expect("no panic").push(start..start + data.len());
        self.change(|disk| disk.write_at(offset, data))
    }
    fn zero_at(&self, offset: Bytes, length: Bytes) -> io::Result<()> {
        self.change(|disk| disk.zero_at(offset, length))
    }
    fn read_at(&self, offset: Bytes, into: &mut [u8]) -> io::Result<()> {
        let range = offset.0..offset.0 + into.len() as u64;
        match self.unreadable {
            Some(at) if range.contains(&at) => Err(io::Error::from_raw_os_error(5 /* EIO */)),
            Some(_) | None => self.disk.read_at(offset, into),
        }
    }
    fn sync(&self) -> io::Result<()> {
        self.disk.sync()
    }
}

impl Drive for FakeNvme {
    fn state(&mut self) -> Result<State, CommandError> {
        Ok(self.states.pop().unwrap_or(State::Ready))
    }
    fn recover(&mut self) -> Result<Answer, CommandError> {
        self.recovered += 1;
        Ok(Answer::default())
    }
    fn begin(&mut self, erase: SelfErase) -> Result<Answer, CommandError> {
        let end = self.disk.bytes().len();
        let setting = match Expectation::of(Method::ByDrive(erase)) {
            Expectation::Changed | Expectation::Decorrelated => SecureErase::Cryptographic,
            Expectation::Blank | Expectation::Zeros => SecureErase::UserData,
        };
        match (self.firmware, setting) {
            (Firmware::Fails, _) => {
                let answer = Answer::default().with("status", "0x4002");
                return Err(CommandError::Refused { command: "Format", reason: "no".into(), answer });
            }
            (Firmware::Lies, _) | (Firmware::LiesAboutKeys, SecureErase::Cryptographic) => {}
            (Firmware::Lazy, _) => self.disk.bytes_mut()[..end - MIB_LENGTH].fill(0),
            (Firmware::Honest | Firmware::LiesAboutKeys, SecureErase::UserData) => self.fill(0xff),
            (Firmware::Cunning, _) => {
                for range in std::mem::take(self.written.get_mut().expect("no panic")) {
                    self.disk.bytes_mut()[range].fill(0);
                }
            }
            (Firmware::Honest, SecureErase::Cryptographic) => Seed(99).draw().fill(self.disk.bytes_mut()),
        }
        Ok(Answer::default().with("status", "0x0"))
    }
    fn reread_partitions(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A tenant's disk of `size` bytes: no two sectors alike.
fn used(size: u64) -> FakeDisk {
    let mut disk = FakeDisk::filled(0, Bytes(size), 512.try_into().expect("512 is a block size"));
    Seed(7).draw().fill(disk.bytes_mut());
    disk
}

fn nvme(firmware: Firmware) -> FakeNvme {
    FakeNvme {
        disk: used(64 * MIB),
        firmware,
        unreadable: None,
        keeps: 0..0,
        written: Mutex::default(),
        changing: Mutex::default(),
        states: Vec::new(),
        recovered: 0,
    }
}

fn run_with(
    drive: &mut impl Drive,
    abilities: Abilities,
    policy: Policy,
    partitions: Vec<Range<u64>>,
) -> Result<Erased, EraseError> {
    let mut subject = subject("nvme0n1");
    subject.disk.size = drive.size();
    subject.partitions = partitions;
    let plan = plan(subject, &abilities, policy).expect("erasable");
    let mut conditions = Conditions { seed: Seed(42), time: &mut FakeTime::default(), progress: &mut |_| () };
    execute(plan, drive, &mut conditions)
}

fn run(drive: &mut impl Drive, abilities: Abilities, policy: Policy) -> Result<Erased, EraseError> {
    run_with(drive, abilities, policy, Vec::new())
}

fn format(cryptographic: bool) -> Abilities {
    Abilities { nvme: NvmeAbilities::formatting(cryptographic, false, 1), ..Abilities::default() }
}

fn told(error: &EraseError) -> String {
    match error {
        EraseError::NotErased { attempts, .. } => attempts
            .iter()
            .map(|one| format!("{}: {}", one.method.name(), one.error.as_deref().unwrap_or("ok")))
            .collect::<Vec<_>>()
            .join(" | "),
        EraseError::AnotherDisk { .. } => error.to_string(),
    }
}

#[test]
fn every_byte_is_zero_and_a_sample_proves_it() {
    let mut disk = used(64 * MIB + 512);
    let erased = run(&mut disk, Abilities::default(), Policy::FULL).expect("healthy");
    assert!(disk.bytes().iter().all(|&byte| byte == 0));
    assert_eq!(
        (erased.method, erased.proof.kind, erased.proof.blocks),
        (Method::ZeroOut, ProofKind::Sample, 5066)
    );
    assert!(erased.proof.canaries > 50, "{}", erased.proof.canaries);
}

#[test]
fn every_byte_can_be_read_back_and_random_passes_end_in_zeros() {
    let mut disk = used(9 * MIB);
    let policy = Policy { verify: Verify::Full, passes: 3, ..Policy::FULL };
    let erased = run(&mut disk, Abilities::default(), policy).expect("healthy");
    assert!(disk.bytes().iter().all(|&byte| byte == 0));
    assert_eq!((erased.method, erased.proof.kind), (Method::Overwrite, ProofKind::Full));
    assert_eq!(erased.proof.bytes, Bytes(9 * MIB));
}

#[test]
fn disks_of_every_size_are_proven_to_the_last_block() {
    for blocks in [1, 7, 8, 9, 63, 64 * 8, 64 * 8 + 1, 2048, 2049] {
        let mut disk = used(blocks * 512);
        let erased = run(&mut disk, Abilities::default(), Policy::FULL).expect("healthy");
        assert!(disk.bytes().iter().all(|&byte| byte == 0), "{blocks} blocks");
        assert_eq!(erased.proof.bytes, Bytes(blocks * 512));
    }
}

#[test]
fn a_block_size_above_4096_is_kept() {
    let block = 16384.try_into().expect("16384 is a block size");
    let mut disk = FakeDisk::filled(0xaa, Bytes(16384 * 7000), block);
    let mut subject = subject("sda");
    (subject.disk.size, subject.disk.logical_block) = (disk.size(), block);
    let plan = plan(subject, &Abilities::default(), Policy::FULL).expect("erasable");
    let mut conditions = Conditions { seed: Seed(1), time: &mut FakeTime::default(), progress: &mut |_| () };
    let erased = execute(plan, &mut disk, &mut conditions).expect("healthy");
    assert_eq!(erased.proof.kind, ProofKind::Sample);
    assert!(disk.bytes().iter().all(|&byte| byte == 0));
}

#[test]
fn metadata_is_gone_and_the_rest_is_not_touched() {
    let mut disk = used(64 * MIB);
    let before = disk.bytes().clone();
    let partitions = vec![MIB..30 * MIB, 30 * MIB..63 * MIB];
    let erased = run_with(&mut disk, Abilities::default(), Policy::METADATA, partitions).expect("healthy");
    assert_eq!((erased.method.level().0, erased.proof.kind), (Level::None, ProofKind::Full));
    let at = |mib: usize| mib * MIB_LENGTH;
    for zone in [0..at(8), at(29)..at(31), at(56)..at(64)] {
        assert!(disk.bytes()[zone].iter().all(|&byte| byte == 0));
    }
    for kept in [at(8)..at(29), at(31)..at(56)] {
        assert!(disk.bytes()[kept.clone()] == before[kept], "user data outside the zones changed");
    }
}

#[test]
fn an_honest_drive_erases_itself_and_its_ends_are_zero() {
    for (cryptographic, method) in [(true, SecureErase::Cryptographic), (false, SecureErase::UserData)] {
        let mut drive = nvme(Firmware::Honest);
        let erased = run(&mut drive, format(cryptographic), Policy::FULL).expect("honest");
        assert_eq!(erased.method, Method::ByDrive(SelfErase::NvmeFormat(method)));
        assert!(erased.proof.remembered > 200);
        let (start, end) = (&drive.disk.bytes()[..8 << 20], &drive.disk.bytes()[56 << 20..]);
        assert!(start.iter().chain(end).all(|&byte| byte == 0));
    }
}

#[test]
fn a_drive_that_lies_is_caught_and_nothing_weaker_is_tried_without_leave() {
    let mut drive = nvme(Firmware::Lies);
    let error = run(&mut drive, format(true), Policy::FULL).expect_err("a liar");
    let told = told(&error);
    assert!(
        told.starts_with("nvme.format.crypto: the erase is not proven: the canary at 0 B is still there"),
        "{told}"
    );
    assert!(told.contains("| nvme.format.user-data: the erase is not proven"), "{told}");
    assert!(!told.contains("zero-out"), "{told}");
}

#[test]
fn with_leave_the_host_erases_what_a_lying_drive_did_not_and_every_attempt_is_on_record() {
    for (firmware, cryptographic, tried) in [
        (Firmware::Lies, true, 3),
        (Firmware::Fails, false, 2),
        (Firmware::Lazy, false, 2),
        (Firmware::LiesAboutKeys, true, 2),
    ] {
        let mut drive = nvme(firmware);
        let policy = Policy { allow_fallback: true, ..Policy::FULL };
        let erased = run(&mut drive, format(cryptographic), policy).expect("overwritten");
        assert_eq!(erased.attempts.len(), tried, "{firmware:?}");
        assert!(erased.attempts[..tried - 1].iter().all(|attempt| attempt.error.is_some()));
        assert_eq!(erased.attempts[tried - 1].error, None);
    }
}

#[test]
fn one_block_that_stays_is_found_by_reading_everything_whatever_the_method() {
    let place = 40 * MIB_LENGTH + 8192;
    for (abilities, method) in [(Abilities::default(), "zero-out"), (format(false), "nvme.format.user-data")]
    {
        let mut drive = nvme(Firmware::Honest);
        drive.keeps = place..place + 512;
        let outcome = run(&mut drive, abilities, Policy { verify: Verify::Full, ..Policy::FULL });
        let told = told(&outcome.expect_err("kept"));
        let want = format!("{method}: the erase is not proven: there is still data at 40.0 MiB");
        assert!(told.starts_with(&want), "{told}");
    }
}

#[test]
fn a_leftover_of_one_percent_is_found_by_the_sample() {
    let mut drive = nvme(Firmware::Honest);
    drive.keeps = 20 * MIB_LENGTH + 4096..20 * MIB_LENGTH + 4096 + 650_000 / 4096 * 4096;
    let told = told(&run(&mut drive, format(false), Policy::FULL).expect_err("kept"));
    assert!(told.starts_with("nvme.format.user-data: "), "{told}");
}

#[test]
fn a_drive_that_forgets_only_the_canaries_is_caught_by_what_is_remembered() {
    let mut drive = nvme(Firmware::Cunning);
    let told = told(&run(&mut drive, format(true), Policy::FULL).expect_err("cunning"));
    assert!(
        told.starts_with("nvme.format.crypto: the erase is not proven: there is still data at"),
        "{told}"
    );
}

#[test]
fn a_disk_that_does_not_keep_what_is_written_proves_nothing() {
    let mut disk = used(64 * MIB);
    disk.lying = 0..512;
    let told = told(&run(&mut disk, Abilities::default(), Policy::FULL).expect_err("lies"));
    let want =
        "zero-out: the disk could not be prepared for proof: the drive does not keep what is written at 0 B";
    assert!(told.starts_with(want), "{told}");
}

#[test]
fn a_failing_block_is_an_error_with_its_place() {
    let mut disk = used(64 * MIB);
    disk.broken = 5 * MIB + 512..5 * MIB + 513;
    let error = run(&mut disk, Abilities::default(), Policy::FULL).expect_err("broken");
    let told = told(&error);
    assert!(
        told.starts_with("zero-out: 512 B in 1 places cannot be written, the first at 5.0 MiB"),
        "{told}"
    );
    assert!(error.to_string().starts_with("/dev/nvme0n1 is not erased after 1 attempts"), "{error}");
}

#[test]
fn an_erase_under_way_is_watched_to_its_end_and_counts_where_every_block_must_be_blank() {
    let under_way = |erase| State::Erasing { erase, done: Some(Fraction(32_768)), estimate: None };
    let user_data = SelfErase::NvmeFormat(SecureErase::UserData);
    let crypto = SelfErase::NvmeFormat(SecureErase::Cryptographic);
    for (erase, blank, attempts) in [
        // The whole disk is blank: that is the proof.
        (user_data, true, vec![("nvme.format.user-data", true, true)]),
        // It is not: the end of a foreign erase proves nothing, and it is erased again.
        (user_data, false, vec![("nvme.format.user-data", true, false), ("nvme.format.crypto", false, true)]),
        // Without canaries nobody knows whether the key is another.
        (crypto, true, vec![("nvme.format.crypto", false, true)]),
    ] {
        let mut drive = nvme(Firmware::Honest);
        if blank {
            drive.disk.bytes_mut().fill(0);
        }
        drive.states = vec![State::Done { answer: Answer::default() }, under_way(erase), under_way(erase)];
        let erased = run(&mut drive, format(true), Policy::FULL).expect("honest");
        let told: Vec<_> =
            erased.attempts.iter().map(|a| (a.method.name(), a.resumed, a.error.is_none())).collect();
        assert_eq!(told, attempts);
        assert!(erased.notes[0].starts_with("it was erasing itself by nvme.format."), "{:?}", erased.notes);
    }
}

#[test]
fn a_drive_that_failed_or_is_locked_on_arrival_is_recovered_first() {
    for state in [State::Failed { answer: Answer::default() }, State::Locked { answer: Answer::default() }] {
        let mut drive = nvme(Firmware::Honest);
        drive.states = vec![state];
        let erased = run(&mut drive, format(true), Policy::FULL).expect("honest");
        assert_eq!((drive.recovered, erased.attempts.len()), (1, 1));
    }
}

#[test]
fn what_cannot_be_read_back_is_not_proven() {
    let mut drive = nvme(Firmware::Honest);
    drive.unreadable = Some(33 * MIB);
    let error = run(&mut drive, Abilities::default(), Policy { verify: Verify::Full, ..Policy::FULL });
    let told = told(&error.expect_err("unreadable"));
    assert!(told.contains("512 B in 1 places cannot be read back, the first at 33.0 MiB"), "{told}");
}

#[test]
fn a_plan_is_for_the_disk_it_was_made_for() {
    let plan = plan(subject("sda"), &Abilities::default(), Policy::FULL).expect("erasable");
    let mut other = used(MIB);
    let mut conditions = Conditions { seed: Seed(1), time: &mut FakeTime::default(), progress: &mut |_| () };
    let error = execute(plan, &mut other, &mut conditions).expect_err("another");
    assert!(matches!(error, EraseError::AnotherDisk { .. }));
    assert!(*other.bytes() == *used(MIB).bytes(), "nothing was written");
}

#[test]
fn progress_only_grows_within_a_phase_and_reaches_its_end() {
    let mut seen: Vec<Progress> = Vec::new();
    let plan = plan(subject("sda"), &Abilities::default(), Policy::FULL).expect("erasable");
    let mut tell = |progress| seen.push(progress);
    let mut conditions = Conditions { seed: Seed(1), time: &mut FakeTime::default(), progress: &mut tell };
    let _ = execute(plan, &mut used(64 * MIB), &mut conditions).expect("healthy");
    for phase in [Phase::Zero, Phase::Verify] {
        let of_phase: Vec<_> = seen.iter().filter(|progress| progress.phase == phase).collect();
        assert!(of_phase.is_sorted_by_key(|progress| progress.done.0));
        assert!(of_phase.last().is_some_and(|last| last.done == last.total));
    }
}

#[test]
fn the_certificate_says_what_happened() {
    let mut drive = nvme(Firmware::Fails);
    let policy = Policy { allow_fallback: true, ..Policy::FULL };
    let erased = run(&mut drive, format(false), policy).expect("overwritten");
    let context = Context {
        cert_id: "c1".into(),
        node: Some("n1".into()),
        agent_version: "0.1.0".into(),
        issued_at: "2026-01-02T03:04:06Z".into(),
        clock_source: "ntp".into(),
        ..Context::default()
    };
    let body = erased.certificate(&context);
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/certificate.json");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(golden, serde_json::to_string_pretty(&body).expect("JSON") + "\n").expect("written");
    }
    let want = std::fs::read_to_string(golden).expect("the golden file; BLESS=1 writes it");
    assert_eq!(body, serde_json::from_str::<serde_json::Value>(&want).expect("JSON"));
}
