//! NVMe over TCP: the units on the wire, and the exchange of one command's data.

use std::{
    collections::VecDeque,
    io::{self, Read, Write},
    net::TcpStream,
};

use crate::command::{Command, Failure, completion};

const INITIALIZE: u8 = 0x00;
const INITIALIZED: u8 = 0x01;
const COMMAND: u8 = 0x04;
const RESPONSE: u8 = 0x05;
const DATA_TO_DRIVE: u8 = 0x06;
const DATA_TO_HOST: u8 = 0x07;
const READY_TO_TRANSFER: u8 = 0x09;
/// The flag of the last unit of a transfer.
const LAST: u8 = 1 << 2;
/// The most that a unit from the host may hold: a command and all that MDTS (128 KiB) allows, amply.
const UNIT_LIMIT: usize = 1 << 20;
/// The most that we take in one unit of data.
const DATA_LIMIT: u32 = 128 << 10;
/// Commands that may come while the data of another is awaited; queues have 128.
const WAITING_LIMIT: usize = 1024;

/// One connection, which is one queue.
pub(crate) struct Link {
    stream: TcpStream,
    /// Commands that came while the data of another was awaited.
    waiting: VecDeque<Unit>,
}

/// A unit from the host.
struct Unit {
    kind: u8,
    /// All of it, its header too.
    bytes: Vec<u8>,
    /// Where its data begins.
    data: usize,
}

impl Link {
    /// Greet the host.
    pub(crate) fn open(stream: TcpStream) -> io::Result<Self> {
        let mut link = Self { stream, waiting: VecDeque::new() };
        let hello = link.read()?;
        // Digests are a wish; the answer says no.
        if hello.kind != INITIALIZE || hello.bytes.len() != 128 {
            return Err(nonsense("no initialization"));
        }
        let mut answer = header(INITIALIZED, 0, 128, 128, 0);
        answer.resize(128, 0);
        answer[12..16].copy_from_slice(&DATA_LIMIT.to_le_bytes());
        link.stream.write_all(&answer)?;
        Ok(link)
    }

    /// The next command, with the data it sends.
    pub(crate) fn next(&mut self) -> io::Result<(Command, Vec<u8>)> {
        let unit = match self.waiting.pop_front() {
            Some(unit) => unit,
            None => self.read()?,
        };
        if unit.kind != COMMAND || unit.bytes.len() < 72 {
            return Err(nonsense("no command"));
        }
        let command = Command(unit.bytes[8..72].try_into().map_err(|_| nonsense("a short command"))?);
        // A command that may send data need not have any, as Set Features.
        let data = match (command.sends() && command.length() > 0, command.is_in_capsule()) {
            (false, _) => Vec::new(),
            (true, true) => {
                let data = unit.bytes.get(unit.data..).unwrap_or_default();
                data.get(..command.length()).ok_or_else(|| nonsense("short data"))?.to_vec()
            }
            (true, false) => self.fetch(&command)?,
        };
        Ok((command, data))
    }

    /// Have the host send the data of `command`.
    fn fetch(&mut self, command: &Command) -> io::Result<Vec<u8>> {
        let length = command.length();
        if length > UNIT_LIMIT {
            return Err(nonsense("a transfer of that length"));
        }
        let mut ask = header(READY_TO_TRANSFER, 0, 24, 24, 0);
        ask.extend(command.id().to_le_bytes());
        ask.extend(command.id().to_le_bytes()); // our tag of the transfer
        ask.extend(0_u32.to_le_bytes());
        ask.extend(command.u32(32).to_le_bytes());
        ask.extend([0; 4]);
        self.stream.write_all(&ask)?;
        let (mut data, mut got) = (vec![0; length], 0);
        while got < length {
            let unit = self.read()?;
            if unit.kind == COMMAND && self.waiting.len() < WAITING_LIMIT {
                self.waiting.push_back(unit);
                continue;
            }
            if unit.kind != DATA_TO_DRIVE || unit.bytes.len() < 24 {
                return Err(nonsense("no data"));
            }
            let word = |at: usize| u32::from_le_bytes([0, 1, 2, 3].map(|n| unit.bytes[at + n])) as usize;
            let (at, count) = (word(12), word(16));
            let piece = unit.bytes.get(unit.data..).and_then(|bytes| bytes.get(..count));
            let place = at.checked_add(count).and_then(|end| data.get_mut(at..end));
            place
                .ok_or_else(|| nonsense("data out of place"))?
                .copy_from_slice(piece.ok_or_else(|| nonsense("short data"))?);
            got += count;
        }
        Ok(data)
    }

    /// Send what `command` asked for, and its completion.
    pub(crate) fn answer(
        &mut self,
        command: &Command,
        queue: u16,
        data: &[u8],
        outcome: Result<u64, Failure>,
    ) -> io::Result<()> {
        let mut all = Vec::new();
        let data = &data[..data.len().min(command.length())];
        if !data.is_empty() && outcome.is_ok() {
            all.extend(header(DATA_TO_HOST, LAST, 24, 24 + data.len(), 24));
            all.extend(command.id().to_le_bytes());
            all.extend([0; 2 + 4]); // from its beginning
            all.extend(u32::try_from(data.len()).map_err(|_| nonsense("that much"))?.to_le_bytes());
            all.extend([0; 4]);
            all.extend(data);
        }
        all.extend(header(RESPONSE, 0, 24, 24, 0));
        all.extend(completion(command.id(), queue, outcome));
        self.stream.write_all(&all)
    }

    fn read(&mut self) -> io::Result<Unit> {
        let mut start = [0; 8];
        self.stream.read_exact(&mut start)?;
        let [kind, _, _, data, length @ ..] = start;
        let length = u32::from_le_bytes(length) as usize;
        if !(8..=UNIT_LIMIT).contains(&length) {
            return Err(nonsense("a unit of that length"));
        }
        let mut bytes = vec![0; length];
        bytes[..8].copy_from_slice(&start);
        self.stream.read_exact(&mut bytes[8..])?;
        Ok(Unit { kind, bytes, data: data.into() })
    }
}

fn header(kind: u8, flags: u8, header: u8, whole: usize, data: u8) -> Vec<u8> {
    let whole = u32::try_from(whole).unwrap_or(u32::MAX);
    [&[kind, flags, header, data][..], &whole.to_le_bytes()].concat()
}

fn nonsense(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the host sent {what}"))
}
