//! An image over HTTP(S) as plain bytes: one thread fetches, a bounded channel
//! carries, whoever decodes reads.

use std::{
    io::{self, Read},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread,
    time::Duration,
};

use bytes::Buf as _;
use futures_util::FutureExt as _;
use image::{ReadAt, Source};
use model::Bytes;
use tokio::sync::mpsc::{Sender, channel};

use crate::{
    answer::Opened,
    client::Maker,
    error::FetchError,
    fetcher::{Batch, Fetcher},
    request::Request,
};

/// Batches between the network and the decoder, of half a MiB at most each.
const IN_FLIGHT: usize = 4;
/// How often whoever waits for a batch looks whether it is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// Why an image cannot be fetched.
#[derive(Debug, thiserror::Error)]
pub enum OpenImageError {
    /// The CA bundle cannot be read.
    #[error("cannot read the certificates in {}", path.display())]
    Bundle {
        /// The bundle.
        path: PathBuf,
        /// What the kernel says.
        #[source]
        err: io::Error,
    },
    /// The client certificate cannot be read.
    #[error("cannot read the client certificate or key {}", path.display())]
    ReadIdentity {
        /// The file.
        path: PathBuf,
        /// What the kernel says.
        #[source]
        err: io::Error,
    },
    /// The client certificate is none.
    #[error("the client certificate {} and its key cannot be used; want both in PEM", path.display())]
    Identity {
        /// The certificate's file.
        path: PathBuf,
        /// What the library says.
        #[source]
        err: reqwest::Error,
    },
    /// They cannot be sent.
    #[error("the image's credentials cannot be a header; they have line breaks or control characters")]
    Credentials,
    /// The HTTP library refuses.
    #[error("cannot make an HTTP client; check the CA file and the proxies")]
    Client(#[source] reqwest::Error),
    /// The thread could not start.
    #[error("cannot start fetching")]
    Start(#[source] io::Error),
    /// No mirror gives it.
    #[error("cannot fetch the image")]
    Fetch(#[source] FetchError),
}

/// What the reading side asks of the fetching thread.
pub(crate) enum Command {
    /// A part out of order; the answer goes there.
    Range { at: u64, length: u64, answer: SyncSender<io::Result<Vec<u8>>> },
    /// Everything, from the start.
    Stream,
}

/// What it took, for the report.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    retries: AtomicU64,
    refetched: AtomicU64,
}

impl Counters {
    pub(crate) fn retried(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn refetched(&self, bytes: u64) {
        self.refetched.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// An image that is being fetched. Dropping it ends the fetching, at once.
pub struct HttpSource {
    opened: Opened,
    counters: Arc<Counters>,
    /// True once nobody wants the rest.
    stop: Arc<AtomicBool>,
    /// `None` once dropped.
    fetching: Option<Fetching>,
    batch: std::vec::IntoIter<bytes::Bytes>,
    piece: bytes::Bytes,
    at: Stage,
}

/// How far the reading is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Opened,
    Streaming,
    Ended,
}

/// The other end of the thread.
struct Fetching {
    commands: Sender<Command>,
    pieces: Receiver<io::Result<Batch>>,
    thread: thread::JoinHandle<()>,
}

impl HttpSource {
    /// Ask the mirrors in turn until one answers; retries are in the request's pace.
    ///
    /// # Errors
    /// [`OpenImageError`] when none gives the image.
    pub fn open(request: Request) -> Result<Self, OpenImageError> {
        let maker = Maker::load(&request)?;
        let client = maker.make(&request)?;
        let counters = Arc::new(Counters::default());
        let (to_reader, pieces) = sync_channel(IN_FLIGHT);
        let (commands, mut to_fetcher) = channel(1);
        let (to_opener, opened) = sync_channel(1);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(OpenImageError::Start)?;
        let mut fetcher = Fetcher::new(maker, client, request, Arc::clone(&counters));
        let fetch = move || {
            runtime.block_on(
                async move {
                    match fetcher.open().await {
                        Err(err) => drop(to_opener.send(Err(err))),
                        Ok((opened, live)) => {
                            to_opener.send(Ok(opened.clone())).ok();
                            fetcher.serve(opened, live, &mut to_fetcher, &to_reader).await;
                        }
                    }
                }
                .boxed_local(),
            );
            // A name that is still being looked up is nobody's any more.
            runtime.shutdown_background();
        };
        let thread =
            thread::Builder::new().name("fetch".to_owned()).spawn(fetch).map_err(OpenImageError::Start)?;
        let gone = || OpenImageError::Start(io::Error::from(io::ErrorKind::BrokenPipe));
        let opened = opened.recv().map_err(|_| gone())?.map_err(OpenImageError::Fetch)?;
        let fetching = Some(Fetching { commands, pieces, thread });
        let batch = Batch::new().into_iter();
        let (stop, piece) = (Arc::default(), bytes::Bytes::new());
        Ok(Self { opened, counters, stop, fetching, batch, piece, at: Stage::Opened })
    }

    fn fetching(&self) -> io::Result<&Fetching> {
        self.fetching.as_ref().ok_or_else(gone)
    }

    /// The next piece; an empty one at the end.
    fn next(&mut self) -> io::Result<bytes::Bytes> {
        if let Some(piece) = self.batch.next() {
            return Ok(piece);
        }
        match self.at {
            Stage::Ended => return Ok(bytes::Bytes::new()),
            Stage::Opened => {
                self.fetching()?.commands.blocking_send(Command::Stream).map_err(|_| gone())?;
                self.at = Stage::Streaming;
            }
            Stage::Streaming => (),
        }
        self.batch = self.wait()?.into_iter();
        Ok(self.batch.next().unwrap_or_else(|| {
            self.at = Stage::Ended;
            bytes::Bytes::new()
        }))
    }
}

impl HttpSource {
    /// What comes next from the thread, unless the wait is stopped.
    fn wait(&self) -> io::Result<Batch> {
        let pieces = &self.fetching()?.pieces;
        loop {
            match pieces.recv_timeout(LOOK_EVERY) {
                Ok(batch) => return batch,
                Err(RecvTimeoutError::Disconnected) => return Err(gone()),
                Err(RecvTimeoutError::Timeout) if self.stop.load(Ordering::Relaxed) => {
                    return Err(io::Error::new(io::ErrorKind::BrokenPipe, "the write has failed"));
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

impl Drop for HttpSource {
    fn drop(&mut self) {
        if let Some(Fetching { commands, pieces, thread }) = self.fetching.take() {
            // Whatever it waits for, one of these ends it.
            drop((commands, pieces));
            thread.join().ok();
        }
    }
}

impl Read for HttpSource {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() && !into.is_empty() {
            self.piece = self.next()?;
        }
        let count = self.piece.len().min(into.len());
        into[..count].copy_from_slice(&self.piece[..count]);
        self.piece.advance(count);
        Ok(count)
    }
}

/// The thread always sends an end or an error, unless it panicked.
fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the fetching thread ended")
}

impl Source for HttpSource {
    fn length(&self) -> Option<Bytes> {
        self.opened.length.map(Bytes)
    }

    fn retries(&self) -> u32 {
        u32::try_from(self.counters.retries.load(Ordering::Relaxed)).unwrap_or(u32::MAX)
    }

    fn refetched(&self) -> Bytes {
        Bytes(self.counters.refetched.load(Ordering::Relaxed))
    }

    fn stop(&self) -> Option<Arc<AtomicBool>> {
        Some(Arc::clone(&self.stop))
    }

    fn random(&mut self) -> Option<&mut dyn ReadAt> {
        if self.opened.ranges && self.at == Stage::Opened { Some(self) } else { None }
    }
}

impl ReadAt for HttpSource {
    fn read_exact_at(&mut self, at: Bytes, into: &mut [u8]) -> io::Result<()> {
        if into.is_empty() {
            return Ok(());
        }
        let (answer, answered) = sync_channel(1);
        let command = Command::Range { at: at.0, length: into.len() as u64, answer };
        self.fetching()?.commands.blocking_send(command).map_err(|_| gone())?;
        into.copy_from_slice(&answered.recv().map_err(|_| gone())??);
        Ok(())
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
