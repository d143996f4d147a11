//! Waiting for frames on many NICs at once, and not for ever.

use std::{
    io,
    os::fd::{AsFd, OwnedFd},
    time::{Duration, Instant},
};

use super::{
    Patience,
    frame::{ETHERTYPE, parse},
    path,
};
use crate::limits;

/// Where LLDP is sent to: the nearest bridge, the nearest one that is no two-port relay, the
/// nearest one for customers (IEEE 802.1AB-2016, table 7-1).
const GROUPS: [[u8; 6]; 3] = [
    [0x01, 0x80, 0xc2, 0x00, 0x00, 0x0e],
    [0x01, 0x80, 0xc2, 0x00, 0x00, 0x03],
    [0x01, 0x80, 0xc2, 0x00, 0x00, 0x00],
];

/// The best frame of each of `nics`, by the number that stands beside its name.
pub(super) fn listen(
    nics: &[(usize, String)],
    patience: Patience,
    warn: &mut dyn FnMut(String, String),
) -> Vec<(usize, Vec<u8>)> {
    let mut sockets = Sockets { all: Vec::new(), start: Instant::now() };
    let mut numbers = Vec::new();
    if nics.len() > limits::LLDP_NICS {
        warn("kernel/net".to_owned(), format!("only {} interfaces are listened to", limits::LLDP_NICS));
    }
    for (number, name) in nics.iter().take(limits::LLDP_NICS) {
        match sys::net::index(name).and_then(|index| sys::packet::listen(index, ETHERTYPE, &GROUPS)) {
            Ok(socket) => {
                sockets.all.push(socket);
                numbers.push(*number);
            }
            Err(err) => warn(path(name), format!("cannot be listened to: {err}")),
        }
    }
    let heard = collect(&mut sockets, numbers.len(), patience);
    numbers.into_iter().zip(heard).filter_map(|(number, frame)| Some((number, frame?))).collect()
}

/// Wires that frames come from, and a clock.
trait Wires {
    /// Since whenever this clock began.
    fn now(&self) -> Duration;

    /// At most one frame, or failure, of each of `wires`, after at most `patience`.
    fn wait(&mut self, wires: &[usize], patience: Duration) -> Vec<(usize, io::Result<Vec<u8>>)>;
}

/// What was heard on one wire.
#[derive(Default)]
struct Heard {
    frame: Option<Vec<u8>>,
    is_done: bool,
    useless: u32,
}

/// The first good frame of each of `count` wires, or else the first bad one. Bad ones do not
/// prolong the waiting: nobody keeps us here by talking nonsense.
fn collect(wires: &mut dyn Wires, count: usize, patience: Patience) -> Vec<Option<Vec<u8>>> {
    let mut all: Vec<Heard> = (0..count).map(|_| Heard::default()).collect();
    let start = wires.now();
    let mut news = start;
    loop {
        let open: Vec<usize> = (0..count).filter(|wire| !all[*wire].is_done).collect();
        let end = news.saturating_add(patience.idle).min(start.saturating_add(patience.total));
        let left = end.saturating_sub(wires.now());
        if open.is_empty() || left.is_zero() {
            return all.into_iter().map(|heard| heard.frame).collect();
        }
        for (wire, frame) in wires.wait(&open, left) {
            if all[wire].take(frame) {
                news = wires.now();
            }
        }
    }
}

impl Heard {
    /// True when `frame` is what we wait for.
    fn take(&mut self, frame: io::Result<Vec<u8>>) -> bool {
        let frame = frame.unwrap_or_default();
        let Some(neighbour) = parse(&frame) else {
            self.waste();
            return false;
        };
        // A lifetime of zero is a goodbye: whoever comes next has more to say.
        let is_good = neighbour.flaw.is_none() && neighbour.lifetime_s != Some(0);
        if is_good || self.frame.is_none() {
            self.frame = Some(frame);
        }
        self.is_done |= is_good;
        if !is_good {
            self.waste();
        }
        is_good
    }

    fn waste(&mut self) {
        self.useless += 1;
        self.is_done |= self.useless >= limits::LLDP_USELESS_FRAMES;
    }
}

/// The wires of this machine.
struct Sockets {
    all: Vec<OwnedFd>,
    start: Instant,
}

impl Wires for Sockets {
    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn wait(&mut self, wires: &[usize], patience: Duration) -> Vec<(usize, io::Result<Vec<u8>>)> {
        let sockets: Vec<_> = wires.iter().map(|wire| self.all[*wire].as_fd()).collect();
        let ready = match sys::packet::wait(&sockets, patience) {
            Ok(ready) => ready,
            // No memory to wait with: as if every wire had failed once.
            Err(err) => return wires.iter().map(|wire| (*wire, Err(err.kind().into()))).collect(),
        };
        let received = ready.into_iter().filter_map(|at| match receive(&self.all[wires[at]]) {
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => None,
            answer => Some((wires[at], answer)),
        });
        received.collect()
    }
}

/// One frame; what is longer than any honest one is cut.
fn receive(socket: &OwnedFd) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; limits::LLDP_FRAME];
    let length = sys::packet::receive(socket, &mut buffer)?;
    buffer.truncate(length);
    Ok(buffer)
}

#[cfg(test)]
#[path = "listen_tests.rs"]
mod tests;
