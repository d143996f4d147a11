//! SHA-256 of what goes in and of what comes out.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use sha2::{Digest as _, Sha256};

/// How much of a file is read at a time, in bytes.
const CHUNK: usize = 1 << 20;

/// Lowercase hex digits of the SHA-256 of `bytes`.
#[must_use]
pub fn of(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Of several parts, so that no two lists of parts look the same.
#[must_use]
pub fn of_parts<const N: usize>(parts: [&[u8]; N]) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    hex(&hasher.finalize())
}

/// Of the file at `path`.
///
/// # Errors
/// When it cannot be read.
pub fn of_file(path: &Path) -> io::Result<String> {
    of_reader(&mut File::open(path)?)
}

/// Of all that `reader` yields.
///
/// # Errors
/// When it cannot be read.
pub fn of_reader(reader: &mut impl Read) -> io::Result<String> {
    let mut hasher = Sha256::new();
    let mut chunk = vec![0; CHUNK];
    loop {
        match reader.read(&mut chunk)? {
            0 => return Ok(hex(&hasher.finalize())),
            count => hasher.update(&chunk[..count]),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_has_the_known_digest_and_parts_do_not_run_together() {
        assert_eq!(of(b""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(of_reader(&mut &b""[..]).expect("memory"), of(b""));
        assert_ne!(of_parts([b"ab", b"c"]), of_parts([b"a", b"bc"]));
    }
}
