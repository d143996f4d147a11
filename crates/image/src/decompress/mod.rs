//! From the bytes of the source to the bytes of the image, in chunks.
//!
//! Every checksum of a compression is checked before the end is believed, and
//! nothing may follow that end: a file is read as strictly as the strictest of
//! the field's tools reads it.

use std::{
    io::{self, BufRead, Read},
    sync::Arc,
};

use disk::{Buffer, Pool};
use model::{Bytes, Digest};

use crate::{Compression, extent::CHUNK, format::Terms, tap, tap::Stream};

pub(crate) mod blocks;
mod digest;
mod gzip;
mod lz4;
mod xxh32;
mod xz;
mod zstd;

pub(crate) use xz::Xz;

/// The most that a decompressor may hold of what it has decompressed: the
/// window of zstd, the dictionary of xz. `zstd -19` and `xz -6` make 8 MiB,
/// `zstd --ultra -20` and `xz -8` 32 MiB; `zstd -22`, `zstd --long=27` (both
/// 128 MiB) and `xz -9` (64 MiB) would not fit a ramdisk's memory.
pub const DECODER_MEMORY: Bytes = Bytes(32 << 20);

/// Around a format with tables, which takes memory of its own, a decompressor may
/// hold this part of it only: 8 MiB, as `zstd -19` and `xz -6` make.
pub(crate) const AROUND_TABLES: u64 = 4;

/// Why compressed data that may be sound is not read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecompressError {
    /// Its decompressor would need more memory than it may have.
    #[error(
        "reading the {what} image takes {needs} of memory for its window, allowed are {limit}; \
         compress it with a smaller window ({advice}) or allow the decoder more memory"
    )]
    Memory {
        /// What it is.
        what: &'static str,
        /// How much it needs.
        needs: Bytes,
        /// How much it may have.
        limit: Bytes,
        /// How to need less.
        advice: &'static str,
    },
    /// It was made with a dictionary, which is another file.
    #[error("the {what} image needs dictionary {id}; compress it without a dictionary")]
    Dictionary {
        /// What it is.
        what: &'static str,
        /// Number of the dictionary.
        id: u32,
    },
    /// It uses what is not read.
    #[error("the image holds {what}, which is not read; {advice}")]
    Unsupported {
        /// What it holds.
        what: &'static str,
        /// What to do.
        advice: &'static str,
    },
}

impl From<DecompressError> for io::Error {
    fn from(err: DecompressError) -> Self {
        io::Error::other(err)
    }
}

/// Compressed data that is not what its compressor wrote.
fn damaged(what: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}

/// Take `length` bytes off `from`.
fn skip(from: &mut impl BufRead, length: u64) -> io::Result<()> {
    match io::copy(&mut from.take(length), &mut io::sink())? {
        skipped if skipped == length => Ok(()),
        _ => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a skippable frame is cut off")),
    }
}

/// The content of an image, [`CHUNK`] bytes at a time.
pub(crate) struct Content {
    layer: Layer,
    pool: Pool,
    ended: bool,
    first: Option<Arc<Buffer>>,
    digest: Option<digest::Making>,
}

enum Layer {
    Plain(Stream),
    Packed(Box<dyn Unpack>),
}

/// What takes a compression off. It ends only when all of it was right.
trait Unpack: Read + Send {
    /// Hold no more than `limit` of what has been decompressed from here on.
    /// For those with a window as large as their maker liked; that of the
    /// others is small.
    ///
    /// # Errors
    /// When it holds more already.
    fn restrain(&mut self, _limit: Bytes) -> Result<(), DecompressError> {
        Ok(())
    }
}

/// No compression at all.
struct Plain<R>(R);

impl<R: Read> Read for Plain<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl<R: Read + Send> Unpack for Plain<R> {}
impl<R: BufRead + Send> Unpack for gzip::Gzip<R> {}
impl<R: BufRead + Send> Unpack for lz4::Lz4<R> {}
impl<R: BufRead + Send> Unpack for bzip2::bufread::MultiBzDecoder<R> {}

impl<R: BufRead + Send> Unpack for zstd::Zstd<R> {
    fn restrain(&mut self, limit: Bytes) -> Result<(), DecompressError> {
        zstd::Zstd::restrain(self, limit)
    }
}

impl<R: BufRead + Send> Unpack for Xz<R> {
    fn restrain(&mut self, limit: Bytes) -> Result<(), DecompressError> {
        Xz::restrain(self, limit)
    }
}

impl Content {
    /// What `stream` holds once `compression` is taken off on these `terms`.
    ///
    /// # Errors
    /// When the decompressor or the thread for a digest cannot be made.
    pub(crate) fn new(stream: Stream, compression: Compression, terms: &Terms) -> io::Result<Self> {
        let start = |algorithm| digest::Making::start(algorithm, Arc::clone(stream.meters()));
        let digest = terms.content.map(start).transpose()?;
        let pool = stream.pool().clone();
        let layer = match compression {
            Compression::None => Layer::Plain(stream),
            Compression::Gzip
            | Compression::Zstd
            | Compression::Xz
            | Compression::Bzip2
            | Compression::Lz4 => Layer::Packed(unpack(stream, compression, terms.decoder_memory)?),
        };
        Ok(Self { layer, pool, ended: false, first: None, digest })
    }

    /// Hold no more than `limit` of what has been decompressed from here on.
    ///
    /// # Errors
    /// [`DecompressError::Memory`] when more is held already.
    pub(crate) fn restrain(&mut self, limit: Bytes) -> Result<(), DecompressError> {
        match &mut self.layer {
            Layer::Plain(_) => Ok(()),
            Layer::Packed(decoder) => decoder.restrain(limit),
        }
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
        let chunk = match &mut self.layer {
            Layer::Plain(stream) => stream.next_chunk()?,
            Layer::Packed(decoder) => {
                let mut chunk = self.pool.take();
                let length = tap::fill(decoder, &mut chunk)?;
                chunk.truncate(length);
                (length > 0).then(|| Arc::new(chunk))
            }
        };
        self.ended = chunk.as_ref().is_none_or(|chunk| chunk.len() < CHUNK);
        if let (Some(digest), Some(chunk)) = (&self.digest, &chunk) {
            digest.add(chunk);
        }
        if self.ended {
            self.expect_end()?;
        }
        Ok(chunk)
    }

    /// The digest of all of it, if one is wanted. Reads what has not been read.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub(crate) fn digest(mut self) -> io::Result<Option<Digest>> {
        while self.digest.is_some() && self.next()?.is_some() {}
        self.digest.take().map(digest::Making::finish).transpose()
    }

    /// The stream below has ended too, so its last checksum has been checked
    /// and nothing follows it.
    fn expect_end(&mut self) -> io::Result<()> {
        let more = match &mut self.layer {
            Layer::Plain(stream) => !stream.peek()?.is_empty(),
            Layer::Packed(decoder) => decoder.read(&mut [0])? > 0,
        };
        if more { Err(damaged("data after the end")) } else { Ok(()) }
    }
}

/// The first `length` bytes of content, or all of it, of a file of xz that
/// starts with `start`.
///
/// # Errors
/// When it is not in there.
pub(crate) fn start_of_xz(start: &[u8], length: usize) -> io::Result<Vec<u8>> {
    let mut content = vec![0; length];
    let made = tap::fill(&mut Xz::new(start, DECODER_MEMORY)?, &mut content)?;
    content.truncate(made);
    Ok(content)
}

/// What takes `compression` off `from`. It ends only when `from` has ended and
/// all of it was right.
fn unpack(
    from: impl BufRead + Send + 'static,
    compression: Compression,
    memory: Bytes,
) -> io::Result<Box<dyn Unpack>> {
    Ok(match compression {
        Compression::None => Box::new(Plain(from)),
        Compression::Gzip => Box::new(gzip::Gzip::new(from)),
        Compression::Zstd => Box::new(zstd::Zstd::new(from, memory)?),
        Compression::Xz => Box::new(xz::Xz::new(from, memory)?),
        Compression::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(from)),
        Compression::Lz4 => Box::new(lz4::Lz4::new(from)),
    })
}

#[cfg(test)]
mod tests;
