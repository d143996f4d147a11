//! The part of the stream that can still be looked at.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use disk::Buffer;
use model::Bytes;

use super::{DecodeError, Reader, gaps::Gaps, spill::Spilled};
use crate::{
    Compression,
    extent::{CHUNK, Slice},
};

/// How far back data is kept in memory that may come before its table.
/// `qemu-img convert` needs less than a cluster.
const KEPT: usize = 12 << 20;
/// The same where the file itself is compressed: its decompressor has a window
/// too, and both must fit into the memory of a write. Enough for a table after
/// its first cluster, both of 2 MiB.
const KEPT_UNPACKED: usize = 3 << 20;

/// The last chunks of a stream, and how to get the next.
pub(super) struct Window<'a> {
    content: &'a mut Reader,
    chunks: VecDeque<Arc<Buffer>>,
    /// Where in the stream the first kept chunk starts.
    start: u64,
    /// Where in the stream the next chunk starts.
    end: u64,
    /// How many chunks behind the newest are kept.
    keep: usize,
    /// How many bytes that is before the window settles.
    kept: usize,
    /// What must be spilled when it is too far behind.
    gaps: Option<Gaps>,
    spilled: Option<Spilled>,
}

/// What became of a part of the stream.
pub(super) enum Found {
    /// Here it is, in order; more than one slice where it crosses chunks.
    Here(Vec<Slice>),
    /// It has passed, and no more than so much of such data was kept.
    Gone(Bytes),
    /// The stream ends before it does.
    Missing,
}

impl<'a> Window<'a> {
    /// A window at the start of `content`. It reaches back until
    /// [`Window::settle`], and farther with `spilled`.
    pub(super) fn new(content: &'a mut Reader, spilled: Option<Spilled>) -> Self {
        let gaps = spilled.as_ref().map(|_| Gaps::default());
        let kept = if content.compression == Compression::None { KEPT } else { KEPT_UNPACKED };
        let keep = kept / CHUNK;
        Self { content, chunks: VecDeque::new(), start: 0, end: 0, keep, kept, gaps, spilled }
    }

    /// The bytes `range` of the stream, which is read as far as needed. The
    /// last `spare` of them may belong to something else, and be missing.
    pub(super) fn get(&mut self, range: Range<u64>, spare: u64) -> Result<Found, DecodeError> {
        if let Some(gaps) = &mut self.gaps {
            gaps.ask(&range, spare);
        }
        let (mut at, mut slices) = (range.start, Vec::new());
        if at < self.start {
            let bytes = self.read_spilled(at..range.end.min(self.start))?;
            at += bytes.len() as u64;
            if bytes.is_empty() || (at < self.start && at + spare < range.end) {
                return Ok(Found::Gone(self.kept()));
            }
            slices.push(Slice::new(Arc::new(Buffer::copy_of(&bytes)), 0..bytes.len()));
        }
        while at >= self.start && at < range.end {
            if at >= self.end && !self.pull(range.start)? {
                if at + spare < range.end || slices.is_empty() {
                    return Ok(Found::Missing);
                }
                break;
            }
            if at < self.end {
                let place = usize::try_from(at - self.start).expect("within the window");
                let chunk = &self.chunks[place / CHUNK];
                let length = usize::try_from(range.end - at).unwrap_or(CHUNK);
                let end = (place % CHUNK + length).min(chunk.len());
                slices.push(Slice::new(Arc::clone(chunk), place % CHUNK..end));
                at += (end - place % CHUNK) as u64;
            }
        }
        Ok(Found::Here(slices))
    }

    /// All that will be asked for is known, and will be asked for in order.
    pub(super) fn settle(&mut self) {
        (self.keep, self.gaps) = (0, None);
    }

    /// Nothing before this can be had any more.
    pub(super) fn reach(&self) -> u64 {
        if self.spilled.is_some() { 0 } else { self.start }
    }

    /// How much of what nobody asked for is kept.
    fn kept(&self) -> Bytes {
        self.spilled.as_ref().map_or(Bytes(self.kept as u64), Spilled::limit)
    }

    /// Read one chunk more; forget what lies too far behind, but nothing from
    /// `needed` on. False at the end of the stream.
    fn pull(&mut self, needed: u64) -> Result<bool, DecodeError> {
        let Some(chunk) = self.content.next()? else { return Ok(false) };
        self.end += chunk.len() as u64;
        self.chunks.push_back(chunk);
        while self.chunks.len() > self.keep + 1
            && self.start + CHUNK as u64 <= needed
            && let Some(chunk) = self.chunks.pop_front()
        {
            self.spill(&chunk)?;
            self.start += CHUNK as u64;
        }
        Ok(true)
    }

    /// Keep what nobody has asked for of the chunk at the start of the window.
    fn spill(&mut self, chunk: &Buffer) -> Result<(), DecodeError> {
        let (Some(gaps), Some(spilled)) = (&mut self.gaps, &mut self.spilled) else { return Ok(()) };
        let place = |at: u64| usize::try_from(at - self.start).expect("within a chunk");
        for gap in gaps.take_before(self.start + chunk.len() as u64) {
            let bytes = &chunk[place(gap.start)..place(gap.end)];
            spilled.keep(gap.start, bytes).map_err(DecodeError::Spill)?;
        }
        Ok(())
    }

    fn read_spilled(&self, range: Range<u64>) -> Result<Vec<u8>, DecodeError> {
        let spilled = self.spilled.as_ref();
        spilled.map_or(Ok(Vec::new()), |spilled| spilled.read(range).map_err(DecodeError::Spill))
    }

    /// Read the rest, which nobody needs, so that it is hashed. Returns how long
    /// the stream was.
    pub(super) fn drain(&mut self) -> Result<u64, DecodeError> {
        self.settle();
        while self.pull(u64::MAX)? {}
        Ok(self.end)
    }
}
