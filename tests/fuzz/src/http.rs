//! What a server may answer: the input is the answer, to every request.

use std::{
    io::{self, BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use fetch::{HttpSource, Pace, Request, Trust};
use image::Source;
use model::Bytes;

/// Nobody waits longer for a server on this machine that has answered.
const PATIENCE: Duration = Duration::from_millis(300);
/// The most requests of one source: the first, and retries of everything.
const MOST_REQUESTS: usize = 64;

/// A source that ends well has given as much as it promised.
pub(crate) fn head(data: &[u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of this machine");
    let address = listener.local_addr().expect("it listens");
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| serve(&listener, data, &done));
        let outcome = fetched(address, data);
        done.store(true, Ordering::Relaxed);
        // So that the server looks whether it is done.
        drop(TcpStream::connect(address));
        outcome
    })
}

fn serve(listener: &TcpListener, answer: &[u8], done: &AtomicBool) {
    for connection in listener.incoming().take(MOST_REQUESTS) {
        if done.load(Ordering::Relaxed) {
            return;
        }
        // Who hangs up early is not interested in the rest.
        let _ = connection.and_then(|connection| reply(&connection, answer));
    }
}

fn reply(connection: &TcpStream, answer: &[u8]) -> io::Result<()> {
    connection.set_read_timeout(Some(PATIENCE))?;
    let lines = BufReader::new(connection).lines();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let mut connection = connection;
    connection.write_all(answer)
}

fn fetched(address: SocketAddr, data: &[u8]) -> String {
    let mut request = Request::new(vec![format!("http://{address}/image")], Trust::Anybody);
    request.pace = Pace {
        connect: PATIENCE,
        stall: PATIENCE,
        floor: None,
        total: Some(5 * PATIENCE),
        retries: 1,
        delay: Duration::from_millis(1),
    };
    let mut source = match HttpSource::open(request) {
        Ok(source) => source,
        Err(err) => return words(&err, address),
    };
    let length = source.length();
    let random = length.filter(|&length| length > Bytes(0)).and_then(|_| {
        let random = source.random()?;
        Some(random.read_exact_at(Bytes(0), &mut [0]).is_ok())
    });
    let mut content = Vec::new();
    match source.read_to_end(&mut content) {
        Ok(read) => {
            assert!(length.is_none_or(|length| length.0 == read as u64), "{length:?} promised, {read} given");
            assert!(read <= data.len(), "more was read than the server ever sent");
            format!("read, length: {}, random: {random:?}", length.is_some())
        }
        Err(err) => format!("random: {random:?}, {}", words(&err, address)),
    }
}

/// An error and its causes, without the port, which is another every time.
fn words(err: &dyn std::error::Error, address: SocketAddr) -> String {
    let causes = std::iter::successors(Some(err), |err| err.source());
    let text = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    text.replace(&address.to_string(), "HOST")
}
