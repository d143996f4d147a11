//! Fetching and unpacking: several threads, each with a span at a time, and
//! nothing leaves them that is not what the manifest says.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
        mpsc::SyncSender,
    },
};

use disk::{Buffer, Pool};
use model::Bytes;

use super::{Chunk, ChunkSource, Encoding, Piece, index, spans::Span};
use crate::meter::{Meters, Part};

/// The most fetches in a row for one span that bring no right chunk: mirrors that
/// lie are struck out, and those that break off rest, so this many mean neither.
const MOST_FRUITLESS: u32 = 32;

/// A chunk that is what the manifest says.
pub(super) struct Brought {
    pub(super) at: u64,
    pub(super) content: Arc<Buffer>,
}

/// What all threads that bring chunks share.
pub(super) struct Bringer<'a, C, S> {
    pub(super) chunks: &'a [Chunk],
    pub(super) encoding: Encoding,
    pub(super) source: &'a C,
    pub(super) spans: Mutex<S>,
    pub(super) counts: &'a Counts,
    pub(super) meters: &'a Meters,
    /// Buffers of a chunk's length.
    pub(super) pool: Pool,
}

/// How much was fetched.
#[derive(Default)]
pub(super) struct Counts {
    fetched: AtomicU64,
    again: AtomicU64,
}

impl Counts {
    /// Bytes fetched that were of use, and those that were not.
    pub(super) fn split(&self) -> (Bytes, Bytes) {
        let again = self.again.load(Ordering::Relaxed);
        (Bytes(self.fetched.load(Ordering::Relaxed).saturating_sub(again)), Bytes(again))
    }
}

impl<C: ChunkSource, S: Iterator<Item = Span>> Bringer<'_, C, S> {
    /// So many threads will run this.
    pub(super) fn announce(&self, threads: usize) {
        let more = u32::try_from(threads).unwrap_or(u32::MAX).saturating_sub(1);
        self.meters.of(Part::Net).add_threads(more);
        self.meters.of(Part::Decode).add_threads(more);
    }

    /// Bring span after span until there is none, the source fails, or nobody
    /// listens any more.
    pub(super) fn run(&self, to: &SyncSender<io::Result<Brought>>) {
        let mut unpacker = match Unpacker::new(self.encoding) {
            Ok(unpacker) => unpacker,
            Err(err) => return drop(to.send(Err(err))),
        };
        while let Some(span) = self.next() {
            match self.span(&span, &mut unpacker, to) {
                Ok(Sent::All) => {}
                Ok(Sent::Stopped) => return,
                Err(err) => return drop(to.send(Err(err))),
            }
        }
    }

    fn next(&self) -> Option<Span> {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).next()
    }

    /// Bring one span, from as many mirrors as it takes.
    fn span(
        &self,
        span: &Span,
        unpacker: &mut Unpacker,
        to: &SyncSender<io::Result<Brought>>,
    ) -> io::Result<Sent> {
        let mut numbers = &span.chunks[..];
        let mut fruitless = 0;
        while let Some(&first) = numbers.first() {
            let from = self.chunks[index(first)].offset;
            let net = self.meters.of(Part::Net);
            let piece = net.busy(|| self.source.fetch(from..span.bytes.end))?;
            let came = piece.bytes.len() as u64;
            self.counts.fetched.fetch_add(came, Ordering::Relaxed);
            let before = numbers.len();
            if self.piece(&mut numbers, from, &piece, unpacker, to) == Sent::Stopped {
                return Ok(Sent::Stopped);
            }
            if let Some(&missing) = numbers.first() {
                // All from there on comes again, or came for nothing.
                let useful = self.chunks[index(missing)].offset.saturating_sub(from);
                self.counts.again.fetch_add(came.saturating_sub(useful), Ordering::Relaxed);
            }
            fruitless = if numbers.len() < before { 0 } else { fruitless + 1 };
            if fruitless == MOST_FRUITLESS {
                let text = format!("{fruitless} tries brought no right chunk from byte {from} of the image");
                return Err(io::Error::new(io::ErrorKind::InvalidData, text));
            }
        }
        Ok(Sent::All)
    }

    /// Take the first of `numbers` for as long as their chunks are in `piece`,
    /// which starts at `from` in the file.
    fn piece(
        &self,
        numbers: &mut &[u32],
        from: u64,
        piece: &Piece,
        unpacker: &mut Unpacker,
        to: &SyncSender<io::Result<Brought>>,
    ) -> Sent {
        while let Some((&number, rest)) = numbers.split_first() {
            let chunk = &self.chunks[index(number)];
            let Some(stored) = part(chunk, from, &piece.bytes) else { break };
            let decode = self.meters.of(Part::Decode);
            let Some(content) = decode.busy(|| unpacker.unpack(chunk, stored, self.pool.take())) else {
                self.source.distrust(piece.mirror);
                break;
            };
            if to.send(Ok(Brought { at: chunk.at, content: Arc::new(content) })).is_err() {
                return Sent::Stopped;
            }
            *numbers = rest;
        }
        Sent::All
    }
}

/// What `bytes`, which start at `from` in the file, have of `chunk`; `None`
/// when they end before it does.
fn part<'a>(chunk: &Chunk, from: u64, bytes: &'a [u8]) -> Option<&'a [u8]> {
    let start = usize::try_from(chunk.offset.checked_sub(from)?).ok()?;
    bytes.get(start..)?.get(..index(chunk.stored))
}

/// Whether anybody still wants chunks.
#[derive(PartialEq, Eq)]
enum Sent {
    All,
    Stopped,
}

/// From stored bytes to the content of a chunk.
enum Unpacker {
    Raw,
    Zstd(zstd::bulk::Decompressor<'static>),
}

impl Unpacker {
    fn new(encoding: Encoding) -> io::Result<Self> {
        Ok(match encoding {
            Encoding::Raw => Unpacker::Raw,
            Encoding::Zstd => Unpacker::Zstd(zstd::bulk::Decompressor::new()?),
        })
    }

    /// `chunk` out of what is `stored` of it, in `content`. `None` when it is
    /// something else.
    fn unpack(&mut self, chunk: &Chunk, stored: &[u8], mut content: Buffer) -> Option<Buffer> {
        content.truncate(index(chunk.length));
        match self {
            Unpacker::Raw if stored.len() == content.len() => content.copy_from_slice(stored),
            Unpacker::Raw => return None,
            Unpacker::Zstd(decompressor) => {
                // No more comes out than fits, whatever the frame says.
                let length = decompressor.decompress_to_buffer(stored, &mut content[..]).ok()?;
                content.truncate(length);
            }
        }
        chunk.is(&content).then_some(content)
    }
}
