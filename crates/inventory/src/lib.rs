//! What this machine is made of: sysfs, procfs, SMBIOS and a few answers of the
//! kernel, read and never guessed.
//!
//! Root (/ or a recorded tree) ──[`scan`]──▶ `model::inventory::Inventory`
//!                             └─[`record`]─▶ the files `scan` read, for replaying elsewhere
//!
//! Neither fails: what is missing or odd becomes an absent field and a warning
//! with its path. Every read, list and chain of links has a limit ([`limits`]).

mod by_path;
mod cpu;
mod disks;
mod identity;
mod kernel;
pub mod limits;
mod machine;
mod memory;
mod nics;
mod reader;
mod record;
mod recording;
mod root;
mod smbios;

use std::path::PathBuf;

use model::inventory::{Boot, Inventory};

pub use record::{Identifiers, RecordError, record};
pub use recording::ParseRecordingError;
pub use root::{OpenRecordingError, Root};

use reader::Reader;

/// What the caller knows and what it allows.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// When not empty: exactly these disks exist, loop devices among them, and
    /// everything else is not even looked at.
    pub only_disks: Vec<PathBuf>,
    /// `BOOTIF` as given to the agent; `None` looks in the kernel command line.
    pub boot_interface: Option<String>,
    /// The name to report; `None` asks the kernel.
    pub hostname: Option<String>,
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
    let mut inventory = Inventory {
        hostname: options.hostname.clone().unwrap_or_else(|| machine::hostname(reader)),
        system_vendor: machine::system_vendor(reader),
        boot: Boot {
            mode: machine::boot_mode(reader),
            interface: options.boot_interface.clone().or_else(|| machine::boot_interface(reader)),
        },
        cpu: cpu::read(reader),
        memory: memory::read(reader),
        disks: disks::read(reader, &options.only_disks),
        nics: nics::read(reader),
        bmc: None, // in-band IPMI is not read yet; absent, never guessed
        warnings: Vec::new(),
    };
    inventory.warnings = reader.warnings();
    inventory
}
