//! Which digest an image must have: Ironic's rules (agent-protocol §4.1).
//!
//! ```text
//! os_hash_algo + os_hash_value ─┐
//! checksum: hex digits ─────────┼─▶ Expected::Digest
//! checksum: URL of a file ──────┴─▶ Expected::File ─(fetched)─▶ fetch::checksum::find() ─▶ Digest
//! ```

use fetch::checksum::{self, ChecksumError, Expected, Md5};
use model::Algorithm;
use wire::ipa::ImageInfo;

/// Why nobody can say whether the image is right.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum UnsureError {
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
    /// What was given, or the file it names, is of no use.
    #[error(transparent)]
    Checksum(#[from] ChecksumError),
}

/// What `info` wants the image to be.
///
/// # Errors
/// [`UnsureError`]; an image that nothing vouches for is not written.
pub(super) fn expected(info: &ImageInfo, md5: Md5) -> Result<Expected, UnsureError> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    let checksum = given(&info.checksum);
    if let (Some(name), Some(value)) = (given(&info.os_hash_algo), given(&info.os_hash_value)) {
        match algorithm(&name) {
            Some(algorithm) => return Ok(checksum::expected(&value, Some(algorithm), md5)?),
            None if checksum.is_none() => return Err(UnsureError::Algorithm { algorithm: name }),
            None => (),
        }
    }
    Ok(checksum::expected(&checksum.ok_or(UnsureError::Missing)?, None, md5)?)
}

fn algorithm(name: &str) -> Option<Algorithm> {
    [Algorithm::Md5, Algorithm::Sha256, Algorithm::Sha512].into_iter().find(|known| known.name() == name)
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
                Err(UnsureError::Algorithm { algorithm: "sha3".to_owned() }),
            ),
            (serde_json::json!({"checksum": "http://h/SUMS"}), Md5::Refused, file(None)),
            (
                serde_json::json!({"os_hash_algo": "sha512", "os_hash_value": "http://h/SUMS"}),
                Md5::Refused,
                file(Some(Algorithm::Sha512)),
            ),
            (serde_json::json!({"checksum": MD5}), Md5::Refused, Err(ChecksumError::Md5Refused.into())),
            (serde_json::json!({"checksum": MD5}), Md5::Accepted, Ok(Expected::Digest(MD5.parse().unwrap()))),
            (serde_json::json!({}), Md5::Accepted, Err(UnsureError::Missing)),
            (serde_json::json!({"checksum": ""}), Md5::Accepted, Err(UnsureError::Missing)),
            (
                serde_json::json!({"checksum": "abc"}),
                Md5::Accepted,
                Err(ChecksumError::Malformed { text: "abc".to_owned() }.into()),
            ),
        ] {
            assert_eq!(expected(&image(given.clone()), md5), want, "{given}");
        }
    }
}
