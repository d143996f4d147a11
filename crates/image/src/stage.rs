//! The first stage: everything but the ends of the disk.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, sync_channel},
    },
    thread,
    time::Instant,
};

use disk::Target;
use model::{Algorithm, Bytes, Digest};

use crate::{
    Compression, Declared, DecodeError, Format, Options, Progress, Source, Stage,
    commit::{CommitError, Verified},
    decode::{self, Decoded},
    readback::Records,
    tap,
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
            | WriteError::Scattered { .. }
            | WriteError::Gap => true,
            WriteError::Image(err) => match err {
                DecodeError::Format(_)
                | DecodeError::Compressed { .. }
                | DecodeError::Decompress(_)
                | DecodeError::Flawed { .. } => true,
                DecodeError::Tables(_) | DecodeError::Source | DecodeError::Stopped => false,
            },
            WriteError::Commit(err) => err.is_refusal(),
            WriteError::Source { .. }
            | WriteError::Disk { .. }
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
    let mut writer = Writer::new(target, Records::new(options.verify));
    let algorithms: Vec<Algorithm> = options.digests.iter().map(Digest::algorithm).collect();
    let mut put =
        Put { read_total: source.length(), read: Arc::new(AtomicU64::new(0)), begun: None, size: None };
    match pipeline(source, known, &algorithms, &mut writer, &mut put, &mut progress) {
        Ok((read, digests)) => {
            let broken = WriteError::Broken { what: "the decoder ended early" };
            let (Some((format, compression)), Some(size)) = (put.begun, put.size) else { return Err(broken) };
            let seconds = start.elapsed().as_secs_f64();
            let facts = Facts { format, compression, size, read, digests, seconds };
            Ok(Staged { writer, facts, options })
        }
        Err(err) if put.begun.is_some() => Err(cleared(&mut writer, err)),
        Err(err) => Err(err),
    }
}

/// Run the threads; this one writes.
fn pipeline<T: Target>(
    mut source: impl Source,
    known: decode::Known,
    algorithms: &[Algorithm],
    writer: &mut Writer<'_, T>,
    put: &mut Put,
    progress: &mut impl FnMut(Progress),
) -> Result<(Bytes, Vec<Digest>), WriteError> {
    let (to_hasher, hasher) = sync_channel(tap::IN_FLIGHT);
    let (to_decoder, decoder) = sync_channel(tap::IN_FLIGHT);
    let (to_writer, decoded) = sync_channel(tap::IN_FLIGHT);
    let count = Arc::new(AtomicU64::new(0));
    put.read = Arc::clone(&count);
    let (read, hashed, sent, written) = thread::scope(|scope| {
        let reader_count = Arc::clone(&count);
        let reading = scope.spawn(move || tap::read(&mut source, &to_hasher, &to_decoder, &reader_count));
        let hashing = scope.spawn(move || tap::hash(&hasher, algorithms));
        let decoding = scope.spawn(move || decode::decode(tap::Stream::new(decoder), known, &to_writer));
        let written = put.run(decoded, writer, progress);
        (reading.join(), hashing.join(), decoding.join(), written)
    });
    let broken = |what| move |_| WriteError::Broken { what };
    let sent = sent.map_err(broken("the decoder panicked"))?;
    let read = read.map_err(broken("the reader panicked"))?;
    written?;
    // The decoder of a failed source only knows that it failed.
    let at = count.load(Ordering::Relaxed);
    let read = read.map_err(|err| WriteError::Source { at, err })?;
    sent.map_err(WriteError::Image)?;
    Ok((read, hashed.map_err(broken("the hasher panicked"))?))
}

/// How long the disk in `source` is. Read to its end when nothing else tells,
/// so a stream must be opened again afterwards.
///
/// # Errors
/// [`WriteError::Image`] and [`WriteError::Source`], as when it is written.
pub fn measure(mut source: impl Source, declared: Declared) -> Result<Bytes, WriteError> {
    let known = decode::survey(&mut source, Options { declared, ..Options::default() }.terms())
        .map_err(WriteError::Image)?;
    if let Some(size) = known.size() {
        return Ok(size);
    }
    let (to_decoder, decoder) = sync_channel(tap::IN_FLIGHT);
    let (to_hasher, hasher) = sync_channel(tap::IN_FLIGHT);
    let (to_writer, decoded) = sync_channel(tap::IN_FLIGHT);
    let count = AtomicU64::new(0);
    let (read, sent, size) = thread::scope(|scope| {
        let (source, count) = (&mut source, &count);
        let reading = scope.spawn(move || tap::read(source, &to_hasher, &to_decoder, count));
        let hashing = scope.spawn(move || tap::hash(&hasher, &[]));
        let decoding = scope.spawn(move || decode::decode(tap::Stream::new(decoder), known, &to_writer));
        let size = decoded.into_iter().find_map(|decoded| match decoded {
            Decoded::Begin { size, .. } => size,
            Decoded::End { size } => Some(size),
            Decoded::Extent(_) => None,
        });
        drop(hashing.join());
        (reading.join(), decoding.join(), size)
    });
    let broken = |_| WriteError::Broken { what: "measuring panicked" };
    let at = count.load(Ordering::Relaxed);
    match (size, read.map_err(broken)?, sent.map_err(broken)?) {
        (Some(size), _, _) => Ok(size),
        (None, Err(err), _) => Err(WriteError::Source { at, err }),
        (None, Ok(_), Err(err)) => Err(WriteError::Image(err)),
        (None, Ok(_), Ok(())) => Err(WriteError::Broken { what: "the decoder ended early" }),
    }
}

/// The writer's end of the pipeline.
struct Put {
    read_total: Option<Bytes>,
    read: Arc<AtomicU64>,
    /// What the image is; known just before the first byte is written.
    begun: Option<(Format, Compression)>,
    /// How long its disk is; known when all of it is written.
    size: Option<Bytes>,
}

impl Put {
    /// Put everything that arrives in its place. Dropping `decoded` on an
    /// error stops the decoder.
    fn run<T: Target>(
        &mut self,
        decoded: Receiver<Decoded>,
        writer: &mut Writer<'_, T>,
        progress: &mut impl FnMut(Progress),
    ) -> Result<(), WriteError> {
        let mut total = None;
        for decoded in decoded {
            match decoded {
                Decoded::Begin { format, compression, size } => {
                    if let Some(image) = size.filter(|&size| size > writer.size()) {
                        return Err(WriteError::TooLarge { image, capacity: writer.size() });
                    }
                    total = size;
                    self.begun = Some((format, compression));
                    writer.clear().map_err(|err| put_failed(err, writer))?;
                }
                Decoded::Extent(extent) => writer.put(&extent).map_err(|err| put_failed(err, writer))?,
                Decoded::End { size } => {
                    writer.finish(size).map_err(|err| put_failed(err, writer))?;
                    self.size = Some(size);
                }
            }
            progress(Progress {
                stage: Stage::Write,
                read: Bytes(self.read.load(Ordering::Relaxed)),
                read_total: self.read_total,
                done: Bytes(writer.placed),
                total,
            });
        }
        Ok(())
    }
}

/// What it means to the caller that putting failed.
pub(crate) fn put_failed<T: Target>(err: PutError, writer: &Writer<'_, T>) -> WriteError {
    match err {
        PutError::Beyond => WriteError::TooLarge { image: Bytes(writer.placed), capacity: writer.size() },
        PutError::Disk { at, err } => WriteError::Disk { at, err },
        PutError::Scattered => WriteError::Scattered { block: writer.block().get() },
        PutError::Gap => WriteError::Gap,
        PutError::Differs { at } => WriteError::DiskLies { at },
    }
}

/// Make the disk unbootable because of `cause`, and give it back.
pub(crate) fn cleared<T: Target>(writer: &mut Writer<'_, T>, cause: WriteError) -> WriteError {
    match writer.clear() {
        Ok(()) => cause,
        Err(PutError::Disk { err, .. }) => WriteError::NotCleared { cause: Box::new(cause), err },
        Err(PutError::Beyond | PutError::Scattered | PutError::Gap | PutError::Differs { .. }) => cause,
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

    pub(crate) fn check(&mut self, mut progress: impl FnMut(Progress)) -> Result<(), WriteError> {
        for (expected, actual) in self.options.digests.iter().zip(&self.facts.digests) {
            if expected != actual {
                return Err(WriteError::WrongImage { expected: expected.clone(), actual: actual.clone() });
            }
        }
        let read = self.facts.read;
        let total = self.writer.records.waiting();
        let mut done = Bytes(0);
        let proven = self.writer.prove(|step| {
            done.0 += step.0;
            progress(Progress {
                stage: Stage::Verify,
                read,
                read_total: Some(read),
                done,
                total: Some(total),
            });
        });
        proven.map_err(|err| put_failed(err, &self.writer))
    }
}
