//! Staging by chunks: what the disk holds is compared first, what it lacks is
//! fetched, and it all goes through the same writer as any image.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, RecvTimeoutError, sync_channel},
    },
    thread,
    time::{Duration, Instant},
};

use disk::{Buffer, Pool, Target};
use model::Bytes;

use super::{
    Accepted, Chunk, ChunkSource, Encoding, Manifest, StagedChunks,
    bring::{Bringer, Brought, Counts},
    compare::{self, Held},
    spans,
};
use crate::{
    Compression, Format, Options, Progress, Report, Stage, Staged, Utilisation, WriteError,
    budget::{LANES, QUEUED},
    extent::{Extent, Slice},
    meter::Gauge,
    readback::{Record, Records},
    stage::{Facts, cleared, put_failed},
    writer::Writer,
};

/// The most fetches at once. Each holds a span and a chunk unpacked from it, of
/// at most a MiB both: with six that is what a stream's window and its chunks
/// take in other writes, so that a write stays within 64 MiB.
const MOST_AT_ONCE: usize = 8;
/// Chunks that wait to be written.
const IN_FLIGHT: usize = 4;
/// How often progress is told while nothing arrives.
const TELL_EVERY: Duration = Duration::from_millis(500);

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
    // Zeros are not compared.
    let data = Bytes(manifest.chunks().iter().map(|chunk| u64::from(chunk.length)).sum());
    let mut compared = Bytes(0);
    let held = compare::compare(&*target, manifest.chunks(), |step| {
        compared.0 += step.0;
        let (stage, read, utilisation) = (Stage::Compare, Bytes(0), Utilisation::default());
        progress(Progress { stage, read, read_total: None, done: compared, total: Some(data), utilisation });
    });
    let mut writer = Writer::new(target, Records::new(options.verify));
    let counts = Counts::default();
    let outcome = put(&manifest, held, source, &counts, &mut writer, &mut progress);
    let (read, refetched) = counts.split();
    (writer.retries, writer.refetched) = (source.retries(), refetched);
    if let Err(err) = outcome {
        return Err(cleared(&mut writer, err));
    }
    let compression = match manifest.file().encoding {
        Encoding::Raw => Compression::None,
        Encoding::Zstd => Compression::Zstd,
    };
    let seconds = start.elapsed().as_secs_f64();
    let digests = Vec::new();
    let facts = Facts { format: Format::Raw, compression, size, read, digests, content: None, seconds };
    let options = Options { digests: Vec::new(), ..options };
    Ok(StagedChunks { staged: Staged { writer, facts, options }, proof })
}

/// Clear the ends, then fill the disk in.
fn put<T: Target>(
    manifest: &Manifest,
    mut held: Held,
    source: &impl ChunkSource,
    counts: &Counts,
    writer: &mut Writer<'_, T>,
    progress: &mut impl FnMut(Progress),
) -> Result<(), WriteError> {
    writer.clear().map_err(|err| put_failed(err, writer))?;
    let (to, brought) = sync_channel(IN_FLIGHT);
    let (chunks, kept) = (manifest.chunks(), std::mem::take(&mut held.kept));
    let threads = source.at_once().clamp(1, MOST_AT_ONCE);
    let meters = Arc::clone(&writer.meters);
    let bringer = Bringer {
        chunks,
        encoding: manifest.file().encoding,
        source,
        spans: Mutex::new(spans::join(chunks, |number| !held.has(number))),
        counts,
        meters: &meters,
        pool: Pool::new(index_of(manifest.chunk_size()), threads + IN_FLIGHT + LANES + QUEUED),
    };
    bringer.announce(threads);
    let mut told = Told { counts, size: manifest.size(), gauge: Gauge::new(Arc::clone(&meters)), progress };
    let (placed, written) = writer.write_by_lanes(|writer| {
        thread::scope(|scope| {
            for _ in 0..threads {
                let (bringer, to) = (&bringer, to.clone());
                scope.spawn(move || bringer.run(&to));
            }
            drop(to);
            let placed = put_zeros(manifest, writer)
                .and_then(|()| put_held(chunks, &held, kept, writer))
                .and_then(|()| put_brought(brought, writer, &mut told))
                .and_then(|()| writer.finish(manifest.size()).map_err(|err| put_failed(err, writer)));
            if placed.is_err() {
                source.stop();
            }
            placed
        })
    });
    placed.and_then(|()| written.map_err(|err| put_failed(err, writer)))
}

/// A chunk's length, for buffers.
fn index_of(length: Bytes) -> usize {
    usize::try_from(length.0).expect("at most CHUNK_SIZES[1]")
}

/// How progress is told while chunks arrive.
struct Told<'a, P> {
    counts: &'a Counts,
    size: Bytes,
    gauge: Gauge,
    progress: &'a mut P,
}

impl<P: FnMut(Progress)> Told<'_, P> {
    fn tell(&mut self, done: u64) {
        (self.progress)(Progress {
            stage: Stage::Write,
            read: self.counts.split().0,
            read_total: None,
            done: Bytes(done),
            total: Some(self.size),
            utilisation: self.gauge.utilisation(),
        });
    }
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
fn put_brought<T: Target, P: FnMut(Progress)>(
    brought: Receiver<io::Result<Brought>>,
    writer: &mut Writer<'_, T>,
    told: &mut Told<'_, P>,
) -> Result<(), WriteError> {
    loop {
        match brought.recv_timeout(TELL_EVERY) {
            Ok(Ok(Brought { at, content })) => put_data(at, content, writer)?,
            Ok(Err(err)) => return Err(WriteError::Source { at: told.counts.split().0.0, err }),
            // Mirrors that stall do not hide a disk that failed.
            Err(RecvTimeoutError::Timeout) => writer.lanes.check().map_err(|err| put_failed(err, writer))?,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        told.tell(writer.placed);
    }
}
