//! xz: streams in a row, padded in steps of four zeros, by liblzma.

use std::io::{self, BufRead, Read};

use liblzma::stream::{Action, CONCATENATED, Error, Status, Stream, TELL_UNSUPPORTED_CHECK};
use model::Bytes;

use super::{DecompressError, damaged};

/// What liblzma wants besides the dictionary: its own state, which is some
/// tens of kilobytes, and what the filters of a block hold.
const OVERHEAD: u64 = 1 << 20;
/// No dictionary is larger (`LZMA_DICT_SIZE_MAX` is 1.5 GiB, the format's own
/// limit 4 GiB).
const LARGEST: u64 = 4 << 30;

/// What is in all streams of an xz file.
pub(crate) struct Xz<R> {
    from: R,
    stream: Stream,
    limit: Bytes,
    ended: bool,
}

impl<R: BufRead> Xz<R> {
    /// # Errors
    /// When liblzma cannot be started.
    pub(crate) fn new(from: R, limit: Bytes) -> io::Result<Self> {
        let flags = CONCATENATED | TELL_UNSUPPORTED_CHECK;
        let stream = Stream::new_stream_decoder(limit.0.saturating_add(OVERHEAD), flags)?;
        Ok(Self { from, stream, limit, ended: false })
    }

    /// Allow dictionaries of at most `limit` from here on.
    ///
    /// # Errors
    /// When there is a larger one already.
    pub(super) fn restrain(&mut self, limit: Bytes) -> Result<(), DecompressError> {
        if limit >= self.limit {
            return Ok(());
        }
        self.limit = limit;
        self.stream.set_memlimit(limit.0.saturating_add(OVERHEAD)).map_err(|_| self.too_large())
    }

    fn too_large(&mut self) -> DecompressError {
        DecompressError::Memory {
            what: "xz-compressed",
            needs: self.needed(),
            limit: self.limit,
            advice: "xz -8 or less, xz -6 or less around any format but raw",
        }
    }

    fn refusal(&mut self, err: Error) -> io::Error {
        match err {
            Error::MemLimit => self.too_large().into(),
            Error::UnsupportedCheck => DecompressError::Unsupported {
                what: "an xz stream with an unknown kind of check",
                advice: "compress it with --check=crc64 or --check=sha256",
            }
            .into(),
            Error::Options => DecompressError::Unsupported {
                what: "an xz block with unknown filters",
                advice: "compress it again with this machine's xz or an older one",
            }
            .into(),
            Error::Data => damaged("the xz data is corrupt"),
            Error::Format => damaged("this is not xz data"),
            Error::NoCheck | Error::Mem | Error::Program => err.into(),
        }
    }

    /// The least dictionary, in whole mebibytes, with which decoding would go
    /// on: liblzma accepts a new limit only if it is enough.
    fn needed(&mut self) -> Bytes {
        let (mut low, mut high) = (self.limit.0 >> 20, LARGEST >> 20);
        while low < high {
            let middle = low.midpoint(high);
            match self.stream.set_memlimit((middle << 20) + OVERHEAD) {
                Ok(()) => high = middle,
                Err(_) => low = middle + 1,
            }
        }
        Bytes(low << 20)
    }
}

impl<R: BufRead> Read for Xz<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while !self.ended && !into.is_empty() {
            let input = self.from.fill_buf()?;
            let at_end = input.is_empty();
            let action = if at_end { Action::Finish } else { Action::Run };
            let (read, written) = (self.stream.total_in(), self.stream.total_out());
            let status = self.stream.process(input, into, action);
            // Both are at most the length of a slice.
            let used = usize::try_from(self.stream.total_in() - read).unwrap_or(usize::MAX);
            let made = usize::try_from(self.stream.total_out() - written).unwrap_or(usize::MAX);
            self.from.consume(used);
            match status {
                Ok(Status::StreamEnd) => self.ended = true,
                Ok(Status::MemNeeded) if at_end && made == 0 => {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the xz data is cut off"));
                }
                Ok(Status::Ok | Status::MemNeeded | Status::GetCheck) => {}
                Err(err) => return Err(self.refusal(err)),
            }
            if made > 0 {
                return Ok(made);
            }
        }
        Ok(0)
    }
}
