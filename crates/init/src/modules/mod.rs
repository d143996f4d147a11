//! Drivers: a pack of kernel modules, and loading what the hardware asks for.
//!
//! ```text
//! .ko files ──pack::write──▶ modules.pack ──Pack::open──▶ Pack
//!                                        modalias ─▶ matching ─▶ plan ─▶ load ─▶ kernel
//! ```
//!
//! A guest may have 256 MiB and a set of server drivers unpacks to more than
//! 100 MiB, so modules stay compressed in RAM. The pack is a few solid zstd
//! blocks; the order of modules in it is a valid load order, so loading any set
//! of them in pack order respects every dependency and unpacks each block once.

mod glob;
mod index;
mod load;
mod open;
pub mod pack;

pub use glob::glob_match;
pub(crate) use load::give;
pub use load::{LoadError, Loaded, Loader};
pub use open::{OpenError, Pack};

/// A module's name as the kernel writes it in `/proc/modules`: dashes become
/// underscores.
pub fn canonical(name: &str) -> String {
    name.replace('-', "_")
}

/// The largest number of modules a pack may hold. Debian's whole kernel has about 4000.
pub const MAX_MODULES: usize = 10_000;
/// The largest number of aliases a pack may hold. Debian's whole kernel has about 45 000.
pub const MAX_ALIASES: usize = 200_000;
/// The most bytes the index may unpack to.
pub const MAX_INDEX_BYTES: u32 = 16 << 20;
/// The most bytes one block may unpack to; a module never spans two blocks.
pub const MAX_BLOCK_BYTES: u32 = 64 << 20;
