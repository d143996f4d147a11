//! Whose word a manifest is. A server that could give any manifest could give
//! any disk, so one of two things must be known beforehand: the digest of the
//! manifest, or, of a raw image, the digest of the image, which is then taken
//! again over the disk.

use model::{Algorithm, Digest, Hasher};

use super::{Encoding, Manifest, ManifestError};

/// Why a manifest is not believed. Nothing has been written.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// It is no manifest.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// It is another one than was asked for.
    #[error("the manifest is {actual}, want {expected}; check its URL and its checksum")]
    WrongManifest {
        /// What was asked for.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
    /// Its digest is of a kind that can be forged.
    #[error("{algorithm} can be forged, so it does not vouch for a manifest; give its sha256", algorithm = algorithm.name())]
    Weak {
        /// The kind.
        algorithm: Algorithm,
    },
    /// It is about another image.
    #[error("the manifest is of the image {actual}, want {expected}; make it again from this image")]
    OtherImage {
        /// What was asked for.
        expected: Digest,
        /// What the manifest says.
        actual: Digest,
    },
    /// It knows no such digest of its image.
    #[error("the manifest has no {algorithm} of its image; give the image's sha256 or sha512", algorithm = algorithm.name())]
    NoSuchDigest {
        /// The kind that was given.
        algorithm: Algorithm,
    },
    /// Nothing that was given vouches for it.
    #[error(
        "nothing vouches for the manifest: give the manifest's own sha256, or for a raw image the image's; \
         a digest of a compressed image says nothing about its chunks"
    )]
    Unproven,
}

/// A manifest that may be installed, and what will prove it.
#[derive(Debug)]
pub struct Accepted {
    pub(super) manifest: Manifest,
    pub(super) digest: Digest,
    pub(super) proof: Proof,
}

/// What proves that the disk is the one that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// The manifest is: every chunk is checked against it.
    Manifest,
    /// These digests, over everything on the disk in its order.
    Content(Vec<Digest>),
}

impl Accepted {
    /// The manifest.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The SHA-256 of its document.
    #[must_use]
    pub fn digest(&self) -> &Digest {
        &self.digest
    }
}

fn digest_of(algorithm: Algorithm, document: &[u8]) -> Digest {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(document);
    hasher.finish()
}

/// Read the manifest `document` and decide whether to believe it: it has the
/// digests `expected`, or, if there are none, what it describes can be held
/// against `image`, the digests of the image's file. Those it must agree with
/// in any case.
///
/// # Errors
/// [`TrustError`].
pub fn accept(document: &[u8], expected: &[Digest], image: &[Digest]) -> Result<Accepted, TrustError> {
    for expected in expected {
        let algorithm = expected.algorithm();
        if algorithm == Algorithm::Md5 {
            return Err(TrustError::Weak { algorithm });
        }
        let actual = digest_of(algorithm, document);
        if actual != *expected {
            return Err(TrustError::WrongManifest { expected: expected.clone(), actual });
        }
    }
    let manifest = Manifest::parse(document)?;
    let proof = if expected.is_empty() { content_proof(&manifest, image)? } else { Proof::Manifest };
    for expected in image {
        agrees(&manifest, expected, &proof)?;
    }
    Ok(Accepted { digest: digest_of(Algorithm::Sha256, document), manifest, proof })
}

/// Only of a raw image is the digest of the file that of the disk.
fn content_proof(manifest: &Manifest, image: &[Digest]) -> Result<Proof, TrustError> {
    match manifest.file.encoding {
        Encoding::Raw if !image.is_empty() => Ok(Proof::Content(image.to_vec())),
        Encoding::Raw | Encoding::Zstd => Err(TrustError::Unproven),
    }
}

fn agrees(manifest: &Manifest, expected: &Digest, proof: &Proof) -> Result<(), TrustError> {
    let actual = match expected.algorithm() {
        Algorithm::Sha256 => &manifest.file.sha256,
        Algorithm::Sha512 => &manifest.file.sha512,
        // It will be taken over the disk.
        Algorithm::Md5 if *proof != Proof::Manifest => return Ok(()),
        Algorithm::Md5 => return Err(TrustError::NoSuchDigest { algorithm: Algorithm::Md5 }),
    };
    if actual == expected {
        return Ok(());
    }
    Err(TrustError::OtherImage { expected: expected.clone(), actual: actual.clone() })
}
