use std::io;

use fake_sas::{Drive, Faults, Kind, Sanitizing};
use sys::sg::{Reply, Transfer};

use super::{
    sanitize::{recover, state},
    *,
};
use crate::{Fraction, Sanitize, ScsiAbilities, SelfErase, State};

/// The drive without a kernel in between.
impl Wire for Drive {
    fn send(&mut self, command: &[u8], transfer: Transfer<'_>, _timeout_ms: u32) -> io::Result<Reply> {
        let out = match &transfer {
            Transfer::Out(data) => *data,
            Transfer::None | Transfer::In(_) => &[],
        };
        let answer = self.execute(command, out);
        if let Transfer::In(data) = transfer {
            let length = data.len().min(answer.data.len());
            data[..length].copy_from_slice(&answer.data[..length]);
        }
        Ok(Reply { status: answer.status, sense: answer.sense, ..Reply::default() })
    }
}

const SECRET: &[u8] = b"the old tenant's";

pub(crate) fn drive(kind: Kind) -> Drive {
    let mut drive = Drive::new(kind, 2048);
    for block in drive.media.bytes_mut().chunks_mut(512) {
        block[..SECRET.len()].copy_from_slice(SECRET);
    }
    drive
}

pub(crate) fn is_clean(drive: &Drive) -> bool {
    !drive.media.holds(SECRET)
}

#[test]
fn every_sanitize_runs_in_the_background_and_tells_how_far_it_is() {
    for how in [Sanitize::Crypto, Sanitize::Block, Sanitize::Overwrite] {
        let mut drive = drive(Kind::Sas).slow(4);
        let answer = sanitize(&mut drive, how).expect("begun");
        assert_eq!(answer.0["status"], "0x0");
        for quarter in 1..4 {
            let done = Some(Fraction(quarter << 14));
            let erase = SelfErase::ScsiSanitize(Sanitize::Crypto);
            assert_eq!(state(&mut drive).expect("asked"), State::Erasing { erase, done, estimate: None });
        }
        assert_eq!(state(&mut drive).expect("asked"), State::Ready, "{how:?}");
        assert!(is_clean(&drive), "{how:?}");
    }
}

#[test]
fn a_failed_sanitize_is_told_and_left() {
    let mut drive = drive(Kind::Sas);
    drive.faults.failures = 1;
    let _ = sanitize(&mut drive, Sanitize::Block).expect("begun");
    while matches!(state(&mut drive).expect("asked"), State::Erasing { .. }) {}
    let State::Failed { answer } = state(&mut drive).expect("asked") else { panic!("it failed") };
    assert_eq!(answer.0["sense"], "3/31/03");
    let _ = recover(&mut drive).expect("left");
    assert_eq!(state(&mut drive).expect("asked"), State::Ready);
    assert!(!is_clean(&drive), "nothing was erased");
}

#[test]
fn a_refused_sanitize_has_the_drive_s_words() {
    let mut drive = drive(Kind::Sas);
    drive.faults = Faults { refuse_sanitize: true, ..Faults::default() };
    let error = sanitize(&mut drive, Sanitize::Crypto).expect_err("refused");
    assert_eq!(
        error.to_string(),
        "the drive refused SCSI SANITIZE: it has no such command, or not with these parameters"
    );
    assert_eq!(error.answer().0["sense"], "5/24/00");
    assert_eq!(error.answer().0["cdb"], "48 a3 00 00 00 00 00 00 00 00");
}

#[test]
fn a_drive_says_which_ways_it_has() {
    use Sanitize::{Block, Crypto, Overwrite};
    let mut able = drive(Kind::Sas);
    assert_eq!(ScsiAbilities::read(&mut able).expect("asked").sanitize, [Crypto, Block, Overwrite]);
    able.sanitize_supported = false;
    assert_eq!(ScsiAbilities::read(&mut able).expect("asked"), ScsiAbilities::default());
    let error = sanitize(&mut able, Crypto).expect_err("not there");
    assert!(matches!(error, CommandError::Unsupported { .. }), "{error}");
}

#[test]
fn what_a_drive_tells_first_is_not_the_command_s_answer() {
    let mut drive = drive(Kind::Sas);
    drive.power_on(); // a unit attention is waiting
    let _ = sanitize(&mut drive, Sanitize::Block).expect("begun all the same");
    drive.power_on();
    assert!(matches!(state(&mut drive).expect("asked"), State::Erasing { .. }), "it goes on");
    assert!(matches!(drive.sanitizing(), Sanitizing::Running { .. }));
}

/// One disk's trouble resets the bus of all: they are asked again.
#[test]
fn a_question_that_a_reset_swallowed_is_asked_again() {
    struct Reset(u32);
    impl Wire for Reset {
        fn send(&mut self, _: &[u8], _: Transfer<'_>, _: u32) -> io::Result<Reply> {
            self.0 += 1;
            Ok(Reply { host: if self.0 == 1 { 0x08 } else { 0 }, ..Reply::default() })
        }
    }
    for (timeout_ms, again) in [(ASK_TIMEOUT_MS, true), (BEGIN_TIMEOUT_MS, false)] {
        let outcome = run(&mut Reset(0), "TEST UNIT READY", &[0; 6], &mut Transfer::None, timeout_ms);
        assert_eq!(outcome.is_ok(), again, "{outcome:?}");
    }
}

/// Answers every command with this.
struct Broken(Reply);

impl Wire for Broken {
    fn send(&mut self, _: &[u8], _: Transfer<'_>, _: u32) -> io::Result<Reply> {
        Ok(self.0.clone())
    }
}

/// A drive that is watched while it sanitizes itself would count as done.
#[test]
fn a_bus_that_was_reset_makes_no_drive_ready() {
    for (host, want) in
        [(0x02, false), (0x08, false), (0x0b, false), (0x0d, false), (0x0e, false), (0x07, true)]
    {
        let state = state_of_any(&mut Broken(Reply { host, ..Reply::default() }));
        assert_eq!(matches!(state, Ok(State::Ready)), want, "{host:#x}: {state:?}");
    }
}

/// An ATA drive that comes back from a reset, behind a kernel that answers the rest itself.
#[test]
fn a_drive_that_is_not_ready_for_ata_is_not_ready() {
    struct Resetting(u8);
    impl Wire for Resetting {
        fn send(&mut self, command: &[u8], _: Transfer<'_>, _: u32) -> io::Result<Reply> {
            let sense = vec![0x70, 0, self.0, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x04, 0, 0, 0, 0, 0];
            Ok(match command[0] {
                0x85 => Reply { status: 2, sense, ..Reply::default() },
                _ => Reply::default(),
            })
        }
    }
    let state = state_of_any(&mut Resetting(0x2));
    assert!(matches!(state, Err(CommandError::Refused { .. })), "{state:?}");
    assert_eq!(state_of_any(&mut Resetting(0x5)).expect("no ATA drive"), State::Ready);
}

#[test]
fn the_adapter_s_trouble_is_told_from_the_drive_s() {
    for (host, kind) in
        [(0x01, None), (0x03, Some(io::ErrorKind::TimedOut)), (0x07, Some(io::ErrorKind::Other))]
    {
        let error = read(&Reply { host, ..Reply::default() }).expect_err("not delivered");
        match kind {
            Some(kind) => assert_eq!(error.kind(), kind),
            None => assert_eq!(error.raw_os_error(), Some(19 /* ENODEV */)),
        }
    }
    let busy = read(&Reply { status: 0x08, ..Reply::default() }).expect("delivered");
    let error = expect_good("TEST UNIT READY", &[0; 6], busy).expect_err("busy");
    assert_eq!(error.answer().0["status"], "0x8");
    // Another status says nothing good, whatever sense data comes with it.
    let none = read(&Reply { status: 2, ..Reply::default() }).expect("delivered");
    assert_eq!(none, Outcome::Status(2));
}
