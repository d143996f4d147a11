//! From the content of an image to extents of the disk.

mod claims;
mod fields;
mod flaw;
mod forward;
mod gaps;
#[cfg(test)]
mod huge_tests;
mod map;
mod pieces;
mod qcow2;
mod raw;
mod raw_blocks;
mod spill;
mod unpack;
mod vhd;
mod vhdx;
mod vmdk;
mod window;
#[cfg(test)]
mod window_tests;
mod workers;

use std::io;

use model::{Bytes, Digest};

pub use flaw::Flaw;
use map::{Map, Open, Order, Surveyed};
pub use spill::Spill;
use spill::Spilled;

use crate::{
    Compression, Format, FormatError, ReadAt, Source,
    decompress::{self, Content, DecompressError},
    extent::Extent,
    format::{self, Inside, Terms},
    outlet::Outlet,
    tap::Stream,
};

/// How many partitions are looked into before the first byte is written, each
/// by a request of its own; the others are when they pass.
const LOOKED_INTO: usize = 8;

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
    /// Its compression needs what its decompressor does not have.
    #[error(transparent)]
    Decompress(#[from] DecompressError),
    /// It is a file with tables that cannot be trusted or understood.
    #[error("the {format} image {flaw}")]
    Flawed {
        /// What the file is.
        format: Format,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// Reading it out of order failed.
    #[error("cannot read the image's tables")]
    Tables(#[source] io::Error),
    /// Keeping what comes before its table failed.
    #[error("cannot keep the image's data in the spill directory; is there room?")]
    Spill(#[source] io::Error),
    /// The source failed; its own error says more.
    #[error("the image's source failed")]
    Source,
    /// The writer stopped listening; its own error says why.
    #[error("the write was stopped")]
    Stopped,
}

/// What is known about an image before its first byte is streamed.
pub(crate) struct Known {
    terms: Terms,
    length: Option<Bytes>,
    map: Option<Map>,
    /// Its layout is too much to be known beforehand.
    crowded: bool,
    size: Option<Bytes>,
    spill: Option<Spill>,
}

impl Known {
    /// How long the disk is, when that is known.
    pub(crate) fn size(&self) -> Option<Bytes> {
        self.size
    }

    /// Data that comes before its table may be kept there.
    pub(crate) fn with_spill(mut self, spill: Option<Spill>) -> Self {
        self.spill = spill;
        self
    }
}

/// Look at `source` out of order, where it allows that: what it is, and the
/// tables of a format that has some.
pub(crate) fn survey(source: &mut impl Source, terms: Terms) -> Result<Known, DecodeError> {
    let length = source.length();
    let mut known = Known { terms, length, map: None, crowded: false, size: None, spill: None };
    let (Some(length), Some(random)) = (length, source.random()) else { return Ok(known) };
    let mut start = vec![0; usize::try_from(length.0).unwrap_or(usize::MAX).min(format::SNIFFED)];
    match random.read_exact_at(Bytes(0), &mut start) {
        Ok(()) => {}
        // It said it could; as a stream it may still be fine.
        Err(err) if err.kind() == io::ErrorKind::Unsupported => return Ok(known),
        Err(err) => return Err(DecodeError::Tables(err)),
    }
    let compression = format::compression(&start, terms.declared)?;
    if compression != Compression::None {
        return Ok(known);
    }
    let mut format = format::format(&start, &terms, compression)?;
    if format == Format::Raw && ends_as_vhd(random, length)? {
        if terms.declared.format.is_some() {
            return Err(FormatError::Ambiguous { one: "a raw disk", other: "a fixed VHD" }.into());
        }
        known.terms.declared.format = Some(Format::Vhd);
        format = format::format(&start, &known.terms, compression)?;
    }
    match tables_of(format)? {
        None => {
            check_inside(random, &start, terms)?;
            known.size = Some(length);
        }
        Some(open) => match Map::survey(format, open, random, length)? {
            Surveyed::Whole(map) => {
                known.size = Some(map.size());
                known.map = Some(*map);
            }
            Surveyed::Crowded => known.crowded = true,
            Surveyed::Refused => {}
        },
    }
    Ok(known)
}

/// True when the last sector is the footer of a fixed VHD, which begins like any
/// raw disk.
fn ends_as_vhd(random: &mut dyn ReadAt, length: Bytes) -> Result<bool, DecodeError> {
    let Some(at) = length.0.checked_sub(vhd::FOOTER as u64) else { return Ok(false) };
    let mut footer = [0; vhd::FOOTER];
    match random.read_exact_at(Bytes(at), &mut footer) {
        Ok(()) => Ok(vhd::is_fixed(&footer)),
        // As a stream it is seen when it has passed.
        Err(err) if err.kind() == io::ErrorKind::Unsupported => Ok(false),
        Err(err) => Err(DecodeError::Tables(err)),
    }
}

/// Where a disk that nobody declared raw may hold another image.
fn inside(start: &[u8], terms: Terms) -> Inside {
    if terms.declared.format.is_none() { Inside::of(start) } else { Inside::default() }
}

/// Look there before anything is written.
fn check_inside(random: &mut dyn ReadAt, start: &[u8], terms: Terms) -> Result<(), DecodeError> {
    let inside = inside(start, terms);
    for at in inside.starts().take(LOOKED_INTO) {
        let mut bytes = [0; format::SEEN];
        // A table that points beyond the image is a matter of committing it.
        if random.read_exact_at(at, &mut bytes).is_ok() {
            inside.check(at, &bytes)?;
        }
    }
    Ok(())
}

/// How the tables of `format` are read; `None` when it has none.
fn tables_of(format: Format) -> Result<Option<Open>, FormatError> {
    match format {
        Format::Raw => Ok(None),
        Format::Qcow2 => Ok(Some(qcow2::open)),
        Format::Vhd => Ok(Some(vhd::open)),
        Format::Vhdx => Ok(Some(vhdx::open)),
        Format::Vmdk => Ok(Some(vmdk::open)),
    }
}

/// Tell what `stream` is and send all it holds to the writer. Reads the stream
/// to its end, and returns the digest of the content if that is wanted.
pub(crate) fn decode(mut stream: Stream, known: Known, to: &Outlet) -> Result<Option<Digest>, DecodeError> {
    let terms = known.terms;
    let start = stream.peek().map_err(|_| DecodeError::Source)?;
    let compression = format::compression(start, terms.declared)?;
    if compression == Compression::Xz
        && let Some(plan) = raw_blocks::plan(start, &terms)
        && let Ok(start) = decompress::start_of_xz(start, format::SNIFFED)
        && format::format(&start, &terms, compression)? == Format::Raw
    {
        send(to, Decoded::Begin { format: Format::Raw, compression, size: None })?;
        raw_blocks::decode(&mut stream, plan, &inside(&start, terms), to)?;
        return Ok(None);
    }
    let content = Content::new(stream, compression, &terms).map_err(|err| failed(err, 0, compression))?;
    let mut content = Reader { content, at: 0, compression };
    let format = format::format(content.peek()?, &terms, compression)?;
    let length = if compression == Compression::None { known.length } else { None };
    let Some(open) = tables_of(format)? else {
        send(to, Decoded::Begin { format, compression, size: length })?;
        let inside = inside(content.peek()?, terms);
        raw::decode(&mut content, &inside, to)?;
        return content.digest();
    };
    content.content.restrain(Bytes(terms.decoder_memory.0 / decompress::AROUND_TABLES))?;
    let mut map = match known.map {
        Some(map) => map,
        None => Map::new(format, open, content.peek()?, length, Order::Forward)?,
    };
    map.crowded = known.crowded;
    // Of some formats a table tells, not the header, and it has yet to pass.
    let size = Some(map.size()).filter(|&size| size > Bytes(0));
    send(to, Decoded::Begin { format, compression, size })?;
    let size = forward::run(&mut content, map, known.spill.map(Spilled::new), to)?;
    send(to, Decoded::End { size })?;
    content.digest()
}

fn send(to: &Outlet, decoded: Decoded) -> Result<(), DecodeError> {
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

    fn digest(self) -> Result<Option<Digest>, DecodeError> {
        self.content.digest().map_err(|err| failed(err, self.at, self.compression))
    }
}

fn failed(err: io::Error, at: u64, compression: Compression) -> DecodeError {
    match (compression, err.kind()) {
        (Compression::None, _) | (_, io::ErrorKind::BrokenPipe) => DecodeError::Source,
        _ => match err.downcast() {
            Ok(refused) => DecodeError::Decompress(refused),
            Err(err) => DecodeError::Compressed { at, err },
        },
    }
}
