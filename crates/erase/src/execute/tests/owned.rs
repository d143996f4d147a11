//! Drives that somebody owns: reverted first, and what follows when that fails.

use model::Secret;

use super::*;
use crate::{Opal, OpalAbilities, OpalKeys, Request};

/// A drive that refuses everything while it is locked.
struct Owned {
    disk: FakeDisk,
    locked: bool,
    reverts: usize,
}

const LABEL: &str = "PSID0123456789ABCDEFPSID01234567";

impl Owned {
    fn new(locked: bool) -> Self {
        Self { disk: used(16 * MIB), locked, reverts: 0 }
    }

    fn reach(&self) -> io::Result<&FakeDisk> {
        if self.locked {
            Err(io::Error::from_raw_os_error(5 /* EIO */))
        } else {
            Ok(&self.disk)
        }
    }
}

impl Target for Owned {
    fn size(&self) -> Bytes {
        self.disk.size()
    }
    fn block(&self) -> BlockSize {
        self.disk.block()
    }
    fn write_at(&self, offset: Bytes, data: &[u8]) -> io::Result<()> {
        self.reach()?.write_at(offset, data)
    }
    fn zero_at(&self, offset: Bytes, length: Bytes) -> io::Result<()> {
        self.reach()?.zero_at(offset, length)
    }
    fn read_at(&self, offset: Bytes, into: &mut [u8]) -> io::Result<()> {
        self.reach()?.read_at(offset, into)
    }
    fn sync(&self) -> io::Result<()> {
        self.disk.sync()
    }
}

impl Drive for Owned {
    fn state(&mut self) -> Result<State, CommandError> {
        Ok(State::Ready)
    }
    fn begin(&mut self, erase: SelfErase) -> Result<Answer, CommandError> {
        Err(CommandError::Unsupported { command: erase.name() })
    }
    fn recover(&mut self) -> Result<Answer, CommandError> {
        Err(CommandError::Unsupported { command: "recovery" })
    }
    fn revert_opal(&mut self, keys: &OpalKeys) -> Result<Answer, CommandError> {
        self.reverts += 1;
        if keys.label.as_ref().is_none_or(|label| label.expose() != LABEL) {
            let answer = Answer::default().with("psid", "status 0x01");
            return Err(CommandError::Refused { command: "Opal RevertTPer", reason: "no".into(), answer });
        }
        self.locked = false;
        Ok(Answer::default().with("reverted_by", "psid"))
    }
    fn reread_partitions(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn erase_owned(drive: &mut Owned, policy: Policy, label: &str) -> Result<Erased, EraseError> {
    let status = sys::opal::Status { supported: true, enabled: true, locked: drive.locked, ..<_>::default() };
    let abilities = Abilities { opal: OpalAbilities::of_status(status), ..Abilities::default() };
    let mut subject = subject("nvme0n1");
    subject.disk.size = drive.size();
    let psids = [(subject.disk.serial.clone().expect("S1"), Secret::new(label))].into();
    let request = Request { opal: Opal { psids, msid: None }, ..Request::from(policy) };
    let plan = request.plan(subject, &abilities).expect("erasable");
    assert!(!format!("{plan:?}").contains(label), "a secret in a plan");
    let mut conditions = Conditions { seed: Seed(42), time: &mut FakeTime::default(), progress: &mut |_| () };
    execute(plan, drive, &mut conditions)
}

#[test]
fn a_locked_drive_is_reverted_and_then_erased() {
    let mut drive = Owned::new(true);
    let erased = erase_owned(&mut drive, Policy::FULL, LABEL).expect("reverted");
    assert!(drive.disk.bytes().iter().all(|&byte| byte == 0));
    let names: Vec<_> = erased.attempts.iter().map(|attempt| attempt.method.name()).collect();
    assert_eq!(names, ["opal.revert", "zero-out"]);
    let record = erased.certificate(&Context::default()).to_string();
    assert!(record.contains("Opal locking on, locked; shadow MBR none); it is reverted first"), "{record}");
    assert!(record.contains(r#""reverted_by":"psid""#) && !record.contains(LABEL), "{record}");
}

#[test]
fn a_locked_drive_that_no_password_opens_is_not_erased_and_says_so() {
    let mut drive = Owned::new(true);
    let before = drive.disk.bytes().clone();
    let error = erase_owned(&mut drive, Policy::FULL, "WRONG").expect_err("locked");
    assert!(told(&error).starts_with("opal.revert: the drive's own erase failed"), "{}", told(&error));
    assert!(!told(&error).contains(" | "), "something was tried after it: {}", told(&error));
    assert!(*drive.disk.bytes() == before, "the disk was written to");
}

#[test]
fn an_owned_drive_that_is_open_is_erased_and_its_owner_recorded() {
    let mut drive = Owned::new(false);
    let erased = erase_owned(&mut drive, Policy::FULL, "WRONG").expect("open");
    assert!(drive.disk.bytes().iter().all(|&byte| byte == 0));
    assert!(erased.notes.iter().any(|note| note.starts_with("it still belongs to somebody by Opal: ")));
}

#[test]
fn only_a_full_erase_that_drives_may_take_part_in_reverts() {
    for (policy, reverts) in
        [(Policy::FULL, 1), (Policy { device_erase: false, ..Policy::FULL }, 0), (Policy::METADATA, 0)]
    {
        let mut drive = Owned::new(false);
        let erased = erase_owned(&mut drive, policy, LABEL).expect("open");
        assert_eq!(drive.reverts, reverts, "{policy:?}");
        assert_eq!(erased.notes.iter().any(|note| note.ends_with("it is not reverted first")), reverts == 0);
    }
}
