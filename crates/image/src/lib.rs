//! A disk image onto a disk: one pass, bounded memory, bootable only when proven.
//!
//! source ─▶ digest tap ─▶ decompress ─▶ decode ─▶ extents ─▶ [`stage`] ─▶ [`Staged`]
//!     ─▶ [`verify`](Staged::verify) ─▶ [`Verified`] ─▶ [`commit`](Verified::commit) ─▶ [`Report`]
//!
//! [`install`] does all of it. The first mebibyte and the last one, where
//! partition tables and boot code live, are zero from the first write on and
//! get their content last, when everything else has been read back.

mod budget;
mod commit;
pub mod configdrive;
mod decode;
mod decompress;
mod extent;
mod format;
mod install;
mod lanes;
mod look;
pub mod manifest;
mod meter;
mod outlet;
mod pipeline;
mod readback;
mod report;
mod sectors;
mod source;
mod stage;
mod tap;
mod writer;

pub use commit::{CommitError, Verified};
pub use decode::{DecodeError, Flaw, Spill};
pub use decompress::{DECODER_MEMORY, DecompressError};
pub use format::{Compression, Declared, Format, FormatError, Formats, ParseFormatError};
pub use install::{Options, install};
pub use look::{Look, look};
pub use meter::{Part, PartTime, Utilisation};
pub use pipeline::measure;
pub use report::{Progress, Report, Stage};
pub use source::{FileSource, MemorySource, PipeSource, ReadAt, Source};
pub use stage::{Staged, Verify, WriteError, stage};
