//! What a write tells while it runs and when it is done.

use model::{Bytes, Digest};

use crate::{Compression, Format, PartTime, Utilisation};

/// What a write is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Reading what the disk holds already.
    Compare,
    /// Reading the source and writing the disk.
    Write,
    /// Reading the disk back.
    Verify,
    /// Making it bootable.
    Commit,
}

impl Stage {
    /// As in logs and progress reports: `compare`, `write`, `verify`, `commit`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Stage::Compare => "compare",
            Stage::Write => "write",
            Stage::Verify => "verify",
            Stage::Commit => "commit",
        }
    }
}

/// How far a write is. Given often; a caller that prints thins it out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What it is doing.
    pub stage: Stage,
    /// Bytes taken from the source.
    pub read: Bytes,
    /// Bytes the source has, when known.
    pub read_total: Option<Bytes>,
    /// Bytes of the image that this stage is done with.
    pub done: Bytes,
    /// Bytes of the image that this stage will do, when known.
    pub total: Option<Bytes>,
    /// How busy each part of the pipeline was of late, and so which one the
    /// others wait for.
    pub utilisation: Utilisation,
}

/// Proof that an image is on a disk. Only [`commit`](crate::Verified::commit)
/// makes one.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Report {
    /// How the image was arranged.
    pub format: Format,
    /// How it was compressed.
    pub compression: Compression,
    /// Bytes taken from the source.
    pub read: Bytes,
    /// The digests of those bytes; each was demanded, and each is right.
    pub digests: Vec<Digest>,
    /// The digest of its content; it was demanded too, and is right.
    pub content: Option<Digest>,
    /// Length of the disk that the image holds.
    pub image_size: Bytes,
    /// Bytes written as they are.
    pub written: Bytes,
    /// Bytes made zero by the device or its driver.
    pub zeroed: Bytes,
    /// Bytes of the image that the disk held already: neither fetched nor written.
    pub skipped: Bytes,
    /// Bytes read back from the disk and found right.
    pub verified: Bytes,
    /// Number of the partition that holds the config drive.
    pub config_drive_partition: Option<u32>,
    /// The sector size that the partition table was made for, when it was rewritten
    /// for the disk's.
    pub rewritten_from: Option<u64>,
    /// What Ironic calls the root uuid of a whole-disk image: the MBR disk id.
    pub disk_id: Option<String>,
    /// Seconds spent in each stage: write, verify, commit. Reading back goes on
    /// while the disk has nothing to write, so that verify is what was left of it.
    pub seconds: [f64; 3],
    /// What each part of the pipeline did in that time.
    pub parts: [PartTime; 5],
    /// How often the source began again.
    pub retries: u32,
    /// Bytes that came more than once because of that; not part of `read`.
    pub refetched: Bytes,
}
