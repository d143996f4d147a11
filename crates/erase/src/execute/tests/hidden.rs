//! Drives that hide sectors: a tenant's data may be there too.

use super::*;
use crate::{AtaAbilities, Hidden, RateLimit, Throttled};

/// A disk of 64 MiB that shows 48.
struct Shy {
    disk: FakeDisk,
    shows: Bytes,
    refuses: bool,
}

const SHOWN: u64 = 48 * MIB;

fn shy(refuses: bool) -> Shy {
    Shy { disk: used(64 * MIB), shows: Bytes(SHOWN), refuses }
}

impl Target for Shy {
    fn size(&self) -> Bytes {
        self.shows
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

impl Drive for Shy {
    fn state(&mut self) -> Result<State, CommandError> {
        Ok(State::Ready)
    }
    fn begin(&mut self, erase: SelfErase) -> Result<Answer, CommandError> {
        Err(CommandError::Unsupported { command: erase.name() })
    }
    fn recover(&mut self) -> Result<Answer, CommandError> {
        Err(CommandError::Unsupported { command: "recovery" })
    }
    fn restore_size(&mut self) -> Result<Option<Answer>, CommandError> {
        if self.refuses {
            let (reason, answer) = ("frozen".to_owned(), Answer::default());
            return Err(CommandError::Refused { command: "SET MAX ADDRESS EXT", reason, answer });
        }
        if self.shows == self.disk.size() {
            return Ok(None);
        }
        self.shows = self.disk.size();
        Ok(Some(Answer::default().with("sectors_native", self.shows.0 / 512)))
    }
    fn reread_partitions(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A [`Shy`] one on a kernel that keeps to the size it knows.
struct Stuck(Shy);

impl Target for Stuck {
    fn size(&self) -> Bytes {
        self.0.size()
    }
    fn block(&self) -> BlockSize {
        self.0.block()
    }
    fn write_at(&self, offset: Bytes, data: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, data)
    }
    fn zero_at(&self, offset: Bytes, length: Bytes) -> io::Result<()> {
        self.0.zero_at(offset, length)
    }
    fn read_at(&self, offset: Bytes, into: &mut [u8]) -> io::Result<()> {
        self.0.read_at(offset, into)
    }
    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
}

impl Drive for Stuck {
    fn state(&mut self) -> Result<State, CommandError> {
        self.0.state()
    }
    fn begin(&mut self, erase: SelfErase) -> Result<Answer, CommandError> {
        self.0.begin(erase)
    }
    fn recover(&mut self) -> Result<Answer, CommandError> {
        self.0.recover()
    }
    fn restore_size(&mut self) -> Result<Option<Answer>, CommandError> {
        Err(CommandError::Kernel { command: "a larger size", err: io::Error::other("as before") })
    }
    fn reread_partitions(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn hiding(native: u64, made_with: Option<u64>) -> Abilities {
    let hidden = Some(Hidden { shown: SHOWN / 512, native: native / 512, made_with });
    Abilities { ata: AtaAbilities { hidden, ..AtaAbilities::default() }, ..Abilities::default() }
}

#[test]
fn what_a_drive_hides_is_shown_and_erased_too() {
    let mut drive = shy(false);
    let erased = run(&mut drive, hiding(64 * MIB, None), Policy::FULL).expect("erased");
    assert!(drive.disk.bytes().iter().all(|&byte| byte == 0), "the hidden sectors too");
    assert_eq!(erased.subject.disk.size, Bytes(64 * MIB));
    let notes = erased.notes.join("; ");
    assert!(notes.contains("hides 32768 sectors") && notes.contains("shows all"), "{notes}");
    let device = &erased.certificate(&Context::default())["device"];
    assert_eq!(
        (&device["bytes"], &device["native_bytes"], &device["hpa"], &device["dco"]),
        (&(64 * MIB).into(), &(64 * MIB).into(), &true.into(), &serde_json::Value::Null)
    );
}

/// The agent wraps every drive so: what it does not hand on does not happen.
#[test]
fn a_rate_limit_stands_in_no_drives_way() {
    let limit = RateLimit::new(Bytes(1 << 40));
    let mut drive = Throttled::new(shy(false), Some(&limit));
    let _ = run(&mut drive, hiding(64 * MIB, None), Policy::FULL).expect("erased");
    assert_eq!(drive.size(), Bytes(64 * MIB));
}

#[test]
fn a_drive_that_goes_on_hiding_is_not_erased_at_all() {
    let mut drive = shy(true);
    let error = run(&mut drive, hiding(64 * MIB, None), Policy::FULL).expect_err("frozen");
    assert!(told(&error).is_empty(), "nothing was tried: {error:?}");
    assert!(drive.disk.bytes().iter().any(|&byte| byte != 0));
}

#[test]
fn an_overlay_is_recorded_and_metadata_asks_for_nothing() {
    let mut drive = shy(true);
    let overlaid = hiding(SHOWN, Some(64 * MIB / 512));
    let erased = run(&mut drive, overlaid, Policy::FULL).expect("what is shown");
    assert!(
        erased.notes.join("; ").contains("32768 sectors behind a configuration overlay"),
        "{:?}",
        erased.notes
    );
    assert_eq!(erased.certificate(&Context::default())["device"]["dco"], 64 * MIB);
    let mut drive = shy(true);
    let _ = run(&mut drive, hiding(64 * MIB, None), Policy::METADATA).expect("no sector but the tables");
}

/// A drive that was locked, or erased itself, when it was asked what it hides says nothing.
#[test]
fn what_nobody_knew_to_be_hidden_is_looked_for_before_a_disk_is_called_clean() {
    let error = run(&mut shy(false), Abilities::default(), Policy::FULL).expect_err("16 MiB are left");
    assert!(format!("{error:?}").contains("sectors_native"), "{error:?}");
    let mut drive = shy(true);
    let _ = run(&mut drive, Abilities::default(), Policy::FULL).expect("it answers no such question");
    // The drive shows all of itself, and the kernel does not see it.
    let error = run(&mut Stuck(shy(false)), Abilities::default(), Policy::FULL).expect_err("not known");
    assert!(format!("{error:?}").contains("a larger size"), "{error:?}");
    let _ = run(&mut shy(false), Abilities::default(), Policy::METADATA).expect("the tables only");
}

#[test]
fn a_drive_that_shows_only_a_part_of_what_it_hides_is_not_erased() {
    let error = run(&mut shy(false), hiding(80 * MIB, None), Policy::FULL).expect_err("16 MiB are missing");
    assert!(told(&error).is_empty(), "nothing was tried: {error:?}");
}
