//! What a drive is like after something failed on it. Kernels answer `ENOSPC`
//! for a drive that was pulled and `ENODATA` for one bad sector: an error number
//! is a question about the device, and it is asked before a cause is named.

use std::{error::Error, fmt, io};

use disk::Buffer;
use model::Bytes;

use crate::Drive;

/// What the drive says when it is asked again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Condition {
    /// There is no such device any more.
    Gone,
    /// It has another size than it had.
    Resized {
        /// The size it was opened with.
        was: Bytes,
        /// The size now.
        is: Bytes,
    },
    /// It is there, and its first block cannot be read.
    Unreadable {
        /// What the kernel answered.
        why: String,
    },
    /// It is there and reads, and does not answer a command.
    Silent {
        /// What came instead.
        why: String,
    },
    /// It is there, as large as it was, and reads and answers.
    Answers,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Condition::Gone => f.write_str("the drive is gone: it was pulled, or its link failed"),
            Condition::Resized { was, is } => write!(f, "the drive was {was} and is now {is}"),
            Condition::Unreadable { why } => {
                write!(f, "the drive is there, and its first block cannot be read: {why}")
            }
            Condition::Silent { why } => write!(f, "the drive is there, and does not answer: {why}"),
            Condition::Answers => f.write_str("the drive answers again, and the fault may have passed"),
        }
    }
}

/// Look at the drive again, if `error` is one that asks for it.
pub(crate) fn look<D: Drive>(drive: &mut D, error: &(dyn Error + 'static)) -> Option<Condition> {
    is_question(error).then(|| condition(drive))
}

/// True when one of the causes is an error number that says less than it seems to.
fn is_question(error: &(dyn Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        let number = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error);
        // EIO, ENXIO, ENODEV, ENOSPC, ENODATA, ETIMEDOUT, EREMOTEIO.
        if matches!(number, Some(5 | 6 | 19 | 28 | 61 | 110 | 121)) {
            return true;
        }
        cause = error.source();
    }
    false
}

fn condition<D: Drive>(drive: &mut D) -> Condition {
    let was = drive.size();
    match drive.size_now() {
        Ok(Some(is)) if is == was => {}
        // A drive that was pulled may leave its node, with nothing behind it.
        Ok(None | Some(Bytes(0))) | Err(_) => return Condition::Gone,
        Ok(Some(is)) => return Condition::Resized { was, is },
    }
    let length = usize::try_from(drive.block().get()).unwrap_or(usize::MAX).min(1 << 20);
    if let Err(err) = drive.read_at(Bytes(0), &mut Buffer::zeroed(length)) {
        return Condition::Unreadable { why: err.to_string() };
    }
    match drive.state() {
        Ok(_) => Condition::Answers,
        Err(error) => Condition::Silent { why: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use disk::{FakeDisk, Target};
    use model::BlockSize;

    use super::*;
    use crate::{Answer, AttemptError, CommandError, SelfErase, State, WipeError};

    /// A drive that is what it is told to be when it is looked at again.
    struct Changed {
        disk: FakeDisk,
        now: Option<Bytes>,
        reads: bool,
        answers: bool,
    }

    impl Changed {
        fn into(now: Option<u64>, reads: bool, answers: bool) -> Self {
            let disk = FakeDisk::filled(0, Bytes(1 << 20), 512.try_into().expect("a block size"));
            Self { disk, now: now.map(Bytes), reads, answers }
        }
    }

    impl Target for Changed {
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
            match self.reads {
                true => self.disk.read_at(offset, into),
                false => Err(io::Error::from_raw_os_error(61)),
            }
        }
        fn sync(&self) -> io::Result<()> {
            self.disk.sync()
        }
    }

    impl Drive for Changed {
        fn state(&mut self) -> Result<State, CommandError> {
            match self.answers {
                true => Ok(State::Ready),
                false => Err(CommandError::Unsupported { command: "TEST UNIT READY" }),
            }
        }
        fn begin(&mut self, erase: SelfErase) -> Result<Answer, CommandError> {
            Err(CommandError::Unsupported { command: erase.name() })
        }
        fn recover(&mut self) -> Result<Answer, CommandError> {
            Err(CommandError::Unsupported { command: "recovery" })
        }
        fn reread_partitions(&mut self) -> io::Result<()> {
            Ok(())
        }
        fn size_now(&mut self) -> io::Result<Option<Bytes>> {
            Ok(self.now)
        }
    }

    fn failed(number: i32) -> AttemptError {
        WipeError::Sync(io::Error::from_raw_os_error(number)).into()
    }

    #[test]
    fn the_drive_is_asked_before_a_cause_is_named() {
        const WHOLE: Option<u64> = Some(1 << 20);
        for (mut drive, want) in [
            (Changed::into(None, true, true), "the drive is gone: it was pulled, or its link failed"),
            (Changed::into(Some(0), true, true), "the drive is gone: it was pulled, or its link failed"),
            (Changed::into(Some(1 << 19), true, true), "the drive was 1.0 MiB and is now 512.0 KiB"),
            (
                Changed::into(WHOLE, false, true),
                "the drive is there, and its first block cannot be read: No data available (os error 61)",
            ),
            (
                Changed::into(WHOLE, true, false),
                "the drive is there, and does not answer: this disk has no TEST UNIT READY",
            ),
            (Changed::into(WHOLE, true, true), "the drive answers again, and the fault may have passed"),
        ] {
            // ENOSPC: what Linux answers when an NVMe drive is pulled in mid-write.
            assert_eq!(look(&mut drive, &failed(28)).expect("asked").to_string(), want);
        }
    }

    #[test]
    fn only_numbers_that_say_too_little_are_questions() {
        let mut drive = Changed::into(None, true, true);
        for number in [5, 6, 19, 28, 61, 110, 121] {
            assert_eq!(look(&mut drive, &failed(number)), Some(Condition::Gone), "{number}");
        }
        for number in [1, 13, 22] {
            assert_eq!(look(&mut drive, &failed(number)), None, "{number}");
        }
    }
}
