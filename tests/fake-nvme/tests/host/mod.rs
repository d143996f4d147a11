//! A host: connects, and runs one command at a time.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use fake_nvme::Server;

/// What a command is about.
#[derive(Clone, Copy, Default)]
pub(crate) struct Ask {
    pub(crate) opcode: u8,
    pub(crate) nsid: u32,
    pub(crate) cdw10: u32,
    pub(crate) cdw11: u32,
    pub(crate) cdw12: u32,
    /// Bytes that the drive is to send.
    pub(crate) reads: u32,
}

/// One connected queue.
pub(crate) struct Host {
    stream: TcpStream,
    pub(crate) controller: u16,
}

impl Host {
    /// Connect queue `queue` of `controller` (`0xffff`: a new one); the status where it is
    /// refused, or none where nobody answers.
    pub(crate) fn connect(
        server: &Server,
        name: &str,
        queue: u16,
        controller: u16,
    ) -> Result<Self, Option<u16>> {
        let stream = TcpStream::connect(("127.0.0.1", server.port())).expect("a connection");
        let mut host = Self { stream, controller };
        let mut hello = [0; 128];
        hello[2] = 128;
        hello[4] = 128;
        host.stream.write_all(&hello).expect("sent");
        let mut answer = [0; 128];
        host.stream.read_exact(&mut answer).expect("greeted");
        assert_eq!(answer[0], 1, "initialized");
        let mut entry = [0; 64];
        entry[0] = 0x7f;
        entry[4] = 1;
        entry[42..44].copy_from_slice(&queue.to_le_bytes());
        let mut data = vec![0; 1024];
        data[16..18].copy_from_slice(&controller.to_le_bytes());
        let nqn = Server::nqn(name);
        data[256..256 + nqn.len()].copy_from_slice(nqn.as_bytes());
        let (_, result) = host.run(entry, &data, true).ok_or(None)?.map_err(Some)?;
        host.controller = u16::try_from(result & 0xffff).expect("16 bits");
        Ok(host)
    }

    /// What came back, or the status (its code and type). None when the connection ended.
    pub(crate) fn ask(&mut self, ask: Ask, data: &[u8]) -> Option<Result<Vec<u8>, u16>> {
        let mut entry = [0; 64];
        entry[0] = ask.opcode;
        entry[4..8].copy_from_slice(&ask.nsid.to_le_bytes());
        for (at, value) in [(40, ask.cdw10), (44, ask.cdw11), (48, ask.cdw12), (32, ask.reads)] {
            entry[at..at + 4].copy_from_slice(&value.to_le_bytes());
        }
        // Little data goes with the command, as Linux does it.
        let in_capsule = (1..=8192).contains(&data.len());
        Some(self.run(entry, data, in_capsule)?.map(|(data, _)| data))
    }

    fn run(
        &mut self,
        mut entry: [u8; 64],
        data: &[u8],
        in_capsule: bool,
    ) -> Option<Result<(Vec<u8>, u64), u16>> {
        if !data.is_empty() {
            let length = u32::try_from(data.len()).expect("small");
            entry[32..36].copy_from_slice(&length.to_le_bytes());
        }
        entry[39] = if in_capsule { 0x01 } else { 0x5a };
        let carried = if in_capsule { data } else { &[] };
        let whole = u32::try_from(72 + carried.len()).expect("small");
        let head = [&[4, 0, 72, 72][..], &whole.to_le_bytes()].concat();
        self.stream.write_all(&[&head[..], &entry, carried].concat()).ok()?;
        let mut answer = Vec::new();
        loop {
            let unit = self.unit()?;
            let word = |at: usize| u32::from_le_bytes(unit[at..at + 4].try_into().expect("four"));
            match unit[0] {
                7 => answer = unit[24..].to_vec(),
                9 => {
                    // In two pieces, to be put together again.
                    let (at, count) = (word(12) as usize, word(16) as usize);
                    let middle = at + count / 2;
                    for range in [at..middle, middle..at + count] {
                        self.send(&unit[10..12], &data[range.clone()], range.start);
                    }
                }
                5 => {
                    let status = u16::from_le_bytes([unit[22], unit[23]]) >> 1;
                    let result = u64::from_le_bytes(unit[8..16].try_into().expect("eight"));
                    return Some(if status == 0 { Ok((answer, result)) } else { Err(status & 0x7ff) });
                }
                other => panic!("a unit of type {other}"),
            }
        }
    }

    fn send(&mut self, tag: &[u8], piece: &[u8], at: usize) {
        let number = |n: usize| u32::try_from(n).expect("small").to_le_bytes();
        let head = [&[6, 4, 24, 24][..], &number(24 + piece.len())].concat();
        let rest = [&[0, 0][..], tag, &number(at), &number(piece.len()), &[0; 4]].concat();
        self.stream.write_all(&[&head[..], &rest, piece].concat()).expect("sent");
    }

    fn unit(&mut self) -> Option<Vec<u8>> {
        let mut unit = vec![0; 8];
        self.stream.read_exact(&mut unit).ok()?;
        let length = u32::from_le_bytes(unit[4..8].try_into().expect("four"));
        unit.resize(length as usize, 0);
        self.stream.read_exact(&mut unit[8..]).ok()?;
        Some(unit)
    }
}
