//! From the content of an image to extents of the disk.

mod qcow2;
mod raw;

use std::{io, sync::mpsc::SyncSender};

use model::Bytes;

pub(crate) use qcow2::Map;
pub use qcow2::Qcow2Error;

use crate::{
    Compression, Declared, Format, FormatError, Source, decompress::Content, extent::Extent, format,
    tap::Stream,
};

/// What a decoder sends to the writer.
pub(crate) enum Decoded {
    /// What the image is; always first, before anything is written.
    Begin {
        format: Format,
        compression: Compression,
        /// Length of the disk in the image, when known beforehand.
        size: Option<Bytes>,
    },
    /// A part of it.
    Extent(Extent),
    /// All extents have been sent; the image is this long.
    End {
        /// Length of the disk in the image.
        size: Bytes,
    },
}

/// Why the content of an image cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// It is not an image we write.
    #[error(transparent)]
    Format(#[from] FormatError),
    /// Its compression is broken or cut off.
    #[error(
        "the image's compressed data is damaged or cut off after {at} bytes of content; check the upload"
    )]
    Compressed {
        /// How many bytes of content were good.
        at: u64,
        /// What the decompressor says.
        #[source]
        err: io::Error,
    },
    /// It is a qcow2 file that cannot be trusted or understood.
    #[error(transparent)]
    Qcow2(#[from] Qcow2Error),
    /// Reading it out of order failed.
    #[error("cannot read the image's tables")]
    Tables(#[source] io::Error),
    /// The source failed; its own error says more.
    #[error("the image's source failed")]
    Source,
    /// The writer stopped listening; its own error says why.
    #[error("the write was stopped")]
    Stopped,
}

/// What is known about an image before its first byte is streamed.
pub(crate) struct Known {
    declared: Declared,
    length: Option<Bytes>,
    map: Option<Map>,
    size: Option<Bytes>,
}

impl Known {
    /// How long the disk is, when that is known.
    pub(crate) fn size(&self) -> Option<Bytes> {
        self.size
    }
}

/// Look at `source` out of order, where it allows that: what it is, and the
/// tables of a qcow2.
pub(crate) fn survey(source: &mut impl Source, declared: Declared) -> Result<Known, DecodeError> {
    let length = source.length();
    let mut known = Known { declared, length, map: None, size: None };
    let (Some(length), Some(random)) = (length, source.random()) else { return Ok(known) };
    let mut start = vec![0; usize::try_from(length.0).unwrap_or(usize::MAX).min(format::SNIFFED)];
    match random.read_exact_at(Bytes(0), &mut start) {
        Ok(()) => {}
        // It said it could; as a stream it may still be fine.
        Err(err) if err.kind() == io::ErrorKind::Unsupported => return Ok(known),
        Err(err) => return Err(DecodeError::Tables(err)),
    }
    let compression = format::compression(&start, declared)?;
    if compression != Compression::None {
        return Ok(known);
    }
    match format::format(&start, declared, compression)? {
        Format::Raw => known.size = Some(length),
        Format::Qcow2 => {
            known.map = Map::survey(random, length)?;
            known.size = known.map.as_ref().map(Map::size);
        }
    }
    Ok(known)
}

/// Tell what `stream` is and send all it holds to the writer. Reads the stream
/// to its end.
pub(crate) fn decode(mut stream: Stream, known: Known, to: &SyncSender<Decoded>) -> Result<(), DecodeError> {
    let start = stream.peek().map_err(|_| DecodeError::Source)?;
    let compression = format::compression(start, known.declared)?;
    let content = Content::new(stream, compression).map_err(|err| DecodeError::Compressed { at: 0, err })?;
    let mut content = Reader { content, at: 0, compression };
    let format = format::format(content.peek()?, known.declared, compression)?;
    let length = if compression == Compression::None { known.length } else { None };
    let begin = |size| Decoded::Begin { format, compression, size };
    match format {
        Format::Raw => {
            send(to, begin(length))?;
            raw::decode(&mut content, to)
        }
        Format::Qcow2 => qcow2::decode(&mut content, known.map, length, to, begin),
    }
}

fn send(to: &SyncSender<Decoded>, decoded: Decoded) -> Result<(), DecodeError> {
    to.send(decoded).map_err(|_| DecodeError::Stopped)
}

/// Content that knows how far it is, for errors.
struct Reader {
    content: Content,
    at: u64,
    compression: Compression,
}

impl Reader {
    fn peek(&mut self) -> Result<&[u8], DecodeError> {
        let (at, compression) = (self.at, self.compression);
        let start = self.content.peek().map_err(|err| failed(err, at, compression))?.unwrap_or_default();
        Ok(&start[..start.len().min(format::SNIFFED)])
    }

    fn next(&mut self) -> Result<Option<std::sync::Arc<disk::Buffer>>, DecodeError> {
        let chunk = self.content.next().map_err(|err| failed(err, self.at, self.compression))?;
        self.at += chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
        Ok(chunk)
    }
}

fn failed(err: io::Error, at: u64, compression: Compression) -> DecodeError {
    match (compression, err.kind()) {
        (Compression::None, _) | (_, io::ErrorKind::BrokenPipe) => DecodeError::Source,
        (Compression::Gzip | Compression::Zstd, _) => DecodeError::Compressed { at, err },
    }
}
