//! One compressed cluster.

use disk::Buffer;
use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use super::header::Packing;

/// The largest zstd window in a cluster: clusters are at most 2 MiB, and
/// encoders that do not know the size declare up to four times as much.
const WINDOW_LOG: u32 = 23;

/// Decompress `packed`, which starts with one compressed cluster, into
/// `cluster`. False when it is anything but exactly one cluster.
pub(super) fn unpack(packing: Packing, packed: &[u8], cluster: &mut [u8]) -> bool {
    match packing {
        Packing::Deflate => inflate(packed, cluster),
        Packing::Zstd => unzstd(packed, cluster).unwrap_or(false),
    }
}

fn inflate(packed: &[u8], cluster: &mut [u8]) -> bool {
    let mut inflater = Decompress::new(false);
    let status = inflater.decompress(packed, cluster, FlushDecompress::Finish);
    let full = inflater.total_out() == cluster.len() as u64;
    match status {
        Ok(Status::StreamEnd) => full,
        // A full buffer can hide the end of the stream, which takes no room.
        Ok(Status::Ok | Status::BufError) if full => {
            let rest = usize::try_from(inflater.total_in()).unwrap_or(packed.len());
            let status = inflater.decompress(&packed[rest..], &mut [0], FlushDecompress::Finish);
            matches!(status, Ok(Status::StreamEnd)) && inflater.total_out() == cluster.len() as u64
        }
        Ok(Status::Ok | Status::BufError) | Err(_) => false,
    }
}

fn unzstd(packed: &[u8], cluster: &mut [u8]) -> std::io::Result<bool> {
    let mut decoder = Decoder::new()?;
    decoder.set_parameter(DParameter::WindowLogMax(WINDOW_LOG))?;
    let mut input = InBuffer::around(packed);
    let length = cluster.len();
    let mut output = OutBuffer::around(cluster);
    loop {
        let before = (input.pos(), output.pos());
        let more = decoder.run(&mut input, &mut output)?;
        if more == 0 {
            return Ok(output.pos() == length);
        }
        if before == (input.pos(), output.pos()) {
            return Ok(false);
        }
    }
}

/// A cluster of memory to decompress into.
pub(super) fn empty(length: u64) -> Buffer {
    Buffer::zeroed(usize::try_from(length).expect("at most 2 MiB"))
}
