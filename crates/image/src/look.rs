//! A look at an image before anything is written: what it is, and its
//! partition table.

use std::sync::{Arc, atomic::AtomicU64, mpsc::Receiver};

use disk::{
    Pool,
    gpt::{self, Table},
    mbr,
};
use model::{BlockSize, Bytes};

use crate::{
    Compression, Format, Options, Source, WriteError,
    budget::POOLED,
    decode::{self, Decoded},
    extent::{CHUNK, Extent},
    meter::Meters,
    pipeline,
};

/// The disk's start that is wanted: where a partition table is.
const HEAD: usize = gpt::HEAD;
/// An image of tables may store its start anywhere; past so many parts it is given up.
const MOST_PARTS: usize = 256;

/// What an image is.
#[derive(Clone, Debug)]
pub struct Look {
    /// How it is arranged.
    pub format: Format,
    /// How it is compressed.
    pub compression: Compression,
    /// Length of the disk in it, when that is known without reading all of it.
    pub size: Option<Bytes>,
    /// The disk's first mebibyte, as far as it came early; zeros for the rest.
    pub head: Vec<u8>,
}

impl Look {
    /// The sector size that its GPT was made for; `None` without a sound one
    /// that is looked for.
    #[must_use]
    pub fn made_for(&self) -> Option<BlockSize> {
        let block = gpt::made_for(&self.head).filter(|_| mbr::protects(&self.head))?;
        Table::parse(&self.head, block).ok().map(|_| block)
    }
}

/// Look at the start of `source`, which is spent by it: open it again to write it.
///
/// # Errors
/// [`WriteError::Image`] and [`WriteError::Source`], as when it is written.
pub fn look(mut source: impl Source, options: &Options) -> Result<Look, WriteError> {
    let known = decode::survey(&mut source, options.terms()).map_err(WriteError::Image)?;
    let known = known.with_spill(options.spill.clone());
    let count = AtomicU64::new(0);
    let tools = (Arc::new(Meters::new()), Pool::new(CHUNK, POOLED));
    let (upstream, look) = pipeline::start(&mut source, known, &[], tools, &count, gather);
    match look {
        Some(look) => Ok(look),
        None => {
            upstream.outcome(Ok(()), &count).and(Err(WriteError::Broken { what: "the decoder ended early" }))
        }
    }
}

/// What comes until the disk's start is complete. Dropping `decoded` stops the rest.
fn gather(decoded: Receiver<Decoded>) -> Option<Look> {
    let mut look = None;
    let mut missing = HEAD;
    for part in decoded.into_iter().take(MOST_PARTS) {
        match part {
            Decoded::Begin { format, compression, size } => {
                look = Some(Look { format, compression, size, head: vec![0; HEAD] });
            }
            Decoded::Extent(extent) => missing = missing.saturating_sub(put(look.as_mut()?, &extent)),
            Decoded::End { size } => {
                look.as_mut()?.size = Some(size);
                missing = 0;
            }
        }
        if missing == 0 {
            break;
        }
    }
    look
}

/// Put what belongs to the disk's start in its place; returns how much that was.
fn put(look: &mut Look, extent: &Extent) -> usize {
    let (at, length) = match extent {
        Extent::Data { at, bytes } => (at.0, bytes.bytes().len() as u64),
        Extent::Zero { at, length } => (at.0, length.0),
    };
    let Some(start) = usize::try_from(at).ok().filter(|&start| start < HEAD) else { return 0 };
    let length = usize::try_from(length).unwrap_or(HEAD).min(HEAD - start);
    if let Extent::Data { bytes, .. } = extent {
        look.head[start..start + length].copy_from_slice(&bytes.bytes()[..length]);
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MemorySource;

    #[test]
    fn a_look_reads_the_start_and_no_more() {
        let mut image = vec![0x5a; 3 << 20];
        image[0] = 1;
        let raw = look(MemorySource::new(image.clone()), &Options::default()).expect("raw");
        assert_eq!((raw.format, raw.compression), (Format::Raw, Compression::None));
        assert_eq!(raw.size, Some(Bytes(3 << 20)));
        assert_eq!(raw.head, image[..HEAD]);
        assert_eq!(raw.made_for(), None);
        let packed = zstd::encode_all(&image[..], 1).expect("in memory");
        let found = look(MemorySource::pipe(packed.clone()), &Options::default()).expect("zstd");
        assert_eq!((found.compression, &found.head[..]), (Compression::Zstd, &image[..HEAD]));
        let cut = look(MemorySource::pipe(packed[..40].to_vec()), &Options::default());
        assert!(cut.is_err(), "{cut:?}");
    }
}
