//! What a manifest says, and which of its parts is the image. Pure.
//!
//! ```text
//! index ──(platform)──▶ manifest ──(the only layer, the title asked for,
//!                                   or the only one that looks like a disk)──▶ blob
//! ```

use std::collections::BTreeMap;

use model::{Bytes, Digest};
use serde::Deserialize;

use super::reference::pin;

/// What the name of a file of a disk ends with.
const TITLE: &str = "org.opencontainers.image.title";
/// What is asked for.
pub(super) const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, \
     application/vnd.oci.image.index.v1+json, \
     application/vnd.docker.distribution.manifest.v2+json, \
     application/vnd.docker.distribution.manifest.list.v2+json";
/// What names of disk images end with, compression aside.
const DISKS: [&str; 8] = [".raw", ".img", ".qcow2", ".vmdk", ".vhd", ".vhdx", ".iso", ".bin"];
/// What may follow that.
const PACKED: [&str; 7] = [".gz", ".xz", ".zst", ".zstd", ".bz2", ".lz4", ".gzip"];
/// How many names an error lists.
const LISTED: usize = 8;

/// Why nothing in a manifest is the image.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChooseError {
    /// Not JSON, or not of a manifest.
    #[error("it is no manifest of an image or an artifact: {0}")]
    Malformed(String),
    /// Schema 1, which docker gave up.
    #[error("its manifest is of docker's first schema, which pins nothing; push it again")]
    Old,
    /// A digest that pins nothing.
    #[error("its digest {0:?} is neither sha256 nor sha512")]
    Digest(String),
    /// An index without this machine.
    #[error("it has nothing for {want}, only for {have}")]
    Platform {
        /// This machine's architecture.
        want: &'static str,
        /// What it has.
        have: String,
    },
    /// An index that says it twice.
    #[error("it has several things for {want}; pin one by its digest (@sha256:…): {have}")]
    Platforms {
        /// This machine's architecture.
        want: &'static str,
        /// Their digests.
        have: String,
    },
    /// Several files, and no way to tell.
    #[error("it has several files; name one (#NAME): {0}")]
    Several(String),
    /// The name asked for is not there.
    #[error("it has no file {want:?}, only {have}")]
    NoSuchFile {
        /// What was asked for.
        want: String,
        /// What there is.
        have: String,
    },
    /// The file system of a container.
    #[error("it is a container's file system ({0}), not an image of a disk")]
    Container(String),
    /// Nothing at all.
    #[error("it is empty")]
    Empty,
}

/// A manifest of either kind.
#[derive(Debug)]
pub(super) enum Document {
    Index(Vec<Descriptor>),
    Manifest(Vec<Descriptor>),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    manifests: Option<Vec<Descriptor>>,
    layers: Option<Vec<Descriptor>>,
    fs_layers: Option<serde::de::IgnoredAny>,
}

/// Something a manifest names.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    size: u64,
    platform: Option<Platform>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Clone, Debug, Deserialize)]
struct Platform {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
}

impl Descriptor {
    /// What it must hash to.
    pub(super) fn pin(&self) -> Result<Digest, ChooseError> {
        pin(&self.digest).ok_or_else(|| ChooseError::Digest(self.digest.chars().take(160).collect()))
    }

    /// How long it is.
    pub(super) fn size(&self) -> Bytes {
        Bytes(self.size)
    }

    /// The file it was made of.
    pub(super) fn title(&self) -> Option<&str> {
        self.annotations.as_ref()?.get(TITLE).map(String::as_str)
    }

    /// As errors name it.
    fn told(&self) -> &str {
        self.title().unwrap_or(&self.media_type)
    }

    fn is_disk(&self) -> bool {
        let looks = |name: &str| {
            let name = name.to_ascii_lowercase();
            let bare = PACKED.iter().find_map(|end| name.strip_suffix(end)).unwrap_or(&name);
            DISKS.iter().any(|end| bare.ends_with(end))
        };
        let kind = self.media_type.split(['+', ';']).next().unwrap_or_default();
        self.title().map_or_else(|| kind.contains("disk") || looks(kind), looks)
    }

    /// A layer of files. Tools call files of any kind so, but then they have a title.
    fn is_container(&self) -> bool {
        self.title().is_none() && (self.media_type.contains(".tar") || self.media_type.contains("rootfs"))
    }
}

impl Document {
    /// Understand `bytes`.
    ///
    /// # Errors
    /// [`ChooseError::Malformed`], [`ChooseError::Old`].
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ChooseError> {
        let wire: Wire =
            serde_json::from_slice(bytes).map_err(|err| ChooseError::Malformed(err.to_string()))?;
        match (wire.manifests, wire.layers, wire.fs_layers) {
            (Some(manifests), None, _) => Ok(Self::Index(manifests)),
            (None, Some(layers), _) => Ok(Self::Manifest(layers)),
            (None, None, Some(_)) => Err(ChooseError::Old),
            (Some(_), Some(_), _) => {
                Err(ChooseError::Malformed("it has both manifests and layers".to_owned()))
            }
            (None, None, None) => {
                Err(ChooseError::Malformed("it has neither manifests nor layers".to_owned()))
            }
        }
    }
}

/// The name of this machine's architecture in indices.
pub(super) const fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

/// The manifest in an index that is for `architecture`.
///
/// # Errors
/// [`ChooseError`] when it is none, or not one.
pub(super) fn for_platform<'a>(
    manifests: &'a [Descriptor],
    architecture: &'static str,
) -> Result<&'a Descriptor, ChooseError> {
    // Attestations are not for running.
    let real =
        manifests.iter().filter(|one| one.platform.as_ref().is_none_or(|platform| platform.os != "unknown"));
    let real: Vec<_> = real.collect();
    if let [only] = real[..]
        && only.platform.is_none()
    {
        return Ok(only);
    }
    let name = |one: &&Descriptor| {
        one.platform.as_ref().map_or("any", |platform| platform.architecture.as_str()).to_owned()
    };
    let fits = |one: &&&Descriptor| one.platform.as_ref().is_none_or(|it| it.architecture == architecture);
    let ours: Vec<_> = real.iter().filter(fits).collect();
    match ours[..] {
        [only] => Ok(only),
        [] if real.is_empty() => Err(ChooseError::Empty),
        [] => Err(ChooseError::Platform { want: architecture, have: listed(real.iter().map(name)) }),
        [..] => {
            let have = listed(ours.iter().map(|one| one.digest.clone()));
            Err(ChooseError::Platforms { want: architecture, have })
        }
    }
}

/// The layer that is the image.
///
/// # Errors
/// [`ChooseError`] when it is none, or not one.
pub(super) fn image<'a>(
    layers: &'a [Descriptor],
    title: Option<&str>,
) -> Result<&'a Descriptor, ChooseError> {
    let names = || listed(layers.iter().map(|layer| layer.told().to_owned()));
    if let Some(want) = title {
        let named = layers.iter().find(|layer| layer.title() == Some(want));
        return named.ok_or_else(|| ChooseError::NoSuchFile { want: want.to_owned(), have: names() });
    }
    if let Some(container) = layers.iter().find(|layer| layer.is_container()) {
        return Err(ChooseError::Container(container.media_type.clone()));
    }
    let disks: Vec<_> = layers.iter().filter(|layer| layer.is_disk()).collect();
    match (layers, &disks[..]) {
        ([], _) => Err(ChooseError::Empty),
        ([only], _) => Ok(only),
        (_, [only]) => Ok(only),
        (_, _) => Err(ChooseError::Several(names())),
    }
}

fn listed(names: impl Iterator<Item = String>) -> String {
    names.take(LISTED).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[path = "manifest_tests.rs"]
mod tests;
