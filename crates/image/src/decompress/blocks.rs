//! The container of xz, version 1.2.1 of its specification: blocks that tell
//! their sizes, as `xz -T` writes them, can be unpacked apart from each other.
//!
//! stream header ─ block ─ block ─ … ─ index ─ stream footer ─ padding ─ …

use std::io::{self, BufRead, Read};

use flate2::Crc;
use model::Bytes;

use super::{DecompressError, damaged};

const MAGIC: [u8; 6] = [0xfd, b'7', b'z', b'X', b'Z', 0];
const FOOTER_MAGIC: [u8; 2] = *b"YZ";
/// Length of a stream's header, and of its footer.
const STREAM: usize = 12;
/// The longest header of a block.
const MAX_HEAD: usize = 1024;
/// The longest index that is checked: half a million blocks and more. It is
/// held four times when it is compared.
const MAX_INDEX: usize = 4 << 20;
/// Compressed bytes that wait for one thread.
pub(crate) const WAITING: u64 = 8 << 20;
/// The smallest first block for which threads are started.
const WORTHWHILE: u64 = 1 << 20;
/// The most threads.
const MOST_WORKERS: u64 = 8;
/// Lengths of the checks, by their number (2.1.1.2).
const CHECKS: [u64; 16] = [0, 4, 4, 4, 8, 8, 8, 16, 16, 16, 32, 32, 32, 64, 64, 64];

fn crc32(bytes: &[u8]) -> [u8; 4] {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum().to_le_bytes()
}

/// A number of seven bits a byte (1.2).
fn put_number(mut number: u64, into: &mut Vec<u8>) {
    loop {
        let [low, ..] = (number & 0x7f).to_le_bytes();
        number >>= 7;
        into.push(low | if number > 0 { 0x80 } else { 0 });
        if number == 0 {
            return;
        }
    }
}

fn take_number(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..63).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// The header of a block (3.1).
struct Head {
    bytes: Vec<u8>,
    packed: Option<u64>,
    length: Option<u64>,
    /// What its filters hold of what they made.
    dictionary: u64,
}

impl Head {
    /// `bytes` is all of it.
    fn parse(bytes: Vec<u8>) -> io::Result<Head> {
        let (content, checksum) = bytes.split_at(bytes.len().saturating_sub(4));
        let corrupt = || damaged("the header of an xz block is corrupt");
        if crc32(content) != checksum {
            return Err(corrupt());
        }
        let flags = content[1];
        let mut rest = &content[2..];
        let mut optional = |there: bool| match there {
            true => take_number(&mut rest).map(Some).ok_or_else(corrupt),
            false => Ok(None),
        };
        let (packed, length) = (optional(flags & 0x40 != 0)?, optional(flags & 0x80 != 0)?);
        let dictionary = dictionary(rest, flags & 3).ok_or_else(corrupt)?;
        Ok(Head { packed, length, dictionary, bytes })
    }
}

/// The dictionary of LZMA2 (5.3.1), which is the last of `more` and one filters.
fn dictionary(mut filters: &[u8], more: u8) -> Option<u64> {
    let mut dictionary = 0;
    for _ in 0..=more {
        let (kind, length) = (take_number(&mut filters)?, take_number(&mut filters)?);
        let properties = filters.split_off(..usize::try_from(length).ok()?)?;
        if kind == 0x21 {
            let bits = u64::from(*properties.first()?).min(40);
            dictionary = (2 | bits & 1) << (bits / 2 + 11);
        }
    }
    Some(dictionary)
}

/// How the blocks of a file are shared out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// How many threads there are.
    pub(crate) workers: u64,
    /// The largest dictionary that each may have.
    pub(crate) dictionary: Bytes,
}

/// How to share out the blocks of a file that starts with `start`, if that is
/// possible and several threads fit into `memory`.
pub(crate) fn plan(start: &[u8], memory: Bytes, processors: u64) -> Option<Plan> {
    let block = start.get(STREAM..)?;
    let size = (usize::from(*block.first().filter(|&&size| size != 0)?) + 1) * 4;
    let head = Head::parse(block.get(..size)?.to_vec()).ok()?;
    let worthwhile = head.packed.is_some() && head.length? >= WORTHWHILE;
    let workers = (memory.0 / (head.dictionary + WAITING)).min(processors).min(MOST_WORKERS);
    let dictionary = Bytes(memory.0.checked_div(workers)?.saturating_sub(WAITING));
    (worthwhile && workers > 1).then_some(Plan { workers, dictionary })
}

/// A block, and all that makes a whole file of it.
pub(crate) struct Block {
    /// Where its content begins in the content of the file.
    pub(crate) at: u64,
    /// How long its content is.
    pub(crate) length: u64,
    /// A stream's header, and its own: to be read already.
    pub(crate) before: Vec<u8>,
    /// How many bytes of it are still to be read.
    pub(crate) packed: u64,
    /// The rest of a stream that has only this block.
    pub(crate) after: Vec<u8>,
}

/// What comes next in a file.
pub(crate) enum Next {
    /// A block that tells its sizes.
    Block(Block),
    /// A stream whose first block does not; these bytes of it have been read.
    Rest(Vec<u8>),
    /// Nothing: the file is whole.
    End,
}

/// A file in pieces.
#[derive(Default)]
pub(crate) struct Container {
    /// The header of the stream that is being read.
    stream: Option<[u8; STREAM]>,
    /// The sizes of its blocks, as its index must have them.
    records: Vec<u8>,
    blocks: u64,
    /// How much content there was.
    pub(crate) at: u64,
}

impl Container {
    /// What comes next in `from`; whoever gets a block reads the rest of it.
    ///
    /// # Errors
    /// Whatever `from` reports, and when this is not what xz writes.
    pub(crate) fn next(&mut self, from: &mut impl BufRead) -> io::Result<Next> {
        loop {
            let Some(stream) = self.stream else {
                if !self.begin(from)? {
                    return Ok(Next::End);
                }
                continue;
            };
            let mut size = [0];
            from.read_exact(&mut size)?;
            if size == [0] {
                self.end(stream, from)?;
                continue;
            }
            let mut bytes = Vec::with_capacity(MAX_HEAD);
            bytes.extend(size);
            bytes.resize((usize::from(size[0]) + 1) * 4, 0);
            from.read_exact(&mut bytes[1..])?;
            let head = Head::parse(bytes)?;
            return match (head.packed, head.length) {
                (Some(packed), Some(length)) => self.block(stream, &head.bytes, packed, length),
                _ if self.blocks == 0 => Ok(Next::Rest([&stream[..], &head.bytes].concat())),
                _ => Err(DecompressError::Unsupported {
                    what: "an xz stream of which only some blocks tell their sizes",
                    advice: "compress it again in one go",
                }
                .into()),
            };
        }
    }

    /// Begin the next stream; false when there is none.
    fn begin(&mut self, from: &mut impl BufRead) -> io::Result<bool> {
        let mut padding = 0;
        while let Some(&first) = from.fill_buf()?.first() {
            if first != 0 {
                break;
            }
            from.consume(1);
            padding += 1;
        }
        if padding % 4 != 0 {
            return Err(damaged("the padding of the xz data is no multiple of four"));
        }
        if from.fill_buf()?.is_empty() {
            return Ok(false);
        }
        let mut header = [0; STREAM];
        from.read_exact(&mut header)?;
        if !header.starts_with(&MAGIC) || crc32(&header[6..8]) != header[8..] {
            return Err(damaged("data after the last xz stream"));
        }
        if header[6] != 0 || header[7] > 15 {
            let advice = "compress it with the xz tool";
            return Err(
                DecompressError::Unsupported { what: "an xz stream of an unknown version", advice }.into()
            );
        }
        *self = Container { stream: Some(header), at: self.at, ..Container::default() };
        Ok(true)
    }

    fn block(&mut self, stream: [u8; STREAM], head: &[u8], packed: u64, length: u64) -> io::Result<Next> {
        let check = CHECKS[usize::from(stream[7] & 15)];
        let record = |into: &mut Vec<u8>| -> Option<()> {
            put_number((head.len() as u64).checked_add(packed)?.checked_add(check)?, into);
            put_number(length, into);
            Some(())
        };
        let mut alone = Vec::new();
        let too_long = || damaged("the sizes of an xz block are absurd");
        record(&mut alone).ok_or_else(too_long)?;
        self.records.extend(&alone);
        self.blocks += 1;
        if self.records.len() > MAX_INDEX {
            let advice = "compress it with larger blocks";
            return Err(
                DecompressError::Unsupported { what: "an xz stream of too many blocks", advice }.into()
            );
        }
        let at = self.at;
        self.at = at.checked_add(length).ok_or_else(too_long)?;
        Ok(Next::Block(Block {
            at,
            length,
            before: [&stream[..], head].concat(),
            packed: packed.next_multiple_of(4) + check,
            after: ending(stream, 1, &alone),
        }))
    }

    /// The rest of the stream must be what its blocks make it. Its index has
    /// begun.
    fn end(&mut self, stream: [u8; STREAM], from: &mut impl Read) -> io::Result<()> {
        let expected = ending(stream, self.blocks, &self.records);
        let mut actual = vec![0; expected.len()];
        from.read_exact(&mut actual[1..])?;
        if actual != expected {
            return Err(damaged("the index of the xz data does not fit its blocks"));
        }
        self.stream = None;
        Ok(())
    }
}

/// The index (4) and the footer (2.1.2) of a stream.
fn ending(stream: [u8; STREAM], blocks: u64, records: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0];
    put_number(blocks, &mut bytes);
    bytes.extend(records);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes.extend(crc32(&bytes));
    let size = u32::try_from(bytes.len() / 4 - 1).expect("at most MAX_INDEX and a bit");
    let fields = [&size.to_le_bytes()[..], &stream[6..8]].concat();
    [&bytes[..], &crc32(&fields), &fields, &FOOTER_MAGIC].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_endless_ones_do_not() {
        for number in [0, 1, 127, 128, 300, 1 << 40, (1 << 63) - 1] {
            let mut bytes = Vec::new();
            put_number(number, &mut bytes);
            let mut rest = &bytes[..];
            assert_eq!((take_number(&mut rest), rest), (Some(number), &[][..]));
        }
        assert_eq!(take_number(&mut &[0xff; 20][..]), None);
    }

    #[test]
    fn threads_share_the_memory_or_there_are_none() {
        let head = |sizes: u8, dictionary: u8| {
            let mut bytes = vec![4, sizes];
            [2 << 20, 24 << 20]
                .into_iter()
                .filter(|_| sizes == 0xc0)
                .for_each(|size| put_number(size, &mut bytes));
            bytes.extend([0x21, 1, dictionary]);
            bytes.resize(16, 0);
            bytes.extend(crc32(&bytes));
            [&[0; STREAM][..], &bytes].concat()
        };
        let eight_mib = 22;
        let planned = |start: &[u8], memory: u64| plan(start, Bytes(memory << 20), 2);
        assert_eq!(
            planned(&head(0xc0, eight_mib), 32),
            Some(Plan { workers: 2, dictionary: Bytes(8 << 20) })
        );
        assert_eq!(planned(&head(0xc0, eight_mib), 31), None, "they do not fit");
        assert_eq!(planned(&head(0xc0, 40), 32), None, "a dictionary of 4 GiB");
        assert_eq!(planned(&head(0, eight_mib), 32), None, "sizes are not told");
        assert_eq!(planned(&[], 32), None);
    }
}
