//! Which digest an image must have: Ironic's rules (agent-protocol §4.1).
//!
//! ```text
//! os_hash_algo + os_hash_value ─┐
//! checksum: hex digits ─────────┼─▶ Expected::Digest
//! checksum: URL of a file ──────┴─▶ Expected::File ─(fetched)─▶ find() ─▶ Digest
//! ```

use model::{Algorithm, Digest};
use wire::ipa::ImageInfo;

/// The digest, or where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// Known.
    Digest(Digest),
    /// In a checksum file, whose algorithm may be known.
    File {
        /// Where the file is.
        url: String,
        /// What `os_hash_algo` says.
        algorithm: Option<Algorithm>,
    },
}

/// Whether MD5, which is broken, may vouch for an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Md5 {
    /// The lookup says so.
    Accepted,
    /// Ironic's default of late.
    Refused,
}

/// Why nobody can say whether the image is right.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ChecksumError {
    /// Nothing was given.
    #[error(
        "neither checksum nor os_hash_value is given; set instance_info/image_checksum or image_os_hash_*"
    )]
    Missing,
    /// An algorithm this agent does not know, and no other checksum.
    #[error("os_hash_algo {algorithm:?} is not known and there is no checksum; use sha256 or sha512")]
    Algorithm {
        /// As given.
        algorithm: String,
    },
    /// Not hex digits of a known length.
    #[error(
        "{text:?} is no checksum; want 64 (sha256) or 128 (sha512) hex digits, or the URL of a checksum file"
    )]
    Malformed {
        /// As given.
        text: String,
    },
    /// MD5 is refused here.
    #[error("an MD5 checksum is not accepted here; use sha256 or sha512, or enable MD5 in the control plane")]
    Md5Refused,
    /// The file does not speak of the image.
    #[error("the checksum file at {url} has no checksum for {name:?}; check image_checksum and image_source")]
    NotListed {
        /// Where the file is.
        url: String,
        /// Name of the image.
        name: String,
    },
}

/// What `info` wants the image to be.
///
/// # Errors
/// [`ChecksumError`]; an image that nothing vouches for is not written.
pub(super) fn expected(info: &ImageInfo, md5: Md5) -> Result<Expected, ChecksumError> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let checksum = given(&info.checksum);
    if let (Some(name), Some(value)) = (given(&info.os_hash_algo), given(&info.os_hash_value)) {
        match algorithm(&name) {
            Some(algorithm) => return known(&value, Some(algorithm), md5),
            None if checksum.is_none() => return Err(ChecksumError::Algorithm { algorithm: name }),
            None => (),
        }
    }
    known(&checksum.ok_or(ChecksumError::Missing)?, None, md5)
}

fn algorithm(name: &str) -> Option<Algorithm> {
    [Algorithm::Md5, Algorithm::Sha256, Algorithm::Sha512].into_iter().find(|known| known.name() == name)
}

fn known(text: &str, algorithm: Option<Algorithm>, md5: Md5) -> Result<Expected, ChecksumError> {
    if text.starts_with("http://") || text.starts_with("https://") {
        return Ok(Expected::File { url: text.to_owned(), algorithm });
    }
    digest(text, algorithm, md5).map(Expected::Digest)
}

fn digest(text: &str, told: Option<Algorithm>, md5: Md5) -> Result<Digest, ChecksumError> {
    let malformed = || ChecksumError::Malformed { text: text.chars().take(160).collect() };
    let algorithm = told.or_else(|| Algorithm::of_hex_digits(text.len())).ok_or_else(malformed)?;
    if algorithm == Algorithm::Md5 && md5 == Md5::Refused {
        return Err(ChecksumError::Md5Refused);
    }
    Digest::from_hex(algorithm, text).map_err(|_| malformed())
}

/// The digest of `name` in the checksum file `text` from `url`: a bare digest,
/// coreutils' `HEX  name`, or BSD's `SHA256 (name) = HEX`.
///
/// # Errors
/// [`ChecksumError::NotListed`], [`ChecksumError::Malformed`], [`ChecksumError::Md5Refused`].
pub(super) fn find(
    text: &str,
    url: &str,
    name: &str,
    algorithm: Option<Algorithm>,
    md5: Md5,
) -> Result<Digest, ChecksumError> {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    if let [line] = lines[..]
        && !line.contains(' ')
    {
        return digest(line, algorithm, md5);
    }
    let found = lines.iter().filter(|line| !line.starts_with('#')).find_map(|line| on_line(line, name));
    let hex = found.ok_or_else(|| ChecksumError::NotListed { url: url.to_owned(), name: name.to_owned() })?;
    digest(hex, algorithm, md5)
}

/// The digest on a line that speaks of `name`.
fn on_line<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    if let Some((_, rest)) = line.split_once('(') {
        let (listed, hex) = rest.split_once(')')?;
        return (listed == name).then(|| hex.trim_start_matches([' ', '=']));
    }
    let (hex, listed) = line.split_once([' ', '\t'])?;
    (listed.trim_start_matches([' ', '\t', '*']) == name).then_some(hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHA256: &str = "f5bbc4354fbf7567e91727a1324a8c4b2189aa03610b03e50e4a1d63e74146a6";
    const MD5: &str = "d41d8cd98f00b204e9800998ecf8427e";

    fn image(extra: serde_json::Value) -> ImageInfo {
        let mut info = serde_json::json!({"id": "x", "urls": ["http://h/x.raw"]});
        for (key, value) in extra.as_object().unwrap() {
            info[key] = value.clone();
        }
        serde_json::from_value(info).unwrap()
    }

    #[test]
    fn the_digest_is_chosen_as_ironic_chooses_it() {
        let sha256 = || Ok(Expected::Digest(SHA256.parse().unwrap()));
        let file = |algorithm| Ok(Expected::File { url: "http://h/SUMS".to_owned(), algorithm });
        for (given, md5, want) in [
            (serde_json::json!({"checksum": SHA256}), Md5::Refused, sha256()),
            (
                serde_json::json!({"os_hash_algo": "sha256", "os_hash_value": SHA256, "checksum": MD5}),
                Md5::Refused,
                sha256(),
            ),
            (
                serde_json::json!({"os_hash_algo": "sha3", "os_hash_value": "x", "checksum": SHA256}),
                Md5::Refused,
                sha256(),
            ),
            (
                serde_json::json!({"os_hash_algo": "sha3", "os_hash_value": "x"}),
                Md5::Refused,
                Err(ChecksumError::Algorithm { algorithm: "sha3".to_owned() }),
            ),
            (serde_json::json!({"checksum": "http://h/SUMS"}), Md5::Refused, file(None)),
            (
                serde_json::json!({"os_hash_algo": "sha512", "os_hash_value": "http://h/SUMS"}),
                Md5::Refused,
                file(Some(Algorithm::Sha512)),
            ),
            (serde_json::json!({"checksum": MD5}), Md5::Refused, Err(ChecksumError::Md5Refused)),
            (serde_json::json!({"checksum": MD5}), Md5::Accepted, Ok(Expected::Digest(MD5.parse().unwrap()))),
            (serde_json::json!({}), Md5::Accepted, Err(ChecksumError::Missing)),
            (serde_json::json!({"checksum": ""}), Md5::Accepted, Err(ChecksumError::Missing)),
            (
                serde_json::json!({"checksum": "abc"}),
                Md5::Accepted,
                Err(ChecksumError::Malformed { text: "abc".to_owned() }),
            ),
        ] {
            assert_eq!(expected(&image(given.clone()), md5), want, "{given}");
        }
    }

    #[test]
    fn checksum_files_of_every_habit_are_read() {
        let other = "0".repeat(64);
        for text in [
            format!("{SHA256}\n"),
            format!("{other}  y.raw\n{SHA256}  x.raw\n"),
            format!("{SHA256} *x.raw\n{other} *z\n"),
            format!("# sums\nSHA256 (y.raw) = {other}\nSHA256 (x.raw) = {SHA256}\n"),
            format!("{other}\tnotx.raw\n{SHA256}\tx.raw\n"),
        ] {
            let found = find(&text, "http://h/SUMS", "x.raw", None, Md5::Refused).unwrap();
            assert_eq!(found.hex(), SHA256, "{text}");
        }
        let missing =
            find(&format!("{other}  y\n{other}  z\n"), "http://h/SUMS", "x.raw", None, Md5::Refused);
        assert!(matches!(missing, Err(ChecksumError::NotListed { .. })));
        assert!(find("<html>", "u", "x", None, Md5::Refused).is_err());
    }
}
