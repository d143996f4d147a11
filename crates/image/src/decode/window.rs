//! The part of the stream that can still be looked at.

use std::{collections::VecDeque, ops::Range, sync::Arc};

use disk::Buffer;

use super::{DecodeError, Reader};
use crate::extent::{CHUNK, Slice};

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
}

/// What became of a part of the stream.
pub(super) enum Found {
    /// Here it is, in order; more than one slice where it crosses chunks.
    Here(Vec<Slice>),
    /// It has passed and is no longer kept.
    Gone,
    /// The stream ends before it does.
    Missing,
}

impl<'a> Window<'a> {
    /// A window at the start of `content` that keeps `keep` bytes behind.
    pub(super) fn new(content: &'a mut Reader, keep: usize) -> Self {
        Self { content, chunks: VecDeque::new(), start: 0, end: 0, keep: keep / CHUNK }
    }

    /// The bytes `range` of the stream, which is read as far as needed.
    pub(super) fn get(&mut self, range: Range<u64>) -> Result<Found, DecodeError> {
        if range.start < self.start {
            return Ok(Found::Gone);
        }
        let mut slices = Vec::new();
        let mut at = range.start;
        while at < range.end {
            if at >= self.end && !self.pull(range.start)? {
                return Ok(Found::Missing);
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

    /// Read one chunk more; forget what lies too far behind, but nothing from
    /// `needed` on. False at the end of the stream.
    fn pull(&mut self, needed: u64) -> Result<bool, DecodeError> {
        let Some(chunk) = self.content.next()? else { return Ok(false) };
        self.end += chunk.len() as u64;
        self.chunks.push_back(chunk);
        while self.chunks.len() > self.keep + 1 && self.start + CHUNK as u64 <= needed {
            self.chunks.pop_front();
            self.start += CHUNK as u64;
        }
        Ok(true)
    }

    /// Read the rest, which nobody needs, so that it is hashed. Returns how long
    /// the stream was.
    pub(super) fn drain(&mut self) -> Result<u64, DecodeError> {
        while self.pull(u64::MAX)? {}
        Ok(self.end)
    }
}
