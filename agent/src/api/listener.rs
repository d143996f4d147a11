//! Connections for the API: TCP, then TLS, each handshake on its own so that a
//! slow caller keeps nobody waiting, and never more than a few at once.

use std::{future::Future, io, net::SocketAddr, pin::Pin, sync::Arc, task, time::Duration};

use rustls::ServerConfig;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{Instant, Sleep, sleep},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Connections at once. A conductor needs one or two; the rest is for people who
/// look, and for nobody who floods.
const CONNECTIONS: usize = 64;

/// How long a caller may be silent. Places are few.
#[derive(Clone, Copy, Debug)]
struct Patience {
    /// Without a request.
    between_requests: Duration,
    /// Over an unfinished request: a caller may wait for a command, and no
    /// conductor waits longer than a minute.
    within_request: Duration,
}

const PATIENCE: Patience =
    Patience { between_requests: Duration::from_secs(120), within_request: Duration::from_secs(3600) };

/// How long to wait when the system is out of descriptors.
const PAUSE: Duration = Duration::from_millis(200);

/// A listener that yields callers who speak TLS.
pub(crate) struct TlsListener {
    tcp: TcpListener,
    acceptor: TlsAcceptor,
    free: Arc<Semaphore>,
    greeting: JoinSet<Option<(Connection, SocketAddr)>>,
    patience: Patience,
}

/// An open connection; its place is free again when it is dropped.
pub(crate) struct Connection {
    stream: Box<TlsStream<TcpStream>>,
    /// When its silence has lasted too long.
    silence: Pin<Box<Sleep>>,
    patience: Patience,
    _place: OwnedSemaphorePermit,
}

impl TlsListener {
    /// Take callers from `tcp`.
    ///
    /// # Errors
    /// When the socket cannot be used without blocking.
    pub(crate) fn new(tcp: std::net::TcpListener, config: Arc<ServerConfig>) -> io::Result<Self> {
        tcp.set_nonblocking(true)?;
        Ok(Self {
            tcp: TcpListener::from_std(tcp)?,
            acceptor: TlsAcceptor::from(config),
            free: Arc::new(Semaphore::new(CONNECTIONS)),
            greeting: JoinSet::new(),
            patience: PATIENCE,
        })
    }

    /// A caller, with a place for it. Accepting waits while all places are taken.
    async fn caller(
        tcp: &TcpListener,
        free: &Arc<Semaphore>,
    ) -> (TcpStream, SocketAddr, OwnedSemaphorePermit) {
        loop {
            let place = match Arc::clone(free).acquire_owned().await {
                Ok(place) => place,
                // The semaphore is never closed.
                Err(_) => std::future::pending().await,
            };
            match tcp.accept().await {
                Ok((stream, from)) => return (stream, from, place),
                Err(err) => {
                    tracing::warn!(%err, "a caller was lost");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }
}

impl axum::serve::Listener for TlsListener {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            tokio::select! {
                (stream, from, place) = Self::caller(&self.tcp, &self.free) => {
                    let (handshake, patience) = (self.acceptor.accept(stream), self.patience);
                    self.greeting.spawn(async move {
                        match tokio::time::timeout(HANDSHAKE, handshake).await {
                            Ok(Ok(stream)) => Some((Connection::new(stream, patience, place), from)),
                            Ok(Err(err)) => { tracing::debug!(%from, %err, "a caller does not speak our TLS"); None }
                            Err(_) => { tracing::debug!(%from, "a caller does not finish its handshake"); None }
                        }
                    });
                }
                Some(greeted) = self.greeting.join_next() => {
                    if let Ok(Some(connection)) = greeted {
                        return connection;
                    }
                }
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.tcp.local_addr()
    }
}

impl Connection {
    fn new(stream: TlsStream<TcpStream>, patience: Patience, place: OwnedSemaphorePermit) -> Self {
        let silence = Box::pin(sleep(patience.between_requests));
        Self { stream: Box::new(stream), silence, patience, _place: place }
    }

    fn may_be_silent(&mut self, limit: Duration) {
        self.silence.as_mut().reset(Instant::now() + limit);
    }

    /// What a caller gets who is silent: some more time, or the end.
    fn wait<T>(&mut self, context: &mut task::Context<'_>) -> task::Poll<io::Result<T>> {
        self.silence.as_mut().poll(context).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> task::Poll<io::Result<()>> {
        let before = into.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, into);
        if read.is_pending() {
            return self.wait(context);
        }
        if into.filled().len() > before {
            let limit = self.patience.within_request;
            self.may_be_silent(limit);
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
        bytes: &[u8],
    ) -> task::Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        if written.is_pending() {
            return self.wait(context);
        }
        let limit = self.patience.between_requests;
        self.may_be_silent(limit);
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut task::Context<'_>) -> task::Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut task::Context<'_>,
    ) -> task::Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use axum::serve::Listener as _;
    use tokio::io::AsyncReadExt as _;

    use super::*;
    use crate::tls::{Identity, MinimumTls};

    #[tokio::test]
    async fn a_caller_who_says_nothing_loses_its_place() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let identity = Identity::make("bench", &["127.0.0.1".parse().unwrap()]).unwrap();
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = tcp.local_addr().unwrap();
        let mut listener = TlsListener::new(tcp, identity.server(MinimumTls::V1_3).unwrap()).unwrap();
        listener.patience.between_requests = Duration::from_millis(20);
        let certificate = reqwest::Certificate::from_pem(identity.certificate_pem.as_bytes()).unwrap();
        let client = reqwest::Client::builder().no_proxy().tls_certs_only([certificate]).build().unwrap();
        let url = format!("https://{address}/");
        let calling = tokio::spawn(async move { client.get(url).send().await });
        let (mut connection, _) = listener.accept().await;
        assert_eq!(listener.free.available_permits(), CONNECTIONS - 1);
        // The request comes and is never answered; that is another patience.
        listener.patience.within_request = Duration::from_millis(20);
        connection.patience = listener.patience;
        let mut request = Vec::new();
        let error = connection.read_to_end(&mut request).await.unwrap_err();
        assert_eq!((error.kind(), request.starts_with(b"GET /")), (io::ErrorKind::TimedOut, true));
        drop(connection);
        assert_eq!(listener.free.available_permits(), CONNECTIONS);
        assert!(calling.await.unwrap().is_err());
    }
}
