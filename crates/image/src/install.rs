//! All stages in a row.

use disk::Target;
use model::{Bytes, Digest};

use crate::{
    DECODER_MEMORY, Declared, Formats, Progress, Report, Source, Spill, Verify, WriteError, format::Terms,
    stage,
};

/// What is wanted of a write.
#[derive(Clone, Debug)]
pub struct Options {
    /// What the image is said to be.
    pub declared: Declared,
    /// What it may be; [`Formats::DEFAULT`] when nobody says otherwise.
    pub permitted: Formats,
    /// The most that a decompressor may hold of what it has decompressed;
    /// [`DECODER_MEMORY`] when nobody says otherwise.
    pub decoder_memory: Bytes,
    /// Digests of the image as it is downloaded. At least one; all must match.
    pub digests: Vec<Digest>,
    /// The digest of the image with its compression taken off, if that is to be
    /// checked as well.
    pub content: Option<Digest>,
    /// The config drive's file system, from [`configdrive::decode`](crate::configdrive::decode).
    pub config_drive: Option<Vec<u8>>,
    /// How much is read back.
    pub verify: Verify,
    /// Where data is kept that comes before its table, in images that can be
    /// read in order only; without it, a window in memory must do.
    pub spill: Option<Spill>,
    /// Rewrite a partition table that was made for other sectors than the disk
    /// has, where that leaves every partition mountable. Refused otherwise.
    pub rewrite_sectors: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            declared: Declared::AUTO,
            permitted: Formats::DEFAULT,
            decoder_memory: DECODER_MEMORY,
            digests: Vec::new(),
            content: None,
            config_drive: None,
            verify: Verify::default(),
            spill: None,
            rewrite_sectors: false,
        }
    }
}

impl Options {
    /// What of it concerns reading the image.
    pub(crate) fn terms(&self) -> Terms {
        Terms {
            declared: self.declared,
            permitted: self.permitted,
            decoder_memory: self.decoder_memory,
            content: self.content.as_ref().map(Digest::algorithm),
        }
    }
}

/// Put the image `source` on the disk `target`, verify it, and make it bootable.
///
/// # Errors
/// [`WriteError`], with the disk unbootable. The image and the disk may be
/// tried again.
pub fn install<T: Target>(
    source: impl Source,
    target: &mut T,
    options: Options,
    mut progress: impl FnMut(Progress),
) -> Result<Report, WriteError> {
    stage(source, target, options, &mut progress)?.verify(&mut progress)?.commit(&mut progress)
}
