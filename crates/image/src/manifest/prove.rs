//! What proves an image of chunks: that it is the disk that was asked for, that
//! it is one at all, and that the disk holds it.

use std::sync::Arc;

use disk::Target;
use model::{Bytes, Digest, Hasher};

use super::trust::Proof;
use crate::{
    Compression, Declared, DecodeError, Format, Options, Progress, Stage, Staged, Verified, WriteError,
    extent::CHUNK,
    format::{self, SNIFFED},
    meter::Gauge,
    stage::{cleared, put_failed},
};

/// An image of chunks that is on the disk but for the ends that make it bootable.
///
/// ```compile_fail
/// fn skip_verification<T: disk::Target>(staged: image::manifest::StagedChunks<'_, T>) {
///     let _ = staged.commit(|_| {}); // only a Verified commits
/// }
/// ```
#[must_use = "a staged image does not boot; verify and commit it"]
pub struct StagedChunks<'t, T: Target> {
    pub(super) staged: Staged<'t, T>,
    pub(super) proof: Proof,
}

impl<'t, T: Target> StagedChunks<'t, T> {
    /// Check what vouches for the image, and read back what was written and
    /// what was there.
    ///
    /// # Errors
    /// [`WriteError::WrongImage`], [`WriteError::DiskLies`] or
    /// [`WriteError::Disk`]; the disk does not boot then.
    pub fn verify(mut self, mut progress: impl FnMut(Progress)) -> Result<Verified<'t, T>, WriteError> {
        match check(&mut self.staged, self.proof, &mut progress) {
            Ok(()) => self.staged.verify(progress),
            Err(err) => Err(cleared(&mut self.staged.writer, err)),
        }
    }
}

/// Check all but the read-back.
fn check<T: Target>(
    staged: &mut Staged<'_, T>,
    proof: Proof,
    progress: &mut impl FnMut(Progress),
) -> Result<(), WriteError> {
    sniff(staged)?;
    let expected = match proof {
        Proof::Manifest => Vec::new(),
        Proof::Content(expected) => expected,
    };
    let wanted: Vec<Digest> = expected.iter().chain(&staged.options.content).cloned().collect();
    if !wanted.is_empty() {
        let mut digests = content(staged, &wanted, progress)?;
        staged.facts.content = digests.split_off(expected.len()).pop();
        (staged.facts.digests, staged.options.digests) = (digests, expected);
    }
    Ok(())
}

/// The content is a disk, and no other format that would be one when decoded.
fn sniff<T: Target>(staged: &mut Staged<'_, T>) -> Result<(), WriteError> {
    let length = staged.facts.size.0.min(SNIFFED as u64);
    let mut start = vec![0; usize::try_from(length).unwrap_or(SNIFFED)];
    let writer = &mut staged.writer;
    writer.read(Bytes(0), &mut start).map_err(|err| put_failed(err, writer))?;
    let declared = Declared { format: Some(Format::Raw), compression: Some(Compression::None) };
    let terms = Options { declared, ..Options::default() }.terms();
    let found = format::format(&start, &terms, Compression::None);
    found.map(drop).map_err(|err| WriteError::Image(DecodeError::Format(err)))
}

/// The digests of everything that the disk will hold of the image, in order, of
/// the kinds of `expected`. What they should be is checked with the read-back.
fn content<T: Target>(
    staged: &mut Staged<'_, T>,
    expected: &[Digest],
    progress: &mut impl FnMut(Progress),
) -> Result<Vec<Digest>, WriteError> {
    let mut hashers: Vec<Hasher> = expected.iter().map(|digest| Hasher::new(digest.algorithm())).collect();
    let (size, read) = (staged.facts.size, staged.facts.read);
    let mut gauge = Gauge::new(Arc::clone(&staged.writer.meters));
    let mut buffer = vec![0; CHUNK];
    let mut at = 0;
    while at < size.0 {
        let length = usize::try_from(size.0 - at).unwrap_or(CHUNK).min(CHUNK);
        let piece = &mut buffer[..length];
        let writer = &mut staged.writer;
        writer.read(Bytes(at), piece).map_err(|err| put_failed(err, writer))?;
        hashers.iter_mut().for_each(|hasher| hasher.update(piece));
        at += length as u64;
        progress(Progress {
            stage: Stage::Verify,
            read,
            read_total: Some(read),
            done: Bytes(at),
            total: Some(size),
            utilisation: gauge.utilisation(),
        });
    }
    Ok(hashers.into_iter().map(Hasher::finish).collect())
}
