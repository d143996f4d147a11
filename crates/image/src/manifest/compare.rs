//! What the disk holds already: every chunk of the manifest is read where it
//! would be written, before anything is, and what is equal is not fetched.

use std::{
    collections::BTreeMap,
    sync::{
        atomic::{AtomicUsize, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    thread,
};

use disk::{Buffer, Target};
use model::Bytes;

use super::{Chunk, index};
use crate::writer::HELD;

/// Threads that read: a queue for the disk, and two cores' worth of digests.
const READERS: usize = 4;
/// Chunks spread over the disk that are read first. When none of them is equal
/// the disk held something else, and reading all of it would be for nothing.
const PROBES: usize = 64;

/// What the disk holds of an image.
#[derive(Debug)]
pub(super) struct Held {
    /// Of every chunk, whether it is there.
    equal: Vec<bool>,
    /// The content of those that will not stay: the ends of the disk are
    /// cleared, and a block that is not the image's alone is written anew.
    pub(super) kept: BTreeMap<usize, Buffer>,
}

impl Held {
    /// True when the disk holds chunk `number`.
    pub(super) fn has(&self, number: usize) -> bool {
        self.equal.get(number).copied().unwrap_or(false)
    }
}

/// One chunk that was looked at.
struct Seen {
    number: usize,
    equal: bool,
    kept: Option<Buffer>,
}

/// Compare `chunks` with what `target` holds; `progress` gets the bytes read.
/// What cannot be read is not equal: writing it tells more.
pub(super) fn compare(target: &impl Target, chunks: &[Chunk], mut progress: impl FnMut(Bytes)) -> Held {
    let mut held = Held { equal: vec![false; chunks.len()], kept: BTreeMap::new() };
    let stride = chunks.len().div_ceil(PROBES).max(1);
    let (probes, rest): (Vec<usize>, Vec<usize>) =
        (0..chunks.len()).partition(|number| number.is_multiple_of(stride));
    look(target, chunks, &probes, &mut held, &mut progress);
    if held.equal.contains(&true) {
        look(target, chunks, &rest, &mut held, &mut progress);
    }
    held
}

/// Look at the chunks `numbers`, roughly in order.
fn look(
    target: &impl Target,
    chunks: &[Chunk],
    numbers: &[usize],
    held: &mut Held,
    progress: &mut impl FnMut(Bytes),
) {
    let next = AtomicUsize::new(0);
    let (to, seen) = sync_channel(READERS);
    thread::scope(|scope| {
        for _ in 0..READERS {
            let (to, next) = (to.clone(), &next);
            scope.spawn(move || read(target, chunks, numbers, next, &to));
        }
        drop(to);
        for Seen { number, equal, kept } in seen {
            held.equal[number] = equal;
            if let Some(kept) = kept {
                held.kept.insert(number, kept);
            }
            progress(Bytes(chunks[number].length.into()));
        }
    });
}

/// One reader: takes the next number until there is none.
fn read(
    target: &impl Target,
    chunks: &[Chunk],
    numbers: &[usize],
    next: &AtomicUsize,
    to: &SyncSender<Seen>,
) {
    let longest = chunks.iter().map(|chunk| index(chunk.length)).max().unwrap_or_default();
    let block = index_of(target.block().get());
    let mut buffer = Buffer::zeroed(longest.next_multiple_of(block));
    while let Some(&number) = numbers.get(next.fetch_add(1, Ordering::Relaxed)) {
        let chunk = &chunks[number];
        let length = index(chunk.length);
        let blocks = &mut buffer[..length.next_multiple_of(block)];
        let equal = target.read_at(Bytes(chunk.at), blocks).is_ok() && chunk.is(&blocks[..length]);
        let kept = (equal && !stays(target, chunk)).then(|| Buffer::copy_of(&blocks[..length]));
        if to.send(Seen { number, equal, kept }).is_err() {
            return;
        }
    }
}

/// True when nothing else of the write touches the blocks of `chunk`: they are
/// whole, and not in the ends that are held back.
fn stays(target: &impl Target, chunk: &Chunk) -> bool {
    let (range, block) = (chunk.on_disk(), target.block().get());
    let tail = target.size().0.saturating_sub(HELD + block);
    range.start >= HELD && range.end <= tail && range.end.is_multiple_of(block)
}

fn index_of(block: u64) -> usize {
    usize::try_from(block).expect("this program runs on 64-bit machines")
}
