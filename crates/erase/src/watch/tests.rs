//! Drives that are slow, stand still, fail, or say nothing.

use std::{collections::VecDeque, io};

use disk::{FakeDisk, Target};
use model::BlockSize;

use super::*;
use crate::{Fraction, Sanitize, time::FakeTime};

const ERASE: SelfErase = SelfErase::NvmeSanitize(Sanitize::Block);

/// A drive that says what it is told to say; the last word over and over.
struct Scripted {
    disk: FakeDisk,
    words: VecDeque<Result<State, ()>>,
    /// It answers that it is busy, instead of not at all.
    busy: bool,
    begun: u32,
    recovered: u32,
}

impl Scripted {
    fn new(words: impl IntoIterator<Item = Result<State, ()>>) -> Self {
        let disk = FakeDisk::filled(0, Bytes(1 << 20), 512.try_into().expect("a block size"));
        Self { disk, words: words.into_iter().collect(), busy: false, begun: 0, recovered: 0 }
    }
}

impl Target for Scripted {
    fn size(&self) -> Bytes {
        self.disk.size()
    }
    fn block(&self) -> BlockSize {
        self.disk.block()
    }
    fn write_at(&self, offset: Bytes, data: &[u8]) -> io::Result<()> {
        self.disk.write_at(offset, data)
    }
    fn zero_at(&self, offset: Bytes, length: Bytes) -> io::Result<()> {
        self.disk.zero_at(offset, length)
    }
    fn read_at(&self, offset: Bytes, into: &mut [u8]) -> io::Result<()> {
        self.disk.read_at(offset, into)
    }
    fn sync(&self) -> io::Result<()> {
        self.disk.sync()
    }
}

impl Drive for Scripted {
    fn state(&mut self) -> Result<State, CommandError> {
        let word = match self.words.len() {
            0 | 1 => self.words.front().cloned().unwrap_or(Ok(State::Ready)),
            _ => self.words.pop_front().unwrap_or(Ok(State::Ready)),
        };
        word.map_err(|()| match self.busy {
            false => CommandError::Kernel { command: "log", err: io::Error::from_raw_os_error(4) },
            true => {
                let (reason, answer) = ("busy".to_owned(), Answer::default());
                CommandError::Refused { command: "log", reason, answer }
            }
        })
    }
    fn begin(&mut self, _: SelfErase) -> Result<Answer, CommandError> {
        self.begun += 1;
        Ok(Answer::default().with("cdw10", "0x2"))
    }
    fn recover(&mut self) -> Result<Answer, CommandError> {
        self.recovered += 1;
        Ok(Answer::default())
    }
    fn reread_partitions(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn at(done: Option<u16>, estimate: Option<u64>) -> Result<State, ()> {
    let estimate = estimate.map(Duration::from_secs);
    Ok(State::Erasing { erase: ERASE, done: done.map(Fraction), estimate })
}

fn done() -> Result<State, ()> {
    Ok(State::Done { answer: Answer::default().with("sstat", "0x1") })
}

fn failed() -> Result<State, ()> {
    Ok(State::Failed { answer: Answer::default().with("sstat", "0x3") })
}

fn erase(drive: &mut Scripted, limit: Option<u64>) -> (Result<Answer, String>, u64, Vec<u64>) {
    let mut said = Answer::default();
    let (outcome, seconds, seen) = erase_saying(drive, limit, &mut said);
    (outcome.map(|()| said), seconds, seen)
}

fn erase_saying(
    drive: &mut Scripted,
    limit: Option<u64>,
    said: &mut Answer,
) -> (Result<(), String>, u64, Vec<u64>) {
    let mut time = FakeTime::default();
    let mut seen = Vec::new();
    let mut progress = |progress: Progress| seen.push(progress.done.0);
    let limit = limit.map(Duration::from_secs);
    let mut watch = Watch { time: &mut time, progress: &mut progress, limit };
    let outcome = watch.erase(drive, ERASE, said).map_err(|error| error.to_string());
    (outcome, time.0.as_secs(), seen)
}

#[test]
fn a_drive_is_watched_to_its_end_and_its_progress_told() {
    let mut drive =
        Scripted::new([at(Some(0), None), at(Some(16_384), None), at(Some(32_768), None), done()]);
    let (outcome, seconds, seen) = erase(&mut drive, None);
    assert_eq!(outcome, Ok(Answer::default().with("cdw10", "0x2").with("sstat", "0x1")));
    assert_eq!((seconds, drive.begun), (3, 1));
    assert_eq!(seen, [0, 0, 1 << 18, 1 << 19, 1 << 20]);
}

#[test]
fn a_drive_that_stands_still_is_given_up_and_left_to_it() {
    let senseless = u64::from(u32::MAX - 1);
    for (estimate, patience) in
        [(None, 600), (Some(10), 600), (Some(3600), 7200), (Some(senseless), 7 * 24 * 3600)]
    {
        let mut drive = Scripted::new([at(Some(655), estimate), at(Some(6554), estimate)]);
        let (outcome, seconds, _) = erase(&mut drive, None);
        let error = outcome.expect_err("it never ends");
        assert!(error.starts_with("the drive made no progress for") && error.contains("10 %"), "{error}");
        assert!((patience..patience + 3).contains(&seconds), "{seconds}");
        assert_eq!((drive.begun, drive.recovered), (1, 0));
    }
}

#[test]
fn a_drive_that_moves_is_given_all_the_time_unless_the_policy_says_otherwise() {
    let slowly = (0..100).flat_map(|step| vec![at(Some(step), None); 500]).chain([done()]);
    let (outcome, seconds, _) = erase(&mut Scripted::new(slowly.clone()), None);
    assert_eq!((outcome.is_ok(), seconds), (true, 50_000));
    let (outcome, seconds, _) = erase(&mut Scripted::new(slowly), Some(1000));
    let error = outcome.expect_err("no more time");
    assert!(error.starts_with("the drive was not done after 1000 s"), "{error}");
    assert_eq!(seconds, 1001);
}

#[test]
fn a_drive_that_fails_is_recovered_and_asked_once_more() {
    let mut drive = Scripted::new([at(Some(1), None), failed(), done()]);
    assert!(erase(&mut drive, None).0.is_ok());
    assert_eq!((drive.begun, drive.recovered), (2, 1));
    let mut drive = Scripted::new([failed()]);
    assert_eq!(erase(&mut drive, None).0, Err("the drive says that its erase failed".to_owned()));
    // The second time so that whatever is tried next finds a drive that reads and writes.
    assert_eq!((drive.begun, drive.recovered), (2, 2));
}

#[test]
fn however_it_ends_the_drive_s_words_are_kept() {
    let begun = || Answer::default().with("cdw10", "0x2");
    let failed_once = |sstat| begun().with("first_try", "failed: sstat 0x3").with("sstat", sstat);
    for (words, want) in [
        (vec![at(Some(1), None)], begun()),
        (vec![Err(())], begun()),
        (vec![done()], begun().with("sstat", "0x1")),
        (vec![failed(), done()], failed_once("0x1")),
        (vec![failed()], failed_once("0x3")),
    ] {
        let mut said = Answer::default();
        let (outcome, ..) = erase_saying(&mut Scripted::new(words), None, &mut said);
        assert_eq!(said, want, "{outcome:?}");
    }
}

#[test]
fn a_short_silence_is_forgiven_and_a_long_one_is_not() {
    let (outcome, seconds, _) = erase(&mut Scripted::new([vec![Err(()); 30], vec![done()]].concat()), None);
    assert_eq!((outcome.is_ok(), seconds), (true, 30));
    let (outcome, _, _) = erase(&mut Scripted::new([Err(())]), None);
    assert_eq!(outcome, Err("the drive did not erase itself".to_owned()));
    let mut busy = Scripted { busy: true, ..Scripted::new([at(Some(1), None), Err(()), done()]) };
    assert!(erase(&mut busy, None).0.is_ok(), "a full queue is no end of an erase");
}
