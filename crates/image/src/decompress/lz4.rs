//! LZ4 frames (<https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md>):
//! the frames here, the blocks in them by `lz4_flex`.

use std::io::{self, BufRead, Read};

use super::{DecompressError, damaged, skip, xxh32::Xxh32};

const MAGIC: u32 = 0x184d_2204;
const LEGACY: u32 = 0x184c_2102;
/// How far back a block that depends on others may reach.
const WINDOW: usize = 64 << 10;
/// The bit of a block's length that says that it is stored as it is.
const STORED: u32 = 1 << 31;

/// What is in all frames of an lz4 file.
pub(super) struct Lz4<R> {
    from: R,
    frame: Option<Frame>,
    /// The end of what came before in this frame, for blocks that refer to it.
    history: Vec<u8>,
    /// A block as it was read.
    block: Vec<u8>,
    /// What was in it, of which `at` bytes have been taken.
    content: Vec<u8>,
    at: usize,
}

/// The frame being read.
struct Frame {
    linked: bool,
    block_checksums: bool,
    block_max: usize,
    length: Option<u64>,
    checksum: Option<Xxh32>,
    read: u64,
}

impl<R: BufRead> Lz4<R> {
    pub(super) fn new(from: R) -> Self {
        Self { from, frame: None, history: Vec::new(), block: Vec::new(), content: Vec::new(), at: 0 }
    }

    /// Read the next block, or what is between two frames. False at the end.
    fn advance(&mut self) -> io::Result<bool> {
        let Some(frame) = &mut self.frame else {
            self.history.clear();
            self.frame = start(&mut self.from)?;
            return Ok(self.frame.is_some() || !self.from.fill_buf()?.is_empty());
        };
        let word = u32_from(&mut self.from)?;
        if word == 0 {
            frame.end(&mut self.from)?;
            self.frame = None;
            return Ok(true);
        }
        let length = (word & !STORED) as usize;
        if length > frame.block_max {
            return Err(damaged("an lz4 block is longer than its frame allows"));
        }
        self.block.resize(length, 0);
        self.from.read_exact(&mut self.block)?;
        if frame.block_checksums && u32_from(&mut self.from)? != Xxh32::of(&self.block) {
            return Err(damaged("the checksum of an lz4 block is wrong"));
        }
        self.at = 0;
        if word & STORED != 0 {
            std::mem::swap(&mut self.block, &mut self.content);
        } else {
            self.content.resize(frame.block_max, 0);
            let dictionary = &self.history;
            let made = lz4_flex::block::decompress_into_with_dict(&self.block, &mut self.content, dictionary)
                .map_err(|err| io::Error::new(io::ErrorKind::InvalidData, err))?;
            self.content.truncate(made);
        }
        frame.take(&self.content);
        if frame.linked {
            remember(&mut self.history, &self.content);
        }
        Ok(true)
    }
}

impl Frame {
    fn take(&mut self, content: &[u8]) {
        self.read += content.len() as u64;
        if let Some(checksum) = &mut self.checksum {
            checksum.update(content);
        }
    }

    /// Check what was promised against what came.
    fn end(&mut self, from: &mut impl Read) -> io::Result<()> {
        if self.length.is_some_and(|length| length != self.read) {
            return Err(damaged("an lz4 frame is not as long as it says"));
        }
        match &self.checksum {
            Some(checksum) if checksum.finish() != u32_from(from)? => {
                Err(damaged("the checksum of an lz4 frame is wrong"))
            }
            Some(_) | None => Ok(()),
        }
    }
}

/// Begin the next frame. `None` after a frame that is to be skipped, and at
/// the end.
fn start(from: &mut impl BufRead) -> io::Result<Option<Frame>> {
    if from.fill_buf()?.is_empty() {
        return Ok(None);
    }
    match u32_from(from)? {
        MAGIC => header(from).map(Some),
        LEGACY => Err(DecompressError::Unsupported {
            what: "an lz4 frame of the legacy format",
            advice: "compress it without lz4's option -l",
        }
        .into()),
        magic if magic & !0xf == 0x184d_2a50 => {
            let length = u32_from(from)?;
            skip(from, length.into())?;
            Ok(None)
        }
        _ => Err(damaged("data after the last lz4 frame")),
    }
}

fn header(from: &mut impl Read) -> io::Result<Frame> {
    let mut bytes = vec![0; 2];
    from.read_exact(&mut bytes)?;
    let (flags, sizes) = (bytes[0], bytes[1]);
    let (has_length, has_dictionary) = (flags & 8 != 0, flags & 1 != 0);
    bytes.resize(2 + if has_length { 8 } else { 0 } + if has_dictionary { 4 } else { 0 }, 0);
    from.read_exact(&mut bytes[2..])?;
    let mut checksum = [0];
    from.read_exact(&mut checksum)?;
    let expected = (Xxh32::of(&bytes) >> 8) & 0xff;
    if u32::from(checksum[0]) != expected {
        return Err(damaged("the header of an lz4 frame is corrupt"));
    }
    if flags >> 6 != 1 || flags & 2 != 0 || sizes & 0x8f != 0 || sizes >> 4 < 4 {
        let advice = "compress it with the lz4 tool";
        return Err(
            DecompressError::Unsupported { what: "an lz4 frame of an unknown version", advice }.into()
        );
    }
    if let (true, Some(id)) = (has_dictionary, bytes.last_chunk()) {
        let id = u32::from_le_bytes(*id);
        return Err(DecompressError::Dictionary { what: "lz4-compressed", id }.into());
    }
    Ok(Frame {
        linked: flags & 0x20 == 0,
        block_checksums: flags & 0x10 != 0,
        // 4 is 64 KiB, 7 is 4 MiB.
        block_max: 1 << (8 + 2 * (sizes >> 4)),
        length: if has_length {
            bytes[2..].first_chunk().map(|&bytes| u64::from_le_bytes(bytes))
        } else {
            None
        },
        checksum: (flags & 4 != 0).then(Xxh32::new),
        read: 0,
    })
}

/// Keep the last [`WINDOW`] bytes of `history` and `content` together.
fn remember(history: &mut Vec<u8>, content: &[u8]) {
    let new = &content[content.len().saturating_sub(WINDOW)..];
    let keep = WINDOW - new.len();
    history.drain(..history.len().saturating_sub(keep));
    history.extend_from_slice(new);
}

fn u32_from(from: &mut impl Read) -> io::Result<u32> {
    let mut bytes = [0; 4];
    from.read_exact(&mut bytes)?;
    Ok(u32::from_le_bytes(bytes))
}

impl<R: BufRead> Read for Lz4<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        while self.at == self.content.len() {
            if !self.advance()? {
                return Ok(0);
            }
        }
        let count = into.len().min(self.content.len() - self.at);
        into[..count].copy_from_slice(&self.content[self.at..][..count]);
        self.at += count;
        Ok(count)
    }
}
