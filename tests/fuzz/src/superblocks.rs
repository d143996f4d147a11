//! What is written on a device.

use disk::signature::{Extent, identify};
use model::BlockSize;

/// Larger than any input: the first half of the input is at its start, the second
/// one at its end, as superblocks are.
const DEVICE: u64 = 80 << 20;
/// What a look may read.
const MOST_READ: usize = 8 << 20;

/// A device, whole and as a partition, with sectors of both sizes.
pub(crate) fn signatures(data: &[u8]) -> String {
    let mut outcomes = Vec::new();
    for (block, extent) in [(512, Extent::Disk), (4096, Extent::Disk), (512, Extent::Partition)] {
        let block = BlockSize::try_from(block).expect("a block size");
        let read = std::cell::Cell::new(0);
        let contents = identify(DEVICE, block, extent, &|at, into| {
            assert!(at + into.len() as u64 <= DEVICE, "reads past the end");
            read.set(read.get() + into.len());
            lay(data, at, into);
            Ok(())
        });
        assert!(read.get() <= MOST_READ, "reads {} bytes", read.get());
        outcomes.push(contents.expect("nothing failed").names().join(" "));
    }
    outcomes.join(" | ")
}

fn lay(data: &[u8], at: u64, into: &mut [u8]) {
    let (head, tail) = data.split_at(data.len() / 2);
    let end = at + into.len() as u64;
    for (part, start) in [(head, 0), (tail, DEVICE - tail.len() as u64)] {
        let (from, to) = (at.max(start), end.min(start + part.len() as u64));
        if from < to {
            let place = |offset: u64| usize::try_from(offset).expect("within");
            let piece = &part[place(from - start)..place(to - start)];
            into[place(from - at)..place(to - at)].copy_from_slice(piece);
        }
    }
}
