//! What the image must hash to, from digests and checksum files.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use fetch::{
    Request,
    checksum::{self, ChecksumError, Expected, MAX_FILE, Md5},
    document, without_secrets,
};
use model::Digest;

use super::failure::Failure;

/// Every digest that `texts` ask for: digests themselves, or files that list
/// the image by its `name`. MD5 vouches for nothing here.
///
/// # Errors
/// [`Failure`] when a file cannot be read or does not speak of the image.
pub(super) fn expected(texts: &[String], name: &str, request: &Request) -> Result<Vec<Digest>, Failure> {
    texts.iter().map(|text| one(text, name, request)).collect()
}

fn one(text: &str, name: &str, request: &Request) -> Result<Digest, Failure> {
    match checksum::expected(text, None, Md5::Refused) {
        Ok(Expected::Digest(digest)) => Ok(digest),
        Ok(Expected::File { url, algorithm }) => {
            let bytes = document(request.beside(&url), MAX_FILE)?;
            let shown = without_secrets(&url);
            Ok(checksum::find(&bytes, &shown, name, algorithm, Md5::Refused)?)
        }
        Err(ChecksumError::Malformed { .. }) if Path::new(text).is_file() => {
            let bytes = file(Path::new(text), MAX_FILE)?;
            Ok(checksum::find(&bytes, text, name, None, Md5::Refused)?)
        }
        Err(err) => Err(err.into()),
    }
}

/// The file at `path`.
///
/// # Errors
/// [`Failure`] when it cannot be read, or is longer than `limit` bytes.
pub(super) fn file(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let open = |err| Failure::Read { path: PathBuf::from(path), err };
    whole(std::fs::File::open(path).map_err(open)?, limit, path.display().to_string())
}

fn whole(from: impl Read, limit: u64, what: String) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let mut from = from.take(limit + 1);
    if let Err(err) = from.read_to_end(&mut bytes) {
        return Err(Failure::Cut { what, err });
    }
    if bytes.len() as u64 > limit { Err(Failure::TooLong { what, limit }) } else { Ok(bytes) }
}
