//! A manifest in the making: the disk's content goes by once, in order.

use std::ops::Range;

use model::{Algorithm, Bytes, Hasher};

use super::{CHUNK_SIZES, Chunk, ImageFile, MOST_CHUNKS, Manifest, ManifestError};
use crate::extent::is_zero;

/// A manifest whose disk is still being read.
pub struct Draft {
    chunk_size: u64,
    size: u64,
    content: Hasher,
    chunks: Vec<Chunk>,
    zeros: Vec<Range<u64>>,
}

impl Draft {
    /// A manifest of chunks of `chunk_size`.
    ///
    /// # Errors
    /// When that is no power of two between [`CHUNK_SIZES`].
    pub fn new(chunk_size: Bytes) -> Result<Self, ManifestError> {
        let size = chunk_size.0;
        if !size.is_power_of_two() || !(CHUNK_SIZES[0]..=CHUNK_SIZES[1]).contains(&size) {
            return Err(ManifestError::Wrong { what: "the chunks' size" });
        }
        let (chunks, zeros) = (Vec::new(), Vec::new());
        Ok(Self { chunk_size: size, size: 0, content: Hasher::new(Algorithm::Sha256), chunks, zeros })
    }

    /// Take in the next chunk of the disk, whose bytes are `stored` in the file.
    ///
    /// # Errors
    /// When it is no chunk, follows the last one, or is one too many.
    pub fn add(&mut self, content: &[u8], stored: &Range<u64>) -> Result<(), ManifestError> {
        let wrong = |what| ManifestError::Wrong { what };
        let length = content.len() as u64;
        if length == 0 || length > self.chunk_size || !self.size.is_multiple_of(self.chunk_size) {
            return Err(wrong("a chunk's length on the disk"));
        }
        let at = self.size;
        self.size += length;
        self.content.update(content);
        if is_zero(content) {
            match self.zeros.last_mut() {
                Some(last) if last.end == at => last.end = self.size,
                Some(_) | None => self.zeros.push(at..self.size),
            }
            return Ok(());
        }
        if self.chunks.len() == MOST_CHUNKS {
            return Err(wrong("it has more chunks than are read; make them larger"));
        }
        let long = |_| wrong("a chunk's length in the file");
        self.chunks.push(Chunk {
            at,
            length: u32::try_from(length).map_err(long)?,
            offset: stored.start,
            stored: u32::try_from(stored.end - stored.start).map_err(long)?,
            digest: *blake3::hash(content).as_bytes(),
        });
        Ok(())
    }

    /// The manifest of all that was taken in, which is stored in `file`.
    ///
    /// # Errors
    /// When what was said of the chunks' places cannot be: nothing is made that
    /// [`Manifest::parse`] refuses.
    pub fn finish(self, file: ImageFile) -> Result<Manifest, ManifestError> {
        let Self { chunk_size, size, content, chunks, zeros } = self;
        let made = Manifest { file, size: Bytes(size), content: content.finish(), chunk_size, chunks, zeros };
        Manifest::parse(&made.to_json()?)
    }
}
