//! One compressed cluster.

use flate2::{Decompress, FlushDecompress, Status};
use zstd::{bulk::Decompressor, zstd_safe::find_frame_compressed_size};

use super::vmdk;

/// The table counts the sectors of a compressed cluster, so less than one may
/// be left over behind it.
const MOST_LEFT: usize = 512;

/// How clusters are compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packing {
    /// Raw deflate.
    Deflate,
    /// Zstandard.
    Zstd,
    /// zlib behind the marker of a VMDK's grain.
    Grain,
}

/// Decompresses clusters, one after the other.
pub(super) struct Unpacker(Kind);

enum Kind {
    Deflate(Decompress),
    /// A cluster is unpacked at once, so its window is the cluster itself and
    /// takes no memory.
    Zstd(Decompressor<'static>),
    Grain(Decompress),
    /// The decompressor could not be made: nothing can be unpacked.
    None,
}

impl Unpacker {
    /// One for clusters that are packed like that.
    pub(super) fn new(packing: Packing) -> Self {
        Self(match packing {
            Packing::Deflate => Kind::Deflate(Decompress::new(false)),
            Packing::Grain => Kind::Grain(Decompress::new(true)),
            Packing::Zstd => Decompressor::new().map_or(Kind::None, Kind::Zstd),
        })
    }

    /// The same for the cluster that belongs on the disk at `guest`, which may
    /// end after `wanted` bytes of it.
    pub(super) fn unpack_for(
        &mut self,
        guest: u64,
        wanted: usize,
        packed: &[u8],
        cluster: &mut [u8],
    ) -> bool {
        match &mut self.0 {
            Kind::Grain(inflater) => {
                grain(inflater, guest, packed, cluster).is_some_and(|made| made >= wanted)
            }
            Kind::Deflate(_) | Kind::Zstd(_) | Kind::None => self.unpack(packed, cluster),
        }
    }

    /// Decompress `packed`, which holds one compressed cluster, into `cluster`.
    /// False when it is anything but exactly one cluster.
    pub(super) fn unpack(&mut self, packed: &[u8], cluster: &mut [u8]) -> bool {
        let used = match &mut self.0 {
            Kind::Deflate(inflater) => inflate(inflater, packed, cluster),
            Kind::Zstd(decompressor) => unzstd(decompressor, packed, cluster),
            Kind::Grain(_) | Kind::None => None,
        };
        used.is_some_and(|used| packed.len() - used < MOST_LEFT)
    }
}

/// How much of `packed` was used, if it is exactly one cluster.
fn inflate(inflater: &mut Decompress, packed: &[u8], cluster: &mut [u8]) -> Option<usize> {
    inflater.reset(false);
    let mut status = inflater.decompress(packed, cluster, FlushDecompress::Finish).ok()?;
    if status != Status::StreamEnd && inflater.total_out() == cluster.len() as u64 {
        // A full buffer can hide the end of the stream, which takes no room.
        let used = usize::try_from(inflater.total_in()).ok()?;
        status = inflater.decompress(&packed[used..], &mut [0], FlushDecompress::Finish).ok()?;
    }
    let whole = status == Status::StreamEnd && inflater.total_out() == cluster.len() as u64;
    whole.then_some(usize::try_from(inflater.total_in()).ok()?)
}

/// How much of `cluster` the grain in `packed` makes, if its marker says that it
/// belongs at `guest`. The last one of a disk may be short.
fn grain(inflater: &mut Decompress, guest: u64, packed: &[u8], cluster: &mut [u8]) -> Option<usize> {
    let (marker, packed) = packed.split_at_checked(vmdk::MARKER)?;
    let sector = marker.first_chunk().map(|sector| u64::from_le_bytes(*sector))?;
    let length = marker.last_chunk().map(|length| u32::from_le_bytes(*length))?;
    if sector.checked_mul(512) != Some(guest) {
        return None;
    }
    let packed = packed.get(..usize::try_from(length).ok()?)?;
    inflater.reset(true);
    let mut status = inflater.decompress(packed, cluster, FlushDecompress::Finish).ok()?;
    let made = inflater.total_out();
    if status != Status::StreamEnd && made == cluster.len() as u64 {
        // A full buffer can hide the end of the stream, its checksum.
        let used = usize::try_from(inflater.total_in()).ok()?;
        status = inflater.decompress(&packed[used..], &mut [0], FlushDecompress::Finish).ok()?;
    }
    let whole = status == Status::StreamEnd && inflater.total_out() == made;
    if whole { usize::try_from(made).ok() } else { None }
}

fn unzstd(decompressor: &mut Decompressor<'_>, packed: &[u8], cluster: &mut [u8]) -> Option<usize> {
    let used = find_frame_compressed_size(packed).ok()?;
    let frame = packed.get(..used)?;
    let length = decompressor.decompress_to_buffer(frame, cluster).ok()?;
    (length == cluster.len()).then_some(used)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn deflated(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).expect("in memory");
        encoder.finish().expect("in memory")
    }

    #[test]
    fn only_exactly_one_cluster_unpacks_and_contexts_are_used_again() {
        let content: Vec<u8> = (0..65_536_u32).map(|at| (at / 7).to_le_bytes()[0]).collect();
        let zstd = |bytes: &[u8]| zstd::bulk::compress(bytes, 1).expect("in memory");
        for (packing, packed, short) in [
            (Packing::Deflate, deflated(&content), deflated(&content[1..])),
            (Packing::Zstd, zstd(&content), zstd(&content[1..])),
        ] {
            let mut unpacker = Unpacker::new(packing);
            let mut cluster = vec![0; content.len()];
            let padded = |more: usize| [&packed[..], &vec![0xee; more]].concat();
            for good in [padded(0), padded(1), padded(511)] {
                cluster.fill(0);
                assert!(unpacker.unpack(&good, &mut cluster) && cluster == content, "{packing:?}");
                for bad in [&padded(512)[..], &short, &packed[..packed.len() - 1], &[], &[0xff; 600]] {
                    assert!(!unpacker.unpack(bad, &mut cluster), "{packing:?} {}", bad.len());
                }
                // One that holds more than a cluster.
                assert!(!unpacker.unpack(&good, &mut cluster[1..]), "{packing:?}");
            }
        }
    }
}
