//! From the bytes of the source to the bytes of the image, in chunks.

use std::{io, io::Read, sync::Arc};

use disk::Buffer;

use crate::{Compression, extent::CHUNK, tap, tap::Stream};

/// The largest window of a zstd frame that is read, as a power of two: 32 MiB.
/// `zstd -19` makes 8 MiB, `--ultra -20` 32 MiB; `-22` and `--long=27` make
/// 128 MiB, which would not fit a ramdisk's memory.
const WINDOW_LOG: u32 = 25;

/// The content of an image, [`CHUNK`] bytes at a time.
pub(crate) struct Content {
    from: From,
    ended: bool,
    first: Option<Arc<Buffer>>,
}

enum From {
    Plain(Stream),
    Packed(Box<dyn Read + Send>),
}

impl Content {
    /// What `stream` holds once `compression` is taken off.
    ///
    /// # Errors
    /// When the decompressor cannot be made.
    pub(crate) fn new(stream: Stream, compression: Compression) -> io::Result<Self> {
        let from = match compression {
            Compression::None => From::Plain(stream),
            Compression::Gzip => From::Packed(Box::new(flate2::bufread::MultiGzDecoder::new(stream))),
            Compression::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(stream)?;
                decoder.window_log_max(WINDOW_LOG)?;
                From::Packed(Box::new(decoder))
            }
        };
        Ok(Self { from, ended: false, first: None })
    }

    /// The first chunk, without taking it; `None` when there is nothing.
    pub(crate) fn peek(&mut self) -> io::Result<Option<&[u8]>> {
        if self.first.is_none() {
            self.first = self.next()?;
        }
        Ok(self.first.as_ref().map(|chunk| &chunk[..]))
    }

    /// The next chunk; `None` at the end. Every chunk but the last is full.
    pub(crate) fn next(&mut self) -> io::Result<Option<Arc<Buffer>>> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        if self.ended {
            return Ok(None);
        }
        let chunk = match &mut self.from {
            From::Plain(stream) => stream.next_chunk()?,
            From::Packed(decoder) => {
                let mut chunk = Buffer::zeroed(CHUNK);
                let length = tap::fill(decoder, &mut chunk)?;
                chunk.truncate(length);
                (length > 0).then(|| Arc::new(chunk))
            }
        };
        self.ended = chunk.as_ref().is_none_or(|chunk| chunk.len() < CHUNK);
        if self.ended {
            self.expect_end()?;
        }
        Ok(chunk)
    }

    /// The stream below has ended too, so its last checksum has been checked
    /// and nothing follows it.
    fn expect_end(&mut self) -> io::Result<()> {
        let more = match &mut self.from {
            From::Plain(stream) => !stream.peek()?.is_empty(),
            From::Packed(decoder) => decoder.read(&mut [0])? > 0,
        };
        if more { Err(io::Error::new(io::ErrorKind::InvalidData, "data after the end")) } else { Ok(()) }
    }
}
