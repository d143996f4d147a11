//! The threads of a write, and the channels between them.
//!
//! ```text
//! source ─▶ reader ─┬▶ hasher
//!                   └▶ decoder ─▶ placer ─▶ lanes ─▶ disk
//! ```
//!
//! Every channel is as short as [`budget`](crate::budget) says; whoever is
//! slower than the others makes them wait, and the meters tell who it was.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, sync_channel},
    },
    thread,
    time::Duration,
};

use disk::{Pool, Target};
use model::{Algorithm, Bytes, Digest};

use crate::{
    Compression, Declared, Format, Formats, Options, Progress, Source, Stage, WriteError,
    budget::{DECODED, IN_FLIGHT, POOLED},
    decode::{self, Decoded},
    extent::CHUNK,
    meter::{Gauge, Meters, Part},
    outlet::Outlet,
    stage::put_failed,
    tap::{self, Tap},
    writer::Writer,
};

/// How often progress is told while nothing arrives.
const TELL_EVERY: Duration = Duration::from_millis(500);

/// What a pipeline that ran to its end knows of its image.
pub(crate) struct Passed {
    pub(crate) format: Format,
    pub(crate) compression: Compression,
    /// Length of the disk in the image.
    pub(crate) size: Bytes,
    /// Bytes taken from the source, and their digests.
    pub(crate) read: Bytes,
    pub(crate) digests: Vec<Digest>,
    /// The digest of the content, if one is wanted.
    pub(crate) content: Option<Digest>,
}

/// Why a pipeline ended early, and whether the disk was touched by then.
pub(crate) struct Failed {
    pub(crate) err: WriteError,
    pub(crate) begun: bool,
}

/// Everything of `source` to its place, but for the ends of the disk.
pub(crate) fn run<T: Target>(
    source: &mut impl Source,
    known: decode::Known,
    algorithms: &[Algorithm],
    writer: &mut Writer<'_, T>,
    progress: &mut impl FnMut(Progress),
) -> Result<Passed, Failed> {
    let count = Arc::new(AtomicU64::new(0));
    let gauge = Gauge::new(Arc::clone(&writer.meters));
    let mut put =
        Put { read_total: source.length(), read: Arc::clone(&count), gauge, begun: None, size: None };
    let (meters, pool) = (Arc::clone(&writer.meters), writer.pool.clone());
    let stop = source.stop();
    let (upstream, placed) = start(source, known, algorithms, (meters, pool), &count, |decoded| {
        let (placed, written) = writer.write_by_lanes(|writer| put.run(decoded, writer, progress));
        let placed = placed.and_then(|()| written.map_err(|err| put_failed(err, writer)));
        if let (Err(_), Some(stop)) = (&placed, stop) {
            stop.store(true, Ordering::Relaxed);
        }
        placed
    });
    let begun = put.begun.is_some();
    let Brought { read, digests, content } =
        upstream.outcome(placed, &count).map_err(|err| Failed { err, begun })?;
    match (put.begun, put.size) {
        (Some((format, compression)), Some(size)) => {
            Ok(Passed { format, compression, size, read, digests, content })
        }
        (None | Some(_), _) => {
            Err(Failed { err: WriteError::Broken { what: "the decoder ended early" }, begun })
        }
    }
}

/// How long the disk in `source` is. Read to its end when nothing else tells,
/// so a stream must be opened again afterwards.
///
/// # Errors
/// [`WriteError::Image`] and [`WriteError::Source`], as when it is written.
pub fn measure(mut source: impl Source, declared: Declared) -> Result<Bytes, WriteError> {
    // Nothing is written, so nobody need permit it.
    let terms = Options { declared, permitted: Formats::ALL, ..Options::default() }.terms();
    let known = decode::survey(&mut source, terms).map_err(WriteError::Image)?;
    if let Some(size) = known.size() {
        return Ok(size);
    }
    let count = AtomicU64::new(0);
    let tools = (Arc::new(Meters::new()), Pool::new(CHUNK, POOLED));
    let (upstream, size) = start(&mut source, known, &[], tools, &count, |decoded| {
        decoded.into_iter().find_map(|decoded| match decoded {
            Decoded::Begin { size, .. } => size,
            Decoded::End { size } => Some(size),
            Decoded::Extent(_) => None,
        })
    });
    match size {
        Some(size) => Ok(size),
        None => {
            upstream.outcome(Ok(()), &count).and(Err(WriteError::Broken { what: "the decoder ended early" }))
        }
    }
}

/// What the threads in front of the writer brought.
pub(crate) struct Brought {
    pub(crate) read: Bytes,
    pub(crate) digests: Vec<Digest>,
    pub(crate) content: Option<Digest>,
}

/// What became of the threads in front of the writer.
pub(crate) struct Upstream {
    read: thread::Result<io::Result<Bytes>>,
    hashed: thread::Result<Vec<Digest>>,
    decoded: thread::Result<Result<Option<Digest>, decode::DecodeError>>,
}

impl Upstream {
    /// What they brought, unless they or the writer failed.
    pub(crate) fn outcome(
        self,
        placed: Result<(), WriteError>,
        count: &AtomicU64,
    ) -> Result<Brought, WriteError> {
        let broken = |what| move |_| WriteError::Broken { what };
        let decoded = self.decoded.map_err(broken("the decoder panicked"))?;
        let read = self.read.map_err(broken("the reader panicked"))?;
        placed?;
        // The decoder of a failed source only knows that it failed.
        let at = count.load(Ordering::Relaxed);
        let read = read.map_err(|err| WriteError::Source { at, err })?;
        let content = decoded.map_err(WriteError::Image)?;
        Ok(Brought { read, digests: self.hashed.map_err(broken("the hasher panicked"))?, content })
    }
}

/// Run the threads in front of the writer while this one does `place` with
/// what they decode. Its dropping the receiver stops them all.
pub(crate) fn start<R>(
    source: &mut impl Source,
    known: decode::Known,
    algorithms: &[Algorithm],
    (meters, pool): (Arc<Meters>, Pool),
    count: &AtomicU64,
    place: impl FnOnce(Receiver<Decoded>) -> R,
) -> (Upstream, R) {
    let (to_hasher, hasher) = sync_channel(IN_FLIGHT);
    let (to_decoder, decoder) = sync_channel(IN_FLIGHT);
    let (to_writer, decoded) = sync_channel(DECODED);
    let tap = Tap { to_hasher, to_decoder, meters: Arc::clone(&meters), pool: pool.clone() };
    let stream = tap::Stream::new(decoder, Arc::clone(&meters), pool.clone());
    let outlet = Outlet::new(to_writer, Arc::clone(&meters), pool);
    thread::scope(|scope| {
        let (hashes, decodes) = (meters.of(Part::Hash), meters.of(Part::Decode));
        let reading = scope.spawn(move || tap.read(source, count));
        let hashing = scope.spawn(move || tap::hash(&hasher, algorithms, hashes));
        let decoding = scope.spawn(move || decodes.busy(|| decode::decode(stream, known, &outlet)));
        let placed = place(decoded);
        let upstream = Upstream { read: reading.join(), hashed: hashing.join(), decoded: decoding.join() };
        (upstream, placed)
    })
}

/// The writer's end of the pipeline.
struct Put {
    read_total: Option<Bytes>,
    read: Arc<AtomicU64>,
    gauge: Gauge,
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
        loop {
            match decoded.recv_timeout(TELL_EVERY) {
                Ok(decoded) => self.place(decoded, &mut total, writer)?,
                // A source that stalls does not hide a disk that failed.
                Err(RecvTimeoutError::Timeout) => {
                    writer.lanes.check().map_err(|err| put_failed(err, writer))?;
                }
                Err(RecvTimeoutError::Disconnected) => return Ok(()),
            }
            progress(Progress {
                stage: Stage::Write,
                read: Bytes(self.read.load(Ordering::Relaxed)),
                read_total: self.read_total,
                done: Bytes(writer.placed),
                total,
                utilisation: self.gauge.utilisation(),
            });
        }
    }

    fn place<T: Target>(
        &mut self,
        decoded: Decoded,
        total: &mut Option<Bytes>,
        writer: &mut Writer<'_, T>,
    ) -> Result<(), WriteError> {
        let put = match decoded {
            Decoded::Begin { format, compression, size } => {
                if let Some(image) = size.filter(|&size| size > writer.size()) {
                    return Err(WriteError::TooLarge { image, capacity: writer.size() });
                }
                *total = size;
                self.begun = Some((format, compression));
                writer.clear()
            }
            Decoded::Extent(extent) => writer.put(&extent),
            Decoded::End { size } => {
                self.size = Some(size);
                writer.finish(size)
            }
        };
        put.map_err(|err| put_failed(err, writer))
    }
}
