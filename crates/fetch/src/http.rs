//! An image over HTTP(S) as plain bytes: one thread fetches, a bounded channel
//! carries, whoever decodes reads.

use std::{
    io::{self, Read},
    path::PathBuf,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread,
};

use futures_util::FutureExt as _;
use image::{ReadAt, Source};
use model::Bytes;
use reqwest::{Client, redirect};

use crate::fetcher::{self, Fetcher, Opened};
use crate::request::Request;
use crate::trust::Trust;

/// Pieces between the network and the decoder. The network brings some 16 KiB
/// to 400 KiB at a time, so this is a few MiB at most.
const IN_FLIGHT: usize = 16;
/// The most redirects followed.
const REDIRECTS: usize = 5;

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
    /// The HTTP library refuses.
    #[error("cannot make an HTTP client; check the CA file and the proxies")]
    Client(#[source] reqwest::Error),
    /// The thread could not start.
    #[error("cannot start fetching")]
    Start(#[source] io::Error),
    /// No mirror gives it.
    #[error("cannot fetch the image")]
    Fetch(#[source] fetcher::FetchError),
}

/// What the reading side asks of the fetching thread.
pub(crate) enum Command {
    /// A part out of order; the answer goes there.
    Range { at: u64, length: u64, answer: SyncSender<io::Result<Vec<u8>>> },
    /// Everything, from the start.
    Stream,
}

/// An image that is being fetched.
pub struct HttpSource {
    opened: Opened,
    commands: SyncSender<Command>,
    pieces: Receiver<io::Result<bytes::Bytes>>,
    piece: bytes::Bytes,
    started: bool,
}

impl HttpSource {
    /// Ask the mirrors in turn until one answers; retries are in the request's pace.
    ///
    /// # Errors
    /// [`OpenImageError`] when none gives the image.
    pub fn open(request: Request) -> Result<Self, OpenImageError> {
        let client = client(&request)?;
        let (to_reader, pieces) = sync_channel(IN_FLIGHT);
        let (commands, to_fetcher) = sync_channel(1);
        let (to_opener, opened) = sync_channel(1);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(OpenImageError::Start)?;
        let fetch = move || {
            runtime.block_on(
                async move {
                    let mut fetcher = Fetcher::new(client, request);
                    match fetcher.open().await {
                        Err(err) => drop(to_opener.send(Err(err))),
                        Ok((opened, answer)) => {
                            to_opener.send(Ok(opened)).ok();
                            fetcher.serve(answer, &to_fetcher, &to_reader).await;
                        }
                    }
                }
                .boxed_local(),
            );
        };
        thread::Builder::new().name("fetch".to_owned()).spawn(fetch).map_err(OpenImageError::Start)?;
        let gone = || OpenImageError::Start(io::Error::from(io::ErrorKind::BrokenPipe));
        let opened = opened.recv().map_err(|_| gone())?.map_err(OpenImageError::Fetch)?;
        Ok(Self { opened, commands, pieces, piece: bytes::Bytes::new(), started: false })
    }
}

fn client(request: &Request) -> Result<Client, OpenImageError> {
    // The library panics without one; a second installation changes nothing.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut builder = Client::builder()
        .no_proxy()
        .connect_timeout(request.pace.connect)
        .redirect(redirect::Policy::limited(REDIRECTS));
    let (http, https) = &request.proxies;
    if let Some(url) = http {
        builder = builder.proxy(reqwest::Proxy::http(url).map_err(OpenImageError::Client)?);
    }
    if let Some(url) = https {
        builder = builder.proxy(reqwest::Proxy::https(url).map_err(OpenImageError::Client)?);
    }
    let certificates = match &request.trust {
        Trust::Anybody => Vec::new(),
        Trust::Bundle(path) => certificates(path)?,
    };
    let believes_all = request.trust == Trust::Anybody;
    let builder = builder.tls_certs_only(certificates).tls_danger_accept_invalid_certs(believes_all);
    builder.build().map_err(OpenImageError::Client)
}

/// Nothing, when there is no file: then nobody is believed.
fn certificates(path: &std::path::Path) -> Result<Vec<reqwest::Certificate>, OpenImageError> {
    match std::fs::read(path) {
        Ok(pem) => reqwest::Certificate::from_pem_bundle(&pem).map_err(OpenImageError::Client),
        Err(err) if err.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(err) => Err(OpenImageError::Bundle { path: path.to_owned(), err }),
    }
}

impl Read for HttpSource {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if !self.started {
            self.started = true;
            self.commands.send(Command::Stream).map_err(|_| gone())?;
        }
        if self.piece.is_empty() {
            self.piece = self.pieces.recv().map_err(|_| gone())??;
        }
        let count = self.piece.len().min(into.len());
        into[..count].copy_from_slice(&self.piece.split_to(count));
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

    fn random(&mut self) -> Option<&mut dyn ReadAt> {
        if self.opened.ranges && !self.started { Some(self) } else { None }
    }
}

impl ReadAt for HttpSource {
    fn read_exact_at(&mut self, at: Bytes, into: &mut [u8]) -> io::Result<()> {
        if into.is_empty() {
            return Ok(());
        }
        let (answer, answered) = sync_channel(1);
        let command = Command::Range { at: at.0, length: into.len() as u64, answer };
        self.commands.send(command).map_err(|_| gone())?;
        into.copy_from_slice(&answered.recv().map_err(|_| gone())??);
        Ok(())
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
