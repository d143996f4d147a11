//! Fetching: which mirror, which byte, and when to give up.
//!
//! A cut, a stall, a reset or a 5xx is tried again, at the byte reached and on
//! the next mirror; a 4xx strikes the mirror out. Whatever is pieced together
//! is hashed as a whole later, so a mirror that lies here is caught there.

use std::{
    io,
    sync::mpsc::{Receiver, SyncSender},
    time::Duration,
};

use bytes::Bytes;
use reqwest::{Client, Response, StatusCode, header};
use tokio::time::{sleep, timeout};

use crate::{http::Command, ranges::ContentRange, request::Request};

/// The longest pause between two tries.
const LONGEST_DELAY: Duration = Duration::from_secs(10);

/// What is known of an image once a mirror has answered.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    /// Its length, unless the server does not say.
    pub(crate) length: Option<u64>,
    /// Whether parts can be asked for.
    pub(crate) ranges: bool,
    /// What tells this version of the file from another: an `ETag` or a date.
    validator: Option<String>,
}

/// Why a try gave nothing, or nothing more.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Nobody answered, or the connection broke.
    #[error("{url}: no answer, or it broke off")]
    Broken {
        /// Which mirror.
        url: String,
        /// What happened.
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
    /// The answer is no.
    #[error("{url} answers {status}; check the image's URL and the credentials")]
    Refused {
        /// Which mirror.
        url: String,
        /// The HTTP status.
        status: StatusCode,
    },
    /// The answer is not what was asked for.
    #[error("{url} answers wrongly: {what}")]
    Nonsense {
        /// Which mirror.
        url: String,
        /// What is wrong.
        what: &'static str,
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
    /// True when asking this mirror again is useless.
    fn is_final(&self) -> bool {
        match self {
            FetchError::Refused { status, .. } => {
                !status.is_server_error() && *status != StatusCode::TOO_MANY_REQUESTS
            }
            FetchError::Nonsense { .. } => true,
            FetchError::Broken { .. } | FetchError::Stalled { .. } | FetchError::Short { .. } => false,
        }
    }
}

/// One image, its mirrors, and the tries made.
pub(crate) struct Fetcher {
    client: Client,
    request: Request,
    /// The mirror in use.
    current: usize,
    failures: u32,
}

impl Fetcher {
    pub(crate) fn new(client: Client, request: Request) -> Self {
        Self { client, request, current: 0, failures: 0 }
    }

    fn url(&self) -> Option<&str> {
        self.request.urls.get(self.current).map(String::as_str)
    }

    /// The mirror in use, as errors may tell it.
    fn told(&self) -> String {
        without_secrets(self.url().unwrap_or_default())
    }

    /// The first answer of any mirror.
    pub(crate) async fn open(&mut self) -> Result<(Opened, Response), FetchError> {
        loop {
            match self.start().await {
                Ok(answer) => return Ok((opened(&answer), answer)),
                Err(err) => self.failed(err).await?,
            }
        }
    }

    async fn start(&self) -> Result<Response, FetchError> {
        let answer = self.get(None).await?;
        match answer.status() {
            StatusCode::OK => Ok(answer),
            status => Err(FetchError::Refused { url: self.told(), status }),
        }
    }

    /// Ask for everything, or for a range (a `Range` value and a validator).
    async fn get(&self, range: Option<(String, Option<&str>)>) -> Result<Response, FetchError> {
        let url = self.url().unwrap_or_default();
        let mut get = self.client.get(url).header(header::ACCEPT_ENCODING, "identity");
        if let Some(authorization) = &self.request.authorization {
            get = get.header(header::AUTHORIZATION, authorization.expose());
        }
        if let Some((range, validator)) = range {
            get = get.header(header::RANGE, range);
            if let Some(validator) = validator {
                get = get.header(header::IF_RANGE, validator);
            }
        }
        let seconds = self.request.pace.stall + self.request.pace.connect;
        let answer = match timeout(seconds, get.send()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(err)) => return Err(FetchError::Broken { url: self.told(), err: err.without_url() }),
            Err(_) => return Err(FetchError::Stalled { url: self.told(), seconds }),
        };
        match text(&answer, header::CONTENT_ENCODING) {
            None | Some("identity") => Ok(answer),
            Some(_) => Err(FetchError::Nonsense { url: self.told(), what: "it encodes the content" }),
        }
    }

    /// Take note of a failure: wait and go to the next mirror, or give up.
    async fn failed(&mut self, err: FetchError) -> Result<(), FetchError> {
        tracing::warn!(%err, failures = self.failures, "fetching the image failed");
        if err.is_final() && self.current < self.request.urls.len() {
            self.request.urls.remove(self.current);
        } else {
            self.current += 1;
        }
        if self.request.urls.is_empty() || self.failures >= self.request.pace.retries {
            return Err(err);
        }
        self.current %= self.request.urls.len();
        let doubled = self.request.pace.delay.saturating_mul(1 << self.failures.min(8));
        self.failures += 1;
        if !err.is_final() {
            sleep(doubled.min(LONGEST_DELAY)).await;
        }
        Ok(())
    }

    /// Do what the reading side asks: parts, then everything from `answer` on.
    pub(crate) async fn serve(
        mut self,
        answer: Response,
        commands: &Receiver<Command>,
        to: &SyncSender<io::Result<Bytes>>,
    ) {
        let opened = opened(&answer);
        while let Ok(command) = commands.recv() {
            match command {
                Command::Range { at, length, answer } => {
                    let part = self.part(&opened, at, length).await;
                    answer.send(part).ok();
                }
                Command::Stream => {
                    let end = match self.stream(&opened, answer, to).await {
                        Ok(()) => Ok(Bytes::new()),
                        Err(err) => Err(io::Error::other(err)),
                    };
                    // A reader that is gone has failed, and says so itself.
                    to.send(end).ok();
                    return;
                }
            }
        }
    }

    /// Everything, in order, however many tries it takes.
    async fn stream(
        &mut self,
        opened: &Opened,
        answer: Response,
        to: &SyncSender<io::Result<Bytes>>,
    ) -> Result<(), FetchError> {
        let mut at = 0;
        let mut next = Some((answer, 0));
        self.failures = 0;
        loop {
            let from = at;
            let outcome = match next.take() {
                Some((answer, skip)) => self.pump(opened, answer, skip, &mut at, to).await,
                None => match self.resume(opened, at).await {
                    Ok(resumed) => {
                        next = Some(resumed);
                        continue;
                    }
                    Err(err) => Err(err),
                },
            };
            if at > from {
                self.failures = 0;
            }
            match outcome {
                Ok(()) => return Ok(()),
                Err(err) => self.failed(err).await?,
            }
        }
    }

    /// An answer that goes on at byte `at`, and how many of its bytes to skip.
    async fn resume(&self, opened: &Opened, at: u64) -> Result<(Response, u64), FetchError> {
        let url = self.told();
        let range = (at > 0).then(|| (format!("bytes={at}-"), opened.validator.as_deref()));
        let answer = self.get(range).await?;
        match answer.status() {
            StatusCode::PARTIAL_CONTENT if at > 0 => {
                let range = text(&answer, header::CONTENT_RANGE).and_then(ContentRange::parse);
                let right = range.is_some_and(|range| {
                    range.first == at && (range.total.is_none() || range.total == opened.length)
                });
                if right { Ok((answer, 0)) } else { Err(FetchError::Nonsense { url, what: "another range" }) }
            }
            // A server without ranges, or another mirror: from the start again.
            StatusCode::OK if answer.content_length() == opened.length => Ok((answer, at)),
            StatusCode::OK => Err(FetchError::Nonsense { url, what: "the image's length changed" }),
            status => Err(FetchError::Refused { url, status }),
        }
    }

    /// Pass on what `answer` brings, but its first `skip` bytes.
    async fn pump(
        &self,
        opened: &Opened,
        mut answer: Response,
        mut skip: u64,
        at: &mut u64,
        to: &SyncSender<io::Result<Bytes>>,
    ) -> Result<(), FetchError> {
        let url = || self.told();
        let seconds = self.request.pace.stall;
        loop {
            let mut piece = match timeout(seconds, answer.chunk()).await {
                Ok(Ok(Some(piece))) => piece,
                Ok(Ok(None)) => break,
                Ok(Err(err)) => return Err(FetchError::Broken { url: url(), err: err.without_url() }),
                Err(_) => return Err(FetchError::Stalled { url: url(), seconds }),
            };
            let skipped = usize::try_from(skip).unwrap_or(usize::MAX).min(piece.len());
            drop(piece.split_to(skipped));
            skip -= skipped as u64;
            if piece.is_empty() {
                continue;
            }
            *at += piece.len() as u64;
            if opened.length.is_some_and(|length| *at > length) {
                return Err(FetchError::Nonsense { url: url(), what: "it sends more than it promised" });
            }
            if to.send(Ok(piece)).is_err() {
                return Ok(());
            }
        }
        match opened.length {
            Some(length) if *at < length => Err(FetchError::Short { url: url(), got: *at, length }),
            Some(_) | None => Ok(()),
        }
    }

    /// A part out of order. `Unsupported` when the server has no ranges after all.
    async fn part(&mut self, opened: &Opened, at: u64, length: u64) -> io::Result<Vec<u8>> {
        self.failures = 0;
        loop {
            match self.try_part(opened, at, length).await {
                Ok(part) => return Ok(part),
                Err(FetchError::Nonsense { what, .. }) => {
                    return Err(io::Error::new(io::ErrorKind::Unsupported, what));
                }
                Err(err) => self.failed(err).await.map_err(io::Error::other)?,
            }
        }
    }

    async fn try_part(&self, opened: &Opened, at: u64, length: u64) -> Result<Vec<u8>, FetchError> {
        let url = self.told();
        let last = at + length - 1;
        let answer = self.get(Some((format!("bytes={at}-{last}"), opened.validator.as_deref()))).await?;
        let status = answer.status();
        if !status.is_success() {
            return Err(FetchError::Refused { url, status });
        }
        let range = text(&answer, header::CONTENT_RANGE).and_then(ContentRange::parse);
        let right = range.is_some_and(|range| {
            (range.first, range.last) == (at, last) && (range.total.is_none() || range.total == opened.length)
        });
        if status != StatusCode::PARTIAL_CONTENT || !right || answer.content_length() != Some(length) {
            return Err(FetchError::Nonsense { url, what: "it does not give the range asked for" });
        }
        let seconds = self.request.pace.stall;
        match timeout(seconds, answer.bytes()).await {
            Ok(Ok(bytes)) if bytes.len() as u64 == length => Ok(bytes.to_vec()),
            Ok(Ok(bytes)) => Err(FetchError::Short { url, got: bytes.len() as u64, length }),
            Ok(Err(err)) => Err(FetchError::Broken { url, err: err.without_url() }),
            Err(_) => Err(FetchError::Stalled { url, seconds }),
        }
    }
}

/// `url` without user, password and query: presigned URLs have their signature there.
#[must_use]
pub fn without_secrets(url: &str) -> String {
    let bare = url.split(['?', '#']).next().unwrap_or_default();
    let Some((scheme, rest)) = bare.split_once("://") else { return bare.to_owned() };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

fn text(answer: &Response, name: header::HeaderName) -> Option<&str> {
    answer.headers().get(name)?.to_str().ok()
}

fn opened(answer: &Response) -> Opened {
    // A weak validator promises no equal bytes, RFC 9110 §8.8.1.
    let tag = text(answer, header::ETAG).filter(|tag| !tag.starts_with("W/"));
    Opened {
        length: answer.content_length(),
        ranges: text(answer, header::ACCEPT_RANGES) == Some("bytes"),
        validator: tag.or(text(answer, header::LAST_MODIFIED)).map(str::to_owned),
    }
}
