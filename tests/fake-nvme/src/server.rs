//! The listener, and a thread for each connection.

use std::{
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
};

use crate::{Drive, session};

/// What the names of our subsystems begin with.
const NQN: &str = "nqn.2026-11.example.billet:";
/// Connections at once; a drive has up to five.
const CONNECTIONS_LIMIT: usize = 512;

/// Drives behind a free port of 127.0.0.1, until this is dropped.
pub struct Server {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    drives: session::Drives,
    ends: AtomicBool,
    streams: Mutex<Vec<TcpStream>>,
}

impl Server {
    /// Serve `drives` by their names ([`Server::nqn`]).
    ///
    /// # Panics
    /// When no port is free or no thread can be started.
    #[must_use]
    pub fn start<'n>(drives: impl IntoIterator<Item = (&'n str, Drive)>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let drives = drives.into_iter().map(|(name, drive)| (Self::nqn(name), drive)).collect();
        let shared = Arc::new(Shared {
            drives: Arc::new(drives),
            ends: AtomicBool::new(false),
            streams: Mutex::default(),
        });
        let all = Arc::clone(&shared);
        let accepting = thread::Builder::new()
            .name("fake-nvme".to_owned())
            .spawn(move || accept(&listener, &all))
            .expect("a thread");
        Self { address, shared, accepting: Some(accepting) }
    }

    /// The subsystem's name of the drive of this name.
    #[must_use]
    pub fn nqn(name: &str) -> String {
        format!("{NQN}{name}")
    }

    /// The port of 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    let mut sessions: Vec<JoinHandle<()>> = Vec::new();
    for stream in listener.incoming() {
        if shared.ends.load(Ordering::SeqCst) {
            break;
        }
        sessions.retain(|session| !session.is_finished());
        let Ok(stream) = stream else { continue };
        if sessions.len() < CONNECTIONS_LIMIT {
            sessions.extend(begin(stream, shared));
        }
    }
    for stream in shared.streams.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        let _ = stream.shutdown(Shutdown::Both);
    }
    for session in sessions {
        let _ = session.join();
    }
}

fn begin(stream: TcpStream, shared: &Arc<Shared>) -> Option<JoinHandle<()>> {
    // Answers are small, and waited for.
    stream.set_nodelay(true).ok()?;
    let kept = stream.try_clone().ok()?;
    shared.streams.lock().unwrap_or_else(PoisonError::into_inner).push(kept);
    let drives = Arc::clone(&shared.drives);
    let own = stream.try_clone().ok()?;
    let session = move || {
        // How a connection ends is its host's business; that it ends is not.
        let _ = session::serve(&drives, stream);
        let _ = own.shutdown(Shutdown::Both);
    };
    thread::Builder::new().name("fake-nvme-queue".to_owned()).spawn(session).ok()
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.ends.store(true, Ordering::SeqCst);
        // Wakes the listener.
        drop(TcpStream::connect(self.address));
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}
