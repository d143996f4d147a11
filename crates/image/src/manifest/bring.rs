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

use disk::Buffer;

use super::{Chunk, ChunkSource, Encoding, index, spans::Span};

/// The most mirrors that may give wrong bytes for one span before it is given up.
const MOST_WRONG: usize = 16;

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
    /// Bytes fetched so far, wrong ones included.
    pub(super) fetched: &'a AtomicU64,
}

impl<C: ChunkSource, S: Iterator<Item = Span>> Bringer<'_, C, S> {
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
        for _ in 0..=MOST_WRONG {
            let Some(&first) = numbers.first() else { return Ok(Sent::All) };
            let from = self.chunks[index(first)].offset;
            let piece = self.source.fetch(from..span.bytes.end)?;
            self.fetched.fetch_add(piece.bytes.len() as u64, Ordering::Relaxed);
            while let Some((&number, rest)) = numbers.split_first() {
                let chunk = &self.chunks[index(number)];
                let Some(content) = unpacker.unpack(chunk, from, &piece.bytes) else {
                    self.source.distrust(piece.mirror);
                    break;
                };
                if to.send(Ok(Brought { at: chunk.at, content: Arc::new(content) })).is_err() {
                    return Ok(Sent::Stopped);
                }
                numbers = rest;
            }
        }
        let text = format!("{MOST_WRONG} mirrors gave wrong bytes for {:?} of the image", span.bytes);
        Err(io::Error::new(io::ErrorKind::InvalidData, text))
    }
}

/// Whether anybody still wants chunks.
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

    /// `chunk` out of `bytes`, which start at `from` in the file. `None` when it
    /// is not in there.
    fn unpack(&mut self, chunk: &Chunk, from: u64, bytes: &[u8]) -> Option<Buffer> {
        let start = usize::try_from(chunk.offset.checked_sub(from)?).ok()?;
        let stored = bytes.get(start..)?.get(..index(chunk.stored))?;
        let content = match self {
            Unpacker::Raw => Buffer::copy_of(stored),
            Unpacker::Zstd(decompressor) => {
                // The output can only be as long as the buffer, whatever the frame says.
                let mut content = Buffer::zeroed(index(chunk.length));
                let length = decompressor.decompress_to_buffer(stored, &mut content[..]).ok()?;
                content.truncate(length);
                content
            }
        };
        chunk.is(&content).then_some(content)
    }
}
