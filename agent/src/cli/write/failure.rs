//! Why nothing, or nothing good, was written.

use std::{io, path::PathBuf};

use disk::OpenError;
use fetch::{DocumentError, OpenImageError, checksum::ChecksumError, oci::ResolveError};
use image::{WriteError, configdrive, manifest::TrustError};

/// Why nothing, or nothing good, was written.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Fetch(#[from] OpenImageError),
    #[error(transparent)]
    Checksum(#[from] ChecksumError),
    #[error(transparent)]
    Manifest(#[from] TrustError),
    #[error(transparent)]
    Document(#[from] DocumentError),
    #[error(transparent)]
    Registry(#[from] ResolveError),
    #[error("{what} breaks off")]
    Cut {
        what: String,
        #[source]
        err: io::Error,
    },
    #[error("{what} is larger than {limit} bytes; it is not what it should be")]
    TooLong { what: String, limit: u64 },
    #[error("cannot read {}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        err: io::Error,
    },
    #[error("cannot make the file {}", path.display())]
    Create {
        path: PathBuf,
        #[source]
        err: io::Error,
    },
    #[error("the config drive {} cannot be used", path.display())]
    ConfigDrive {
        path: PathBuf,
        #[source]
        err: configdrive::DecodeConfigDriveError,
    },
    #[error("{} holds no secret: it must be one line of text", path.display())]
    Secret { path: PathBuf },
    #[error("several images are mirrors and must all be URLs")]
    Mirrors,
    #[error("an image from {what} can be read once only; give a target that exists and is as large as it")]
    Unmeasured { what: &'static str },
    #[error("not writing to {}: {why}", target.display())]
    NotAsked { target: PathBuf, why: &'static str },
    #[error(
        "{url} is not fetched; want http://, https:// or oci://, in small letters, or the path of a file"
    )]
    Scheme { url: String },
    #[error("the image and the target are the same file")]
    SameFile,
    #[error("{what} is not served by this version; leave it out")]
    NotServed { what: &'static str },
}

impl Failure {
    /// True when the input is at fault and trying again is useless.
    pub(super) fn is_refusal(&self) -> bool {
        match self {
            Failure::Write(err) => err.is_refusal(),
            Failure::Open(err) => match err {
                OpenError::Held { .. }
                | OpenError::ReadOnly { .. }
                | OpenError::NotADisk { .. }
                | OpenError::PartialSector { .. } => true,
                OpenError::Open { .. } | OpenError::Measure { .. } | OpenError::BlockSize { .. } => false,
            },
            Failure::Checksum(_)
            | Failure::Manifest(_)
            | Failure::ConfigDrive { .. }
            | Failure::TooLong { .. }
            | Failure::Secret { .. }
            | Failure::Mirrors
            | Failure::Unmeasured { .. }
            | Failure::NotAsked { .. }
            | Failure::Scheme { .. }
            | Failure::SameFile
            | Failure::NotServed { .. } => true,
            Failure::Document(err) => is_too_long(err),
            Failure::Registry(err) => match err {
                ResolveError::Malformed { .. }
                | ResolveError::Mixed
                | ResolveError::Wrong { .. }
                | ResolveError::Choose { .. }
                | ResolveError::Different { .. } => true,
                ResolveError::Manifest { err, .. } => is_too_long(err),
            },
            Failure::Fetch(_) | Failure::Cut { .. } | Failure::Read { .. } | Failure::Create { .. } => false,
        }
    }
}

fn is_too_long(err: &DocumentError) -> bool {
    match err {
        DocumentError::TooLong { .. } => true,
        DocumentError::Open { .. } | DocumentError::Read { .. } => false,
    }
}
