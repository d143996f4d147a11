//! What was written, kept as digests, and the reading back that proves it.

use disk::{Buffer, Target};
use model::Bytes;

use crate::{
    extent::{CHUNK, is_zero},
    stage::Verify,
    writer::{PutError, disk_failed},
};

/// The most records kept before they are proven and forgotten: 3 MiB.
const MOST: usize = 64 << 10;
/// With [`Verify::Sample`], one piece of this many is read back.
const SAMPLE: usize = 16;

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
    pub(crate) fn data(at: u64, bytes: &[u8]) -> Self {
        Self { at, length: bytes.len() as u64, content: Content::Data(digest(bytes)) }
    }

    pub(crate) fn zeros(at: u64, length: u64) -> Self {
        Self { at, length, content: Content::Zeros }
    }

    /// How many bytes it is about.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// What was there before, and is told by the whole BLAKE3 of it.
    pub(crate) fn known(at: u64, length: u64, digest: &[u8; 32]) -> Self {
        Self { at, length, content: Content::Data(std::array::from_fn(|byte| digest[byte])) }
    }

    /// Read it back. False when the disk holds something else.
    fn holds(&self, target: &mut impl Target, buffer: &mut Buffer) -> Result<bool, PutError> {
        match self.content {
            Content::Zeros => self.holds_zeros(target, buffer),
            Content::Data(expected) => {
                let length = usize::try_from(self.length).expect("at most a chunk");
                let buffer = &mut buffer[..length];
                target.read_at(Bytes(self.at), buffer).map_err(disk_failed(self.at))?;
                Ok(digest(buffer) == expected)
            }
        }
    }

    fn holds_zeros(&self, target: &mut impl Target, buffer: &mut Buffer) -> Result<bool, PutError> {
        let (mut at, end) = (self.at, self.at + self.length);
        while at < end {
            let length = usize::try_from(end - at).unwrap_or(CHUNK).min(CHUNK);
            let buffer = &mut buffer[..length];
            target.read_at(Bytes(at), buffer).map_err(disk_failed(at))?;
            if !is_zero(buffer) {
                return Ok(false);
            }
            at += length as u64;
        }
        Ok(true)
    }
}

/// Everything written and not yet proven.
#[derive(Debug)]
pub(crate) struct Records {
    records: Vec<Record>,
    verify: Verify,
    /// Bytes read back so far.
    pub(crate) proven: Bytes,
}

impl Records {
    pub(crate) fn new(verify: Verify) -> Self {
        Self { records: Vec::new(), verify, proven: Bytes(0) }
    }

    /// Remember `record`. True when there are so many that it is time to
    /// [`prove`](Self::prove) them.
    pub(crate) fn push(&mut self, record: Record) -> bool {
        self.records.push(record);
        self.records.len() >= MOST
    }

    /// From now on everything is read back: the ends of a disk are no sample.
    pub(crate) fn prove_all(&mut self) {
        self.verify = Verify::Full;
    }

    /// Bytes that wait to be proven.
    pub(crate) fn waiting(&self) -> Bytes {
        Bytes(self.records.iter().map(|record| record.length).sum())
    }

    /// Read everything back, in the order of the disk, and forget it.
    pub(crate) fn prove(
        &mut self,
        target: &mut impl Target,
        mut progress: impl FnMut(Bytes),
    ) -> Result<(), PutError> {
        let mut records = std::mem::take(&mut self.records);
        records.sort_unstable_by_key(|record| record.at);
        let mut buffer = Buffer::zeroed(CHUNK);
        let last = records.len().saturating_sub(1);
        for (number, record) in records.iter().enumerate() {
            let wanted = match self.verify {
                Verify::Full => true,
                Verify::Sample => number % SAMPLE == 0 || number == last,
            };
            if wanted {
                if !record.holds(target, &mut buffer)? {
                    return Err(PutError::Differs { at: Bytes(record.at) });
                }
                self.proven.0 += record.length;
            }
            progress(Bytes(record.length));
        }
        Ok(())
    }
}
