//! What to fetch, with which credentials, by which way and how patiently.

use std::{path::PathBuf, time::Duration};

use model::{Bytes, Secret};
use reqwest::Url;

use crate::trust::Trust;

/// What to fetch, and how patiently.
#[derive(Clone, Debug)]
pub struct Request {
    /// Equal mirrors of one image; at least one.
    pub urls: Vec<String>,
    /// How long it must be, if that is known: a server that says otherwise has another file.
    pub length: Option<Bytes>,
    /// Whose certificates are believed.
    pub trust: Trust,
    /// Who we are to servers that ask for a client certificate.
    pub identity: Option<Identity>,
    /// The whole value of an `Authorization` header, for every mirror.
    pub authorization: Option<Secret>,
    /// What kinds of answer are wanted: the value of an `Accept` header.
    pub accept: Option<String>,
    /// Proxy for `http` and for `https` URLs.
    pub proxies: (Option<String>, Option<String>),
    /// Hosts, domains and networks reached without a proxy, by commas; `*` is all.
    pub no_proxy: Option<String>,
    /// Whether a server may ask for a token of its registry's making: its
    /// `401` is then answered as [`crate::oci`] says, not taken for a no.
    pub registry: bool,
    /// How patiently.
    pub pace: Pace,
}

/// A certificate to show to servers, and its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The certificate and those between it and the authority (PEM).
    pub certificate: PathBuf,
    /// Its private key (PEM: PKCS#8, PKCS#1 or SEC1), perhaps the same file.
    pub key: PathBuf,
}

/// Limits of every wait.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// For the head of an answer, and between two pieces of its body.
    pub stall: Duration,
    /// What counts as no progress although something comes.
    pub floor: Option<Floor>,
    /// For everything, from the first connection to the last byte; only if asked.
    pub total: Option<Duration>,
    /// Failures in a row without a byte of progress, and slow windows in a row.
    pub retries: u32,
    /// Before the first retry; doubles up to ten seconds.
    pub delay: Duration,
}

/// The least that must come while we wait for the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floor {
    /// Bytes.
    pub bytes: u64,
    /// In so much waiting.
    pub window: Duration,
}

impl Floor {
    /// 64 KiB/s over a minute: below that, a GiB takes five hours.
    pub const DEFAULT: Floor = Floor { bytes: 60 << 16, window: Duration::from_secs(60) };
}

impl Default for Pace {
    /// Ironic's: 60 seconds, nine retries; with a shorter first delay.
    fn default() -> Self {
        let minute = Duration::from_secs(60);
        Self {
            connect: minute,
            stall: minute,
            floor: Some(Floor::DEFAULT),
            total: None,
            retries: 9,
            delay: Duration::from_millis(500),
        }
    }
}

impl Request {
    /// `urls` with nothing special.
    #[must_use]
    pub fn new(urls: Vec<String>, trust: Trust) -> Self {
        Self {
            urls,
            length: None,
            trust,
            identity: None,
            authorization: None,
            accept: None,
            proxies: (None, None),
            no_proxy: None,
            registry: false,
            pace: Pace::default(),
        }
    }

    /// For something that belongs to the image: its checksum file, its
    /// manifest. Credentials go along to the image's own servers only.
    #[must_use]
    pub fn beside(&self, url: &str) -> Self {
        let known = self.urls.iter().any(|mirror| same_origin(mirror, url));
        let authorization = self.authorization.clone().filter(|_| known);
        Self {
            urls: vec![url.to_owned()],
            length: None,
            authorization,
            registry: self.registry && known,
            ..self.clone()
        }
    }
}

/// Whether two URLs name the same server: scheme, host and port.
fn same_origin(one: &str, other: &str) -> bool {
    match (Url::parse(one), Url::parse(other)) {
        (Ok(one), Ok(other)) => one.host().is_some() && one.origin() == other.origin(),
        (Err(_), _) | (_, Err(_)) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_of_an_image_go_to_its_own_servers_only() {
        let mut request =
            Request::new(vec!["https://h/a.raw".into(), "http://m:81/a.raw".into()], Trust::Anybody);
        request.authorization = Some(Secret::new("Bearer t"));
        for (url, want) in [
            ("https://h/SUMS", true),
            ("https://h:443/SUMS", true),
            ("http://m:81/SUMS", true),
            ("http://h/SUMS", false),
            ("https://h:444/SUMS", false),
            ("https://H.evil/SUMS", false),
            ("https://h@evil/SUMS", false),
            ("http://m/SUMS", false),
            ("nonsense", false),
        ] {
            let beside = request.beside(url);
            assert_eq!(beside.authorization.is_some(), want, "{url}");
            assert_eq!(beside.urls, [url]);
        }
    }
}
