//! The server: a listener, a thread for each connection, and what was seen.

use std::{
    collections::BTreeMap,
    io::{self, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use nix::sys::socket::{setsockopt, sockopt};

use crate::{Act, End, File, Seen, answer, latch::Latch};

/// How long a client may leave its socket full or say nothing; a test that hangs is no test.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a connection is once it is accepted: TCP, or TLS over it.
pub trait Wire: Read + Write + Send {}

impl<T: Read + Write + Send> Wire for T {}

/// Makes a [`Wire`] of a connection; an error closes it.
type Wrap = dyn Fn(TcpStream) -> io::Result<Box<dyn Wire>> + Send + Sync;

/// A server on a free port of 127.0.0.1, which ends when dropped.
pub struct Server {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

pub(crate) struct Shared {
    files: BTreeMap<String, File>,
    seen: Mutex<Vec<Seen>>,
    /// Told when a request came or more of an answer went.
    moved: Condvar,
    pub(crate) latch: Latch,
}

impl Shared {
    fn seen(&self) -> MutexGuard<'_, Vec<Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Remember that request `number` got so many bytes more.
    pub(crate) fn sent(&self, number: usize, bytes: usize) {
        if let Some(seen) = self.seen().get_mut(number) {
            seen.sent += bytes as u64;
        }
        self.moved.notify_all();
    }

    /// Let request `number` wait until it is released.
    pub(crate) fn stall(&self, number: usize) {
        self.latch.wait(|| {
            if let Some(seen) = self.seen().get_mut(number) {
                seen.stalls += 1;
            }
            self.moved.notify_all();
        });
    }
}

impl Server {
    /// Serve `files`, each at its path; anything else is 404.
    ///
    /// # Panics
    /// When no port is free or no thread can be started.
    #[must_use]
    pub fn start<'p>(files: impl IntoIterator<Item = (&'p str, File)>) -> Self {
        Self::wrapped("http", files, |stream| Ok(Box::new(stream)))
    }

    /// Serve one file at `/image`.
    ///
    /// # Panics
    /// As [`Server::start`].
    #[must_use]
    pub fn of(file: File) -> Self {
        Self::start([("/image", file)])
    }

    /// Serve over what `wrap` makes of each connection; `scheme` is for the URLs.
    ///
    /// # Panics
    /// As [`Server::start`].
    #[must_use]
    pub fn wrapped<'p>(
        scheme: &'static str,
        files: impl IntoIterator<Item = (&'p str, File)>,
        wrap: impl Fn(TcpStream) -> io::Result<Box<dyn Wire>> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let files = files.into_iter().map(|(path, file)| (path.to_owned(), file)).collect();
        let shared = Arc::new(Shared {
            files,
            seen: Mutex::default(),
            moved: Condvar::new(),
            latch: Latch::default(),
        });
        let (all, wrap): (_, Arc<Wrap>) = (Arc::clone(&shared), Arc::new(wrap));
        let accepting = thread::Builder::new()
            .name("bad-server".to_owned())
            .spawn(move || accept(&listener, &all, &wrap))
            .expect("a thread");
        Self { address, scheme, shared, accepting: Some(accepting) }
    }

    /// The URL of `path` here.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// The URL of `path` here by another name of this host: another origin.
    #[must_use]
    pub fn url_of_another_host(&self, path: &str) -> String {
        format!("{}://localhost:{}{path}", self.scheme, self.address.port())
    }

    /// Every request so far.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen().clone()
    }

    /// Wait until `enough` of the requests.
    ///
    /// # Panics
    /// When that takes more than a minute.
    pub fn wait_until(&self, enough: impl Fn(&[Seen]) -> bool) {
        let (seen, timeout) = self
            .shared
            .moved
            .wait_timeout_while(self.shared.seen(), PATIENCE, |seen| !enough(seen))
            .unwrap_or_else(PoisonError::into_inner);
        assert!(!timeout.timed_out(), "nobody asked as expected: {seen:#?}");
    }

    /// Let go every answer that stalls now.
    pub fn release(&self) {
        self.shared.latch.release();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shared.latch.close();
        // Wakes the accepting thread, which then sees that the latch is closed.
        let _ = TcpStream::connect(self.address);
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.join();
        }
    }
}

/// Answer each connection on a thread of its own, until the latch closes. The
/// threads are not joined: they end with their connections.
fn accept(listener: &TcpListener, shared: &Arc<Shared>, wrap: &Arc<Wrap>) {
    for stream in listener.incoming().flatten() {
        if shared.latch.is_closed() {
            return;
        }
        let (shared, wrap) = (Arc::clone(shared), Arc::clone(wrap));
        thread::spawn(move || connection(stream, &shared, &*wrap));
    }
}

/// One request and its answer. What fails here is the client's to notice.
fn connection(stream: TcpStream, shared: &Shared, wrap: &Wrap) -> Option<()> {
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    stream.set_nodelay(true).ok()?;
    let socket = stream.try_clone().ok()?;
    let mut wire = wrap(stream).ok()?;
    let request = Seen::read(&mut wire).ok()??;
    let file = shared.files.get(request.path());
    let act = file.map_or_else(|| Act::status(404), |file| file.act(request.is_part()));
    let number = {
        let mut seen = shared.seen();
        seen.push(request.clone());
        seen.len() - 1
    };
    shared.moved.notify_all();
    let answered = answer::answer(&mut wire, file, &request, &act, shared, number);
    let flushed = wire.flush();
    match act.end {
        End::Closed => {}
        End::Reset => reset_on_close(&socket),
        End::Open => shared.stall(number),
    }
    answered.and(flushed).ok()
}

fn reset_on_close(socket: &TcpStream) {
    let at_once = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    let _ = setsockopt(socket, sockopt::Linger, &at_once);
}
