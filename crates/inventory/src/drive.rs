//! Drives that are asked: identity where sysfs has none, health, ways to erase.
//!
//! ```text
//! /dev/sda ──question──▶ bytes, kept as kernel/block/sda/… ──▶ parsed alike here and in a recording
//! ```
//!
//! A question is one command of a drive that changes nothing and takes
//! milliseconds. A drive that lets one time out is asked nothing more, and all of
//! them together have [`PATIENCE`]. A drive that another program holds for itself is
//! not disturbed: it may be in the middle of an erase that must not be cut off.

pub(crate) mod ata;
mod log;
mod nvme;
mod open;
mod scsi;

use std::{
    cell::{Cell, OnceCell},
    fs::File,
    io,
    time::{Duration, Instant},
};

use model::inventory::{AtaSecurity, Health};

pub(crate) use self::{open::open, scsi::vital_product_data};
use crate::reader::Reader;

/// How long one answer may take.
const TIMEOUT_MS: u32 = 5000;
/// How long drives that do not answer may hold up one scan.
const PATIENCE: Duration = Duration::from_secs(30);

/// "Link has been severed": how a drive that is gone is told from one that has no such thing.
const ENOLINK: i32 = 67;

/// How much of [`PATIENCE`] is left, and whether the caller holds the drives itself.
pub(crate) struct Patience {
    left: Cell<Duration>,
    held: bool,
}

impl Patience {
    pub(crate) fn new(held: bool) -> Self {
        Self { left: Cell::new(PATIENCE), held }
    }
}

/// What drives tell when they are asked about more than their names.
#[derive(Default)]
pub(crate) struct Told {
    pub(crate) health: Option<Health>,
    /// Names of erases, best first.
    pub(crate) erase: Vec<String>,
    pub(crate) security: Option<AtaSecurity>,
}

/// One drive to ask.
pub(crate) struct Drive<'a> {
    pub(crate) reader: &'a Reader<'a>,
    name: &'a str,
    patience: &'a Patience,
    /// Opened with the first question; `None` when that failed.
    node: OnceCell<Option<File>>,
    silent: Cell<bool>,
}

impl<'a> Drive<'a> {
    pub(crate) fn new(reader: &'a Reader<'a>, name: &'a str, patience: &'a Patience) -> Self {
        Self { reader, name, patience, node: OnceCell::new(), silent: Cell::new(false) }
    }

    /// The answer to `question`, which is called `label` in a recording.
    fn ask(&self, label: &str, question: &dyn Fn(&File) -> io::Result<Vec<u8>>) -> Option<Vec<u8>> {
        let path = format!("kernel/block/{}/{label}", self.name);
        if !self.reader.is_live() {
            return self.reader.ask(&path, &|| Err(io::ErrorKind::NotFound.into()));
        }
        if self.silent.get() {
            return None;
        }
        if self.patience.left.get().is_zero() {
            self.warn("was not asked: other drives took too long");
            return None;
        }
        // Opening waits too, while the kernel tries to bring a drive back.
        let begun = Instant::now();
        let node = self.node.get_or_init(|| self.open()).as_ref();
        let question = |node: &File| {
            let answer = question(node);
            let gone = answer.as_ref().is_err_and(|err| err.raw_os_error() == Some(ENOLINK));
            self.silent.set(self.silent.get() || gone);
            answer
        };
        let answer = node.and_then(|node| self.reader.ask(&path, &|| question(node)));
        let taken = begun.elapsed();
        if taken >= Duration::from_millis(TIMEOUT_MS.into()) {
            self.warn("takes too long to answer, and was asked nothing more");
            self.silent.set(true);
            self.patience.left.set(self.patience.left.get().saturating_sub(taken));
        }
        answer
    }

    fn warn(&self, reason: impl ToString) {
        self.reader.warn(format!("kernel/block/{}", self.name), reason);
    }

    fn open(&self) -> Option<File> {
        match open::open(self.name, self.patience.held) {
            Ok(file) => Some(file),
            // A device without a medium, or gone since: sysfs says what it was.
            Err(err)
                if err.kind() == io::ErrorKind::NotFound || err.raw_os_error() == Some(open::ENOMEDIUM) =>
            {
                None
            }
            Err(err) => {
                self.warn(format_args!("was not asked: {err}"));
                None
            }
        }
    }

    /// Health and erases, by the commands it takes.
    pub(crate) fn ask_all(&self, kind: Kind) -> Told {
        match kind {
            Kind::Nvme => nvme::ask(self),
            Kind::Ata => ata::ask(self),
            Kind::Scsi => scsi::ask(self),
            Kind::Other => Told::default(),
        }
    }
}

/// The commands a drive takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// NVMe's.
    Nvme,
    /// ATA's, behind whatever passes them on.
    Ata,
    /// SCSI's.
    Scsi,
    /// None that are known: virtual disks, memory cards, maps.
    Other,
}

/// `TCG` Opal, where the kernel knows it for this drive.
fn has_opal(drive: &Drive<'_>) -> bool {
    let question =
        |node: &File| sys::opal::flags(node).map(|flags| flags.to_le_bytes().to_vec()).map_err(is_absent);
    let flags =
        drive.ask("opal", &question).and_then(|flags| Some(u32::from_le_bytes(*flags.first_chunk()?)));
    flags.is_some_and(|flags| sys::opal::Status::of_flags(flags).supported)
}

/// The answers of drivers that do not know an ioctl, as absence.
fn is_absent(err: io::Error) -> io::Error {
    const NO_SUCH_IOCTL: [i32; 3] = [25 /* ENOTTY */, 22 /* EINVAL */, 524 /* ENOTSUPP */];
    match err.raw_os_error() {
        Some(errno) if NO_SUCH_IOCTL.contains(&errno) => io::ErrorKind::NotFound.into(),
        Some(_) | None => err,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Root;

    fn silent(_: &File) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::NotFound.into())
    }

    #[test]
    fn a_drive_that_is_not_there_says_nothing_and_is_no_warning() {
        let root = Root::live();
        let reader = Reader::new(&root);
        let patience = Patience::new(false);
        let drive = Drive::new(&reader, "no-such-drive", &patience);
        assert_eq!(drive.ask("anything", &silent), None);
        assert!(reader.warnings().is_empty(), "{:?}", reader.warnings());
    }

    #[test]
    fn a_drive_that_is_gone_is_asked_once_and_said_once() {
        let root = Root::live();
        let reader = Reader::new(&root);
        let patience = Patience::new(false);
        let drive = Drive::new(&reader, "no-such-drive", &patience);
        let _ = drive.node.set(File::open("/dev/null").ok());
        let gone = |_: &File| Err(io::Error::from_raw_os_error(ENOLINK));
        assert_eq!((drive.ask("one", &gone), drive.ask("two", &gone)), (None, None));
        let told = reader.warnings();
        assert!(told.len() == 1 && told[0].reason.contains("severed"), "{told:?}");
    }

    #[test]
    fn drives_are_asked_as_long_as_patience_lasts() {
        let root = Root::live();
        let reader = Reader::new(&root);
        let patience = Patience::new(false);
        let asked = Cell::new(0);
        let question = |_: &File| {
            asked.set(asked.get() + 1);
            Ok(vec![1])
        };
        let ask = |silent: bool| {
            let drive = Drive::new(&reader, "no-such-drive", &patience);
            let _ = drive.node.set(File::open("/dev/null").ok());
            drive.silent.set(silent);
            drive.ask("anything", &question)
        };
        assert_eq!((ask(false), ask(true), asked.get()), (Some(vec![1]), None, 1));
        assert!(reader.warnings().is_empty(), "{:?}", reader.warnings());
        patience.left.set(Duration::ZERO);
        assert_eq!((ask(false), ask(false), asked.get()), (None, None, 1));
        let told: Vec<_> = reader.warnings().into_iter().map(|warning| warning.reason).collect();
        assert_eq!(told, ["was not asked: other drives took too long"], "its name may be lacking now");
    }
}
