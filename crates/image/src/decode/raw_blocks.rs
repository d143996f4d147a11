//! A raw image in xz, its blocks unpacked on several threads.
//!
//! stream ─▶ blocks, in order ─▶ threads ─▶ extents, in any order

use std::{
    io::{self, BufRead, Read},
    num::NonZero,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread,
};

use disk::Buffer;
use model::Bytes;

use super::{
    DecodeError, failed,
    raw::{Part, Tail, finish},
};
use crate::{
    Compression,
    decompress::{
        Xz,
        blocks::{self, Block, Container, Next, Plan, WAITING},
    },
    extent::{CHUNK, Slice},
    format::{Inside, Terms},
    outlet::Outlet,
    tap::{Stream, fill},
};

/// How the image that starts with `start` is shared out, if it is.
pub(super) fn plan(start: &[u8], terms: &Terms) -> Option<Plan> {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    // A digest of the content wants it in order.
    let any_order = terms.content.is_none();
    any_order.then(|| blocks::plan(start, terms.decoder_memory, processors as u64)).flatten()
}

/// A block on its way to a thread.
struct Job {
    block: Block,
    bytes: Receiver<Slice>,
}

/// What all threads share.
struct Shared<'a> {
    plan: Plan,
    inside: &'a Inside,
    to: &'a Outlet,
    tail: Mutex<Tail>,
    failed: Mutex<Option<DecodeError>>,
}

/// Owned by the threads alone, so that the queue closes when the last is gone.
type Queue = Arc<Mutex<Receiver<Job>>>;

/// Send all of `stream` to the writer.
///
/// # Errors
/// As of [`raw::decode`](super::raw::decode).
pub(super) fn decode(
    stream: &mut Stream,
    plan: Plan,
    inside: &Inside,
    to: &Outlet,
) -> Result<(), DecodeError> {
    let shared = Shared { plan, inside, to, tail: Mutex::default(), failed: Mutex::default() };
    let (queue, jobs) = sync_channel(0);
    let jobs: Queue = Arc::new(Mutex::new(jobs));
    to.meter().add_threads(u32::try_from(plan.workers - 1).expect("a few"));
    let fed = thread::scope(|scope| {
        for _ in 0..plan.workers {
            let (shared, jobs) = (&shared, Arc::clone(&jobs));
            scope.spawn(move || shared.work(&jobs));
        }
        drop(jobs);
        // Dropping the queue lets them go.
        shared.feed(stream, queue)
    });
    let failed = shared.failed.into_inner().unwrap_or_else(PoisonError::into_inner);
    match (failed, fed) {
        // The thread that failed knows why nobody took the rest.
        (Some(err), Ok(_) | Err(DecodeError::Stopped)) | (Some(_) | None, Err(err)) => Err(err),
        (None, Ok(end)) => finish(&shared.tail.into_inner().unwrap_or_else(PoisonError::into_inner), end, to),
    }
}

impl Shared<'_> {
    fn has_failed(&self) -> bool {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Cut `stream` into blocks and hand them out. Returns how long the
    /// content is; stops early, without error, when a thread has failed.
    fn feed(&self, stream: &mut Stream, queue: SyncSender<Job>) -> Result<u64, DecodeError> {
        let mut container = Container::default();
        while !self.has_failed() {
            let at = container.at;
            let fail = |err| failed(err, at, Compression::Xz);
            match container.next(stream).map_err(fail)? {
                Next::Block(block) => match self.hand_out(block, stream, &queue).map_err(fail)? {
                    true => {}
                    // What follows is the rest of that block.
                    false => return Err(DecodeError::Stopped),
                },
                Next::Rest(read) => return self.rest(&read, stream, at),
                Next::End => break,
            }
        }
        Ok(container.at)
    }

    /// Give `block` to the next thread that is free, and its bytes as they
    /// come. False when a thread takes no more of them: it has failed, and says
    /// why.
    fn hand_out(&self, block: Block, stream: &mut Stream, queue: &SyncSender<Job>) -> io::Result<bool> {
        let whole = |bytes: &[u8]| Slice::new(Arc::new(Buffer::copy_of(bytes)), 0..bytes.len());
        let (before, after, mut left) = (whole(&block.before), whole(&block.after), block.packed);
        let (to, bytes) = sync_channel(usize::try_from(WAITING).expect("in memory") / CHUNK);
        let meter = self.to.meter();
        let mut taken = meter.waiting(|| queue.send(Job { block, bytes })).is_ok() && to.send(before).is_ok();
        while taken && left > 0 {
            let Some(slice) = stream.take_most(left)? else {
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the xz data is cut off"));
            };
            left -= slice.bytes().len() as u64;
            taken = meter.waiting(|| to.send(slice)).is_ok();
        }
        Ok(taken && to.send(after).is_ok())
    }

    /// What follows at `at` of the content is unpacked in order.
    fn rest(&self, read: &[u8], stream: &mut Stream, at: u64) -> Result<u64, DecodeError> {
        let from = read.chain(stream);
        self.unpack(from, at)
    }

    /// Unpack blocks as they come, until there are none or one is damaged.
    fn work(&self, jobs: &Mutex<Receiver<Job>>) {
        let next = || jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        while !self.has_failed()
            && let Ok(Job { block, bytes }) = next()
        {
            let from = Fed { bytes, current: None, at: 0, to: self.to };
            let unpacked = self.to.meter().busy(|| self.unpack(from, block.at));
            let expected = block.at + block.length;
            let unpacked = unpacked.and_then(|end| match end == expected {
                true => Ok(()),
                false => {
                    let err = io::Error::new(io::ErrorKind::InvalidData, "an xz block lies about its length");
                    Err(failed(err, block.at, Compression::Xz))
                }
            });
            if let Err(err) = unpacked {
                self.failed.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(err);
            }
        }
    }

    /// Unpack all of `from`, whose content begins at `at`. Returns where it ends.
    fn unpack(&self, from: impl BufRead, mut at: u64) -> Result<u64, DecodeError> {
        let fail = |at| move |err| failed(err, at, Compression::Xz);
        let mut xz = Xz::new(from, self.plan.dictionary).map_err(fail(at))?;
        let mut part = Part::new(self.inside, self.to);
        loop {
            let mut chunk = self.to.pool().take();
            let length = fill(&mut xz, &mut chunk).map_err(fail(at))?;
            if length == 0 {
                break;
            }
            chunk.truncate(length);
            let chunk = Arc::new(chunk);
            self.tail.lock().unwrap_or_else(PoisonError::into_inner).see(at, &chunk);
            part.pass(Bytes(at), &chunk)?;
            at += length as u64;
        }
        part.end()?;
        Ok(at)
    }
}

/// The bytes of a block as a thread gets them.
struct Fed<'a> {
    bytes: Receiver<Slice>,
    current: Option<Slice>,
    at: usize,
    to: &'a Outlet,
}

impl BufRead for Fed<'_> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.current.as_ref().is_none_or(|slice| self.at >= slice.bytes().len()) {
            // A queue that closes early leaves xz data cut off.
            self.current = self.to.meter().waiting(|| self.bytes.recv()).ok();
            self.at = 0;
        }
        Ok(self.current.as_ref().map(|slice| &slice.bytes()[self.at..]).unwrap_or_default())
    }

    fn consume(&mut self, count: usize) {
        self.at += count;
    }
}

impl Read for Fed<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(into)?;
        self.consume(count);
        Ok(count)
    }
}
