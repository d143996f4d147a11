//! The ring of commands that the kernel shares with a drive in user space:
//! `<linux/target_core_user.h>`, `Documentation/target/tcmu-design.rst`.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    num::NonZeroUsize,
    path::Path,
    sync::{Mutex, PoisonError},
};

use sys::uio::Mapping;

use crate::{Answer, Drive};

/// Offsets of `struct tcmu_mailbox`.
const COMMANDS_OFFSET: usize = 4;
const COMMANDS_LENGTH: usize = 8;
const HEAD: usize = 12;
const TAIL: usize = 64;
/// Offsets of `struct tcmu_cmd_entry`. It is packed, and what is within it is not.
const UNKNOWN_FLAG: usize = 7;
const VECTORS: usize = 8;
const COMMAND: usize = 24;
const FIRST_VECTOR: usize = 48;
const STATUS: usize = 8;
const SENSE: usize = 16;
const SENSE_LENGTH: usize = 96;
/// A `struct iovec`.
const VECTOR_LENGTH: usize = 16;
/// Of the lowest three bits of an entry's first word.
const OPERATION: u32 = 0b111;
const PAD: u32 = 0;
const RUN: u32 = 1;
/// The longest command without a variable length.
const COMMAND_LENGTH: usize = 16;
/// More than any request has; a longer list is a broken ring.
const VECTORS_LIMIT: usize = 65_536;

/// One drive's ring.
#[derive(Debug)]
pub(crate) struct Ring {
    /// `/dev/uioN`: reading waits for commands, writing tells of answers.
    device: File,
    memory: Mapping,
}

impl Ring {
    /// Map `device`, whose first region has `length` bytes.
    pub(crate) fn open(device: &Path, length: NonZeroUsize) -> io::Result<Self> {
        let device = File::options().read(true).write(true).open(device)?;
        let memory = Mapping::new(&device, length)?;
        Ok(Self { device, memory })
    }

    /// Have `drive` answer until the kernel takes the device away, which is `EIO`.
    pub(crate) fn serve(mut self, drive: &Mutex<Drive>) {
        let ended = loop {
            if let Err(err) = self.answer_all(drive).and_then(|()| self.wait()) {
                break err;
            }
        };
        if ended.raw_os_error() != Some(5 /* EIO */) {
            eprintln!("fake-sas: the ring broke: {ended}");
        }
    }

    fn wait(&mut self) -> io::Result<()> {
        self.device.read_exact(&mut [0; 4])
    }

    fn answer_all(&mut self, drive: &Mutex<Drive>) -> io::Result<()> {
        let start = index(self.memory.load(COMMANDS_OFFSET)?);
        let length = self.memory.load(COMMANDS_LENGTH)?;
        let mut tail = self.memory.load(TAIL)?;
        while tail != self.memory.load(HEAD)? {
            let entry = start + index(tail);
            let word = self.memory.load(entry)?;
            match word & OPERATION {
                PAD => {}
                RUN => self.run(entry, drive)?,
                _ => self.memory.write(entry + UNKNOWN_FLAG, &[1])?,
            }
            tail = (tail + (word & !OPERATION)) % length;
            self.memory.store(TAIL, tail)?;
        }
        self.device.write_all(&[0; 4])
    }

    fn run(&self, entry: usize, drive: &Mutex<Drive>) -> io::Result<()> {
        let mut command = [0; COMMAND_LENGTH];
        self.memory.read(self.number(entry + COMMAND)?, &mut command)?;
        let vectors = self.vectors(entry)?;
        // A request that reads brings its memory too; what is in there is never looked at.
        let data = self.gather(&vectors)?;
        let answer = drive.lock().unwrap_or_else(PoisonError::into_inner).execute(&command, &data);
        if !answer.data.is_empty() {
            self.scatter(&vectors, &answer.data)?;
        }
        self.answer(entry, &answer)
    }

    fn answer(&self, entry: usize, answer: &Answer) -> io::Result<()> {
        let mut sense = answer.sense.clone();
        sense.resize(SENSE_LENGTH, 0);
        self.memory.write(entry + STATUS, &[answer.status, 0, 0, 0, 0, 0, 0, 0])?;
        self.memory.write(entry + SENSE, &sense)
    }

    /// Where the data of the entry lies: offset and length of each piece.
    fn vectors(&self, entry: usize) -> io::Result<Vec<(usize, usize)>> {
        let count = index(self.memory.load(entry + VECTORS)?).min(VECTORS_LIMIT);
        let first = entry + FIRST_VECTOR;
        (0..count)
            .map(|index| first + index * VECTOR_LENGTH)
            .map(|at| Ok((self.number(at)?, self.number(at + 8)?)))
            .collect()
    }

    fn gather(&self, vectors: &[(usize, usize)]) -> io::Result<Vec<u8>> {
        let mut data = Vec::new();
        for &(at, length) in vectors {
            let start = data.len();
            data.resize(start + length, 0);
            self.memory.read(at, &mut data[start..])?;
        }
        Ok(data)
    }

    /// What the drive has less than the host asked for is zeros.
    fn scatter(&self, vectors: &[(usize, usize)], mut data: &[u8]) -> io::Result<()> {
        for &(at, length) in vectors {
            let (piece, rest) = data.split_at(length.min(data.len()));
            self.memory.write(at, piece)?;
            self.memory.write(at + piece.len(), &vec![0; length - piece.len()])?;
            data = rest;
        }
        Ok(())
    }

    fn number(&self, at: usize) -> io::Result<usize> {
        let mut bytes = [0; 8];
        self.memory.read(at, &mut bytes)?;
        usize::try_from(u64::from_ne_bytes(bytes)).map_err(io::Error::other)
    }
}

fn index(value: u32) -> usize {
    value as usize
}
