//! Small things that belong to images: checksum files, manifests, config drives.

use std::io::{self, Read as _};

use crate::{
    error::without_secrets,
    http::{HttpSource, OpenImageError},
    request::Request,
};

/// Why a document is not here.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// No mirror gives it.
    #[error("cannot fetch {url}")]
    Open {
        /// Where it should be.
        url: String,
        /// What happened.
        #[source]
        err: OpenImageError,
    },
    /// It broke off for good.
    #[error("cannot fetch all of {url}")]
    Read {
        /// Where it is.
        url: String,
        /// What happened.
        #[source]
        err: io::Error,
    },
    /// It is not what it should be.
    #[error("{url} is longer than {limit} bytes; is it the right URL?")]
    TooLong {
        /// Where it is.
        url: String,
        /// The most that is read.
        limit: u64,
    },
}

/// All of what `request` names, up to `limit` bytes.
///
/// # Errors
/// [`DocumentError`]; nothing is returned in part.
pub fn document(request: Request, limit: u64) -> Result<Vec<u8>, DocumentError> {
    let url = without_secrets(request.urls.first().map_or("", String::as_str));
    let source = match HttpSource::open(request) {
        Ok(source) => source,
        Err(err) => return Err(DocumentError::Open { url, err }),
    };
    let mut bytes = Vec::new();
    match source.take(limit.saturating_add(1)).read_to_end(&mut bytes) {
        Ok(_) if bytes.len() as u64 <= limit => Ok(bytes),
        Ok(_) => Err(DocumentError::TooLong { url, limit }),
        Err(err) => Err(DocumentError::Read { url, err }),
    }
}
