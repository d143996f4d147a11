//! Compressed clusters are unpacked on threads of their own.
//!
//! pass ─▶ [`Batch`] ─▶ bounded queue ─▶ workers ─▶ extents, in any order

use std::{
    borrow::Cow,
    num::NonZero,
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, Scope},
};

use disk::{Buffer, Pool};
use model::Bytes;

use super::{
    DecodeError, Decoded, send,
    unpack::{Packing, Unpacker},
};
use crate::{
    extent::{CHUNK, Extent, Slice},
    outlet::Outlet,
};

/// The most threads. Four of zlib fill 2 GB/s of disk, and hold 4 MiB of
/// output and less of input.
const MOST_WORKERS: usize = 4;
/// The most output of all threads together: clusters above a mebibyte have
/// fewer of them.
const MOST_OUTPUT: usize = 4 << 20;
/// Batches that wait for a thread; one where a batch is a large cluster.
const WAITING: usize = 2;

/// One compressed cluster.
pub(super) struct Packed {
    /// Where in the file.
    pub(super) host: u64,
    /// Where on the disk.
    pub(super) guest: u64,
    /// How much of it belongs to the disk, which may end within it.
    pub(super) length: usize,
    /// Its compressed bytes.
    pub(super) bytes: Vec<Slice>,
}

/// Compressed clusters that are unpacked into one buffer.
type Batch = Vec<Packed>;

/// What all threads share.
pub(super) struct Shared<'a> {
    /// The first cluster that could not be unpacked, by its place in the file.
    damaged: Mutex<Option<u64>>,
    to: &'a Outlet,
    packing: Packing,
    /// Bytes of a cluster.
    cluster: usize,
    pool: Pool,
}

/// The pass's end of the threads.
pub(super) struct Workers<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    shared: &'env Shared<'env>,
    /// The queue to the threads, and its other end until they are started.
    queue: SyncSender<Batch>,
    waiting: Option<Waiting>,
    batch: Batch,
}

/// Owned by the threads alone, so that the queue closes when the last is gone.
type Waiting = Arc<Mutex<Receiver<Batch>>>;

/// How many clusters are unpacked together: a chunk's worth.
fn per_batch(cluster: usize) -> usize {
    (CHUNK / cluster.max(1)).max(1)
}

impl<'scope, 'env> Workers<'scope, 'env> {
    /// No thread runs before there is something to unpack.
    pub(super) fn new(scope: &'scope Scope<'scope, 'env>, shared: &'env Shared<'env>) -> Self {
        let waiting = if shared.cluster > CHUNK { 1 } else { WAITING };
        let (queue, waiting) = sync_channel(waiting);
        Self { scope, shared, queue, waiting: Some(Arc::new(Mutex::new(waiting))), batch: Vec::new() }
    }

    /// Unpack `packed` when there is time.
    pub(super) fn unpack(&mut self, packed: Packed) -> Result<(), DecodeError> {
        // A batch holds on to the chunks of the stream from its first cluster on.
        let far = |first: &Packed| packed.host.abs_diff(first.host) > CHUNK as u64;
        if self.batch.len() >= per_batch(self.shared.cluster) || self.batch.first().is_some_and(far) {
            self.flush()?;
        }
        self.batch.push(packed);
        Ok(())
    }

    /// Hand over what has come together.
    pub(super) fn flush(&mut self) -> Result<(), DecodeError> {
        let batch = std::mem::take(&mut self.batch);
        if batch.is_empty() {
            return Ok(());
        }
        if let Some(waiting) = self.waiting.take() {
            self.start(waiting);
        }
        let queued = self.shared.to.meter().waiting(|| self.queue.send(batch));
        queued.map_err(|_| DecodeError::Stopped)
    }

    fn start(&self, waiting: Waiting) {
        let most = MOST_WORKERS.min(MOST_OUTPUT / self.shared.cluster.max(CHUNK));
        let count = thread::available_parallelism().map_or(1, NonZero::get).min(most);
        for _ in 0..count {
            let (shared, waiting) = (self.shared, Arc::clone(&waiting));
            self.scope.spawn(move || shared.work(&waiting));
        }
        // The pass itself has next to nothing to do now, and is counted already.
        self.shared.to.meter().add_threads(u32::try_from(count - 1).expect("at most MOST_WORKERS"));
    }
}

impl<'a> Shared<'a> {
    /// Threads unpack clusters of `cluster` bytes and send them `to` the writer.
    pub(super) fn new(packing: Packing, cluster: u64, to: &'a Outlet) -> Self {
        let cluster = usize::try_from(cluster).expect("at most 2 MiB");
        let pool = if cluster <= CHUNK { to.pool().clone() } else { Pool::new(cluster, MOST_WORKERS) };
        Self { damaged: Mutex::new(None), to, packing, cluster, pool }
    }

    /// Where the first damaged cluster is, if one was found.
    pub(super) fn damaged(&self) -> Option<u64> {
        *self.damaged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Unpack what is queued, until the queue is closed or nothing matters any
    /// more.
    fn work(&self, waiting: &Mutex<Receiver<Batch>>) {
        let mut unpacker = Unpacker::new(self.packing);
        let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
        while self.damaged().is_none()
            && let Ok(batch) = next()
        {
            match self.to.meter().busy(|| self.unpack(&mut unpacker, batch)) {
                Ok(Ok(())) => {}
                // The writer does not listen any more, and says why itself.
                Ok(Err(_)) => return,
                Err(at) => {
                    self.damaged.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(at);
                }
            }
        }
    }

    /// Unpack `batch` and send it to the writer, neighbours together. The error
    /// is the place of a damaged cluster.
    fn unpack(&self, unpacker: &mut Unpacker, mut batch: Batch) -> Result<Result<(), DecodeError>, u64> {
        batch.sort_unstable_by_key(|packed| packed.guest);
        let mut buffer = self.pool.take();
        let mut before = None;
        for (number, packed) in batch.iter().enumerate() {
            let place = number * self.cluster;
            let range = place..place + self.cluster;
            // Several parts of a disk may share one cluster of the file.
            if before == Some(packed.host) {
                buffer.copy_within(place - self.cluster..place, place);
            } else {
                let (bytes, cluster) = (joined(&packed.bytes), &mut buffer[range]);
                if !unpacker.unpack_for(packed.guest, packed.length, &bytes, cluster) {
                    return Err(packed.host);
                }
            }
            before = Some(packed.host);
        }
        Ok(self.send(&batch, Arc::new(buffer)))
    }

    fn send(&self, batch: &[Packed], buffer: Arc<Buffer>) -> Result<(), DecodeError> {
        let mut place = 0;
        for run in batch.chunk_by(|one, next| one.guest + self.cluster as u64 == next.guest) {
            let length: usize = run.iter().map(|packed| packed.length).sum();
            let bytes = Slice::new(Arc::clone(&buffer), place..place + length);
            let at = Bytes(run.first().map_or(0, |first| first.guest));
            send(self.to, Decoded::Extent(Extent::Data { at, bytes }))?;
            place += run.len() * self.cluster;
        }
        Ok(())
    }
}

/// The bytes of `slices` in one piece; copied only where they cross chunks.
pub(super) fn joined(slices: &[Slice]) -> Cow<'_, [u8]> {
    match slices {
        [slice] => Cow::Borrowed(slice.bytes()),
        slices => Cow::Owned(slices.iter().map(Slice::bytes).collect::<Vec<_>>().concat()),
    }
}
