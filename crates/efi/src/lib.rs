//! UEFI's boot menu: an entry for a loader on a disk, through efivarfs.
//!
//! ```text
//! ESP ──find_loader──▶ Loader ─┐
//! partition table ─▶ HardDrive ┴─add_boot_entry──▶ Boot#### and BootOrder
//! ```
//!
//! The directory is a parameter, so all of it is tested on plain files.

mod boot;
mod device_path;
mod geometry;
mod loader;
mod option;
mod variable;

pub use boot::{AddEntryError, BootEntry, add_boot_entry, boot_entries, remove_boot_entry};
pub use loader::{FindLoaderError, Loader, find_loader};
pub use option::{HardDrive, LoadOption, MalformedOption};
pub use variable::{VariableError, remove_crash_dumps};

/// Where efivarfs is mounted.
pub const EFIVARS: &str = "/sys/firmware/efi/efivars";
