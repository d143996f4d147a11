//! What the operator asked for.

mod request;

use std::time::Duration;

use model::Bytes;
pub use request::{FIELDS, Opal, PolicyError, Request};
use serde::Serialize;

use crate::Level;

/// What is to be gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// No byte of the old tenant may be readable through the device.
    Full,
    /// Partition tables and signatures.
    Metadata,
}

/// How much is read back after a full erase. Metadata is always read back whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verify {
    /// Some 5,000 blocks, stratified: finds a leftover of 0.1 % with 99 %.
    Sample,
    /// Every block.
    Full,
}

/// What to do with a disk that refuses writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadOnly {
    /// Fail (Ironic's default).
    Refuse,
    /// Leave it alone and record so (`agent_erase_skip_read_only`).
    Skip,
}

/// What the operator asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What is to be gone.
    pub mode: Mode,
    /// The least a full erase must be worth.
    pub min_level: Level,
    /// Whether a drive's own erase may be used at all.
    pub device_erase: bool,
    /// Whether NVMe drives may erase themselves (`agent_enable_nvme_secure_erase`).
    pub nvme_erase: bool,
    /// Whether ATA drives may (`agent_enable_ata_secure_erase`).
    pub ata_erase: bool,
    /// Whether a failed erase by the drive may be followed by overwriting, or by
    /// one of a lower level (`agent_continue_if_secure_erase_failed`).
    pub allow_fallback: bool,
    /// Passes over every block when overwriting: all but the last are random.
    pub passes: u8,
    /// How much is read back.
    pub verify: Verify,
    /// What to do with a disk that refuses writes.
    pub read_only: ReadOnly,
    /// Erase a disk that somebody else may reach too.
    pub force_shared: bool,
    /// Erase cluster file systems (`wipe_special_filesystems`).
    pub force_cluster: bool,
    /// The longest one disk may take, all attempts together.
    pub max_time: Option<Duration>,
    /// The most that is written in a second, to all disks together: whoever executes
    /// the plans shares one [`RateLimit`](crate::RateLimit) among them.
    pub rate_limit: Option<Bytes>,
}

impl Policy {
    /// A full erase: the drive's own where it has one, else zeros; clear at least; sampled.
    pub const FULL: Policy = Policy {
        mode: Mode::Full,
        min_level: Level::Clear,
        device_erase: true,
        nvme_erase: true,
        ata_erase: true,
        allow_fallback: false,
        passes: 1,
        verify: Verify::Sample,
        read_only: ReadOnly::Refuse,
        force_shared: false,
        force_cluster: false,
        max_time: None,
        rate_limit: None,
    };
    /// Partition tables and signatures only.
    pub const METADATA: Policy = Policy { mode: Mode::Metadata, min_level: Level::None, ..Self::FULL };
}
