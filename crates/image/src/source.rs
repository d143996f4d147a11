//! Where an image comes from, as this crate sees it: bytes in order, and
//! perhaps bytes at an offset.

use std::{
    fs::File,
    io::{self, IsTerminal as _, Read, Seek as _},
    os::{fd::AsFd as _, unix::fs::FileExt},
    path::Path,
    sync::{Arc, atomic::AtomicBool},
};

use model::Bytes;

/// An image as it is stored, compressed or not. Errors of [`Read`] are final:
/// retries and mirrors are the source's own business.
pub trait Source: Read + Send {
    /// The length of all there is to read, when it is known beforehand.
    fn length(&self) -> Option<Bytes>;

    /// Access out of order, for the tables of formats that have some. It is
    /// used before the first `read` only.
    fn random(&mut self) -> Option<&mut dyn ReadAt> {
        None
    }

    /// How often it began again, at the byte it had reached or elsewhere.
    fn retries(&self) -> u32 {
        0
    }

    /// Bytes that came more than once because of that.
    fn refetched(&self) -> Bytes {
        Bytes(0)
    }

    /// What ends a wait in `read`, with an error, once it is true: the write has
    /// failed, and a server that stalls is not to hide a disk that broke.
    fn stop(&self) -> Option<Arc<AtomicBool>> {
        None
    }
}

impl<S: Source + ?Sized> Source for Box<S> {
    fn length(&self) -> Option<Bytes> {
        (**self).length()
    }

    fn random(&mut self) -> Option<&mut dyn ReadAt> {
        (**self).random()
    }

    fn retries(&self) -> u32 {
        (**self).retries()
    }

    fn refetched(&self) -> Bytes {
        (**self).refetched()
    }

    fn stop(&self) -> Option<Arc<AtomicBool>> {
        (**self).stop()
    }
}

/// Access to a source out of order.
pub trait ReadAt {
    /// Fill `into` from `at`.
    ///
    /// # Errors
    /// Whatever the source reports; `UnexpectedEof` when it ends before.
    fn read_exact_at(&mut self, at: Bytes, into: &mut [u8]) -> io::Result<()>;
}

/// An image in a file.
#[derive(Debug)]
pub struct FileSource {
    file: File,
    length: Bytes,
}

impl FileSource {
    /// Open the image at `path`.
    ///
    /// # Errors
    /// Whatever the file system reports.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let metadata = file.metadata()?;
        if !metadata.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(Self { length: Bytes(metadata.len()), file })
    }
}

impl Read for FileSource {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.file.read(into)
    }
}

impl Source for FileSource {
    fn length(&self) -> Option<Bytes> {
        Some(self.length)
    }

    fn random(&mut self) -> Option<&mut dyn ReadAt> {
        Some(self)
    }
}

impl ReadAt for FileSource {
    fn read_exact_at(&mut self, at: Bytes, into: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(into, at.0)
    }
}

/// An image from a pipe, or whatever standard input is: in order, once.
#[derive(Debug)]
pub struct PipeSource {
    file: File,
    /// Of what is left, when it is a file after all.
    length: Option<Bytes>,
}

impl PipeSource {
    /// Standard input.
    ///
    /// # Errors
    /// `InvalidInput` when it is a terminal; whatever the kernel reports.
    pub fn stdin() -> io::Result<Self> {
        let stdin = io::stdin();
        if stdin.is_terminal() {
            let text = "standard input is a terminal; give it the image by `<` or `|`";
            return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
        }
        // Not through the standard library's buffer: it would be one copy more.
        Self::new(File::from(stdin.as_fd().try_clone_to_owned()?))
    }

    /// What is left to read of `file`.
    ///
    /// # Errors
    /// `InvalidInput` for a directory; whatever the kernel reports.
    pub fn new(mut file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        if metadata.is_dir() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a directory"));
        }
        let length = if metadata.is_file() {
            Some(Bytes(metadata.len().saturating_sub(file.stream_position()?)))
        } else {
            None
        };
        Ok(Self { file, length })
    }
}

impl Read for PipeSource {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.file.read(into)
    }
}

impl Source for PipeSource {
    fn length(&self) -> Option<Bytes> {
        self.length
    }
}

/// An image in memory, which can pretend to know less than it does. For tests.
#[derive(Debug)]
pub struct MemorySource {
    bytes: Vec<u8>,
    at: usize,
    /// What [`Source::length`] says.
    pub length: Option<Bytes>,
    /// Whether it can be read out of order.
    pub random: bool,
}

impl MemorySource {
    /// All of `bytes`, of known length, in any order.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self { at: 0, length: Some(Bytes(bytes.len() as u64)), random: true, bytes }
    }

    /// All of `bytes`, of unknown length, in order only: a pipe.
    #[must_use]
    pub fn pipe(bytes: Vec<u8>) -> Self {
        Self { at: 0, length: None, random: false, bytes }
    }
}

impl Read for MemorySource {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = (&self.bytes[self.at..]).read(into)?;
        self.at += count;
        Ok(count)
    }
}

impl Source for MemorySource {
    fn length(&self) -> Option<Bytes> {
        self.length
    }

    fn random(&mut self) -> Option<&mut dyn ReadAt> {
        if self.random { Some(self) } else { None }
    }
}

impl ReadAt for MemorySource {
    fn read_exact_at(&mut self, at: Bytes, into: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(at.0).unwrap_or(usize::MAX);
        let bytes = start.checked_add(into.len()).and_then(|end| self.bytes.get(start..end));
        into.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn a_pipe_has_an_end_and_no_length() {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        let mut source = PipeSource::new(File::from(std::os::fd::OwnedFd::from(reader))).expect("opened");
        writer.write_all(b"image").expect("room");
        drop(writer);
        assert_eq!(source.length(), None);
        assert!(source.random().is_none());
        assert_eq!(io::read_to_string(&mut source).expect("read"), "image");
    }

    #[test]
    fn a_file_in_a_pipes_place_is_read_from_where_it_is() {
        let mut file = tempfile::tempfile().expect("a file");
        file.write_all(b"read already, image").expect("room");
        file.seek(io::SeekFrom::Start(14)).expect("seeks");
        let mut source = PipeSource::new(file).expect("opened");
        assert_eq!(source.length(), Some(Bytes(5)));
        assert_eq!(io::read_to_string(&mut source).expect("read"), "image");
        assert!(PipeSource::new(File::open("/").expect("opens")).is_err(), "a directory");
    }
}
