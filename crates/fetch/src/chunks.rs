//! Chunks of an image, from all its mirrors at once: each request goes to the
//! mirror with the least to do, and what one does not give another is asked for.
//!
//! ```text
//! threads of `image` ── fetch(range) ─▶ [ Pool: who is asked? ] ─▶ one runtime, all requests in flight
//!                    ◀─ piece, or its beginning ─┘   ▲ failed: rest, then strike out
//!                    ── distrust(mirror) ────────────┘
//! ```

mod pool;

use std::{
    future::Future,
    io,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc::sync_channel},
    thread,
    time::{Duration, Instant},
};

use image::manifest::{ChunkSource, Piece};
use model::Bytes;
use reqwest::{
    Client, Response, StatusCode,
    header::{self, HeaderValue},
};
use tokio::{runtime, sync::oneshot, time};

use crate::{
    answer, challenge,
    client::Maker,
    error::FetchError,
    floor::{Rate, Watch},
    http::OpenImageError,
    request::Request,
};
use pool::{Ask, Pool};

/// Requests in flight. Six of 1 MiB each fill 10 Gb/s over 5 ms.
const AT_ONCE: usize = 6;

/// An image's file on equal mirrors, in parts. Dropping it ends what is in flight.
pub struct HttpChunks {
    fetching: Arc<Fetching>,
    runtime: runtime::Handle,
    /// The thread ends when this goes.
    stop: Mutex<Option<oneshot::Sender<()>>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl HttpChunks {
    /// The mirrors of `request`, whose file is `length` long as its manifest
    /// says. Nobody is asked yet.
    ///
    /// # Errors
    /// [`OpenImageError`], but not for a mirror that does not answer.
    pub fn open(request: Request, length: Bytes) -> Result<Self, OpenImageError> {
        let maker = Maker::load(&request)?;
        let client = Mutex::new(maker.make(&request)?);
        let deadline = request.pace.total.and_then(|total| Instant::now().checked_add(total));
        let pool = Mutex::new(Pool::new(&request.urls));
        let fetching = Arc::new(Fetching { maker, client, request, length: length.0, deadline, pool });
        let runtime =
            runtime::Builder::new_current_thread().enable_all().build().map_err(OpenImageError::Start)?;
        let handle = runtime.handle().clone();
        let (stop, stopped) = oneshot::channel::<()>();
        let run = move || {
            drop(runtime.block_on(stopped));
            // A name that is still being looked up is nobody's any more.
            runtime.shutdown_background();
        };
        let thread =
            thread::Builder::new().name("chunks".to_owned()).spawn(run).map_err(OpenImageError::Start)?;
        Ok(Self { fetching, runtime: handle, stop: Mutex::new(Some(stop)), thread: Some(thread) })
    }
}

impl Drop for HttpChunks {
    fn drop(&mut self) {
        self.stop();
        if let Some(thread) = self.thread.take() {
            // A panic there was told by the panic hook; its fetches have failed.
            thread.join().ok();
        }
    }
}

impl ChunkSource for HttpChunks {
    fn fetch(&self, range: Range<u64>) -> io::Result<Piece> {
        let (answer, answered) = sync_channel(1);
        let fetching = Arc::clone(&self.fetching);
        self.runtime.spawn(async move {
            // Whoever asked may be gone.
            answer.send(fetching.fetch(range).await).ok();
        });
        let gone = |_| io::Error::new(io::ErrorKind::BrokenPipe, "fetching was stopped");
        answered.recv().map_err(gone)?.map_err(io::Error::other)
    }

    fn distrust(&self, mirror: usize) {
        let url = self.fetching.pool().url(mirror);
        tracing::warn!(url, "this mirror gives other bytes than the manifest says; it is not asked again");
        self.fetching.pool().strike(mirror, MirrorError::OtherBytes { url });
    }

    fn stop(&self) {
        drop(self.stop.lock().unwrap_or_else(PoisonError::into_inner).take());
    }

    fn retries(&self) -> u32 {
        self.fetching.pool().retries()
    }

    fn at_once(&self) -> usize {
        AT_ONCE
    }
}

/// Why a mirror is not asked any more.
#[derive(Debug, thiserror::Error)]
pub enum MirrorError {
    /// It gives nothing, or not what was asked for.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// What it gives is not the image that the manifest is of.
    #[error("{url} gives other bytes than the manifest says; is the image there another version?")]
    OtherBytes {
        /// Which mirror.
        url: String,
    },
    /// There never was one.
    #[error("no URL of the image was given")]
    None,
}

/// Nobody is left to ask.
#[derive(Debug, thiserror::Error)]
#[error("no mirror is left that gives the image's chunks")]
struct NoMirror {
    /// Why the last one was struck out.
    #[source]
    last: Arc<MirrorError>,
}

/// What all requests share.
struct Fetching {
    maker: Maker,
    client: Mutex<Client>,
    request: Request,
    length: u64,
    deadline: Option<Instant>,
    pool: Mutex<Pool>,
}

/// What a try brought, and why it is not all.
type Outcome = (Vec<u8>, Option<FetchError>);

impl Fetching {
    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn client(&self) -> Client {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The bytes `range`, or the first of them. Ends because every failure
    /// brings a mirror closer to being struck out.
    async fn fetch(&self, range: Range<u64>) -> Result<Piece, NoMirror> {
        loop {
            let ask = self.pool().next(Instant::now());
            let (mirror, pause) = match ask {
                Ask::Mirror { place, pause } => (place, pause),
                Ask::Nobody(last) => return Err(NoMirror { last }),
            };
            let url = self.pool().url(mirror);
            let (bytes, failed) = match self.rest(&url, pause).await {
                Ok(()) => self.try_fetch(mirror, &url, &range).await,
                Err(err) => (Vec::new(), Some(err)),
            };
            let Some(err) = failed else {
                self.pool().good(mirror);
                return Ok(Piece { bytes, mirror });
            };
            self.failed(mirror, err, bytes.len() as u64);
            if !bytes.is_empty() {
                return Ok(Piece { bytes, mirror });
            }
        }
    }

    async fn rest(&self, url: &str, pause: Duration) -> Result<(), FetchError> {
        if pause.is_zero() {
            return Ok(());
        }
        self.within(url, pause + Duration::from_secs(1), time::sleep(pause)).await
    }

    /// Take note that `mirror` failed with `err` after `brought` bytes.
    fn failed(&self, mirror: usize, err: FetchError, brought: u64) {
        let cause = std::error::Error::source(&err).map(ToString::to_string);
        tracing::warn!(%err, cause, "fetching a chunk again");
        if !err.is_final() {
            self.renew();
        }
        self.pool().failed(mirror, err, brought, &self.request.pace);
    }

    /// Connections may be as dead as the one that failed.
    fn renew(&self) {
        if let Ok(client) = self.maker.make(&self.request) {
            *self.client.lock().unwrap_or_else(PoisonError::into_inner) = client;
        }
    }

    async fn try_fetch(&self, mirror: usize, url: &str, range: &Range<u64>) -> Outcome {
        let mut bytes = Vec::new();
        let outcome = match self.answer(mirror, url, range).await {
            Ok(answer) => self.body(answer, url, range, &mut bytes).await,
            Err(err) => Err(err),
        };
        (bytes, outcome.err())
    }

    /// An answer that gives `range`.
    async fn answer(&self, mirror: usize, url: &str, range: &Range<u64>) -> Result<Response, FetchError> {
        let mut response = self.ask(mirror, url, range).await?;
        if response.status() == StatusCode::UNAUTHORIZED && self.request.registry {
            let client = self.client();
            let given = self.request.authorization.as_ref();
            let token =
                self.within(url, self.patience(), challenge::answer(&client, response, given)).await?;
            let failed = |what: challenge::TokenError| FetchError::NoToken {
                url: url.to_owned(),
                what: what.to_string(),
            };
            self.pool().set_token(mirror, token.map_err(failed)?);
            response = self.ask(mirror, url, range).await?;
        }
        self.check(&response, url, range).map(|()| response)
    }

    async fn ask(&self, mirror: usize, url: &str, range: &Range<u64>) -> Result<Response, FetchError> {
        let full = self.pool().full_url(mirror);
        let last = range.end.saturating_sub(1);
        let mut get = self
            .client()
            .get(full)
            .header(header::ACCEPT_ENCODING, "identity")
            .header(header::RANGE, format!("bytes={}-{last}", range.start));
        if let Some(accept) = &self.request.accept {
            get = get.header(header::ACCEPT, accept);
        }
        if let Some(authorization) = self.authorization(mirror) {
            get = get.header(header::AUTHORIZATION, authorization);
        }
        let sent = self.within(url, self.patience(), get.send()).await?;
        sent.map_err(|err| FetchError::of(url.to_owned(), err))
    }

    /// As for a whole image: a registry is asked anonymously first.
    fn authorization(&self, mirror: usize) -> Option<HeaderValue> {
        if let Some(token) = self.pool().token(mirror) {
            return Some(token);
        }
        let given = self.request.authorization.as_ref()?;
        let waits = self.request.registry && !challenge::is_bearer(given);
        if waits { None } else { challenge::secret(given.expose()) }
    }

    fn check(&self, response: &Response, url: &str, range: &Range<u64>) -> Result<(), FetchError> {
        let (url, headers) = (url.to_owned(), response.headers());
        match response.status() {
            StatusCode::PARTIAL_CONTENT => {}
            status if status.is_success() || status == StatusCode::RANGE_NOT_SATISFIABLE => {
                let what = "it gives no parts of a file, which a manifest needs";
                return Err(FetchError::Nonsense { url, what });
            }
            status => {
                let after = answer::retry_after(headers);
                return Err(FetchError::Refused { url, status, after });
            }
        }
        if !answer::is_plain(headers) {
            let what = "it encodes the content, and was asked not to";
            return Err(FetchError::Nonsense { url, what });
        }
        let given = answer::range(headers);
        let right = given.is_some_and(|given| (given.first, given.last) == (range.start, range.end - 1));
        if !right {
            return Err(FetchError::Nonsense { url, what: "it does not give the range asked for" });
        }
        if given.and_then(|given| given.total).is_some_and(|total| total != self.length) {
            return Err(FetchError::Nonsense { url, what: "its file is not as long as the manifest says" });
        }
        Ok(())
    }

    /// All of the body, which is `range`, into `bytes`.
    async fn body(
        &self,
        mut response: Response,
        url: &str,
        range: &Range<u64>,
        bytes: &mut Vec<u8>,
    ) -> Result<(), FetchError> {
        let length = usize::try_from(range.end - range.start).unwrap_or(usize::MAX);
        bytes.reserve_exact(length);
        let mut watch = Watch::default();
        while bytes.len() < length {
            let before = Instant::now();
            let piece = self.within(url, self.request.pace.stall, response.chunk()).await?;
            let Some(piece) = piece.map_err(|err| FetchError::of(url.to_owned(), err))? else {
                let (got, length) = (bytes.len() as u64, length as u64);
                return Err(FetchError::Short { url: url.to_owned(), got, length });
            };
            if piece.len() > length - bytes.len() {
                let what = "it sends more than it was asked for";
                return Err(FetchError::Nonsense { url: url.to_owned(), what });
            }
            bytes.extend_from_slice(&piece);
            let rate = watch.note(self.request.pace.floor, piece.len() as u64, before.elapsed());
            if let Rate::TooLittle(got, seconds) = rate {
                return Err(FetchError::Slow { url: url.to_owned(), got, seconds });
            }
        }
        Ok(())
    }

    /// For the head of an answer.
    fn patience(&self) -> Duration {
        self.request.pace.stall + self.request.pace.connect
    }

    /// Wait for `what`, but no longer than `limit` and than there is time at all.
    async fn within<T>(
        &self,
        url: &str,
        limit: Duration,
        what: impl Future<Output = T>,
    ) -> Result<T, FetchError> {
        let left = self.deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
        let now = left.map_or(limit, |left| left.min(limit));
        if let Ok(done) = time::timeout(now, what).await {
            return Ok(done);
        }
        let url = url.to_owned();
        match self.request.pace.total {
            // Final, so it strikes out one mirror after the other.
            Some(seconds) if now < limit => Err(FetchError::TooLong { url, seconds }),
            Some(_) | None => Err(FetchError::Stalled { url, seconds: limit }),
        }
    }
}

#[cfg(test)]
#[path = "chunks_tests.rs"]
mod tests;
