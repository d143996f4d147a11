//! `oci://REGISTRY/REPOSITORY[:TAG][@sha256:HEX][#TITLE]`.

use model::{Algorithm, Digest};

use super::ResolveError;

/// Where `docker.io` really is.
const DOCKER_HUB: &str = "registry-1.docker.io";
/// The longest repository name; the specification's 255, host included.
const LONGEST: usize = 255;

/// Something in a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    scheme: &'static str,
    registry: String,
    repository: String,
    tag: String,
    /// What the manifest must hash to.
    pub(super) digest: Option<Digest>,
    /// Which of several files.
    pub(super) title: Option<String>,
}

impl Reference {
    /// Understand `text`.
    ///
    /// # Errors
    /// [`ResolveError::Malformed`].
    pub(super) fn parse(text: &str) -> Result<Self, ResolveError> {
        let malformed = |what| ResolveError::Malformed { text: crate::without_secrets(text), what };
        let (scheme, rest) = match text.split_once("://") {
            Some(("oci", rest)) => ("https", rest),
            Some(("oci+http", rest)) => ("http", rest),
            Some(_) | None => return Err(malformed("it begins with neither oci:// nor oci+http://")),
        };
        let (rest, title) = match rest.split_once('#') {
            Some((rest, title)) => (rest, Some(title.to_owned())),
            None => (rest, None),
        };
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => (rest, Some(pin(digest).ok_or_else(|| malformed("its digest is none"))?)),
            None => (rest, None),
        };
        let (registry, path) = rest.split_once('/').ok_or_else(|| malformed("it names no repository"))?;
        // Ports are before the first slash, tags after the last.
        let (repository, tag) = match path.rsplit_once(':') {
            Some((repository, tag)) => (repository, tag),
            None => (path, "latest"),
        };
        if registry.is_empty()
            || !registry.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte))
        {
            return Err(malformed("its registry is no host"));
        }
        if repository.len() > LONGEST || !repository.split('/').all(is_component) {
            return Err(malformed("its repository's name is none"));
        }
        if !is_tag(tag) {
            return Err(malformed("its tag is none"));
        }
        let registry = if registry == "docker.io" { DOCKER_HUB } else { registry };
        let (registry, repository, tag) = (registry.to_owned(), repository.to_owned(), tag.to_owned());
        Ok(Self { scheme, registry, repository, tag, digest, title })
    }

    /// Where the manifest of the tag, or of the pinned digest, is.
    pub(super) fn manifest(&self) -> String {
        match &self.digest {
            Some(digest) => self.at("manifests", &digest.to_string()),
            None => self.at("manifests", &self.tag),
        }
    }

    /// Where the manifest of this digest is.
    pub(super) fn manifest_of(&self, digest: &Digest) -> String {
        self.at("manifests", &digest.to_string())
    }

    /// Where the blob of this digest is.
    pub(super) fn blob(&self, digest: &Digest) -> String {
        self.at("blobs", &digest.to_string())
    }

    fn at(&self, kind: &str, what: &str) -> String {
        format!("{}://{}/v2/{}/{kind}/{what}", self.scheme, self.registry, self.repository)
    }
}

/// A digest as registries write it. MD5 pins nothing.
pub(super) fn pin(text: &str) -> Option<Digest> {
    let digest: Digest = text.parse().ok().filter(|_| text.contains(':'))?;
    (digest.algorithm() != Algorithm::Md5).then_some(digest)
}

/// Lower case, digits and separators inside: nothing that leads elsewhere.
fn is_component(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    text.bytes().all(|byte| plain(byte) || b"._-".contains(&byte))
        && text.bytes().next().is_some_and(plain)
        && text.bytes().last().is_some_and(plain)
}

fn is_tag(text: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.len() <= 128
        && text.bytes().next().is_some_and(word)
        && text.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_what_registries_call_things() {
        let hex = "a".repeat(64);
        for (text, want) in [
            ("oci://r/a".to_owned(), "https://r/v2/a/manifests/latest".to_owned()),
            ("oci://r:5000/a/b-c:v1.2".to_owned(), "https://r:5000/v2/a/b-c/manifests/v1.2".to_owned()),
            ("oci+http://127.0.0.1:5000/a:x".to_owned(), "http://127.0.0.1:5000/v2/a/manifests/x".to_owned()),
            ("oci://[::1]:5000/a".to_owned(), "https://[::1]:5000/v2/a/manifests/latest".to_owned()),
            (format!("oci://r/a:x@sha256:{hex}#d.raw"), format!("https://r/v2/a/manifests/sha256:{hex}")),
            (
                "oci://docker.io/library/x".to_owned(),
                format!("https://{DOCKER_HUB}/v2/library/x/manifests/latest"),
            ),
        ] {
            assert_eq!(Reference::parse(&text).expect(&text).manifest(), want);
        }
        assert_eq!(Reference::parse("oci://r/a#d.raw").expect("parses").title.as_deref(), Some("d.raw"));
    }

    #[test]
    fn what_is_no_reference_is_refused() {
        for text in [
            "https://r/a",
            "oci://r",
            "oci://r/",
            "oci:///a",
            "oci://u:p@r/a",
            "oci://r/a//b",
            "oci://r/../a",
            "oci://r/A",
            "oci://r/a:",
            "oci://r/a:x/y",
            "oci://r/a?x=y",
            "oci://r/a@sha256:abc",
            "oci://r/a@md5:d41d8cd98f00b204e9800998ecf8427e",
            "oci://r/a@0000000000000000000000000000000000000000000000000000000000000000",
        ] {
            assert!(Reference::parse(text).is_err(), "{text}");
        }
    }
}
