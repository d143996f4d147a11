use fake_sas::{Drive, Faults, Kind, Sanitizing, Security};

use super::*;
use crate::{
    AtaAbilities, Fraction, Hidden, Sanitize, SecurityErase, SelfErase,
    scsi::tests::{drive as used, is_clean},
};

fn drive() -> Drive {
    used(Kind::Sata)
}

fn state(drive: &mut Drive) -> State {
    super::state(drive).expect("asked").expect("an ATA drive")
}

fn commands(drive: &Drive) -> Vec<u8> {
    drive.journal.iter().map(|(command, _)| *command).filter(|command| *command != 0xec).collect()
}

#[test]
fn every_sanitize_runs_in_the_background_and_tells_how_far_it_is() {
    for how in [Sanitize::Crypto, Sanitize::Block, Sanitize::Overwrite] {
        let mut drive = drive().slow(4);
        let _ = sanitize(&mut drive, how).expect("begun");
        for quarter in 1..4 {
            let done = Some(Fraction(quarter << 14));
            let erase = SelfErase::AtaSanitize(Sanitize::Crypto);
            assert_eq!(state(&mut drive), State::Erasing { erase, done, estimate: None });
        }
        assert!(matches!(state(&mut drive), State::Done { .. }), "{how:?}");
        assert!(is_clean(&drive), "{how:?}");
    }
}

#[test]
fn what_a_drive_says_in_the_end_leaves_the_command_that_began_it_in_the_record() {
    let begins = "0xb4 feature 0x0011 count 0x0010 lba 0x43727970";
    let mut done = drive();
    let begun = sanitize(&mut done, Sanitize::Crypto).expect("begun");
    while matches!(state(&mut done), State::Erasing { .. }) {}
    let State::Done { answer } = state(&mut done) else { panic!("it is done") };
    let answer = begun.clone().and(answer);
    assert_eq!((&*answer.0["ata"], &answer.0["ata_status"][..18]), (begins, "50 00 count 0x8000"));
    let mut failed = drive();
    failed.found(Sanitizing::Failed);
    let State::Failed { answer } = state(&mut failed) else { panic!("it failed") };
    assert_eq!(begun.and(answer).0["ata"], begins);
}

#[test]
fn a_failed_sanitize_is_told_and_left() {
    let mut drive = drive();
    drive.found(Sanitizing::Failed);
    assert!(matches!(state(&mut drive), State::Failed { .. }));
    let _ = recover(&mut drive).expect("left");
    assert_eq!(state(&mut drive), State::Ready);
}

#[test]
fn a_sanitize_goes_on_through_a_power_cycle() {
    let mut drive = drive();
    drive.faults.power_cut = true;
    let _ = sanitize(&mut drive, Sanitize::Block).expect_err("the power is gone");
    drive.power_on();
    while matches!(state(&mut drive), State::Erasing { .. }) {}
    assert!(matches!(state(&mut drive), State::Done { .. }));
    assert!(is_clean(&drive));
}

#[test]
fn security_erase_leaves_no_password() {
    for how in [SecurityErase::Enhanced, SecurityErase::Normal] {
        let mut drive = drive();
        let answer = security::erase(&mut drive, how).expect("erased");
        assert!(is_clean(&drive));
        assert_eq!(drive.security.password, None);
        assert_eq!((&*answer.0["security_before"], &*answer.0["security_after"]), ("0x0021", "0x0021"));
        assert_eq!(commands(&drive), [0xf1, 0xf3, 0xf4]);
    }
}

#[test]
fn an_erase_that_fails_takes_its_password_away() {
    let mut drive = drive();
    drive.faults.failures = 1;
    let error = security::erase(&mut drive, SecurityErase::Enhanced).expect_err("failed");
    assert_eq!(error.to_string(), "the drive refused SECURITY ERASE UNIT: it aborted the command");
    assert_eq!(drive.security.password, None);
    assert_eq!(commands(&drive), [0xf1, 0xf3, 0xf4, 0xf6]);
}

#[test]
fn an_erase_that_loses_its_power_locks_the_drive_and_the_next_agent_opens_it() {
    let mut drive = drive();
    drive.faults.power_cut = true;
    let error = security::erase(&mut drive, SecurityErase::Enhanced).expect_err("the power is gone");
    assert!(error.to_string().contains("billet's password may still be set on it"), "{error}");
    drive.power_on();
    assert!(matches!(state(&mut drive), State::Locked { .. }));
    let answer = recover(&mut drive).expect("opened").expect("an ATA drive");
    assert_eq!(answer.0["password_removed"], "billet's");
    assert!(!matches!(state(&mut drive), State::Locked { .. }));
    let _ = security::erase(&mut drive, SecurityErase::Enhanced).expect("erased now");
    assert!(is_clean(&drive));
}

#[test]
fn passwords_that_erasing_programs_leave_are_found() {
    for (index, (bytes, name)) in [
        (&b"billet"[..], "billet's"),
        (b"NULL", "\"NULL\""),
        (b"", "32 zero bytes"),
        (b"maas", "\"maas\""),
        (b"p", "\"p\""),
    ]
    .into_iter()
    .enumerate()
    {
        for locked in [true, false] {
            let mut drive = drive();
            drive.security = Security { locked, ..Security::locked_with(bytes) };
            let left_out = if index == 1 { 2 } else { 1 };
            let answer = recover_without(&mut drive, left_out).expect("opened");
            assert_eq!(answer.0["password_removed"], name);
            assert_eq!((drive.security.password, drive.security.locked), (None, false));
        }
    }
}

#[test]
fn an_unknown_password_costs_four_guesses_and_not_the_drive() {
    let mut drive = drive();
    drive.security = Security::locked_with(b"somebody's");
    let error = recover(&mut drive).expect_err("not known");
    assert!(
        error.to_string().contains("a password that is not known is set on it (tried: billet's"),
        "{error}"
    );
    assert_eq!(drive.security.attempts, 1, "the last is left to its owner");
    assert!(!drive.journal.iter().any(|(command, _)| *command == 0xf4));
}

#[test]
fn what_the_drive_would_only_abort_is_refused_by_name() {
    let frozen = Security { frozen: true, ..Security::default() };
    let expired = Security { attempts: 0, ..Security::default() };
    let set = Security { locked: false, ..Security::locked_with(b"x") };
    for (security, words) in [
        (frozen, "its security is frozen, by the firmware of the machine as a rule: power-cycle the drive"),
        (expired, "it was given too many wrong passwords; power-cycle it"),
        (set, "somebody's password is set on it; clear that first"),
    ] {
        let mut drive = drive();
        drive.security = security;
        let error = security::erase(&mut drive, SecurityErase::Normal).expect_err("refused");
        assert!(error.to_string().contains(words), "{error}");
        assert!(commands(&drive).is_empty(), "nothing was sent");
    }
}

#[test]
fn a_drive_without_a_mode_is_not_sent_it() {
    let mut drive = drive();
    drive.security.enhanced = false;
    assert!(matches!(
        security::erase(&mut drive, SecurityErase::Enhanced),
        Err(CommandError::Unsupported { command: "enhanced SECURITY ERASE UNIT" })
    ));
    drive.security.supported = false;
    assert!(matches!(
        security::erase(&mut drive, SecurityErase::Normal),
        Err(CommandError::Unsupported { command: "SECURITY ERASE UNIT" })
    ));
    assert!(commands(&drive).is_empty());
}

#[test]
fn abilities_say_why_a_way_is_not_taken() {
    let read = |drive: &mut Drive, bridge| {
        let abilities = AtaAbilities::read(drive, &bridge).expect("asked");
        let mut notes = Vec::new();
        let erases = abilities.erases(&mut notes);
        (erases.iter().map(|erase| erase.name()).collect::<Vec<_>>(), notes.join("; "))
    };
    let sanitize = ["ata.sanitize.crypto", "ata.sanitize.block", "ata.sanitize.overwrite"];
    let (erases, notes) = read(&mut drive(), Bridge::None);
    assert_eq!(erases[..3], sanitize);
    assert_eq!(erases[3..], ["ata.security-erase.enhanced", "ata.security-erase.normal"]);
    assert_eq!(notes, "");
    let (erases, notes) = read(&mut drive(), Bridge::Usb);
    assert_eq!(
        (erases.as_slice(), &*notes),
        (&sanitize[..], "ATA SECURITY ERASE UNIT is not sent: it is behind USB")
    );
    let mut frozen = drive();
    frozen.security.frozen = true;
    frozen.sanitize_supported = false;
    let (erases, notes) = read(&mut frozen, Bridge::None);
    assert!(erases.is_empty() && notes.starts_with("ATA security is frozen"), "{notes}");
    let (erases, _) = read(&mut used(Kind::Sas), Bridge::None);
    assert!(erases.is_empty(), "no ATA drive");
}

#[test]
fn a_hidden_end_is_seen_shown_and_back_after_a_power_cycle() {
    let mut drive = drive().hiding(2000);
    let abilities = AtaAbilities::read(&mut drive, &Bridge::None).expect("asked");
    assert_eq!(abilities.hidden, Some(Hidden { shown: 2000, native: 2048, made_with: None }));
    let answer = capacity::show_all(&mut drive).expect("shown").expect("something was hidden");
    assert_eq!((&*answer.0["sectors_shown"], &*answer.0["sectors_native"]), ("2000", "2048"));
    assert_eq!(drive.blocks(), 2048);
    assert_eq!(capacity::show_all(&mut drive).expect("asked"), None, "nothing is hidden any more");
    drive.power_on();
    assert_eq!(drive.blocks(), 2000, "the change was not lasting");
}

#[test]
fn a_hidden_end_of_a_newer_drive_is_shown_for_good() {
    let mut drive = drive().hiding(2000);
    drive.amax = true;
    let _ = capacity::show_all(&mut drive).expect("shown").expect("something was hidden");
    drive.power_on();
    assert_eq!(drive.blocks(), 2048);
}

#[test]
fn a_sanitize_that_is_refused_is_refused() {
    let mut drive = drive();
    drive.faults = Faults { refuse_sanitize: true, ..Faults::default() };
    let error = sanitize(&mut drive, Sanitize::Crypto).expect_err("refused");
    assert!(
        error.to_string().starts_with("the drive refused SANITIZE DEVICE: it aborted the command"),
        "{error}"
    );
    assert_eq!(error.answer().0["sense"], "b/00/00");
    assert!(error.answer().0["ata"].starts_with("0xb4 feature 0x0011 count 0x0010 lba 0x43727970"));
}
