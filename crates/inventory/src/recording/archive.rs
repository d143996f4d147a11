//! A recording as one file: a tar archive (POSIX.1-1988, ustar) of the files that it
//! has as a directory, in one frame of zstd (RFC 8878) whose blocks are not compressed.
//!
//! Whoever reads it decompresses first, with any decoder; [`unpack`] takes the archive
//! apart. Its limits hold for hostile ones: bytes, members, and names below the root.

use std::{
    io::{self, Read},
    path::{Component, Path, PathBuf},
};

use crate::limits;

/// tar's unit.
const BLOCK: usize = 512;
/// Where a header has what.
const NAME: std::ops::Range<usize> = 0..100;
const SIZE: std::ops::Range<usize> = 124..136;
const SUM: std::ops::Range<usize> = 148..156;
const KIND: usize = 156;
const PREFIX: std::ops::Range<usize> = 345..500;

/// Files by their names below the root.
pub(crate) type Files = Vec<(PathBuf, Vec<u8>)>;

/// Why an archive is no recording.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It could not be read, or is cut off.
    #[error("the archive cannot be read whole")]
    Read(#[source] io::Error),
    /// A header that is none.
    #[error("the archive is damaged at byte {at}: {what}")]
    Damaged {
        /// Where.
        at: u64,
        /// What is wrong there.
        what: &'static str,
    },
    /// A member that no recording has.
    #[error("the archive holds {name:?}, which no recording does; make one with `billet-agent record`")]
    Stranger {
        /// Its name.
        name: String,
    },
    /// More than a recording ever has.
    #[error("the archive holds more than {members} files or {bytes} bytes: that is no recording")]
    TooLarge {
        /// The limit.
        members: usize,
        /// The limit.
        bytes: u64,
    },
}

/// `files` in one archive, which zstd unpacks.
pub(crate) fn pack(files: &Files) -> io::Result<Vec<u8>> {
    let mut tar = Vec::new();
    for (name, content) in files {
        let name = name.to_str().filter(|name| name.len() <= NAME.end);
        let name = name.ok_or_else(|| io::Error::other("a file's name is too long for an archive"))?;
        tar.extend(header(name, content.len()));
        tar.extend(content);
        tar.resize(tar.len().next_multiple_of(BLOCK), 0);
    }
    tar.resize(tar.len() + 2 * BLOCK, 0);
    framed(&tar)
}

fn header(name: &str, length: usize) -> [u8; BLOCK] {
    let mut block = [0; BLOCK];
    let mut put = |at: usize, text: &str| block[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(NAME.start, name);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(SIZE.start, &format!("{length:011o}\0"));
    put(136, "00000000000\0"); // no time: the same machine, the same bytes
    put(SUM.start, "        ");
    put(KIND, "0");
    put(257, "ustar\0");
    put(263, "00");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[SUM.start..SUM.end].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// The longest block of zstd.
const BLOCK_LIMIT: usize = 128 << 10;

/// One frame of known size, of raw blocks (RFC 8878, section 3.1.1). Not a single segment: who
/// reads that needs a window as large as all of it.
fn framed(content: &[u8]) -> io::Result<Vec<u8>> {
    const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    const SIZE_OF_4: u8 = 0b1000_0000;
    const WINDOW_128_KIB: u8 = 7 << 3;
    let size = u32::try_from(content.len()).map_err(io::Error::other)?;
    let mut frame = [&MAGIC[..], &[SIZE_OF_4, WINDOW_128_KIB], &size.to_le_bytes()].concat();
    let count = content.len().div_ceil(BLOCK_LIMIT);
    for (nth, block) in content.chunks(BLOCK_LIMIT).enumerate() {
        let last = u32::from(nth + 1 == count);
        // Three bytes: the last one, raw, so long.
        let length = u32::try_from(block.len()).map_err(io::Error::other)?;
        frame.extend(&(last | length << 3).to_le_bytes()[..3]);
        frame.extend(block);
    }
    Ok(frame)
}

/// Take apart a tar archive, decompressed.
///
/// # Errors
/// [`UnpackError`], and nothing is read further.
pub(crate) fn unpack(archive: &mut dyn Read) -> Result<Files, UnpackError> {
    let too_large =
        UnpackError::TooLarge { members: limits::RECORDING_FILES, bytes: limits::RECORDING_BYTES as u64 };
    let mut bytes = Vec::new();
    archive.take(limits::RECORDING_BYTES as u64 + 1).read_to_end(&mut bytes).map_err(UnpackError::Read)?;
    if bytes.len() > limits::RECORDING_BYTES {
        return Err(too_large);
    }
    let mut files = Files::new();
    let mut at = 0;
    while let Some(header) = bytes.get(at..at + BLOCK).filter(|header| header.iter().any(|byte| *byte != 0)) {
        let damaged = |what| UnpackError::Damaged { at: at as u64, what };
        let length = number(&header[SIZE]).ok_or_else(|| damaged("its length is no number"))?;
        if number(&header[SUM]) != Some(sum(header)) {
            return Err(damaged("its header has another sum"));
        }
        let start = at + BLOCK;
        let content = start.checked_add(length).and_then(|end| bytes.get(start..end));
        let content = content.ok_or_else(|| damaged("a file is cut off"))?;
        if let Some(name) = member(header)? {
            files.push((name, content.to_vec()));
        }
        if files.len() > limits::RECORDING_FILES {
            return Err(too_large);
        }
        at = start + length.next_multiple_of(BLOCK);
    }
    if bytes.len() < at + BLOCK {
        return Err(UnpackError::Damaged { at: bytes.len() as u64, what: "it is cut off" });
    }
    Ok(files)
}

/// The file that a header announces; `None` for a directory.
fn member(header: &[u8]) -> Result<Option<PathBuf>, UnpackError> {
    let text = |range: std::ops::Range<usize>| {
        let field = &header[range];
        let end = field.iter().position(|byte| *byte == 0).unwrap_or(field.len());
        String::from_utf8_lossy(&field[..end]).into_owned()
    };
    let name = text(NAME);
    let path = Path::new(name.strip_prefix("./").unwrap_or(&name));
    let below = path.components().all(|part| matches!(part, Component::Normal(_)));
    match header[KIND] {
        b'0' | 0 if below && text(PREFIX).is_empty() && !name.is_empty() => Ok(Some(path.to_owned())),
        b'5' => Ok(None),
        _ => Err(UnpackError::Stranger { name }),
    }
}

/// An octal number, as tar writes them.
fn number(field: &[u8]) -> Option<usize> {
    let text = std::str::from_utf8(field).ok()?;
    usize::from_str_radix(text.trim_matches(['\0', ' ']), 8).ok()
}

fn sum(header: &[u8]) -> usize {
    let blank = |at: usize, byte: u8| if SUM.contains(&at) { b' ' } else { byte };
    header.iter().enumerate().map(|(at, byte)| usize::from(blank(at, *byte))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files() -> Files {
        vec![("sysfs.txt".into(), vec![b'x'; 300_000]), ("proc/sys/kernel/arch".into(), b"x86_64\n".to_vec())]
    }

    fn tar() -> Vec<u8> {
        let packed = pack(&files()).expect("small");
        let mut tar = Vec::new();
        let mut rest = &packed[10..];
        loop {
            let word = u32::from_le_bytes([rest[0], rest[1], rest[2], 0]);
            let (block, next) = rest[3..].split_at((word >> 3) as usize);
            tar.extend(block);
            rest = next;
            if word & 1 == 1 {
                return tar;
            }
        }
    }

    #[test]
    fn what_was_packed_comes_out() {
        assert_eq!(unpack(&mut tar().as_slice()).expect("own work"), files());
    }

    #[test]
    fn no_cut_and_no_change_is_believed_or_a_panic() {
        let whole = tar();
        for length in (0..whole.len() - 2 * BLOCK).step_by(97) {
            assert!(unpack(&mut &whole[..length]).is_err(), "{length}");
        }
        for at in 0..BLOCK {
            let mut broken = whole.clone();
            broken[at] ^= 0x55;
            assert!(unpack(&mut broken.as_slice()).is_err(), "{at}");
        }
    }

    #[test]
    fn names_stay_below_the_root_and_links_are_no_part_of_it() {
        let with = |name: &str, kind: u8| {
            let mut header = header(name, 0);
            header[KIND] = kind;
            let sum = sum(&header);
            header[SUM.start..SUM.end].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            unpack(&mut [&header[..], &[0; 2 * BLOCK]].concat().as_slice())
        };
        for (name, kind) in
            [("../x", b'0'), ("/etc/passwd", b'0'), ("a/../../x", b'0'), ("link", b'2'), ("", b'0')]
        {
            assert!(matches!(with(name, kind), Err(UnpackError::Stranger { .. })), "{name}");
        }
        assert!(with("./sysfs.txt", b'0').expect("a file")[0].0.ends_with("sysfs.txt"));
        assert!(with("proc", b'5').expect("a folder").is_empty());
    }

    #[test]
    fn an_endless_archive_ends() {
        let refused = unpack(&mut io::repeat(0x41)).expect_err("too large");
        assert!(matches!(refused, UnpackError::TooLarge { .. }), "{refused}");
    }
}
