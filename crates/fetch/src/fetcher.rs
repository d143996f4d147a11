//! Fetching: which mirror is asked, what for, and when to give up.
//!
//! ```text
//! open ─▶ answer ─▶ pump ─▶ pieces          cut, stall, drip, 5xx: the next mirror,
//!            ▲        │ at byte N           at the byte reached (If-Range), else
//!            └─resume◀┘                     from the start, skipping what is known
//! ```
//!
//! A 4xx strikes a mirror out. Whatever is pieced together is hashed as a whole
//! later, so a mirror that lies here is caught there.

mod stream;

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use reqwest::{Client, Response, StatusCode, header, header::HeaderValue};
use tokio::time::{sleep, timeout};

use crate::{
    answer::{self, Opened},
    challenge,
    client::Maker,
    error::FetchError,
    floor::{Rate, Watch},
    http::Counters,
    mirrors::{Mirrors, Validator},
    request::Request,
};

/// What goes to the reader: pieces in order; none at the end.
pub(crate) type Batch = Vec<Bytes>;

/// An answer whose body is to be read.
pub(crate) struct Live {
    response: Response,
    /// What was read of it already.
    head: Option<Bytes>,
    /// How many of its bytes are known already.
    skip: u64,
    /// The mirror it is from.
    place: usize,
}

/// One image, its mirrors, and the tries made.
pub(crate) struct Fetcher {
    maker: Maker,
    client: Client,
    request: Request,
    mirrors: Mirrors,
    watch: Watch,
    deadline: Option<Instant>,
    counters: Arc<Counters>,
}

impl Fetcher {
    pub(crate) fn new(maker: Maker, client: Client, request: Request, counters: Arc<Counters>) -> Self {
        Self {
            mirrors: Mirrors::new(&request.urls),
            watch: Watch::default(),
            deadline: request.pace.total.and_then(|total| Instant::now().checked_add(total)),
            maker,
            client,
            request,
            counters,
        }
    }

    /// The first answer of any mirror.
    pub(crate) async fn open(&mut self) -> Result<(Opened, Live), FetchError> {
        loop {
            match self.start().await {
                Ok(answered) => return Ok(answered),
                Err(err) => self.failed(err, 0).await?,
            }
        }
    }

    async fn start(&mut self) -> Result<(Opened, Live), FetchError> {
        let response = self.get(None).await?;
        if response.status() != StatusCode::OK {
            return Err(self.refused(&response));
        }
        // Before a piece is read: the library tells the length of what is left.
        let mut opened = Opened::of(&response);
        let wanted = self.request.length.map(|length| length.0);
        if opened.length.is_some() && wanted.is_some() && opened.length != wanted {
            return Err(self.nonsense("its length is not the image's"));
        }
        opened.length = opened.length.or(wanted);
        self.mirrors.current_mut().validator = answer::validator(response.headers());
        Ok((opened, self.live(response, 0).await?))
    }

    /// `response`, unless it is a web page in an image's place.
    async fn live(&mut self, mut response: Response, skip: u64) -> Result<Live, FetchError> {
        let mut head = None;
        if answer::says_page(response.headers()) {
            head = self.piece(&mut response).await?;
            if head.as_deref().is_some_and(answer::is_page) {
                return Err(FetchError::WebPage { url: self.mirrors.told() });
            }
        }
        Ok(Live { response, head, skip, place: self.mirrors.place() })
    }

    /// Ask for everything, or from a byte on, perhaps to another.
    async fn get(&mut self, range: Option<(u64, Option<u64>)>) -> Result<Response, FetchError> {
        let response = self.ask(range).await?;
        if response.status() != StatusCode::UNAUTHORIZED || !self.request.registry {
            return Ok(response);
        }
        let url = || self.mirrors.told();
        let limit = self.request.pace.stall + self.request.pace.connect;
        let answered = challenge::answer(&self.client, response, self.request.authorization.as_ref());
        let token = self.within(limit, answered).await?;
        let token = token.map_err(|what| FetchError::NoToken { url: url(), what: what.to_string() })?;
        self.mirrors.current_mut().token = Some(token);
        self.ask(range).await
    }

    async fn ask(&self, range: Option<(u64, Option<u64>)>) -> Result<Response, FetchError> {
        let mirror = self.mirrors.current();
        let mut get = self.client.get(&mirror.url).header(header::ACCEPT_ENCODING, "identity");
        if let Some(accept) = &self.request.accept {
            get = get.header(header::ACCEPT, accept);
        }
        if let Some(authorization) = self.authorization() {
            get = get.header(header::AUTHORIZATION, authorization);
        }
        if let Some((first, last)) = range {
            let last = last.map(|last| last.to_string()).unwrap_or_default();
            get = get.header(header::RANGE, format!("bytes={first}-{last}"));
            if let Validator::Known(validator) = &mirror.validator {
                get = get.header(header::IF_RANGE, validator);
            }
        }
        let limit = self.request.pace.stall + self.request.pace.connect;
        let response = self.within(limit, get.send()).await?.map_err(|err| self.broken(err))?;
        if response.status().is_success() && !answer::is_plain(response.headers()) {
            return Err(self.nonsense("it encodes the content, and was asked not to"));
        }
        Ok(response)
    }

    /// A registry is asked anonymously first: it says whom it wants to know.
    fn authorization(&self) -> Option<HeaderValue> {
        if let Some(token) = &self.mirrors.current().token {
            return Some(token.clone());
        }
        let given = self.request.authorization.as_ref()?;
        if self.request.registry && !challenge::is_bearer(given) {
            return None;
        }
        challenge::secret(given.expose())
    }

    /// Wait for `what`, but no longer than `limit` and than there is time at all.
    async fn within<T>(&self, limit: Duration, what: impl Future<Output = T>) -> Result<T, FetchError> {
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let limit_now = left.map_or(limit, |left| left.min(limit));
        if let Ok(done) = timeout(limit_now, what).await {
            return Ok(done);
        }
        let url = self.mirrors.told();
        match self.request.pace.total {
            Some(seconds) if limit_now < limit => Err(FetchError::TooLong { url, seconds }),
            Some(_) | None => Err(FetchError::Stalled { url, seconds: limit }),
        }
    }

    /// Take note of a failure: wait and go to the next mirror, or give up.
    async fn failed(&mut self, err: FetchError, brought: u64) -> Result<(), FetchError> {
        let Some(pause) = self.mirrors.failed(&err, brought, &self.request.pace) else { return Err(err) };
        let cause = std::error::Error::source(&err).map(ToString::to_string);
        tracing::warn!(%err, cause, pause_ms = pause.as_millis(), next = self.mirrors.told(), "fetching again");
        self.counters.retried();
        // Its connections may be as dead as the one that failed.
        if let Ok(client) = self.maker.make(&self.request) {
            self.client = client;
        }
        if !pause.is_zero() {
            self.within(pause + Duration::from_secs(1), sleep(pause)).await?;
        }
        // The same judge as for bytes: many short tries are a drip as well.
        if let Err(slow) = self.judge(0, pause)
            && self.mirrors.failed(&slow, 0, &self.request.pace).is_none()
        {
            return Err(slow);
        }
        Ok(())
    }

    /// The next piece of a body; `None` at its end.
    async fn piece(&self, response: &mut Response) -> Result<Option<Bytes>, FetchError> {
        self.within(self.request.pace.stall, response.chunk()).await?.map_err(|err| self.broken(err))
    }

    /// Is it worth waiting for more?
    fn judge(&mut self, bytes: u64, waited: Duration) -> Result<(), FetchError> {
        match self.watch.note(self.request.pace.floor, bytes, waited) {
            Rate::Unknown => Ok(()),
            Rate::Enough => {
                self.mirrors.fast();
                Ok(())
            }
            Rate::TooLittle(got, seconds) => Err(FetchError::Slow { url: self.mirrors.told(), got, seconds }),
        }
    }

    fn broken(&self, err: reqwest::Error) -> FetchError {
        FetchError::of(self.mirrors.told(), err)
    }

    fn nonsense(&self, what: &'static str) -> FetchError {
        FetchError::Nonsense { url: self.mirrors.told(), what }
    }

    fn changed(&self) -> FetchError {
        FetchError::Changed { url: self.mirrors.told() }
    }

    /// It cannot continue: the next try is from the start.
    fn no_range(&mut self, at: u64) -> FetchError {
        self.mirrors.current_mut().ranges = false;
        FetchError::NoRange { url: self.mirrors.told(), at }
    }

    fn refused(&self, response: &Response) -> FetchError {
        let after = answer::retry_after(response.headers());
        FetchError::Refused { url: self.mirrors.told(), status: response.status(), after }
    }
}
