//! Zstandard, RFC 8878: frames in a row, some of them to be skipped. The heads
//! of frames are read here, so that what they need is known before it is used.

use std::io::{self, BufRead, Read};

use model::Bytes;
use zstd::zstd_safe::{self, DCtx, DParameter, InBuffer, OutBuffer};

use super::{DecompressError, damaged, skip};

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Magic, descriptor, window, dictionary and content size.
const MAX_HEAD: usize = 4 + 1 + 1 + 4 + 8;

/// The head of a frame.
pub(super) struct Head {
    bytes: [u8; MAX_HEAD],
    length: usize,
    /// What must be held of what has been decompressed.
    pub(super) window: Bytes,
    dictionary: u32,
}

impl Head {
    /// Its bytes.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    /// Read the head of the next frame, over any that is to be skipped. `None`
    /// at the end.
    pub(super) fn read(from: &mut impl BufRead) -> io::Result<Option<Head>> {
        while !from.fill_buf()?.is_empty() {
            let mut magic = [0; 4];
            from.read_exact(&mut magic)?;
            match magic {
                MAGIC => return Self::after_magic(from).map(Some),
                [0x50..=0x5f, 0x2a, 0x4d, 0x18] => {
                    let mut length = [0; 4];
                    from.read_exact(&mut length)?;
                    skip(from, u32::from_le_bytes(length).into())?;
                }
                _ => return Err(damaged("data after the last zstd frame")),
            }
        }
        Ok(None)
    }

    /// RFC 8878, 3.1.1.1.
    fn after_magic(from: &mut impl Read) -> io::Result<Head> {
        let mut bytes = [0; MAX_HEAD];
        bytes[..4].copy_from_slice(&MAGIC);
        from.read_exact(&mut bytes[4..5])?;
        let descriptor = bytes[4];
        let single = descriptor & 0x20 != 0;
        let window_at = 5;
        let dictionary_at = window_at + usize::from(!single);
        let content_at = dictionary_at + [0, 1, 2, 4][usize::from(descriptor & 3)];
        let content_length = [usize::from(single), 2, 4, 8][usize::from(descriptor >> 6)];
        let length = content_at + content_length;
        from.read_exact(&mut bytes[5..length])?;
        let number = |range: std::ops::Range<usize>| {
            bytes[range].iter().rev().fold(0_u64, |number, &byte| number << 8 | u64::from(byte))
        };
        let window = match (single, content_length) {
            (false, _) => window(bytes[window_at]),
            (true, 2) => number(content_at..length) + 256,
            (true, _) => number(content_at..length),
        };
        let dictionary = u32::try_from(number(dictionary_at..content_at)).unwrap_or(u32::MAX);
        Ok(Head { bytes, length, window: Bytes(window), dictionary })
    }

    /// That a decoder of at most `limit` can read the frame.
    pub(super) fn check(&self, limit: Bytes) -> Result<(), DecompressError> {
        if self.dictionary != 0 {
            return Err(DecompressError::Dictionary { what: "zstd-compressed", id: self.dictionary });
        }
        fits(self.window, limit)
    }
}

fn fits(window: Bytes, limit: Bytes) -> Result<(), DecompressError> {
    if window > limit {
        let advice = "zstd -19 or less, --long=25 or less, --long=23 around any format but raw";
        return Err(DecompressError::Memory { what: "zstd-compressed", needs: window, limit, advice });
    }
    Ok(())
}

/// RFC 8878, 3.1.1.1.2.
fn window(descriptor: u8) -> u64 {
    let base = 1_u64 << (10 + (descriptor >> 3));
    base + base / 8 * u64::from(descriptor & 7)
}

/// What is in all frames of a zstd file.
pub(super) struct Zstd<R> {
    from: R,
    decoder: DCtx<'static>,
    limit: Bytes,
    /// The largest window so far.
    largest: Bytes,
    state: State,
}

enum State {
    /// The next frame is to be found.
    Between,
    /// The head of one is to be given to the decoder, from this byte on.
    Head(Head, usize),
    Within,
    Ended,
}

impl<R: BufRead> Zstd<R> {
    /// # Errors
    /// When libzstd cannot be started.
    pub(super) fn new(from: R, limit: Bytes) -> io::Result<Self> {
        let mut decoder = DCtx::create();
        // Heads are checked against `limit` here; libzstd's limit is a power of
        // two, between 1 KiB and 2 GiB, and bounds the same thing.
        let log = limit.0.clamp(1 << 10, 1 << 31).next_power_of_two().ilog2();
        decoder.set_parameter(DParameter::WindowLogMax(log)).map_err(failed)?;
        Ok(Self { from, decoder, limit, largest: Bytes(0), state: State::Between })
    }

    /// Allow windows of at most `limit` from here on.
    ///
    /// # Errors
    /// When there was a larger one already.
    pub(super) fn restrain(&mut self, limit: Bytes) -> Result<(), DecompressError> {
        self.limit = self.limit.min(limit);
        fits(self.largest, self.limit)
    }

    /// Decode into `into`, which is not empty. Returns how much; zero does not
    /// mean that it has ended.
    fn step(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match &mut self.state {
            State::Between => {
                self.state = match Head::read(&mut self.from)? {
                    Some(head) => {
                        head.check(self.limit)?;
                        self.largest = self.largest.max(head.window);
                        State::Head(head, 0)
                    }
                    None => State::Ended,
                };
                Ok(0)
            }
            State::Head(head, at) => {
                let (used, made, ended) = decode(&mut self.decoder, &head.bytes()[*at..], into)?;
                *at += used;
                if ended || *at == head.length {
                    self.state = if ended { State::Between } else { State::Within };
                }
                Ok(made)
            }
            State::Within => {
                let input = self.from.fill_buf()?;
                let cut_off = input.is_empty();
                let (used, made, ended) = decode(&mut self.decoder, input, into)?;
                self.from.consume(used);
                if ended {
                    self.state = State::Between;
                } else if cut_off && made == 0 {
                    return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the zstd data is cut off"));
                }
                Ok(made)
            }
            State::Ended => Ok(0),
        }
    }
}

/// Bytes used, bytes made, and whether that was the frame's end.
fn decode(decoder: &mut DCtx<'_>, input: &[u8], into: &mut [u8]) -> io::Result<(usize, usize, bool)> {
    let mut input = InBuffer::around(input);
    let mut output = OutBuffer::around(into);
    let left = decoder.decompress_stream(&mut output, &mut input).map_err(failed)?;
    Ok((input.pos(), output.pos(), left == 0))
}

fn failed(code: usize) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, zstd_safe::get_error_name(code))
}

impl<R: BufRead> Read for Zstd<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while !into.is_empty() && !matches!(self.state, State::Ended) {
            let made = self.step(into)?;
            if made > 0 {
                return Ok(made);
            }
        }
        Ok(0)
    }
}
