//! What this machine is made of: sysfs, procfs, SMBIOS and a few answers of the
//! kernel, read and never guessed.
//!
//! Root (/ or a recorded tree) ──[`scan`]──▶ `model::inventory::Inventory`
//!                             └─[`record`]─▶ the files `scan` read, for replaying elsewhere
//!
//! Neither fails: what is missing or odd becomes an absent field and a warning
//! with its path. Every read, list and chain of links has a limit ([`limits`]).

mod bmc;
mod boot;
mod by_path;
mod cpu;
mod disks;
mod drive;
mod identity;
mod kernel;
pub mod limits;
pub mod lldp;
mod machine;
mod memory;
mod nics;
mod numa;
mod pci;
mod placeholder;
mod platform;
mod reader;
mod record;
mod recording;
mod root;
mod signatures;
pub mod smbios;
mod tpm;
mod usb;

use std::path::PathBuf;

use model::inventory::Inventory;

pub use platform::without_secrets;
pub use record::{Identifiers, RecordError, record, record_archive};
pub use recording::{ParseRecordingError, archive::UnpackError};
pub use root::{OpenRecordingError, Root};

use reader::Reader;

/// What the caller knows and what it allows.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// When not empty: exactly these disks exist, loop devices among them, and
    /// everything else is not even looked at.
    pub only_disks: Vec<PathBuf>,
    /// The caller holds these disks for itself alone, and nothing runs on them: they may be
    /// asked for their names. Otherwise a disk that somebody holds is not asked.
    pub held: bool,
    /// `BOOTIF` as given to the agent; `None` looks in the kernel command line.
    pub boot_interface: Option<String>,
    /// The name to report; `None` asks the kernel.
    pub hostname: Option<String>,
    /// How far to go.
    pub depth: Depth,
    /// How long to listen to switches. `None` listens to none: half a minute is long. A recorded
    /// machine tells what was heard at once.
    pub lldp: Option<lldp::Patience>,
}

/// How far a scan goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Depth {
    /// Files and the kernel's own tables: milliseconds. What steps need to find a
    /// disk. A drive is spoken to only where its name is in no file (a disk behind
    /// USB, SCSI without pages 80h and 83h), as udev does: a hint means the same
    /// disk at every depth.
    #[default]
    Quick,
    /// Devices are asked too: drives for their health and what is written on
    /// them, the BMC, the TPM. A device that does not answer costs seconds.
    Whole,
}

/// Read the machine below `root`.
#[must_use]
pub fn scan(root: &Root, options: &Options) -> Inventory {
    scan_with(&Reader::new(root), options)
}

/// The device nodes of what counts as a disk and is not in `inventory`, because
/// it does not say how large it is, or says nothing fits on it. Whoever must
/// have dealt with *every* disk has not while this is not empty.
#[must_use]
pub fn left_out(root: &Root, options: &Options, inventory: &Inventory) -> Vec<String> {
    disks::left_out(&Reader::new(root), &options.only_disks, &inventory.disks)
}

fn scan_with(reader: &Reader<'_>, options: &Options) -> Inventory {
    kernel::ask(reader);
    let whole = options.depth == Depth::Whole;
    let mut smbios = smbios::read(reader);
    let numa = numa::read(reader);
    let pci = pci::read(reader);
    let cpu = cpu::read(reader, &numa, &smbios.hardware.sockets);
    let mut inventory = Inventory {
        hostname: options.hostname.clone().unwrap_or_else(|| machine::hostname(reader)),
        system_vendor: machine::system_vendor(reader, &mut smbios),
        hardware: smbios.hardware,
        boot: boot::read(reader, options),
        platform: platform::read(reader, &cpu),
        cpu,
        memory: memory::read(reader, smbios.memory),
        numa,
        disks: disks::read(reader, options),
        nics: nics::read(reader, options.depth),
        usb: usb::read(reader),
        accelerators: pci::accelerators(&pci),
        pci,
        tpm: if whole { tpm::read(reader) } else { None },
        bmc: if whole { bmc::read(reader) } else { None },
        warnings: Vec::new(),
    };
    lldp::read(reader, &mut inventory.nics, options.lldp);
    if whole {
        signatures::read(reader, &mut inventory.disks);
    }
    inventory.warnings = reader.warnings();
    inventory
}
