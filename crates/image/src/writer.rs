//! Extents onto the disk: all but its first and last mebibyte, which are held
//! in memory until everything else is proven.
//!
//! extents ─▶ [head and tail: held] [blocks not whole: completed] [small: collected] ─▶ lanes

use std::{collections::BTreeMap, io, ops::Range, sync::Arc};

use disk::{Buffer, Pool, Target};
use model::{BlockSize, Bytes};

use crate::{
    budget::POOLED,
    extent::{CHUNK, Extent, Slice, is_zero},
    lanes::{Job, Lanes},
    meter::Meters,
    readback::{Record, Records},
};

/// How much of each end of the disk is held back: boot code, the MBR, and both
/// copies of any GPT lie within.
pub(crate) const HELD: u64 = 1 << 20;

/// Writes smaller than this are copied together into larger ones; larger ones
/// go to the disk from where they are.
const SMALL: usize = 64 << 10;
/// What direct I/O takes on every disk.
const ALIGNMENT: usize = 4096;
/// The most that is made zero in one go: it cannot be interrupted.
const ZERO_STEP: u64 = 256 << 20;
/// The most blocks that are complete only in part, which happens when an image
/// has smaller clusters than the disk has blocks. 4096 of 4 KiB are 16 MiB.
const MOST_PARTIAL: usize = 4096;

/// Why extents do not fit on the disk.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PutError {
    /// It ends beyond the disk.
    #[error("beyond the disk")]
    Beyond,
    /// The disk failed at this byte.
    #[error("the disk failed at {at}")]
    Disk { at: Bytes, err: io::Error },
    /// The disk did not put what it took on its medium.
    #[error("the disk failed to sync")]
    Sync(io::Error),
    /// Too many incomplete blocks at once.
    #[error("too many partial blocks")]
    Scattered,
    /// The extents do not cover the image exactly.
    #[error("a gap")]
    Gap,
    /// What was written reads back differently.
    #[error("reads back differently at {at}")]
    Differs { at: Bytes },
    /// A thread that writes has panicked.
    #[error("a lane ended badly")]
    Stopped,
}

/// A disk that is being written.
pub(crate) struct Writer<'t, T: Target> {
    pub(crate) target: &'t T,
    size: u64,
    block: u64,
    /// The first mebibyte, or all of a smaller disk.
    pub(crate) head: Buffer,
    /// The last mebibyte that is not in `head`.
    pub(crate) tail: Buffer,
    tail_at: u64,
    /// The last write, when more of the same chunk may follow it.
    pending: Option<(u64, Slice)>,
    small: Small,
    partial: BTreeMap<u64, Partial>,
    pub(crate) lanes: Arc<Lanes>,
    pub(crate) meters: Arc<Meters>,
    pub(crate) pool: Pool,
    /// Bytes of the image that have been put in place.
    pub(crate) placed: u64,
    /// Bytes of them that were there already.
    pub(crate) skipped: Bytes,
    /// How often the source began again, and bytes that came twice.
    pub(crate) retries: u32,
    pub(crate) refetched: Bytes,
}

/// Small writes that follow each other.
struct Small {
    at: u64,
    length: usize,
    buffer: Option<Buffer>,
}

/// A block of which some bytes are known.
struct Partial {
    buffer: Buffer,
    known: u64,
}

fn index(length: u64) -> usize {
    usize::try_from(length).expect("this program runs on 64-bit machines")
}

impl<'t, T: Target> Writer<'t, T> {
    /// The one `&mut` makes this the only writer there is.
    pub(crate) fn new(target: &'t mut T, records: Records) -> Self {
        let target: &T = target;
        let (meters, pool) = (Arc::new(Meters::new()), Pool::new(CHUNK, POOLED));
        let (size, block) = (target.size().0, target.block().get());
        let head = HELD.min(size);
        let tail_at = size.saturating_sub(HELD).max(head) / block * block;
        Self {
            size,
            block,
            head: Buffer::zeroed(index(head)),
            tail: Buffer::zeroed(index(size - tail_at)),
            tail_at,
            pending: None,
            small: Small { at: 0, length: 0, buffer: None },
            partial: BTreeMap::new(),
            lanes: Arc::new(Lanes::new(records, Arc::clone(&meters), pool.clone())),
            meters,
            pool,
            placed: 0,
            skipped: Bytes(0),
            retries: 0,
            refetched: Bytes(0),
            target,
        }
    }

    pub(crate) fn block(&self) -> BlockSize {
        self.target.block()
    }

    /// Capacity of the disk.
    pub(crate) fn size(&self) -> Bytes {
        Bytes(self.size)
    }

    /// Make both ends of the disk zero, and read them back: it does not boot
    /// from here on, even if the power fails. Where one end fails the other is
    /// cleared all the same. The zeros are written as they are. That is so little,
    /// and a device that was asked for zeros it does not have (`BLKZEROOUT`)
    /// is not asked for those it has (`PUNCH_HOLE`) any more: Linux then takes
    /// it for one that has none, loop devices on tmpfs first of all.
    pub(crate) fn clear(&mut self) -> Result<(), PutError> {
        let mut buffer = Buffer::zeroed(self.head.len().max(self.tail.len()));
        let ends = [(0, self.head.len()), (self.tail_at, self.tail.len())];
        let written = ends.map(|(at, length)| match length {
            0 => Ok(()),
            length => self.target.write_at(Bytes(at), &buffer[..length]).map_err(disk_failed(at)),
        });
        let synced = self.target.sync().map_err(PutError::Sync);
        written.into_iter().collect::<Result<(), PutError>>()?;
        synced?;
        for (at, length) in ends.into_iter().filter(|(_, length)| *length > 0) {
            let end = &mut buffer[..length];
            self.target.read_at(Bytes(at), end).map_err(disk_failed(at))?;
            if !is_zero(end) {
                return Err(PutError::Differs { at: Bytes(at) });
            }
        }
        Ok(())
    }

    /// Put one part of the image in its place.
    pub(crate) fn put(&mut self, extent: &Extent) -> Result<(), PutError> {
        match extent {
            Extent::Data { at, bytes } => {
                self.placed += bytes.bytes().len() as u64;
                self.put_slice(*at, bytes)
            }
            Extent::Zero { at, length } => {
                self.placed += length.0;
                self.put_zeros(*at, *length)
            }
        }
    }

    /// Put a copy of `bytes` at `at`.
    pub(crate) fn put_data(&mut self, at: Bytes, bytes: &[u8]) -> Result<(), PutError> {
        for (piece, at) in bytes.chunks(CHUNK).zip((at.0..).step_by(CHUNK)) {
            let mut chunk = self.pool.take();
            chunk[..piece.len()].copy_from_slice(piece);
            self.put_slice(Bytes(at), &Slice::new(Arc::new(chunk), 0..piece.len()))?;
        }
        Ok(())
    }

    fn put_slice(&mut self, at: Bytes, slice: &Slice) -> Result<(), PutError> {
        let bytes = slice.bytes();
        let range = self.checked(at, bytes.len() as u64)?;
        let of = |part: &Range<u64>| index(part.start - range.start)..index(part.end - range.start);
        let [head, body, tail] = self.parts(&range);
        let place = |part: &Range<u64>, from: u64| index(part.start - from)..index(part.end - from);
        if !head.is_empty() {
            self.head[place(&head, 0)].copy_from_slice(&bytes[of(&head)]);
        }
        if !tail.is_empty() {
            let tail_at = self.tail_at;
            self.tail[place(&tail, tail_at)].copy_from_slice(&bytes[of(&tail)]);
        }
        let [front, middle, back] = self.blocks(&body);
        self.put_partial(&front, &bytes[of(&front)])?;
        if !middle.is_empty() {
            self.put_blocks(middle.start, slice.part(of(&middle)))?;
        }
        self.put_partial(&back, &bytes[of(&back)])
    }

    /// Put `length` zeros at `at`.
    pub(crate) fn put_zeros(&mut self, at: Bytes, length: Bytes) -> Result<(), PutError> {
        let range = self.checked(at, length.0)?;
        let [head, body, tail] = self.parts(&range);
        if !head.is_empty() {
            self.head[index(head.start)..index(head.end)].fill(0);
        }
        if !tail.is_empty() {
            let tail_at = self.tail_at;
            self.tail[index(tail.start - tail_at)..index(tail.end - tail_at)].fill(0);
        }
        let [front, middle, back] = self.blocks(&body);
        self.put_partial(&front, &vec![0; index(front.end - front.start)])?;
        let mut at = middle.start;
        while at < middle.end {
            let length = (middle.end - at).min(ZERO_STEP);
            self.lanes.submit(Job::Zero { at, length }, self.target)?;
            at += length;
        }
        self.put_partial(&back, &vec![0; index(back.end - back.start)])
    }

    /// What `record` tells is in its place already.
    pub(crate) fn skip(&mut self, record: Record) -> Result<(), PutError> {
        self.placed += record.length();
        self.lanes.record(record, 0, self.target)
    }

    /// Everything has been put: write what is still collected, and pad the
    /// image's last block with zeros up to the next.
    pub(crate) fn finish(&mut self, image: Bytes) -> Result<(), PutError> {
        if self.placed != image.0 {
            return Err(PutError::Gap);
        }
        let padding = image.0.next_multiple_of(self.block) - image.0;
        if padding > 0 && image.0 < self.size {
            self.put_zeros(image, Bytes(padding))?;
        }
        self.settle()
    }

    /// Write what is collected. Every block must be complete.
    pub(crate) fn settle(&mut self) -> Result<(), PutError> {
        self.flush_pending()?;
        self.flush_small()?;
        if self.partial.is_empty() { Ok(()) } else { Err(PutError::Gap) }
    }

    fn checked(&self, at: Bytes, length: u64) -> Result<Range<u64>, PutError> {
        let end = at.0.checked_add(length).filter(|&end| end <= self.size);
        end.map(|end| at.0..end).ok_or(PutError::Beyond)
    }

    /// The parts of `range` in the head, between, and in the tail.
    fn parts(&self, range: &Range<u64>) -> [Range<u64>; 3] {
        let head = self.head.len() as u64;
        // An empty part sits at the start of the range, so that it indexes nothing.
        let within = |from: u64, to: u64| {
            let (start, end) = (range.start.max(from), range.end.min(to));
            if start < end { start..end } else { range.start..range.start }
        };
        [within(0, head), within(head, self.tail_at), within(self.tail_at, self.size)]
    }

    /// The parts of `range` before, in, and after whole blocks.
    fn blocks(&self, range: &Range<u64>) -> [Range<u64>; 3] {
        let first = range.start.next_multiple_of(self.block);
        let last = range.end / self.block * self.block;
        if first > last {
            return [range.clone(), range.end..range.end, range.end..range.end];
        }
        [range.start..first, first..last, last..range.end]
    }

    /// Put whole blocks. Those that lie side by side in a chunk and on the disk
    /// become one write without a copy.
    fn put_blocks(&mut self, at: u64, slice: Slice) -> Result<(), PutError> {
        if let Some((start, pending)) = &mut self.pending
            && *start + pending.bytes().len() as u64 == at
            && pending.extend(&slice)
        {
            return Ok(());
        }
        self.flush_pending()?;
        self.pending = Some((at, slice));
        Ok(())
    }

    fn flush_pending(&mut self) -> Result<(), PutError> {
        let Some((at, bytes)) = self.pending.take() else { return Ok(()) };
        let aligned = bytes.bytes().as_ptr().addr().is_multiple_of(ALIGNMENT);
        let length = bytes.bytes().len();
        for (start, at) in (0..length).step_by(CHUNK).zip((at..).step_by(CHUNK)) {
            let piece = bytes.part(start..(start + CHUNK).min(length));
            if aligned && length >= SMALL {
                self.lanes.submit(Job::Write { at, bytes: piece }, self.target)?;
            } else {
                self.collect(at, piece.bytes())?;
            }
        }
        Ok(())
    }

    /// Copy `bytes` behind other small writes.
    fn collect(&mut self, at: u64, bytes: &[u8]) -> Result<(), PutError> {
        let follows = self.small.at + self.small.length as u64 == at;
        if !follows || self.small.length + bytes.len() > CHUNK {
            self.flush_small()?;
        }
        let small = &mut self.small;
        if small.length == 0 {
            small.at = at;
        }
        let buffer = small.buffer.get_or_insert_with(|| self.pool.take());
        buffer[small.length..][..bytes.len()].copy_from_slice(bytes);
        small.length += bytes.len();
        Ok(())
    }

    fn flush_small(&mut self) -> Result<(), PutError> {
        let (at, length) = (self.small.at, std::mem::take(&mut self.small.length));
        match self.small.buffer.take() {
            Some(buffer) if length > 0 => {
                let bytes = Slice::new(Arc::new(buffer), 0..length);
                self.lanes.submit(Job::Write { at, bytes }, self.target)
            }
            Some(_) | None => Ok(()),
        }
    }

    fn put_partial(&mut self, range: &Range<u64>, bytes: &[u8]) -> Result<(), PutError> {
        if bytes.is_empty() {
            return Ok(());
        }
        let at = range.start / self.block * self.block;
        let size = index(self.block);
        let partial =
            self.partial.entry(at).or_insert_with(|| Partial { buffer: Buffer::zeroed(size), known: 0 });
        partial.buffer[index(range.start - at)..index(range.end - at)].copy_from_slice(bytes);
        partial.known += bytes.len() as u64;
        if partial.known == self.block
            && let Some(whole) = self.partial.remove(&at)
        {
            return self.collect(at, &whole.buffer);
        }
        if self.partial.len() > MOST_PARTIAL { Err(PutError::Scattered) } else { Ok(()) }
    }

    /// Have `feed` put extents in their places while the lanes write them.
    /// When this returns, no write is in flight.
    ///
    /// # Errors
    /// What failed on the disk; what `feed` said is inside.
    pub(crate) fn write_by_lanes<R>(
        &mut self,
        feed: impl FnOnce(&mut Self) -> R,
    ) -> (R, Result<(), PutError>) {
        let (lanes, target) = (Arc::clone(&self.lanes), self.target);
        lanes.run(target, || feed(self))
    }

    /// Prove that everything written so far is on the disk. `progress` gets the
    /// bytes that are still to be read back.
    pub(crate) fn prove(&mut self, progress: impl FnMut(Bytes)) -> Result<(), PutError> {
        self.lanes.prove(self.target, progress)
    }

    /// Write this here and now.
    fn write(&mut self, at: u64, bytes: &[u8]) -> Result<(), PutError> {
        for (piece, at) in bytes.chunks(CHUNK).zip((at..).step_by(CHUNK)) {
            self.target.write_at(Bytes(at), piece).map_err(disk_failed(at))?;
            self.lanes.record(Record::data(at, piece), piece.len() as u64, self.target)?;
        }
        Ok(())
    }

    /// Write the ends of the disk that were held back: the tail, then the head
    /// but for its first blocks, then those. Each is on the medium before the
    /// next, and all are read back.
    pub(crate) fn write_ends(&mut self) -> Result<(), PutError> {
        let tail = std::mem::replace(&mut self.tail, Buffer::zeroed(0));
        let head = std::mem::replace(&mut self.head, Buffer::zeroed(0));
        let outcome = self.write_pieces(&head, &tail);
        // Back in their places whatever happened: `clear` zeroes what they cover.
        (self.head, self.tail) = (head, tail);
        outcome
    }

    fn write_pieces(&mut self, head: &[u8], tail: &[u8]) -> Result<(), PutError> {
        self.lanes.prove_all();
        let first = head.len().min(index(self.block.max(4096)));
        let pieces = [(self.tail_at, tail), (first as u64, &head[first..]), (0, &head[..first])];
        for (at, bytes) in pieces.into_iter().filter(|(_, bytes)| !bytes.is_empty()) {
            self.write(at, bytes)?;
            self.target.sync().map_err(PutError::Sync)?;
        }
        self.prove(|_| {})
    }

    /// Read what the disk will hold at `at` when it is committed.
    pub(crate) fn read(&mut self, at: Bytes, into: &mut [u8]) -> Result<(), PutError> {
        let range = self.checked(at, into.len() as u64)?;
        let aligned =
            range.start / self.block * self.block..range.end.next_multiple_of(self.block).min(self.size);
        let mut buffer = Buffer::zeroed(index(aligned.end - aligned.start));
        self.target.read_at(Bytes(aligned.start), &mut buffer).map_err(disk_failed(aligned.start))?;
        into.copy_from_slice(&buffer[index(range.start - aligned.start)..][..into.len()]);
        let of = |part: &Range<u64>| index(part.start - range.start)..index(part.end - range.start);
        let [head, _, tail] = self.parts(&range);
        let tail_at = self.tail_at;
        if !head.is_empty() {
            into[of(&head)].copy_from_slice(&self.head[index(head.start)..index(head.end)]);
        }
        if !tail.is_empty() {
            into[of(&tail)]
                .copy_from_slice(&self.tail[index(tail.start - tail_at)..index(tail.end - tail_at)]);
        }
        Ok(())
    }
}

pub(crate) fn disk_failed(at: u64) -> impl FnOnce(io::Error) -> PutError {
    move |err| PutError::Disk { at: Bytes(at), err }
}
