//! Where chunks come from, as this crate sees it: byte ranges of one file, from
//! several places at once.

use std::{
    fs::File,
    io,
    ops::Range,
    os::unix::fs::FileExt,
    path::Path,
    sync::atomic::{AtomicBool, Ordering},
};

/// What was fetched, and from where.
#[derive(Debug)]
pub struct Piece {
    /// As many bytes as were asked for, or only the first of them when the
    /// mirror broke off: the rest is then asked for again.
    pub bytes: Vec<u8>,
    /// Which of the source's mirrors gave them.
    pub mirror: usize,
}

/// An image's file, on one mirror or several. Errors are final: retries and
/// going on elsewhere are the source's own business.
pub trait ChunkSource: Sync {
    /// The bytes `range` of the file, at least one. Called by several threads at once.
    ///
    /// # Errors
    /// When no mirror gives them.
    fn fetch(&self, range: Range<u64>) -> io::Result<Piece>;

    /// What `mirror` gave is not what the manifest says: it is not asked again.
    fn distrust(&self, mirror: usize);

    /// The write has failed: whoever waits in [`fetch`](Self::fetch) gets an error
    /// now, and so does everybody later.
    fn stop(&self) {}

    /// How often it asked again, elsewhere or there.
    fn retries(&self) -> u32 {
        0
    }

    /// How many fetches at once are worth it.
    fn at_once(&self) -> usize {
        1
    }
}

/// An image's file on this machine.
#[derive(Debug)]
pub struct FileChunks {
    file: File,
    wrong: AtomicBool,
}

impl FileChunks {
    /// Open the image at `path`.
    ///
    /// # Errors
    /// Whatever the file system reports.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, wrong: AtomicBool::new(false) })
    }
}

impl ChunkSource for FileChunks {
    fn fetch(&self, range: Range<u64>) -> io::Result<Piece> {
        if self.wrong.load(Ordering::Relaxed) {
            let text = "the image's file is not what the manifest says; make the manifest again";
            return Err(io::Error::new(io::ErrorKind::InvalidData, text));
        }
        let length = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
        let mut bytes = vec![0; length];
        self.file.read_exact_at(&mut bytes, range.start)?;
        Ok(Piece { bytes, mirror: 0 })
    }

    fn distrust(&self, _mirror: usize) {
        self.wrong.store(true, Ordering::Relaxed);
    }

    fn at_once(&self) -> usize {
        2
    }
}
