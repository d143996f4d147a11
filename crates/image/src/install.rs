//! All stages in a row.

use disk::Target;
use model::Digest;

use crate::{Declared, Progress, Report, Source, Verify, WriteError, stage};

/// What is wanted of a write.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What the image is said to be.
    pub declared: Declared,
    /// Digests of the image as it is downloaded. At least one; all must match.
    pub digests: Vec<Digest>,
    /// The config drive's file system, from [`configdrive::decode`](crate::configdrive::decode).
    pub config_drive: Option<Vec<u8>>,
    /// How much is read back.
    pub verify: Verify,
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
