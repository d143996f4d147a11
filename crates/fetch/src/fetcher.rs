//! Fetching: which mirror, which byte, and when to give up.
//!
//! ```text
//! open ─▶ answer ─▶ pump ─▶ pieces          cut, stall, drip, 5xx: the next mirror,
//!            ▲        │ at byte N           at the byte reached (If-Range), else
//!            └─resume◀┘                     from the start, skipping what is known
//! ```
//!
//! A 4xx strikes a mirror out. Whatever is pieced together is hashed as a whole
//! later, so a mirror that lies here is caught there.

use std::{
    future::Future,
    io,
    sync::{Arc, mpsc::SyncSender},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use reqwest::{Client, Response, StatusCode, header, header::HeaderValue};
use tokio::{
    sync::mpsc::Receiver,
    time::{sleep, timeout},
};

use crate::{
    answer::{self, Opened},
    challenge,
    client::Maker,
    error::FetchError,
    floor::{Rate, Watch},
    http::{Command, Counters},
    mirrors::{Mirrors, Validator},
    prefix::Prefix,
    request::Request,
};

/// Bytes that go to the reader at once, when so many have come: a wake-up of
/// another thread costs as much as copying some KiB.
const BATCH: usize = 256 << 10;
/// Pieces that go at once, however small they are.
const BATCH_PIECES: usize = 64;

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
                Ok(live) => return Ok((Opened::of(&live.response), live)),
                Err(err) => self.failed(err, 0).await?,
            }
        }
    }

    async fn start(&mut self) -> Result<Live, FetchError> {
        let response = self.get(None).await?;
        if response.status() != StatusCode::OK {
            return Err(self.refused(&response));
        }
        self.mirrors.current_mut().validator = answer::validator(response.headers());
        self.live(response, 0).await
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

    /// Do what the reading side asks: parts, then everything from `live` on.
    pub(crate) async fn serve(
        mut self,
        mut opened: Opened,
        live: Live,
        commands: &mut Receiver<Command>,
        to: &SyncSender<io::Result<Batch>>,
    ) {
        while let Some(command) = commands.recv().await {
            match command {
                Command::Range { at, length, answer } => {
                    let part = self.part(&opened, at, length).await;
                    answer.send(part).ok();
                }
                Command::Stream => {
                    let end = {
                        let stream = std::pin::pin!(self.stream(&mut opened, live, to));
                        let gone = std::pin::pin!(commands.recv());
                        // No command follows: this is the reader going away.
                        match futures_util::future::select(stream, gone).await {
                            futures_util::future::Either::Left((end, _)) => end,
                            futures_util::future::Either::Right(_) => return,
                        }
                    };
                    // A reader that is gone has failed, and says so itself.
                    to.send(end.map(|()| Batch::new()).map_err(io::Error::other)).ok();
                    return;
                }
            }
        }
    }

    /// Everything, in order, however many tries it takes.
    async fn stream(
        &mut self,
        opened: &mut Opened,
        live: Live,
        to: &SyncSender<io::Result<Batch>>,
    ) -> Result<(), FetchError> {
        self.mirrors.begin();
        self.mirrors.back_to(live.place);
        let mut known = Prefix::new(self.mirrors.current().validator == Validator::Absent);
        let mut next = Some(live);
        loop {
            let from = known.length();
            let outcome = match next.take() {
                Some(live) => self.pump(opened, live, &mut known, to).await,
                None => match self.resume(opened, from).await {
                    Ok(live) => {
                        next = Some(live);
                        continue;
                    }
                    Err(err) => Err(err),
                },
            };
            match outcome {
                Ok(()) => return Ok(()),
                Err(err) => self.failed(err, known.length() - from).await?,
            }
        }
    }

    /// An answer that goes on at byte `at`.
    async fn resume(&mut self, opened: &mut Opened, at: u64) -> Result<Live, FetchError> {
        let mirror = self.mirrors.current();
        let known = mirror.validator.clone();
        let ranged = at > 0 && mirror.ranges && known != Validator::Absent;
        let response = self.get(ranged.then_some((at, None))).await?;
        let now = answer::validator(response.headers());
        match response.status() {
            StatusCode::PARTIAL_CONTENT if ranged => {
                let range = answer::range(response.headers());
                let Some(range) = range.filter(|range| range.first == at) else {
                    return Err(self.no_range(at));
                };
                self.agree(opened, range.total)?;
                if response.content_length().is_some_and(|length| length != range.length()) {
                    return Err(self.nonsense("its body is not of the range's length"));
                }
                if known.differs(&now) {
                    return Err(self.changed());
                }
                self.remember(now);
                self.live(response, 0).await
            }
            StatusCode::OK => {
                self.agree(opened, response.content_length())?;
                // What a server without ranges answers, and one whose file is another now.
                if at > 0 && known.differs(&now) {
                    return Err(self.changed());
                }
                let mirror = self.mirrors.current_mut();
                mirror.ranges &= !ranged;
                if at == 0 || mirror.validator == Validator::Unseen {
                    mirror.validator = now;
                }
                self.live(response, at).await
            }
            StatusCode::RANGE_NOT_SATISFIABLE if ranged => Err(self.no_range(at)),
            _ => Err(self.refused(&response)),
        }
    }

    /// The length is what it was, or is known at last.
    fn agree(&self, opened: &mut Opened, length: Option<u64>) -> Result<(), FetchError> {
        match (opened.length, length) {
            (Some(known), Some(now)) if known != now => Err(self.changed()),
            (None, Some(_)) => {
                opened.length = length;
                Ok(())
            }
            (Some(_) | None, _) => Ok(()),
        }
    }

    /// The version that is being fetched stays the one it is.
    fn remember(&mut self, validator: Validator) {
        if self.mirrors.current().validator == Validator::Unseen {
            self.mirrors.current_mut().validator = validator;
        }
    }

    /// Pass on what `live` brings, but what is known.
    async fn pump(
        &mut self,
        opened: &Opened,
        live: Live,
        known: &mut Prefix,
        to: &SyncSender<io::Result<Batch>>,
    ) -> Result<(), FetchError> {
        let Live { mut response, head, skip, .. } = live;
        let mut again = known.again(skip);
        let mut first = head;
        loop {
            let before = Instant::now();
            let piece = match first.take() {
                Some(piece) => piece,
                None => match self.piece(&mut response).await? {
                    Some(piece) => piece,
                    None => break,
                },
            };
            let waited = before.elapsed();
            let (batch, end) = gather(piece, &mut response);
            let came = batch.iter().map(|piece| piece.len() as u64).sum();
            let batch = again.skip(batch, |bytes| self.counters.refetched(bytes));
            if again.differs() {
                return Err(self.changed());
            }
            let batch = known.extend(batch, opened.length);
            if !batch.is_empty() && to.send(Ok(batch)).is_err() {
                return Ok(());
            }
            if opened.length.is_some_and(|length| known.length() >= length) && !again.is_skipping() {
                return Ok(());
            }
            if let Some(err) = end {
                return Err(self.broken(err));
            }
            self.judge(came, waited)?;
        }
        match opened.length {
            Some(length) if known.length() < length => {
                Err(FetchError::Short { url: self.mirrors.told(), got: known.length(), length })
            }
            Some(_) | None => Ok(()),
        }
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

    /// A part out of order. `Unsupported` when the server has no ranges after all.
    async fn part(&mut self, opened: &Opened, at: u64, length: u64) -> io::Result<Vec<u8>> {
        self.mirrors.begin();
        loop {
            match self.try_part(opened, at, length).await {
                Ok(part) => return Ok(part),
                Err(err @ (FetchError::Nonsense { .. } | FetchError::NoRange { .. })) => {
                    return Err(io::Error::new(io::ErrorKind::Unsupported, err));
                }
                Err(err) => self.failed(err, 0).await.map_err(io::Error::other)?,
            }
        }
    }

    async fn try_part(&mut self, opened: &Opened, at: u64, length: u64) -> Result<Vec<u8>, FetchError> {
        let last = at + length - 1;
        let mut response = self.get(Some((at, Some(last)))).await?;
        match response.status() {
            StatusCode::PARTIAL_CONTENT => (),
            StatusCode::OK | StatusCode::RANGE_NOT_SATISFIABLE => return Err(self.no_range(at)),
            _ => return Err(self.refused(&response)),
        }
        let range = answer::range(response.headers());
        let right = range.is_some_and(|range| {
            (range.first, range.last) == (at, last) && (range.total.is_none() || range.total == opened.length)
        });
        if !right {
            return Err(self.nonsense("it does not give the range asked for"));
        }
        self.remember(answer::validator(response.headers()));
        let mut part = Vec::new();
        loop {
            let before = Instant::now();
            let Some(piece) = self.piece(&mut response).await? else { break };
            part.extend_from_slice(&piece);
            if part.len() as u64 > length {
                return Err(self.nonsense("it sends more than it was asked for"));
            }
            self.judge(piece.len() as u64, before.elapsed())?;
        }
        if (part.len() as u64) < length {
            return Err(FetchError::Short { url: self.mirrors.told(), got: part.len() as u64, length });
        }
        Ok(part)
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

/// `first` and what else has come meanwhile; and the error that came after it.
fn gather(first: Bytes, response: &mut Response) -> (Batch, Option<reqwest::Error>) {
    let mut bytes = first.len();
    let mut batch = vec![first];
    while bytes < BATCH && batch.len() < BATCH_PIECES {
        match response.chunk().now_or_never() {
            Some(Ok(Some(piece))) => {
                bytes += piece.len();
                batch.push(piece);
            }
            Some(Err(err)) => return (batch, Some(err)),
            Some(Ok(None)) | None => break,
        }
    }
    (batch, None)
}
