//! A drive that keeps its passwords, and forgets as Opal SSC 5.1.2 says.

use super::*;

/// `AUTHORITY_LOCKED_OUT`.
const LOCKED_OUT: u32 = 0x12;
const MSID: &[u8] = b"MSID-FROM-THE-FACTORY";
const PSID: &[u8] = b"PSID0123456789ABCDEFPSID01234567";
/// What drives have; from then on the right password does not help either.
const TRIES: u32 = 5;

struct FakeTper {
    status: Status,
    sid: Vec<u8>,
    told: Sid,
    wrong: u32,
    /// Says that it reverted, and does not.
    lies: bool,
    /// The power fails after this many commands.
    power: Option<u32>,
    commands: u32,
}

fn owned(by: &[u8]) -> FakeTper {
    let status = Status { supported: true, enabled: true, locked: true, mbr_enabled: true, mbr_done: false };
    FakeTper { status, sid: by.into(), told: Sid::Unknown, wrong: 0, lies: false, power: None, commands: 0 }
}

impl FakeTper {
    fn command(&mut self) -> Result<(), OpalError> {
        self.commands += 1;
        match self.power {
            Some(limit) if self.commands > limit => {
                Err(OpalError::Kernel(io::Error::from_raw_os_error(5 /* EIO */)))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn authorize(&mut self, password: &[u8]) -> Result<(), OpalError> {
        if self.told == Sid::Blocked {
            return Err(OpalError::Status(NOT_AUTHORIZED));
        }
        if self.wrong >= TRIES {
            return Err(OpalError::Status(LOCKED_OUT));
        }
        if password == self.sid {
            self.wrong = 0;
            return Ok(());
        }
        self.wrong += 1;
        Err(OpalError::Status(NOT_AUTHORIZED))
    }

    fn forget(&mut self) {
        if !self.lies {
            self.status = Status { supported: true, ..Status::default() };
            self.sid = MSID.into();
        }
    }
}

impl Tper for FakeTper {
    fn status(&mut self) -> io::Result<Status> {
        Ok(self.status)
    }
    fn sid(&mut self) -> Sid {
        self.told
    }
    fn take_ownership(&mut self, new: &[u8]) -> Result<(), OpalError> {
        self.command()?;
        self.authorize(MSID)?;
        self.sid = new.into();
        Ok(())
    }
    fn revert(&mut self, owner: &[u8]) -> Result<(), OpalError> {
        self.command()?;
        self.authorize(owner)?;
        self.forget();
        Ok(())
    }
    fn psid_revert(&mut self, label: &[u8]) -> Result<(), OpalError> {
        self.command()?;
        if label != PSID {
            return Err(OpalError::Status(NOT_AUTHORIZED));
        }
        self.forget();
        Ok(())
    }
}

fn secret(bytes: &[u8]) -> Option<Secret> {
    Some(Secret::new(std::str::from_utf8(bytes).expect("text")))
}

fn keys(label: Option<&[u8]>, owner: Option<&[u8]>) -> OpalKeys {
    OpalKeys { label: label.and_then(secret), owner: owner.and_then(secret) }
}

fn fact(answer: &Answer, name: &str) -> String {
    answer.0.get(name).cloned().unwrap_or_default()
}

#[test]
fn an_owned_drive_goes_back_to_the_factory_with_whatever_fits() {
    for (by, label, owner, way) in [
        (&b"tenant"[..], Some(PSID), None, "psid"),
        (b"tenant", Some(&b"WRONG"[..]), Some(&b"tenant"[..]), "sid"),
        (b"tenant", None, Some(b"tenant"), "sid"),
        (MSID, None, None, "msid"),
        (MSID, Some(b"WRONG"), Some(b"WRONG"), "msid"),
        (OURS, None, None, "sid_of_cut_off_revert"),
    ] {
        let mut drive = owned(by);
        let answer = revert(&mut drive, &keys(label, owner)).expect(way);
        assert_eq!(fact(&answer, "reverted_by"), way);
        assert_eq!(fact(&answer, "locking_before"), "on, locked");
        assert_eq!(fact(&answer, "shadow_mbr_before"), "shown");
        assert_eq!(fact(&answer, "locking_after"), "off");
        assert_eq!(drive.sid, MSID);
        let told = answer.words();
        assert!(!told.contains("PSID0123") && !told.contains("tenant"), "a secret in the record: {told}");
    }
}

#[test]
fn a_drive_that_nobody_owns_is_left_alone() {
    let mut drive = owned(MSID);
    drive.status = Status { supported: true, ..Status::default() };
    let answer = revert(&mut drive, &keys(Some(PSID), None)).expect("nothing to do");
    assert_eq!((fact(&answer, "locking_before").as_str(), drive.commands), ("off", 0));
}

#[test]
fn without_a_password_that_fits_it_says_what_to_do_and_keeps_tries_left() {
    let mut drive = owned(b"tenant");
    let err = revert(&mut drive, &keys(None, Some(b"WRONG"))).expect_err("nothing fits");
    assert!(err.to_string().contains("give the PSID that is printed on its label (opal_psids)"), "{err}");
    assert_eq!(fact(&err.answer(), "msid"), "status 0x01");
    assert!(drive.wrong < TRIES, "somebody who knows it must not be locked out");
    let err = revert(&mut owned(b"tenant"), &keys(Some(b"WRONG"), None)).expect_err("nothing fits");
    assert!(err.to_string().contains("read its label again"), "{err}");
}

#[test]
fn what_the_drive_tells_of_its_owner_saves_tries() {
    for (told, tries) in [(Sid::Blocked, 0), (Sid::Factory, 1), (Sid::Changed, 1), (Sid::Unknown, 2)] {
        let mut drive = FakeTper { told, ..owned(b"tenant") };
        let err = revert(&mut drive, &OpalKeys::default()).expect_err("nothing fits");
        assert_eq!(drive.commands, tries, "{told:?}");
        assert_eq!(err.to_string().contains("Block SID"), told == Sid::Blocked, "{err}");
    }
    let mut blocked = FakeTper { told: Sid::Blocked, ..owned(b"tenant") };
    assert!(revert(&mut blocked, &keys(Some(PSID), None)).is_ok(), "the label counts all the same");
}

#[test]
fn a_drive_that_says_yes_and_stays_owned_is_caught() {
    let mut drive = FakeTper { lies: true, ..owned(b"tenant") };
    let err = revert(&mut drive, &keys(Some(PSID), None)).expect_err("it lies");
    assert!(err.to_string().contains("still owned"), "{err}");
}

#[test]
fn a_revert_cut_off_after_taking_ownership_is_finished_by_the_next() {
    let mut drive = FakeTper { power: Some(1), ..owned(MSID) };
    let err = revert(&mut drive, &OpalKeys::default()).expect_err("no power");
    assert!(matches!(err, CommandError::Kernel { .. }), "{err}");
    assert_eq!(drive.sid, OURS);
    let mut drive = FakeTper { power: None, ..drive };
    let answer = revert(&mut drive, &OpalKeys::default()).expect("ours is tried");
    assert_eq!(fact(&answer, "reverted_by"), "sid_of_cut_off_revert");
}

#[test]
fn an_owner_who_is_locked_out_leaves_the_label() {
    let mut drive = FakeTper { wrong: TRIES, ..owned(b"tenant") };
    let err = revert(&mut drive, &keys(None, Some(b"tenant"))).expect_err("until a power cycle");
    assert_eq!(fact(&err.answer(), "sid"), "status 0x12");
}

#[test]
fn a_label_is_found_by_any_serial_number() {
    let mut disk = crate::plan::tests::disk("nvme0n1");
    disk.serial_aliases = vec!["S1_1".to_owned()];
    let asked = |serial: &str| Opal { psids: [(serial.to_owned(), Secret::new("P"))].into(), msid: None };
    for (serial, found) in [("S1", true), ("S1_1", true), ("S2", false)] {
        assert_eq!(OpalKeys::of(&disk, &asked(serial)).label.is_some(), found, "{serial}");
    }
}
