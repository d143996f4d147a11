//! The first stage: everything but the ends of the disk.

use std::{io, sync::Arc, time::Instant};

use disk::Target;
use model::{Algorithm, Bytes, Digest};

use crate::{
    Compression, DecodeError, Format, Options, Progress, Source, Stage,
    commit::{CommitError, Verified},
    decode,
    meter::Gauge,
    pipeline::{self, Passed},
    readback::Records,
    writer::{PutError, Writer},
};

/// How much of the disk is read back before it may boot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Verify {
    /// All that was written or zeroed.
    #[default]
    Full,
    /// One mebibyte of sixteen, the last one, and both ends of the disk.
    Sample,
    /// Both ends of the disk only: nothing proves the rest. For measuring what
    /// reading back costs.
    Ends,
}

/// Why an image is not on the disk. In every case the disk does not boot: its
/// first and last mebibyte are zero, unless the image was refused before the
/// first write, or not even zeros could be written ([`WriteError::NotCleared`]).
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Nobody said what the image should be.
    #[error("no digest to check the image against; give its sha256 or sha512")]
    NoDigest,
    /// It cannot be read as a disk.
    #[error("the image cannot be used")]
    Image(#[source] DecodeError),
    /// It does not fit.
    #[error("the image is {image} and the disk {capacity}; pick a larger root device")]
    TooLarge {
        /// Length of the disk in the image; what is known of it.
        image: Bytes,
        /// Capacity of the disk.
        capacity: Bytes,
    },
    /// It is not the image that was asked for.
    #[error("the image is {actual}, want {expected}; check image_source and image_os_hash_value")]
    WrongImage {
        /// What was asked for.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
    /// What is in it is not what was asked for.
    #[error("the image's content is {actual}, want {expected}; the file itself is as it should be")]
    WrongContent {
        /// What was asked for.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
    /// A digest of the content was given for that of the file.
    #[error("{digest} is the digest of the image's content, not of the file; give that of the file too")]
    Confused {
        /// Which.
        digest: Digest,
    },
    /// Where it comes from failed.
    #[error("the image's source failed after {at} bytes")]
    Source {
        /// How many bytes had come.
        at: u64,
        /// What failed.
        #[source]
        err: io::Error,
    },
    /// The disk failed.
    #[error("the disk failed at byte {at}; replace it or pick another root device", at = at.0)]
    Disk {
        /// Where on the disk.
        at: Bytes,
        /// What the kernel answered.
        #[source]
        err: io::Error,
    },
    /// The disk took everything and could not keep it.
    #[error("the disk failed to put what it took on its medium; replace it or pick another root device")]
    Sync(#[source] io::Error),
    /// The disk holds something else than was written.
    #[error("the disk does not hold what was written at byte {at}; replace it", at = at.0)]
    DiskLies {
        /// Where on the disk.
        at: Bytes,
    },
    /// Its smallest parts are smaller than the disk's blocks, and too scattered.
    #[error(
        "the image's clusters are too small and scattered for a disk of {block}-byte blocks; convert it to raw"
    )]
    Scattered {
        /// Block size of the disk.
        block: u64,
    },
    /// The image maps a part of the disk twice or not at all.
    #[error("the image does not cover its disk exactly once; rebuild it")]
    Gap,
    /// Its partition table or config drive cannot be put on this disk.
    #[error("the image cannot be made to boot from this disk")]
    Commit(#[source] CommitError),
    /// A thread of the pipeline could not be started or ended badly.
    #[error("the pipeline broke: {what}; report this")]
    Broken {
        /// Which part.
        what: &'static str,
    },
    /// It failed, and the disk's ends could not be cleared either, so it may
    /// still boot what it held before.
    #[error("the write failed and the disk could not be cleared; do not boot it")]
    NotCleared {
        /// Why the write failed.
        #[source]
        cause: Box<WriteError>,
        /// Why clearing failed.
        err: io::Error,
    },
}

impl WriteError {
    /// True when the input is at fault and trying again is useless.
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        match self {
            WriteError::NoDigest
            | WriteError::TooLarge { .. }
            | WriteError::WrongImage { .. }
            | WriteError::WrongContent { .. }
            | WriteError::Confused { .. }
            | WriteError::Scattered { .. }
            | WriteError::Gap => true,
            WriteError::Image(err) => match err {
                DecodeError::Format(_)
                | DecodeError::Compressed { .. }
                | DecodeError::Decompress(_)
                | DecodeError::Flawed { .. } => true,
                DecodeError::Tables(_)
                | DecodeError::Spill(_)
                | DecodeError::Source
                | DecodeError::Stopped => false,
            },
            WriteError::Commit(err) => err.is_refusal(),
            WriteError::Source { .. }
            | WriteError::Disk { .. }
            | WriteError::Sync(_)
            | WriteError::DiskLies { .. }
            | WriteError::Broken { .. } => false,
            WriteError::NotCleared { cause, .. } => cause.is_refusal(),
        }
    }
}

/// An image that is on the disk but for the ends that make it bootable.
///
/// ```compile_fail
/// fn skip_verification<T: disk::Target>(staged: image::Staged<'_, T>) {
///     let _ = staged.commit(|_| {}); // only a Verified commits
/// }
/// ```
/// ```compile_fail
/// fn verify_twice<T: disk::Target>(staged: image::Staged<'_, T>) {
///     let _ = staged.verify(|_| {});
///     let _ = staged.verify(|_| {});
/// }
/// ```
#[must_use = "a staged image does not boot; verify and commit it"]
pub struct Staged<'t, T: Target> {
    pub(crate) writer: Writer<'t, T>,
    pub(crate) facts: Facts,
    pub(crate) options: Options,
}

/// What staging learned.
pub(crate) struct Facts {
    pub(crate) format: Format,
    pub(crate) compression: Compression,
    pub(crate) size: Bytes,
    pub(crate) read: Bytes,
    pub(crate) digests: Vec<Digest>,
    pub(crate) content: Option<Digest>,
    pub(crate) seconds: f64,
}

/// Put everything of `source` on `target` but what makes it bootable.
///
/// # Errors
/// [`WriteError`]. The disk is untouched when the image is refused by its
/// header, its tables or its length; else its ends are zero.
pub fn stage<T: Target>(
    mut source: impl Source,
    target: &mut T,
    options: Options,
    mut progress: impl FnMut(Progress),
) -> Result<Staged<'_, T>, WriteError> {
    let start = Instant::now();
    if options.digests.is_empty() {
        return Err(WriteError::NoDigest);
    }
    let known = decode::survey(&mut source, options.terms()).map_err(WriteError::Image)?;
    let known = known.with_spill(options.spill.clone());
    let mut writer = Writer::new(target, Records::new(options.verify));
    let algorithms: Vec<Algorithm> = options.digests.iter().map(Digest::algorithm).collect();
    let passed = pipeline::run(&mut source, known, &algorithms, &mut writer, &mut progress);
    (writer.retries, writer.refetched) = (source.retries(), source.refetched());
    match passed {
        Ok(Passed { format, compression, size, read, digests, content }) => {
            let seconds = start.elapsed().as_secs_f64();
            let facts = Facts { format, compression, size, read, digests, content, seconds };
            Ok(Staged { writer, facts, options })
        }
        Err(failed) if failed.begun => Err(cleared(&mut writer, failed.err)),
        Err(failed) => Err(failed.err),
    }
}

/// What it means to the caller that putting failed.
pub(crate) fn put_failed<T: Target>(err: PutError, writer: &Writer<'_, T>) -> WriteError {
    match err {
        PutError::Beyond => WriteError::TooLarge { image: Bytes(writer.placed), capacity: writer.size() },
        PutError::Disk { at, err } => WriteError::Disk { at, err },
        PutError::Sync(err) => WriteError::Sync(err),
        PutError::Scattered => WriteError::Scattered { block: writer.block().get() },
        PutError::Gap => WriteError::Gap,
        PutError::Differs { at } => WriteError::DiskLies { at },
        PutError::Stopped => WriteError::Broken { what: "a writing thread panicked" },
    }
}

/// Make the disk unbootable because of `cause`, and give it back.
pub(crate) fn cleared<T: Target>(writer: &mut Writer<'_, T>, cause: WriteError) -> WriteError {
    match writer.clear() {
        Ok(()) => cause,
        Err(PutError::Disk { err, .. } | PutError::Sync(err)) => {
            WriteError::NotCleared { cause: Box::new(cause), err }
        }
        Err(PutError::Differs { at }) => {
            let err = io::Error::other(format!("what it holds at byte {} are not the zeros it took", at.0));
            WriteError::NotCleared { cause: Box::new(cause), err }
        }
        Err(PutError::Beyond | PutError::Scattered | PutError::Gap | PutError::Stopped) => cause,
    }
}

impl<'t, T: Target> Staged<'t, T> {
    /// Check the digests of what was downloaded, and read back what was written.
    ///
    /// # Errors
    /// [`WriteError::WrongImage`], [`WriteError::DiskLies`] or
    /// [`WriteError::Disk`]; the disk does not boot then.
    pub fn verify(mut self, progress: impl FnMut(Progress)) -> Result<Verified<'t, T>, WriteError> {
        let start = Instant::now();
        match self.check(progress) {
            Ok(()) => Ok(Verified::new(self, start.elapsed().as_secs_f64())),
            Err(err) => Err(cleared(&mut self.writer, err)),
        }
    }

    fn check_digests(&self) -> Result<(), WriteError> {
        let content = self.facts.content.as_ref();
        for (expected, actual) in self.options.digests.iter().zip(&self.facts.digests) {
            if expected != actual && content == Some(expected) {
                return Err(WriteError::Confused { digest: expected.clone() });
            }
            if expected != actual {
                return Err(WriteError::WrongImage { expected: expected.clone(), actual: actual.clone() });
            }
        }
        match (&self.options.content, content) {
            (Some(expected), Some(actual)) if expected == actual => Ok(()),
            (Some(expected), Some(actual)) => {
                Err(WriteError::WrongContent { expected: expected.clone(), actual: actual.clone() })
            }
            (Some(_), None) => Err(WriteError::Broken { what: "the digest of the content is missing" }),
            (None, _) => Ok(()),
        }
    }

    pub(crate) fn check(&mut self, mut progress: impl FnMut(Progress)) -> Result<(), WriteError> {
        self.check_digests()?;
        let read = self.facts.read;
        let (before, left) = (self.writer.lanes.proven(), self.writer.lanes.waiting());
        let total = Bytes(before.0 + left.0);
        let mut gauge = Gauge::new(Arc::clone(&self.writer.meters));
        let mut tell = |waiting: Bytes| {
            progress(Progress {
                stage: Stage::Verify,
                read,
                read_total: Some(read),
                done: Bytes(total.0.saturating_sub(waiting.0)),
                total: Some(total),
                utilisation: gauge.utilisation(),
            });
        };
        let proven = self.writer.prove(&mut tell);
        if proven.is_ok() {
            tell(Bytes(0));
        }
        proven.map_err(|err| put_failed(err, &self.writer))
    }
}
