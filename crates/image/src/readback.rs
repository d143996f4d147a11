//! What was written, kept as digests, and the reading back that proves it.
//!
//! done ─▶ fresh ──sync──▶ synced ──read back──▶ proven
//!
//! Only what was on its way before a sync began is read back after it, so that
//! no answer comes from a cache that the sync would have emptied.

use std::{collections::VecDeque, ops::Range};

use disk::Target;
use model::Bytes;

use crate::{
    extent::{CHUNK, is_zero},
    stage::Verify,
    writer::{PutError, disk_failed},
};

/// With [`Verify::Sample`], one piece of this many is read back.
const SAMPLE: u64 = 16;

/// One thing that was written.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    at: u64,
    length: u64,
    content: Content,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Content {
    Zeros,
    /// Half of a BLAKE3, which costs a fraction of the digest of the contract: this
    /// guards against accidents of the disk, not against forgers.
    Data([u8; 16]),
}

fn digest(bytes: &[u8]) -> [u8; 16] {
    let whole = blake3::hash(bytes);
    std::array::from_fn(|byte| whole.as_bytes()[byte])
}

impl Record {
    /// `bytes`, at most a chunk of them, are at `at`.
    pub(crate) fn data(at: u64, bytes: &[u8]) -> Self {
        debug_assert!(bytes.len() <= CHUNK);
        Self { at, length: bytes.len() as u64, content: Content::Data(digest(bytes)) }
    }

    /// What was there before, and is told by the whole BLAKE3 of it.
    pub(crate) fn known(at: u64, length: u64, digest: &[u8; 32]) -> Self {
        debug_assert!(length <= CHUNK as u64);
        Self { at, length, content: Content::Data(std::array::from_fn(|byte| digest[byte])) }
    }

    /// How many bytes it is about.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    pub(crate) fn zeros(at: u64, length: u64) -> Self {
        Self { at, length, content: Content::Zeros }
    }

    /// True when `bytes`, read from its place, are what was written.
    fn holds(&self, bytes: &[u8]) -> bool {
        match self.content {
            Content::Zeros => is_zero(bytes),
            Content::Data(expected) => digest(bytes) == expected,
        }
    }

    fn end(&self) -> u64 {
        self.at + self.length
    }

    /// Take the first `length` bytes off, if there are more and they are zeros.
    fn split(&mut self, length: u64) -> Option<Self> {
        let front = Self { length, ..*self };
        match self.content {
            Content::Zeros if self.length > length => {
                (self.at, self.length) = (self.at + length, self.length - length);
                Some(front)
            }
            Content::Zeros | Content::Data(_) => None,
        }
    }
}

/// Records that follow each other on the disk, at most a chunk together: read
/// in one go.
#[derive(Debug)]
pub(crate) struct Batch(Vec<Record>);

impl Batch {
    fn range(&self) -> Range<u64> {
        let end = self.0.last().map_or(0, Record::end);
        self.0.first().map_or(0, |first| first.at)..end
    }

    pub(crate) fn length(&self) -> u64 {
        let range = self.range();
        range.end - range.start
    }

    /// Read it back into `buffer`, which holds a chunk, and compare.
    pub(crate) fn prove(&self, target: &impl Target, buffer: &mut [u8]) -> Result<(), PutError> {
        let range = self.range();
        let buffer = &mut buffer[..index(range.end - range.start)];
        target.read_at(Bytes(range.start), buffer).map_err(disk_failed(range.start))?;
        for record in &self.0 {
            let bytes = &buffer[index(record.at - range.start)..index(record.end() - range.start)];
            if !record.holds(bytes) {
                return Err(PutError::Differs { at: Bytes(record.at) });
            }
        }
        Ok(())
    }
}

fn index(length: u64) -> usize {
    usize::try_from(length).expect("at most a chunk")
}

/// Everything written and not yet proven.
#[derive(Debug)]
pub(crate) struct Records {
    verify: Verify,
    /// How many records there were.
    count: u64,
    /// Written, and perhaps only in a cache.
    fresh: Vec<Record>,
    /// On the medium, to be read back; by their place, window by window.
    synced: VecDeque<Record>,
    /// The last one, which is part of every sample.
    last: Option<Record>,
    /// Bytes written since the last sync began.
    unsynced: u64,
    /// Bytes that wait to be read back.
    waiting: u64,
    /// Bytes read back and found right.
    proven: u64,
}

impl Records {
    pub(crate) fn new(verify: Verify) -> Self {
        Self {
            verify,
            count: 0,
            fresh: Vec::new(),
            synced: VecDeque::new(),
            last: None,
            unsynced: 0,
            waiting: 0,
            proven: 0,
        }
    }

    /// Remember `record`, which has just been written.
    pub(crate) fn push(&mut self, record: Record) {
        self.unsynced += record.length;
        let wanted = match self.verify {
            Verify::Full => true,
            Verify::Sample => self.count.is_multiple_of(SAMPLE),
            Verify::Ends => false,
        };
        self.count += 1;
        if wanted {
            self.last = None;
            self.keep(record);
        } else if self.verify != Verify::Ends {
            self.last = Some(record);
        }
    }

    /// So much was written that nobody will read back.
    pub(crate) fn pass(&mut self, length: u64) {
        self.unsynced += length;
    }

    /// Whether anything is to be remembered.
    pub(crate) fn remembers(&self) -> bool {
        self.verify != Verify::Ends
    }

    fn keep(&mut self, record: Record) {
        self.waiting += record.length;
        self.fresh.push(record);
    }

    /// How many are kept.
    pub(crate) fn len(&self) -> usize {
        self.fresh.len() + self.synced.len()
    }

    /// From now on everything is read back: the ends of a disk are no sample.
    pub(crate) fn prove_all(&mut self) {
        self.verify = Verify::Full;
    }

    /// There will be no more for now: the last one is read back in any case.
    pub(crate) fn keep_last(&mut self) {
        if let Some(last) = self.last.take() {
            self.keep(last);
        }
    }

    /// Bytes written since the last sync began.
    pub(crate) fn unsynced(&self) -> u64 {
        self.unsynced
    }

    /// True when a sync would let records be read back.
    pub(crate) fn has_fresh(&self) -> bool {
        !self.fresh.is_empty()
    }

    /// True when something can be read back.
    pub(crate) fn has_synced(&self) -> bool {
        !self.synced.is_empty()
    }

    /// What a sync that begins now will have put on the medium.
    pub(crate) fn take_fresh(&mut self) -> Vec<Record> {
        self.unsynced = 0;
        std::mem::take(&mut self.fresh)
    }

    /// `records` are on the medium.
    pub(crate) fn synced(&mut self, mut records: Vec<Record>) {
        records.sort_unstable_by_key(|record| record.at);
        self.synced.extend(records);
    }

    /// The next to be read back.
    pub(crate) fn next(&mut self) -> Option<Batch> {
        let mut batch = Vec::new();
        let mut room = CHUNK as u64;
        while let Some(next) = self.synced.front_mut() {
            let follows = batch.last().is_none_or(|last: &Record| last.end() == next.at);
            if !follows || room == 0 {
                break;
            }
            if let Some(front) = next.split(room) {
                batch.push(front);
                break;
            }
            if next.length > room {
                break;
            }
            room -= next.length;
            batch.extend(self.synced.pop_front());
        }
        (!batch.is_empty()).then_some(Batch(batch))
    }

    /// `length` bytes were read back and found right.
    pub(crate) fn prove(&mut self, length: u64) {
        self.waiting -= length;
        self.proven += length;
    }

    /// Bytes that wait to be read back, those being read included.
    pub(crate) fn waiting(&self) -> Bytes {
        Bytes(self.waiting)
    }

    /// Bytes read back and found right.
    pub(crate) fn proven(&self) -> Bytes {
        Bytes(self.proven)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn ranges(records: &mut Records) -> Vec<Range<u64>> {
        std::iter::from_fn(|| records.next()).map(|batch| batch.range()).collect()
    }

    #[test]
    fn neighbours_are_read_in_one_go_and_long_runs_in_pieces() {
        let mut records = Records::new(Verify::Full);
        records.push(Record::zeros(4 * MIB, 2 * MIB + 512));
        records.push(Record::data(512, &[1; 512]));
        records.push(Record::data(1024, &[2; 4096]));
        records.push(Record::zeros(0, 512));
        assert!(records.next().is_none(), "nothing is synced");
        let fresh = records.take_fresh();
        records.push(Record::zeros(99 * MIB, 512));
        records.synced(fresh);
        let expected = [0..5120, 4 * MIB..5 * MIB, 5 * MIB..6 * MIB, 6 * MIB..6 * MIB + 512];
        assert_eq!(ranges(&mut records), expected);
        assert_eq!((records.unsynced(), records.has_fresh()), (512, true));
    }

    #[test]
    fn a_sample_is_one_of_sixteen_and_the_last() {
        let mut records = Records::new(Verify::Sample);
        (0..40).for_each(|number| records.push(Record::zeros(number * MIB, MIB)));
        records.keep_last();
        records.keep_last();
        let fresh = records.take_fresh();
        records.synced(fresh);
        assert_eq!(records.waiting(), Bytes(4 * MIB));
        let starts: Vec<u64> = ranges(&mut records).iter().map(|range| range.start / MIB).collect();
        assert_eq!(starts, [0, 16, 32, 39]);
    }
}
