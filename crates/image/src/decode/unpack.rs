//! One compressed cluster.

use disk::Buffer;
use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

/// How clusters are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// Raw deflate.
    Deflate,
    /// Zstandard.
    Zstd,
}

/// The largest zstd window in a cluster: clusters are at most 2 MiB, and
/// encoders that do not know the size declare up to four times as much.
const WINDOW_LOG: u32 = 23;

/// The table counts the sectors of a compressed cluster, so less than one may
/// be left over behind it.
const MOST_LEFT: usize = 512;

/// Decompress `packed`, which holds one compressed cluster, into `cluster`.
/// False when it is anything but exactly one cluster.
pub(super) fn unpack(packing: Packing, packed: &[u8], cluster: &mut [u8]) -> bool {
    let used = match packing {
        Packing::Deflate => inflate(packed, cluster),
        Packing::Zstd => unzstd(packed, cluster),
    };
    used.is_some_and(|used| packed.len() - used < MOST_LEFT)
}

/// How much of `packed` was used, if it is exactly one cluster.
fn inflate(packed: &[u8], cluster: &mut [u8]) -> Option<usize> {
    let mut inflater = Decompress::new(false);
    let mut status = inflater.decompress(packed, cluster, FlushDecompress::Finish).ok()?;
    if status != Status::StreamEnd && inflater.total_out() == cluster.len() as u64 {
        // A full buffer can hide the end of the stream, which takes no room.
        let used = usize::try_from(inflater.total_in()).ok()?;
        status = inflater.decompress(&packed[used..], &mut [0], FlushDecompress::Finish).ok()?;
    }
    let whole = status == Status::StreamEnd && inflater.total_out() == cluster.len() as u64;
    whole.then_some(usize::try_from(inflater.total_in()).ok()?)
}

fn unzstd(packed: &[u8], cluster: &mut [u8]) -> Option<usize> {
    let mut decoder = Decoder::new().ok()?;
    decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG)).ok()?;
    let mut input = InBuffer::around(packed);
    let length = cluster.len();
    let mut output = OutBuffer::around(cluster);
    loop {
        let before = (input.pos(), output.pos());
        let more = decoder.run(&mut input, &mut output).ok()?;
        if more == 0 {
            return (output.pos() == length).then_some(input.pos());
        }
        if before == (input.pos(), output.pos()) {
            return None;
        }
    }
}

/// A cluster of memory to decompress into.
pub(super) fn empty(length: u64) -> Buffer {
    Buffer::zeroed(usize::try_from(length).expect("at most 2 MiB"))
}
