//! Why a try gave nothing, and whether trying again makes sense.

use std::{error::Error, io, time::Duration};

use reqwest::StatusCode;

/// Why a try gave nothing, or nothing more.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The request cannot be made of what was given.
    #[error("{url} cannot be asked for; check the URL, the credentials and the proxy")]
    Unaskable {
        /// Which mirror.
        url: String,
        /// What is wrong with it.
        #[source]
        err: reqwest::Error,
    },
    /// Nobody answered, or the connection broke.
    #[error("{url}: no answer, or it broke off")]
    Broken {
        /// Which mirror.
        url: String,
        /// What happened.
        #[source]
        err: reqwest::Error,
    },
    /// Who answered is not believed, or does not believe us.
    #[error(
        "{url}: TLS is refused; check the CA file, the client certificate, and this machine's clock \
         if the certificate is said to have expired or to be not valid yet"
    )]
    Distrusted {
        /// Which mirror.
        url: String,
        /// What happened.
        #[source]
        err: reqwest::Error,
    },
    /// It sends us where we do not go.
    #[error("{url} redirects where nobody follows")]
    Redirected {
        /// Which mirror.
        url: String,
        /// Where, and why not.
        #[source]
        err: reqwest::Error,
    },
    /// Nothing came for too long.
    #[error("{url}: nothing came for {} s", seconds.as_secs())]
    Stalled {
        /// Which mirror.
        url: String,
        /// How long.
        seconds: Duration,
    },
    /// Too little came for too long.
    #[error("{url}: only {got} bytes came in {} s; a slower line needs a lower floor", seconds.as_secs())]
    Slow {
        /// Which mirror.
        url: String,
        /// Bytes that came.
        got: u64,
        /// In how much waiting.
        seconds: Duration,
    },
    /// All of it takes longer than was allowed.
    #[error("{url}: not all came within the {} s that were given", seconds.as_secs())]
    TooLong {
        /// Which mirror was being asked.
        url: String,
        /// How long was allowed.
        seconds: Duration,
    },
    /// The answer is no.
    #[error("{url} answers {status}; check the image's URL and the credentials")]
    Refused {
        /// Which mirror.
        url: String,
        /// The HTTP status.
        status: StatusCode,
        /// When to ask again, if the server says so.
        after: Option<Duration>,
    },
    /// A registry's token cannot be had.
    #[error("{url} wants a token, and it cannot be had: {what}")]
    NoToken {
        /// Which mirror.
        url: String,
        /// What went wrong.
        what: String,
    },
    /// A web page, perhaps of a portal that wants a login.
    #[error("{url} answers with a web page, not an image; is there a proxy or a login in between?")]
    WebPage {
        /// Which mirror.
        url: String,
    },
    /// The answer is not what was asked for.
    #[error("{url} answers wrongly: {what}")]
    Nonsense {
        /// Which mirror.
        url: String,
        /// What is wrong.
        what: &'static str,
    },
    /// This server cannot continue at a byte; from the start, it may do.
    #[error("{url} cannot continue at byte {at}")]
    NoRange {
        /// Which mirror.
        url: String,
        /// Where it was to continue.
        at: u64,
    },
    /// It is another file than when we began.
    #[error("{url}: the image changed while it was fetched; fetch it again from the start")]
    Changed {
        /// Which mirror.
        url: String,
    },
    /// It was promised longer than it is.
    #[error("{url} ended after {got} of {length} bytes")]
    Short {
        /// Which mirror.
        url: String,
        /// Bytes that came.
        got: u64,
        /// Bytes that were promised.
        length: u64,
    },
}

impl FetchError {
    /// What the HTTP library says of `url`, which shows no secrets.
    pub(crate) fn of(url: String, err: reqwest::Error) -> Self {
        let err = err.without_url();
        if err.is_builder() {
            Self::Unaskable { url, err }
        } else if err.is_redirect() {
            Self::Redirected { url, err }
        } else if distrusts(&err) {
            Self::Distrusted { url, err }
        } else {
            Self::Broken { url, err }
        }
    }

    /// True when asking this mirror again is useless.
    pub(crate) fn is_final(&self) -> bool {
        match self {
            FetchError::Refused { status, .. } => !is_passing(*status),
            FetchError::Unaskable { .. }
            | FetchError::Distrusted { .. }
            | FetchError::Redirected { .. }
            | FetchError::NoToken { .. }
            | FetchError::WebPage { .. }
            | FetchError::Changed { .. }
            | FetchError::TooLong { .. }
            | FetchError::Nonsense { .. } => true,
            FetchError::Broken { .. }
            | FetchError::Stalled { .. }
            | FetchError::Slow { .. }
            | FetchError::NoRange { .. }
            | FetchError::Short { .. } => false,
        }
    }
}

/// Statuses of a server that may do better soon.
fn is_passing(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
}

/// Whether `err` is of certificates or versions, which no second try heals.
fn distrusts(err: &reqwest::Error) -> bool {
    let mut next: Option<&(dyn Error + 'static)> = Some(err);
    while let Some(err) = next {
        if let Some(tls) = err.downcast_ref::<rustls::Error>() {
            return is_distrust(tls);
        }
        // `source` of an `io::Error` skips what it carries.
        let carried = err.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = carried.map(|carried| carried as &(dyn Error + 'static)).or_else(|| err.source());
    }
    false
}

/// A broken record may be a broken wire; these are not.
fn is_distrust(err: &rustls::Error) -> bool {
    matches!(
        err,
        rustls::Error::InvalidCertificate(_)
            | rustls::Error::UnsupportedNameType
            | rustls::Error::NoCertificatesPresented
            | rustls::Error::PeerIncompatible(_)
            | rustls::Error::AlertReceived(_)
    )
}

/// `url` without user, password and query: presigned URLs have their signature there.
/// Of one that is none, as with a `/` in its password, nobody can say where the secret
/// ends, and nothing but the scheme is left.
#[must_use]
pub fn without_secrets(url: &str) -> String {
    if let Some((scheme, rest)) = url.split_once("://")
        && rest.contains('@')
        && reqwest::Url::parse(url).is_err()
    {
        return format!("{scheme}://…");
    }
    let bare = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = bare.split_once("://") else { return bare.to_owned() };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_tells_the_url_and_no_secret_of_it() {
        for (url, want) in [
            ("http://h:8080/a/b.raw", "http://h:8080/a/b.raw"),
            ("https://user:secret@h/v1/b.raw?temp_url_sig=secret&x=1#secret", "https://h/v1/b.raw"),
            ("https://secret@h?secret", "https://h"),
            ("https://a@b:secret@h/x@y", "https://h/x@y"),
            ("https://user:sec/ret@h/x", "https://…"),
            ("https://user:sec?ret@h/x", "https://…"),
            ("ftp://user:secret@h/x", "ftp://h/x"),
            ("https://h:http/x", "https://h:http/x"),
        ] {
            assert_eq!(without_secrets(url), want);
        }
    }

    #[test]
    fn only_what_may_pass_is_asked_again() {
        for (status, is_final) in
            [(404, true), (401, true), (204, true), (408, false), (429, false), (503, false)]
        {
            let status = StatusCode::from_u16(status).expect("a status");
            let err = FetchError::Refused { url: String::new(), status, after: None };
            assert_eq!(err.is_final(), is_final, "{status}");
        }
    }
}
