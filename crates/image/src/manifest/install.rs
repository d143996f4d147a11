//! Staging by chunks: what the disk holds is compared first, what it lacks is
//! fetched, and it all goes through the same writer as any image.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, sync_channel},
    },
    thread,
    time::Instant,
};

use disk::{Buffer, Target};
use model::{Bytes, Digest, Hasher};

use super::{
    Accepted, Chunk, ChunkSource, Encoding, Manifest,
    bring::{Bringer, Brought},
    compare::{self, Held},
    spans,
    trust::Proof,
};
use crate::{
    Compression, Format, Options, Progress, Report, Stage, Staged, Utilisation, Verified, WriteError,
    extent::{CHUNK, Extent, Slice},
    readback::{Record, Records},
    stage::{Facts, cleared, put_failed},
    writer::Writer,
};

/// The most fetches at once, each of at most 2 MiB.
const MOST_AT_ONCE: usize = 8;
/// Chunks that wait to be written.
const IN_FLIGHT: usize = 4;

/// Put the image of `accepted` on the disk `target`, fetching from `source` what
/// the disk does not hold yet, verify it, and make it bootable.
///
/// # Errors
/// [`WriteError`], with the disk unbootable. The image and the disk may be
/// tried again, and what was written is not fetched again.
pub fn install_chunks<T: Target>(
    accepted: Accepted,
    source: &impl ChunkSource,
    target: &mut T,
    options: Options,
    mut progress: impl FnMut(Progress),
) -> Result<Report, WriteError> {
    stage_chunks(accepted, source, target, options, &mut progress)?
        .verify(&mut progress)?
        .commit(&mut progress)
}

/// An image of chunks that is on the disk but for the ends that make it bootable.
///
/// ```compile_fail
/// fn skip_verification<T: disk::Target>(staged: image::manifest::StagedChunks<'_, T>) {
///     let _ = staged.commit(|_| {}); // only a Verified commits
/// }
/// ```
#[must_use = "a staged image does not boot; verify and commit it"]
pub struct StagedChunks<'t, T: Target> {
    staged: Staged<'t, T>,
    proof: Proof,
}

/// Put everything of the image on `target` but what makes it bootable. Every
/// chunk is checked before it is written. [`Options::digests`] and
/// [`Options::declared`] play no part: [`accept`](super::accept) has seen the
/// one, and a manifest says the other.
///
/// # Errors
/// [`WriteError`]. The disk is untouched when the image is longer; else its
/// ends are zero.
pub fn stage_chunks<'t, T: Target>(
    accepted: Accepted,
    source: &impl ChunkSource,
    target: &'t mut T,
    options: Options,
    mut progress: impl FnMut(Progress),
) -> Result<StagedChunks<'t, T>, WriteError> {
    let start = Instant::now();
    let Accepted { manifest, proof, .. } = accepted;
    let (size, capacity) = (manifest.size(), target.size());
    if size > capacity {
        return Err(WriteError::TooLarge { image: size, capacity });
    }
    let mut compared = Bytes(0);
    let held = compare::compare(&*target, manifest.chunks(), |step| {
        compared.0 += step.0;
        progress(told(Stage::Compare, Bytes(0), compared, size));
    });
    let mut writer = Writer::new(target, Records::new(options.verify));
    let read = match put(&manifest, held, source, &mut writer, &mut progress) {
        Ok(read) => read,
        Err(err) => return Err(cleared(&mut writer, err)),
    };
    let compression = match manifest.file().encoding {
        Encoding::Raw => Compression::None,
        Encoding::Zstd => Compression::Zstd,
    };
    let seconds = start.elapsed().as_secs_f64();
    let facts = Facts { format: Format::Raw, compression, size, read, digests: Vec::new(), seconds };
    let options = Options { digests: Vec::new(), ..options };
    Ok(StagedChunks { staged: Staged { writer, facts, options }, proof })
}

fn told(stage: Stage, read: Bytes, done: Bytes, total: Bytes) -> Progress {
    let utilisation = Utilisation::default();
    Progress { stage, read, read_total: None, done, total: Some(total), utilisation }
}

/// Clear the ends, then fill the disk in. Returns how much was fetched.
fn put<T: Target>(
    manifest: &Manifest,
    mut held: Held,
    source: &impl ChunkSource,
    writer: &mut Writer<'_, T>,
    progress: &mut impl FnMut(Progress),
) -> Result<Bytes, WriteError> {
    writer.clear().map_err(|err| put_failed(err, writer))?;
    let fetched = AtomicU64::new(0);
    let (to, brought) = sync_channel(IN_FLIGHT);
    let (chunks, kept) = (manifest.chunks(), std::mem::take(&mut held.kept));
    let bringer = Bringer {
        chunks,
        encoding: manifest.file().encoding,
        source,
        spans: Mutex::new(spans::join(chunks, |number| !held.has(number))),
        fetched: &fetched,
    };
    thread::scope(|scope| {
        for _ in 0..source.at_once().clamp(1, MOST_AT_ONCE) {
            let (bringer, to) = (&bringer, to.clone());
            scope.spawn(move || bringer.run(&to));
        }
        drop(to);
        put_zeros(manifest, writer)?;
        put_held(chunks, &held, kept, writer)?;
        put_brought(brought, &fetched, manifest.size(), writer, progress)
    })?;
    writer.finish(manifest.size()).map_err(|err| put_failed(err, writer))?;
    Ok(Bytes(fetched.into_inner()))
}

fn put_zeros<T: Target>(manifest: &Manifest, writer: &mut Writer<'_, T>) -> Result<(), WriteError> {
    for zeros in manifest.zeros() {
        let extent = Extent::Zero { at: Bytes(zeros.start), length: Bytes(zeros.end - zeros.start) };
        writer.put(&extent).map_err(|err| put_failed(err, writer))?;
    }
    Ok(())
}

/// Put `content` at `at`.
fn put_data<T: Target>(at: u64, content: Arc<Buffer>, writer: &mut Writer<'_, T>) -> Result<(), WriteError> {
    let all = 0..content.len();
    let extent = Extent::Data { at: Bytes(at), bytes: Slice::new(content, all) };
    writer.put(&extent).map_err(|err| put_failed(err, writer))
}

/// What the disk holds stays, and is read back as if it had been written; but
/// for the few chunks in the way of other writes, which are put again.
fn put_held<T: Target>(
    chunks: &[Chunk],
    held: &Held,
    mut kept: BTreeMap<usize, Buffer>,
    writer: &mut Writer<'_, T>,
) -> Result<(), WriteError> {
    for (number, chunk) in chunks.iter().enumerate().filter(|(number, _)| held.has(*number)) {
        writer.skipped.0 += u64::from(chunk.length);
        match kept.remove(&number) {
            Some(content) => put_data(chunk.at, Arc::new(content), writer)?,
            None => {
                let record = Record::known(chunk.at, chunk.length.into(), &chunk.digest);
                writer.skip(record).map_err(|err| put_failed(err, writer))?;
            }
        }
    }
    Ok(())
}

/// Put everything that arrives in its place. Dropping `brought` on an error
/// stops those who bring.
fn put_brought<T: Target>(
    brought: Receiver<io::Result<Brought>>,
    fetched: &AtomicU64,
    size: Bytes,
    writer: &mut Writer<'_, T>,
    progress: &mut impl FnMut(Progress),
) -> Result<(), WriteError> {
    for brought in brought {
        let read = fetched.load(Ordering::Relaxed);
        let Brought { at, content } = brought.map_err(|err| WriteError::Source { at: read, err })?;
        put_data(at, content, writer)?;
        progress(told(Stage::Write, Bytes(read), Bytes(writer.placed), size));
    }
    Ok(())
}

impl<'t, T: Target> StagedChunks<'t, T> {
    /// Check what vouches for the image, and read back what was written and
    /// what was there.
    ///
    /// # Errors
    /// [`WriteError::WrongImage`], [`WriteError::DiskLies`] or
    /// [`WriteError::Disk`]; the disk does not boot then.
    pub fn verify(mut self, mut progress: impl FnMut(Progress)) -> Result<Verified<'t, T>, WriteError> {
        if let Proof::Content(expected) = &self.proof {
            match content(&mut self.staged, expected, &mut progress) {
                Ok(digests) => {
                    self.staged.options.digests.clone_from(expected);
                    self.staged.facts.digests = digests;
                }
                Err(err) => return Err(cleared(&mut self.staged.writer, err)),
            }
        }
        self.staged.verify(progress)
    }
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
    let mut buffer = vec![0; CHUNK];
    let mut at = 0;
    while at < size.0 {
        let length = usize::try_from(size.0 - at).unwrap_or(CHUNK).min(CHUNK);
        let piece = &mut buffer[..length];
        let writer = &mut staged.writer;
        writer.read(Bytes(at), piece).map_err(|err| put_failed(err, writer))?;
        hashers.iter_mut().for_each(|hasher| hasher.update(piece));
        at += length as u64;
        progress(told(Stage::Verify, read, Bytes(at), size));
    }
    Ok(hashers.into_iter().map(Hasher::finish).collect())
}
