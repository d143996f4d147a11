//! Images in registries: from `oci://…` to a URL and the digest that the
//! registry's manifest pins.
//!
//! ```text
//! oci://r/a:tag ─▶ manifest (or index ─▶ manifest) ─▶ layer: blob URL, digest, size
//! ```
//!
//! The digest joins the caller's own: whoever serves the blob, and wherever it
//! redirects, must give those bytes. Tokens are fetched when a registry asks
//! for one, anonymously or with the request's `Basic` credentials.

mod manifest;
mod reference;

use model::{Bytes, Digest, Hasher};

use crate::{
    document::{DocumentError, document},
    request::Request,
};
pub use manifest::ChooseError;
use manifest::{Descriptor, Document};
use reference::Reference;

/// The longest manifest, in bytes: what registries must take.
const LONGEST_MANIFEST: u64 = 4 << 20;
/// How deep indices may be nested.
const DEEPEST: usize = 2;

/// What an `oci://` image is.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// How to fetch it: URLs of blobs instead of references.
    pub request: Request,
    /// What it must hash to, beside whatever the caller knows.
    pub digest: Digest,
    /// How long it must be.
    pub size: Bytes,
    /// The name of its file, if the manifest has one.
    pub title: Option<String>,
}

/// Why an `oci://` image is not found.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// Not a reference.
    #[error("{text:?} is no oci://REGISTRY/REPOSITORY[:TAG][@sha256:HEX][#FILE]: {what}")]
    Malformed {
        /// As given.
        text: String,
        /// What is wrong.
        what: &'static str,
    },
    /// References and URLs together.
    #[error("mirrors are all oci:// or all http(s)://, not some of each")]
    Mixed,
    /// The manifest cannot be had.
    #[error("cannot get the manifest of {image}")]
    Manifest {
        /// The reference.
        image: String,
        /// What happened.
        #[source]
        err: DocumentError,
    },
    /// The manifest is another one than was pinned.
    #[error("the manifest of {image} hashes to {actual}, want {expected}")]
    Wrong {
        /// The reference.
        image: String,
        /// What was pinned.
        expected: Digest,
        /// What came.
        actual: Digest,
    },
    /// Nothing in it is the image.
    #[error("{image} cannot be installed")]
    Choose {
        /// The reference.
        image: String,
        /// Why not.
        #[source]
        err: ChooseError,
    },
    /// Two mirrors name two images.
    #[error("{one} and {other} are different images; mirrors must be equal")]
    Different {
        /// A reference.
        one: String,
        /// Another.
        other: String,
    },
}

/// Whether `url` is for [`resolve`].
#[must_use]
pub fn is_reference(url: &str) -> bool {
    url.starts_with("oci://") || url.starts_with("oci+http://")
}

/// Whether `url` is a reference that says what its manifest hashes to.
#[must_use]
pub fn is_pinned(url: &str) -> bool {
    Reference::parse(url).is_ok_and(|reference| reference.digest.is_some())
}

/// From the references in `request` to what they stand for now.
///
/// # Errors
/// [`ResolveError`].
pub fn resolve(request: &Request) -> Result<Resolved, ResolveError> {
    if !request.urls.iter().all(|url| is_reference(url)) {
        return Err(ResolveError::Mixed);
    }
    let mut urls = Vec::new();
    let mut found: Option<(&String, Descriptor, Digest)> = None;
    for url in &request.urls {
        let reference = Reference::parse(url)?;
        let choose = |err| ResolveError::Choose { image: url.clone(), err };
        let layer = layer(request, url, &reference)?;
        let digest = layer.pin().map_err(choose)?;
        urls.push(reference.blob(&digest));
        match &found {
            Some((one, _, known)) if *known != digest => {
                return Err(ResolveError::Different { one: (*one).clone(), other: url.clone() });
            }
            Some(_) => (),
            None => found = Some((url, layer, digest)),
        }
    }
    let (_, layer, digest) = found.ok_or(ResolveError::Mixed)?;
    let (size, title) = (layer.size(), layer.title().map(str::to_owned));
    let request = Request { urls, length: Some(size), registry: true, accept: None, ..request.clone() };
    Ok(Resolved { request, digest, size, title })
}

/// The layer that is the image.
fn layer(request: &Request, image: &str, reference: &Reference) -> Result<Descriptor, ResolveError> {
    let choose = |err| ResolveError::Choose { image: image.to_owned(), err };
    let (mut url, mut pin) = (reference.manifest(), reference.digest.clone());
    for _ in 0..=DEEPEST {
        let bytes = fetched(request, image, url, pin.as_ref())?;
        match Document::parse(&bytes).map_err(choose)? {
            Document::Manifest(layers) => {
                return manifest::image(&layers, reference.title.as_deref()).cloned().map_err(choose);
            }
            Document::Index(manifests) => {
                let ours = manifest::for_platform(&manifests, manifest::architecture()).map_err(choose)?;
                let digest = ours.pin().map_err(choose)?;
                (url, pin) = (reference.manifest_of(&digest), Some(digest));
            }
        }
    }
    Err(choose(ChooseError::Malformed("indices in indices in indices".to_owned())))
}

/// A manifest that hashes to `pin`.
fn fetched(
    request: &Request,
    image: &str,
    url: String,
    pin: Option<&Digest>,
) -> Result<Vec<u8>, ResolveError> {
    let accept = Some(manifest::ACCEPT.to_owned());
    let request = Request { urls: vec![url], length: None, registry: true, accept, ..request.clone() };
    let image = || image.to_owned();
    let bytes =
        document(request, LONGEST_MANIFEST).map_err(|err| ResolveError::Manifest { image: image(), err })?;
    if let Some(expected) = pin {
        let mut hasher = Hasher::new(expected.algorithm());
        hasher.update(&bytes);
        let actual = hasher.finish();
        if actual != *expected {
            return Err(ResolveError::Wrong { image: image(), expected: expected.clone(), actual });
        }
    }
    Ok(bytes)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
