//! Any image as a plain file of what its disk holds, for those who make
//! manifests: the same pipeline as a write, without a commit that fits the
//! partition table to another disk.

use disk::Target;
use model::Bytes;

use crate::{Options, Progress, Source, WriteError, stage, stage::put_failed};

/// Put the whole content of `source` on `target`, its ends included, as it is.
/// Returns how long it is.
///
/// # Errors
/// [`WriteError`], as of any write.
pub fn unpack<T: Target>(
    source: impl Source,
    target: &mut T,
    options: Options,
    mut progress: impl FnMut(Progress),
) -> Result<Bytes, WriteError> {
    let mut staged = stage(source, target, options, &mut progress)?;
    staged.check(&mut progress)?;
    let writer = &mut staged.writer;
    writer.write_ends().map_err(|err| put_failed(err, writer))?;
    Ok(staged.facts.size)
}
