//! Config drives: a small file system with a machine's name, keys and user
//! data, sent as text.

use std::io::{self, Read};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flate2::read::MultiGzDecoder;
use model::Bytes;

/// The label of a config drive's file system, in any case.
pub const LABEL: &str = "config-2";
/// The size of a partition made for one, as Ironic makes it.
pub const PARTITION: Bytes = Bytes(64 << 20);
/// The largest config drive, packed or not: Ironic's own limit.
const LARGEST: usize = 64 << 20;
/// Bytes of a file system's start that can hold its label.
pub(crate) const LABELS: usize = 34 << 10;

/// Why a text is not a config drive.
#[derive(Debug, thiserror::Error)]
pub enum DecodeConfigDriveError {
    /// It is too long, as text or unpacked.
    #[error("the config drive is larger than {limit}; make it smaller", limit = PARTITION)]
    TooLarge,
    /// It is not base64.
    #[error("the config drive is not base64")]
    NotBase64(#[source] base64::DecodeError),
    /// It is not gzip, or damaged.
    #[error("the config drive is not gzip, or damaged")]
    NotGzip(#[source] io::Error),
    /// It holds nothing that can be mounted.
    #[error("the config drive is neither an ISO 9660 nor a FAT file system")]
    NotAFileSystem,
}

/// The file system in `text`, which is base64 of gzip as Ironic sends it. Line
/// breaks are allowed.
///
/// # Errors
/// [`DecodeConfigDriveError`]; bombs are refused at 64 MiB.
pub fn decode(text: &str) -> Result<Vec<u8>, DecodeConfigDriveError> {
    if text.len() > LARGEST / 3 * 4 + 4 + LARGEST / 32 {
        return Err(DecodeConfigDriveError::TooLarge);
    }
    let text: String = text.split_ascii_whitespace().collect();
    let packed = STANDARD.decode(text).map_err(DecodeConfigDriveError::NotBase64)?;
    unpack(&packed)
}

/// The file system in `bytes`, which may be the text that [`decode`] takes,
/// gzip, or the file system itself: what a file or a URL gives.
///
/// # Errors
/// As [`decode`].
pub fn from_bytes(bytes: &[u8]) -> Result<Vec<u8>, DecodeConfigDriveError> {
    if bytes.len() > LARGEST / 2 * 3 {
        return Err(DecodeConfigDriveError::TooLarge);
    }
    if bytes.starts_with(&[0x1f, 0x8b]) {
        return unpack(bytes);
    }
    match std::str::from_utf8(bytes) {
        Ok(text) if !is_iso(bytes) && !is_fat(bytes) => decode(text),
        Ok(_) | Err(_) => checked(bytes.to_vec()),
    }
}

fn unpack(packed: &[u8]) -> Result<Vec<u8>, DecodeConfigDriveError> {
    let mut content = Vec::new();
    let limit = LARGEST as u64 + 1;
    MultiGzDecoder::new(packed)
        .take(limit)
        .read_to_end(&mut content)
        .map_err(DecodeConfigDriveError::NotGzip)?;
    checked(content)
}

fn checked(content: Vec<u8>) -> Result<Vec<u8>, DecodeConfigDriveError> {
    if content.len() > LARGEST {
        return Err(DecodeConfigDriveError::TooLarge);
    }
    if is_iso(&content) || is_fat(&content) {
        Ok(content)
    } else {
        Err(DecodeConfigDriveError::NotAFileSystem)
    }
}

/// True for an ISO 9660 file system.
pub(crate) fn is_iso(content: &[u8]) -> bool {
    content.get(0x8001..0x8006) == Some(b"CD001")
}

/// True for a FAT file system: the boot signature, and a jump in front.
fn is_fat(content: &[u8]) -> bool {
    content.get(510..512) == Some(&[0x55, 0xaa]) && matches!(content.first(), Some(0xeb | 0xe9))
}

/// The label of the file system that starts with `start`, if it is one of
/// those that config drives have: ISO 9660, FAT or ext.
pub(crate) fn label(start: &[u8]) -> Option<String> {
    let text = |at: usize, length: usize| {
        let bytes = start.get(at..at + length)?;
        let text = String::from_utf8_lossy(bytes);
        Some(text.trim_end_matches(['\0', ' ']).to_owned())
    };
    if is_iso(start) {
        text(0x8028, 32)
    } else if is_fat(start) {
        // FAT32 has its label farther back.
        if start.get(82..87) == Some(b"FAT32") { text(71, 11) } else { text(43, 11) }
    } else if start.get(0x438..0x43a) == Some(&[0x53, 0xef]) {
        text(0x478, 16)
    } else {
        None
    }
}

#[cfg(test)]
#[path = "configdrive_tests.rs"]
mod tests;
