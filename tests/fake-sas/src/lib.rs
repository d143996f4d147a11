//! A SATA or SAS drive that erases itself, and misbehaves as told.
//!
//! ```text
//! command ──▶ Drive::execute ──▶ Answer        the drive: pure, no kernel, time passes by being asked
//!                  ▲
//! /dev/sdX ─ sd ─ tcm_loop ─ TCMU ─ Attached   the same drive behind the kernel's own disk driver, as root
//! ```
//!
//! It follows the same documents as `crates/erase` and shares no line with it: ACS-4
//! for ATA, SAT-4 for ATA commands in SCSI ones, SPC-5 and SBC-4 for SCSI.

mod ata;
mod attach;
mod drive;
mod identify;
mod media;
mod ring;
mod sanitize;
mod sas;
mod security;
mod sense;

pub use attach::{AttachError, Attached};
pub use drive::{Answer, Drive, Kind};
pub use media::Media;
pub use sanitize::Sanitizing;
pub use security::{PASSWORD_LENGTH, Security};

/// Everything the drive does wrong. The default does nothing wrong.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Erases answer as they should and change nothing.
    pub lie: bool,
    /// So many erases fail, from the next one on.
    pub failures: u32,
    /// A sanitize stays at this progress, in 65,536ths.
    pub stall_at: Option<u16>,
    /// The power goes in the middle of the next erase.
    pub power_cut: bool,
    /// A sanitize command takes this service action or feature for illegal.
    pub refuse_sanitize: bool,
    /// Reads of these blocks fail as unreadable medium.
    pub unreadable: Vec<u64>,
    /// Writes of these blocks fail.
    pub unwritable: Vec<u64>,
}
