//! The source's end of the pipeline: one thread reads, one hashes what was
//! read, and the decoder gets the same chunks without a copy.

use std::{
    io::{self, BufRead, Read},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
        mpsc::{Receiver, SyncSender},
    },
};

use disk::{Buffer, Pool};
use model::{Algorithm, Bytes, Digest, Hasher};

use crate::{
    extent::{CHUNK, Slice},
    meter::{Meter, Meters, Part},
    source::Source,
};

/// What the reader hands on. A channel that closes without `End` means that
/// reading failed.
pub(crate) enum Message {
    /// The next bytes.
    Chunk(Arc<Buffer>),
    /// There are no more.
    End,
}

/// The reader's end: where it hands chunks on, and where it has them from.
pub(crate) struct Tap {
    pub(crate) to_hasher: SyncSender<Arc<Buffer>>,
    pub(crate) to_decoder: SyncSender<Message>,
    pub(crate) meters: Arc<Meters>,
    pub(crate) pool: Pool,
}

impl Tap {
    /// Read `source` to its end, chunk by chunk, to the hasher and the decoder.
    /// Returns how many bytes there were; stops early, without error, when the
    /// decoder no longer listens.
    pub(crate) fn read(self, source: &mut impl Source, count: &AtomicU64) -> io::Result<Bytes> {
        let mut read = 0;
        loop {
            let mut chunk = self.pool.take();
            let length = self.meters.of(Part::Net).busy(|| fill(source, &mut chunk))?;
            chunk.truncate(length);
            read += length as u64;
            count.store(read, Ordering::Relaxed);
            if length > 0 && !self.hand_on(chunk) {
                return Ok(Bytes(read));
            }
            if length < CHUNK {
                break;
            }
        }
        expect_all(source.length(), read)?;
        // A decoder that does not listen has failed, and says so itself.
        self.to_decoder.send(Message::End).ok();
        Ok(Bytes(read))
    }

    /// False when somebody no longer listens.
    fn hand_on(&self, chunk: Buffer) -> bool {
        let chunk = Arc::new(chunk);
        self.to_hasher.send(Arc::clone(&chunk)).is_ok() && self.to_decoder.send(Message::Chunk(chunk)).is_ok()
    }
}

fn expect_all(promised: Option<Bytes>, read: u64) -> io::Result<()> {
    match promised {
        Some(promised) if promised.0 != read => {
            let text = format!("{read} bytes came where {} were promised", promised.0);
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, text))
        }
        Some(_) | None => Ok(()),
    }
}

/// Fill `buffer` as far as `source` goes.
pub(crate) fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match source.read(&mut buffer[length..]) {
            Ok(0) => break,
            Ok(count) => length += count,
            Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
            Err(err) => return Err(err),
        }
    }
    Ok(length)
}

/// Hash everything that arrives with every one of `algorithms`.
pub(crate) fn hash(chunks: &Receiver<Arc<Buffer>>, algorithms: &[Algorithm], meter: &Meter) -> Vec<Digest> {
    let mut hashers: Vec<Hasher> = algorithms.iter().map(|&algorithm| Hasher::new(algorithm)).collect();
    for chunk in chunks {
        meter.busy(|| hashers.iter_mut().for_each(|hasher| hasher.update(&chunk)));
    }
    hashers.into_iter().map(Hasher::finish).collect()
}

/// The decoder's end: the chunks again, or a plain byte stream.
pub(crate) struct Stream {
    messages: Receiver<Message>,
    meters: Arc<Meters>,
    pool: Pool,
    chunk: Option<Arc<Buffer>>,
    at: usize,
    ended: bool,
}

impl Stream {
    /// The stream of what `messages` brings.
    pub(crate) fn new(messages: Receiver<Message>, meters: Arc<Meters>, pool: Pool) -> Self {
        Self { messages, meters, pool, chunk: None, at: 0, ended: false }
    }

    /// Buffers of a chunk to decompress into. They hold leftovers.
    pub(crate) fn pool(&self) -> &Pool {
        &self.pool
    }

    /// Where the time is counted.
    pub(crate) fn meters(&self) -> &Arc<Meters> {
        &self.meters
    }

    /// The first bytes, without taking them.
    pub(crate) fn peek(&mut self) -> io::Result<&[u8]> {
        self.fill_buf()
    }

    /// The next bytes, at most `most` of them, without a copy; `None` at the end.
    pub(crate) fn take_most(&mut self, most: u64) -> io::Result<Option<Slice>> {
        let length = self.fill_buf()?.len().min(usize::try_from(most).unwrap_or(usize::MAX));
        let range = self.at..self.at + length;
        self.consume(length);
        let chunk = self.chunk.as_ref().filter(|_| length > 0);
        Ok(chunk.map(|chunk| Slice::new(Arc::clone(chunk), range)))
    }

    /// The next whole chunk; `None` at the end.
    pub(crate) fn next_chunk(&mut self) -> io::Result<Option<Arc<Buffer>>> {
        if self.fill_buf()?.is_empty() {
            return Ok(None);
        }
        debug_assert_eq!(self.at, 0, "chunks and bytes are not mixed");
        Ok(self.chunk.take())
    }
}

impl BufRead for Stream {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        let used_up = self.chunk.as_ref().is_none_or(|chunk| self.at >= chunk.len());
        if used_up && !self.ended {
            (self.chunk, self.at) = (None, 0);
            match self.meters.of(Part::Decode).waiting(|| self.messages.recv()) {
                Ok(Message::Chunk(chunk)) => self.chunk = Some(chunk),
                Ok(Message::End) => self.ended = true,
                Err(_) => return Err(io::Error::new(io::ErrorKind::BrokenPipe, "the source failed")),
            }
        }
        Ok(self.chunk.as_ref().map(|chunk| &chunk[self.at..]).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}

impl Read for Stream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let count = bytes.len().min(into.len());
        into[..count].copy_from_slice(&bytes[..count]);
        self.consume(count);
        Ok(count)
    }
}
