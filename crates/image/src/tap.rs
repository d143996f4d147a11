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

use disk::Buffer;
use model::{Algorithm, Bytes, Digest, Hasher};

use crate::{extent::CHUNK, source::Source};

/// Chunks in flight between two threads. Four hide the jitter of a network and
/// hold 4 MiB.
pub(crate) const IN_FLIGHT: usize = 4;

/// What the reader hands on. A channel that closes without `End` means that
/// reading failed.
pub(crate) enum Message {
    /// The next bytes.
    Chunk(Arc<Buffer>),
    /// There are no more.
    End,
}

/// Read `source` to its end, chunk by chunk, to the hasher and the decoder.
/// Returns how many bytes there were; stops early, without error, when the
/// decoder no longer listens.
pub(crate) fn read(
    source: &mut impl Source,
    to_hasher: &SyncSender<Arc<Buffer>>,
    to_decoder: &SyncSender<Message>,
    count: &AtomicU64,
) -> io::Result<Bytes> {
    let mut read = 0;
    loop {
        let mut chunk = Buffer::zeroed(CHUNK);
        let length = fill(source, &mut chunk)?;
        chunk.truncate(length);
        read += length as u64;
        count.store(read, Ordering::Relaxed);
        let chunk = Arc::new(chunk);
        if length > 0
            && (to_hasher.send(Arc::clone(&chunk)).is_err()
                || to_decoder.send(Message::Chunk(chunk)).is_err())
        {
            return Ok(Bytes(read));
        }
        if length < CHUNK {
            break;
        }
    }
    if let Some(promised) = source.length()
        && promised.0 != read
    {
        let text = format!("{read} bytes came where {} were promised", promised.0);
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, text));
    }
    // A decoder that does not listen has failed, and says so itself.
    to_decoder.send(Message::End).ok();
    Ok(Bytes(read))
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
pub(crate) fn hash(chunks: &Receiver<Arc<Buffer>>, algorithms: &[Algorithm]) -> Vec<Digest> {
    let mut hashers: Vec<Hasher> = algorithms.iter().map(|&algorithm| Hasher::new(algorithm)).collect();
    for chunk in chunks {
        for hasher in &mut hashers {
            hasher.update(&chunk);
        }
    }
    hashers.into_iter().map(Hasher::finish).collect()
}

/// The decoder's end: the chunks again, or a plain byte stream.
pub(crate) struct Stream {
    messages: Receiver<Message>,
    chunk: Option<Arc<Buffer>>,
    at: usize,
    ended: bool,
}

impl Stream {
    /// The stream of what `messages` brings.
    pub(crate) fn new(messages: Receiver<Message>) -> Self {
        Self { messages, chunk: None, at: 0, ended: false }
    }

    /// The first bytes, without taking them.
    pub(crate) fn peek(&mut self) -> io::Result<&[u8]> {
        self.fill_buf()
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
            match self.messages.recv() {
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
