//! The HTTP client: whom it believes, who it says we are, by which way it goes
//! and which redirects it follows.

use std::{io, net::IpAddr, path::Path};

use reqwest::{Certificate, Client, NoProxy, Proxy, Url, redirect};

use crate::{challenge, http::OpenImageError, request::Identity, request::Request, trust::Trust};

/// The most redirects followed.
const REDIRECTS: usize = 5;
/// What one HTTP/2 stream may have on the way, in bytes: a Gbit/s over 30 ms.
const STREAM_WINDOW: u32 = 4 << 20;
/// All streams of a connection: the image, which may wait, and its tables.
const CONNECTION_WINDOW: u32 = 8 << 20;
/// The longest HTTP/2 frame taken, in bytes; the longer, the fewer.
const FRAME: u32 = 256 << 10;

/// What clients are made of, read once. A client that failed is replaced: its
/// connections may be as dead as the one that was seen to be.
pub(crate) struct Maker {
    certificates: Vec<Certificate>,
    identity: Option<reqwest::Identity>,
}

impl Maker {
    /// Read what `request` names.
    ///
    /// # Errors
    /// [`OpenImageError`] when a file cannot be read or is no PEM, and when the
    /// credentials cannot be sent.
    pub(crate) fn load(request: &Request) -> Result<Self, OpenImageError> {
        if request.authorization.as_ref().is_some_and(|given| challenge::secret(given.expose()).is_none()) {
            return Err(OpenImageError::Credentials);
        }
        let certificates = match &request.trust {
            Trust::Anybody => Vec::new(),
            Trust::Bundle(path) => certificates(path)?,
        };
        let identity = request.identity.as_ref().map(identity).transpose()?;
        Ok(Self { certificates, identity })
    }

    /// A client without connections.
    ///
    /// # Errors
    /// [`OpenImageError::Client`].
    pub(crate) fn make(&self, request: &Request) -> Result<Client, OpenImageError> {
        // The library panics without one; a second installation changes nothing.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .no_proxy()
            .user_agent(concat!("billet/", env!("CARGO_PKG_VERSION")))
            .referer(false)
            .connect_timeout(request.pace.connect)
            .redirect(redirect::Policy::custom(follow))
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(CONNECTION_WINDOW)
            .http2_max_frame_size(FRAME)
            .tls_certs_only(self.certificates.iter().cloned())
            .tls_danger_accept_invalid_certs(request.trust == Trust::Anybody);
        for proxy in proxies(request).map_err(OpenImageError::Client)? {
            builder = builder.proxy(proxy);
        }
        if let Some(identity) = &self.identity {
            builder = builder.identity(identity.clone());
        }
        builder.build().map_err(OpenImageError::Client)
    }
}

fn proxies(request: &Request) -> Result<Vec<Proxy>, reqwest::Error> {
    let (http, https) = &request.proxies;
    // The library takes `*` for all names, but for no address.
    if request.no_proxy.as_deref().is_some_and(|hosts| hosts.split(',').any(|host| host.trim() == "*")) {
        return Ok(Vec::new());
    }
    let excepted = || request.no_proxy.as_deref().and_then(NoProxy::from_string);
    let http = http.as_ref().map(|url| Proxy::http(url).map(|proxy| proxy.no_proxy(excepted())));
    let https = https.as_ref().map(|url| Proxy::https(url).map(|proxy| proxy.no_proxy(excepted())));
    http.into_iter().chain(https).collect()
}

/// Nothing, when there is no file: then nobody is believed.
fn certificates(path: &Path) -> Result<Vec<Certificate>, OpenImageError> {
    match std::fs::read(path) {
        Ok(pem) => Certificate::from_pem_bundle(&pem).map_err(OpenImageError::Client),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(err) => Err(OpenImageError::Bundle { path: path.to_owned(), err }),
    }
}

fn identity(identity: &Identity) -> Result<reqwest::Identity, OpenImageError> {
    let read = |path: &Path| {
        std::fs::read(path).map_err(|err| OpenImageError::ReadIdentity { path: path.to_owned(), err })
    };
    let mut pem = read(&identity.certificate)?;
    if identity.key != identity.certificate {
        pem.push(b'\n');
        pem.extend(read(&identity.key)?);
    }
    reqwest::Identity::from_pem(&pem)
        .map_err(|err| OpenImageError::Identity { path: identity.certificate.clone(), err })
}

/// Why a redirect is not followed.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum RedirectError {
    #[error("more than {REDIRECTS} redirects")]
    TooMany,
    #[error("a redirect from https to {0}")]
    Downgrade(String),
    #[error("a redirect to {0}, which is neither http nor https")]
    Scheme(String),
    #[error("a redirect to {0}, an address of this machine or link only")]
    Address(String),
}

/// The library itself drops credentials on the way to another scheme, host or port.
fn follow(attempt: redirect::Attempt<'_>) -> redirect::Action {
    match allowed(attempt.previous(), attempt.url()) {
        Ok(()) => attempt.follow(),
        Err(err) => attempt.error(err),
    }
}

fn allowed(previous: &[Url], next: &Url) -> Result<(), RedirectError> {
    if previous.len() > REDIRECTS {
        return Err(RedirectError::TooMany);
    }
    let from = previous.last();
    match next.scheme() {
        "https" => (),
        "http" if from.is_some_and(|url| url.scheme() == "https") => {
            return Err(RedirectError::Downgrade(next.scheme().to_owned()));
        }
        "http" => (),
        other => return Err(RedirectError::Scheme(other.to_owned())),
    }
    // A server out there has no business with our loopback or a cloud's metadata.
    if is_local(next) && !from.is_some_and(is_local) {
        return Err(RedirectError::Address(next.host_str().unwrap_or_default().to_owned()));
    }
    Ok(())
}

fn is_local(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return false };
    let address = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
    match address.map(|address: IpAddr| address.to_canonical()) {
        Some(IpAddr::V4(v4)) => v4.is_loopback() || v4.is_link_local() || v4.is_unspecified(),
        Some(IpAddr::V6(v6)) => v6.is_loopback() || v6.is_unicast_link_local() || v6.is_unspecified(),
        None => host.trim_end_matches('.').eq_ignore_ascii_case("localhost"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect(text)
    }

    #[test]
    fn redirects_lead_forward_only() {
        for (from, to, want) in [
            ("http://h/a", "http://h/b", true),
            ("http://h/a", "https://other/b", true),
            ("https://h/a", "http://h/a", false),
            ("http://h/a", "file:///etc/passwd", false),
            ("http://h/a", "ftp://h/a", false),
            ("http://h/a", "http://169.254.169.254/latest", false),
            ("http://h/a", "http://127.0.0.1/", false),
            ("http://h/a", "http://[::1]/", false),
            ("http://h/a", "http://[::ffff:127.0.0.1]/", false),
            ("http://h/a", "http://0x7f.1/", false),
            ("http://h/a", "http://localhost./", false),
            ("http://10.0.0.1/a", "http://10.0.0.2/", true),
            ("http://127.0.0.1:80/a", "http://127.0.0.1:81/", true),
        ] {
            assert_eq!(allowed(&[url(from)], &url(to)).is_ok(), want, "{from} to {to}");
        }
        let many = vec![url("http://h/"); REDIRECTS + 1];
        assert_eq!(allowed(&many, &url("http://h/")), Err(RedirectError::TooMany));
        assert_eq!(allowed(&many[1..], &url("http://h/")), Ok(()));
    }
}
