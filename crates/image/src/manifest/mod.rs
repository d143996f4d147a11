//! Images by chunks: a manifest says what every chunk of the disk is and where
//! its bytes are, so they come from any mirror, in any order, and only those
//! that the disk does not hold yet.
//!
//! document ─▶ [`accept`]: whose word is it? ─▶ [`Accepted`]
//!     ─▶ [`stage_chunks`]: compare the old disk ─▶ fetch what differs ─▶ unpack ─▶ check ─▶ write
//!     ─▶ [`Staged`](crate::Staged) ─▶ verify ─▶ commit, as any image
//!
//! `docs/manifest.md` has the document field by field.

mod bring;
mod compare;
mod document;
mod draft;
mod install;
mod prove;
mod source;
mod spans;
mod trust;
mod unpack;

use std::ops::Range;

use model::{Bytes, Digest};

pub use document::{LONGEST_DOCUMENT, ManifestError};
pub use draft::Draft;
pub use install::{install_chunks, stage_chunks};
pub use prove::StagedChunks;
pub use source::{ChunkSource, FileChunks, Piece};
pub use trust::{Accepted, TrustError, accept};
pub use unpack::unpack;

/// The only version there is.
pub const VERSION: u32 = 1;
/// The smallest and the largest chunk: below, the manifest outgrows what it
/// saves; above, a chunk would not fit the buffers it is written from.
pub const CHUNK_SIZES: [u64; 2] = [64 << 10, 1 << 20];
/// Chunks of this length unless something else is asked for.
pub const DEFAULT_CHUNK: u64 = 256 << 10;
/// The most chunks that are not zero: 32 GiB of content in chunks of the
/// default length, 128 GiB in the largest. The agent holds 56 bytes of each.
pub const MOST_CHUNKS: usize = 128 << 10;

/// How a chunk's bytes are stored in the image's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As they are on the disk.
    Raw,
    /// Each chunk as one Zstandard frame of its own, RFC 8878.
    Zstd,
}

impl Encoding {
    /// As in the manifest: `raw`, `zstd`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Raw => "raw",
            Encoding::Zstd => "zstd",
        }
    }

    /// What the file of such chunks is, as `--format` takes it.
    #[must_use]
    pub fn format(self) -> &'static str {
        match self {
            Encoding::Raw => "raw",
            Encoding::Zstd => "raw.zst",
        }
    }

    /// The most bytes that a chunk of `length` is stored in. zstd stores what it
    /// cannot compress with three bytes a block of 128 KiB and a frame's header.
    fn longest(self, length: u64) -> u64 {
        match self {
            Encoding::Raw => length,
            Encoding::Zstd => length + length / 128 + 128,
        }
    }
}

/// The image's file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageFile {
    /// Its name, without a folder.
    pub name: String,
    /// Its length.
    pub length: Bytes,
    /// How it stores chunks.
    pub encoding: Encoding,
    /// Its SHA-256.
    pub sha256: Digest,
    /// Its SHA-512.
    pub sha512: Digest,
}

/// A chunk of the disk that is not zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chunk {
    /// Where it is on the disk.
    pub at: u64,
    /// How long it is there, in bytes; only the disk's last may be short.
    pub length: u32,
    /// Where its bytes are in the image's file.
    pub offset: u64,
    /// How many bytes those are.
    pub stored: u32,
    /// BLAKE3 of what it is on the disk. Whole, unlike those of the read-back:
    /// this one keeps forgers out.
    pub digest: [u8; 32],
}

impl Chunk {
    fn on_disk(&self) -> Range<u64> {
        self.at..self.at + u64::from(self.length)
    }

    fn in_file(&self) -> Range<u64> {
        self.offset..self.offset + u64::from(self.stored)
    }

    /// True when `content` is this chunk.
    fn is(&self, content: &[u8]) -> bool {
        content.len() == index(self.length) && *blake3::hash(content).as_bytes() == self.digest
    }
}

/// What an image is, chunk by chunk. Made from a document that has been checked
/// ([`Manifest::parse`]) or from the image ([`Draft`]): its chunks and zeros
/// cover the disk exactly once, in its order, and lie in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    file: ImageFile,
    size: Bytes,
    content: Digest,
    chunk_size: u64,
    chunks: Vec<Chunk>,
    zeros: Vec<Range<u64>>,
}

impl Manifest {
    /// The image's file.
    #[must_use]
    pub fn file(&self) -> &ImageFile {
        &self.file
    }

    /// Length of the disk in the image.
    #[must_use]
    pub fn size(&self) -> Bytes {
        self.size
    }

    /// SHA-256 of everything on that disk.
    #[must_use]
    pub fn content(&self) -> &Digest {
        &self.content
    }

    /// Length of every chunk but the disk's last.
    #[must_use]
    pub fn chunk_size(&self) -> Bytes {
        Bytes(self.chunk_size)
    }

    /// What is not zero, in the order of the disk and of the file.
    #[must_use]
    pub fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    /// What is zero, in the order of the disk.
    #[must_use]
    pub fn zeros(&self) -> &[Range<u64>] {
        &self.zeros
    }
}

/// A length of at most a chunk, for slices.
fn index(length: u32) -> usize {
    usize::try_from(length).expect("this program runs on 64-bit machines")
}

#[cfg(test)]
mod tests;
