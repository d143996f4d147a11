//! How far an overwrite is, kept on the disk itself, so that one that was cut
//! off goes on instead of beginning anew, and any agent sees that it was.
//!
//! A marker makes an erase shorter, so it is believed only when nobody but the
//! erase itself can have written it (ADR 15): its HMAC is made with a key that a
//! tenant never sees, over the operation, this very disk and how it is erased.
//! Whatever it says, canaries stand in all that is still to be written, and the
//! sample is drawn from the whole disk.

use std::ops::Range;

use disk::{Buffer, Target};
use model::{Bytes, Secret};
use sha2::{Digest as _, Sha256};

use crate::{Method, Subject};

/// Where it is: eight blocks from the start, in nobody's partition.
const BLOCK: u64 = 8;
/// How long it is, on disks of smaller blocks.
const LENGTH: u64 = 4096;
/// What a disk in the middle of an overwrite begins its marker with.
const MAGIC: &[u8; 16] = b"billet-erase\0\0\0\x01";
/// Smaller disks are overwritten in the time that marking takes.
const SMALLEST: u64 = 64 << 20;
/// An overwrite goes on this much before the mark: a drive may have lost the
/// last writes that it confirmed.
const BACK: u64 = 1 << 30;
/// An overwrite goes on at a multiple of this.
const STEP: u64 = 1 << 20;
/// Fewer characters could be guessed.
const KEY_LENGTH: usize = 32;
const MAC_LENGTH: usize = 32;
/// Magic, method, pass, place.
const SAID: usize = 64;

/// What makes an overwrite resumable: the name of one cleaning and a key that
/// belongs to it.
///
/// Whoever gives the same journal again says: between then and now the disk was
/// nobody's. So the key is made anew for every cleaning, kept outside the
/// machine or in its memory, and forgotten when the cleaning ends in any way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Journal {
    operation: String,
    key: Secret,
}

/// A journal's key that is too short to be random.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the key of an erasure's journal has fewer than {KEY_LENGTH} characters; make it from random numbers"
)]
pub struct WeakKey;

impl Journal {
    /// For the cleaning called `operation`.
    ///
    /// # Errors
    /// [`WeakKey`] when the key could be guessed.
    pub fn new(operation: impl Into<String>, key: Secret) -> Result<Self, WeakKey> {
        if key.expose().len() < KEY_LENGTH {
            return Err(WeakKey);
        }
        Ok(Self { operation: operation.into(), key })
    }

    /// For one that nobody will go on with: it is only seen that there was one.
    ///
    /// # Errors
    /// When the kernel gives no random numbers.
    pub(crate) fn of_nobody() -> Result<Self, getrandom::Error> {
        let mut key = String::new();
        for _ in 0..4 {
            key += &format!("{:016x}", getrandom::u64()?);
        }
        Ok(Self { operation: String::new(), key: Secret::new(key) })
    }
}

/// How far an overwrite is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    /// What overwrites.
    pub(crate) method: Method,
    /// The passes before this one are complete.
    pub(crate) pass: u8,
    /// In this pass everything before this place is on the medium.
    pub(crate) before: u64,
}

impl Mark {
    /// True when nothing would be saved.
    pub(crate) fn is_at_the_start(self) -> bool {
        self.pass == 0 && self.before == 0
    }
}

/// What stands in the place of the marker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trace {
    /// No marker.
    None,
    /// A marker that is not of this journal, disk and policy, or is damaged.
    Foreign,
    /// This erasure's own, some way back.
    Own(Mark),
}

/// The marker of one disk.
#[derive(Debug)]
pub(crate) struct Marker {
    journal: Journal,
    /// The disk, and how it is erased.
    about: Vec<u8>,
    place: Range<u64>,
    passes: u8,
    size: u64,
    /// [`BACK`], but for tests.
    pub(crate) back: u64,
}

impl Marker {
    /// None for a disk that is not worth it.
    pub(crate) fn new(journal: Journal, subject: &Subject, passes: u8) -> Option<Self> {
        let (disk, block) = (&subject.disk, subject.disk.logical_block.get());
        let at = BLOCK * block;
        let place = at..at + LENGTH.max(block);
        let mut about = Vec::new();
        let wwn = disk.wwn.as_ref().map(|wwn| wwn.with_extension.as_ref().unwrap_or(&wwn.id));
        for part in [Some(&journal.operation), disk.model.as_ref(), disk.serial.as_ref(), wwn] {
            let part = part.map_or("", String::as_str);
            // With its length before it, so that no two lists of parts look the same.
            about.extend((part.len() as u64).to_le_bytes());
            about.extend(part.as_bytes());
        }
        about.extend(disk.size.0.to_le_bytes());
        about.extend(block.to_le_bytes());
        about.push(passes);
        (disk.size.0 >= SMALLEST).then_some(Self {
            journal,
            about,
            place,
            passes,
            size: disk.size.0,
            back: BACK,
        })
    }

    /// Bytes that it takes.
    pub(crate) fn place(&self) -> Range<u64> {
        self.place.clone()
    }

    /// What an earlier agent left. What cannot be read is not there.
    pub(crate) fn look(&self, disk: &impl Target) -> Trace {
        let mut bytes = self.buffer();
        if disk.read_at(Bytes(self.place.start), &mut bytes).is_err() || !bytes.starts_with(MAGIC) {
            return Trace::None;
        }
        let (said, rest) = bytes.split_at(SAID);
        match self.mark(said) {
            Some(mark) if rest[..MAC_LENGTH] == self.mac(said) => Trace::Own(mark),
            Some(_) | None => Trace::Foreign,
        }
    }

    /// `said`, unless it makes no sense for this disk.
    fn mark(&self, said: &[u8]) -> Option<Mark> {
        let method = match said[16] {
            1 => Method::ZeroOut,
            2 => Method::Overwrite,
            _ => return None,
        };
        let before = u64::from_le_bytes(said[24..32].try_into().ok()?);
        let safe = before.saturating_sub(self.back) / STEP * STEP;
        let mark = Mark { method, pass: said[17], before: safe };
        (mark.pass < self.passes && before <= self.size).then_some(mark)
    }

    /// The marker that says `mark`; none for a method that needs none.
    pub(crate) fn encode(&self, mark: Mark) -> Option<Buffer> {
        let method = match mark.method {
            Method::ZeroOut => 1,
            Method::Overwrite => 2,
            Method::ByDrive(_) | Method::Metadata => return None,
        };
        let mut bytes = self.buffer();
        bytes[..16].copy_from_slice(MAGIC);
        (bytes[16], bytes[17]) = (method, mark.pass);
        bytes[24..32].copy_from_slice(&mark.before.to_le_bytes());
        let mac = self.mac(&bytes[..SAID]);
        bytes[SAID..][..MAC_LENGTH].copy_from_slice(&mac);
        Some(bytes)
    }

    fn buffer(&self) -> Buffer {
        let length = self.place.end - self.place.start;
        Buffer::zeroed(usize::try_from(length).expect("INVARIANT: a block of a disk fits in memory"))
    }

    fn mac(&self, said: &[u8]) -> [u8; MAC_LENGTH] {
        hmac(self.journal.key.expose().as_bytes(), &[&self.about, said])
    }
}

/// HMAC-SHA-256 (RFC 2104).
fn hmac(key: &[u8], parts: &[&[u8]]) -> [u8; MAC_LENGTH] {
    let mut block = [0_u8; 64];
    if key.len() > block.len() {
        block[..MAC_LENGTH].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let mut inner = Sha256::new();
    inner.update(block.map(|byte| byte ^ 0x36));
    parts.iter().for_each(|part| inner.update(part));
    let mut outer = Sha256::new();
    outer.update(block.map(|byte| byte ^ 0x5c));
    outer.update(inner.finalize());
    outer.finalize().into()
}

#[cfg(test)]
mod tests {
    use disk::FakeDisk;

    use super::*;
    use crate::plan::tests::subject;

    const MARK: Mark = Mark { method: Method::Overwrite, pass: 1, before: 40 << 20 };

    fn journal(operation: &str, key: &str) -> Journal {
        Journal::new(operation, Secret::new(key.repeat(KEY_LENGTH))).expect("long enough")
    }

    fn marker(journal: Journal, change: impl FnOnce(&mut Subject)) -> Marker {
        let mut subject = subject("sda");
        change(&mut subject);
        Marker { back: 0, ..Marker::new(journal, &subject, 2).expect("large enough") }
    }

    fn own() -> Marker {
        marker(journal("op", "k"), |_| ())
    }

    fn marked() -> FakeDisk {
        let block = 512.try_into().expect("a block size");
        let disk = FakeDisk::filled(0xaa, Bytes(64 << 20), block);
        let bytes = own().encode(MARK).expect("an overwrite has one");
        disk.write_at(Bytes(own().place().start), &bytes).expect("written");
        disk
    }

    #[test]
    fn hmac_is_that_of_rfc_4231() {
        let hex = |mac: [u8; 32]| mac.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        assert_eq!(
            hex(hmac(b"Jefe", &[b"what do ya want ", b"for nothing?"])),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
        assert_eq!(
            hex(hmac(&[0xaa; 131], &[b"Test Using Larger Than Block-Size Key - Hash Key First"])),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn only_the_same_cleaning_of_the_same_disk_in_the_same_way_is_gone_on_with() {
        let disk = marked();
        assert_eq!(own().look(&disk), Trace::Own(MARK));
        let others: [(&str, Marker); 6] = [
            ("another operation", marker(journal("op2", "k"), |_| ())),
            ("another key", marker(journal("op", "l"), |_| ())),
            ("another serial number", marker(journal("op", "k"), |s| s.disk.serial = Some("other".into()))),
            ("another model", marker(journal("op", "k"), |s| s.disk.model = Some("other".into()))),
            ("another size", marker(journal("op", "k"), |s| s.disk.size = Bytes(65 << 20))),
            ("nobody's", marker(Journal::of_nobody().expect("random numbers"), |_| ())),
        ];
        for (what, other) in others {
            assert_eq!(other.look(&disk), Trace::Foreign, "{what}");
        }
        let three = Marker::new(journal("op", "k"), &subject("sda"), 3).expect("large enough");
        assert_eq!(three.look(&disk), Trace::Foreign, "more passes");
    }

    #[test]
    fn a_marker_with_any_byte_changed_is_not_believed() {
        let mut disk = marked();
        for at in 4096..4096 + SAID + MAC_LENGTH {
            disk.bytes_mut()[at] ^= 1;
            assert!(!matches!(own().look(&disk), Trace::Own(_)), "byte {at}");
            disk.bytes_mut()[at] ^= 1;
        }
        assert_eq!(own().look(&disk), Trace::Own(MARK));
        disk.unreadable = 4096..4097;
        assert_eq!(own().look(&disk), Trace::None);
    }

    #[test]
    fn a_key_that_could_be_guessed_makes_no_journal() {
        assert_eq!(Journal::new("op", Secret::new("")), Err(WeakKey));
        assert_eq!(Journal::new("op", Secret::new("k".repeat(31))), Err(WeakKey));
    }

    #[test]
    fn a_mark_is_gone_back_from() {
        let large = |back| {
            let marker = marker(journal("op", "k"), |s| s.disk.size = Bytes(1 << 40));
            Marker { back, ..marker }
        };
        for (before, want) in [(BACK - 1, 0), (BACK + (5 << 20) + 512, 5 << 20), (1 << 40, (1 << 40) - BACK)]
        {
            let bytes = large(0).encode(Mark { before, ..MARK }).expect("an overwrite has one");
            let disk = marked();
            disk.write_at(Bytes(4096), &bytes).expect("written");
            assert_eq!(large(BACK).look(&disk), Trace::Own(Mark { before: want, ..MARK }));
        }
    }

    #[test]
    fn small_disks_and_drives_that_erase_themselves_have_none() {
        let mut small = subject("sda");
        small.disk.size = Bytes(SMALLEST - 512);
        assert!(Marker::new(journal("op", "k"), &small, 1).is_none());
        assert!(own().encode(Mark { method: Method::Metadata, ..MARK }).is_none());
    }
}
