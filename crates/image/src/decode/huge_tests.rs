//! Images of a tebibyte, in more pieces than may be known at once.

use std::{
    io::Write,
    sync::{Arc, atomic::AtomicU64},
};

use disk::Pool;
use model::Bytes;

use super::{Decoded, survey};
use crate::{
    MemorySource, Options,
    budget::POOLED,
    extent::{CHUNK, Extent},
    meter::Meters,
    pipeline,
};

/// A qcow2 of compressed clusters.
struct Huge {
    cluster_bits: u32,
    size: u64,
    /// How many L2 tables it has, and how many clusters each of them maps.
    tables: u64,
    clusters: u64,
}

fn deflated(byte: u8, length: usize) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&vec![byte; length]).expect("in memory");
    encoder.finish().expect("in memory")
}

impl Huge {
    fn cluster(&self) -> usize {
        1 << self.cluster_bits
    }

    /// Bytes of the disk that one L2 table maps.
    fn reach(&self) -> u64 {
        1 << (2 * self.cluster_bits - 3)
    }

    /// What the cluster of the disk at `guest` is filled with.
    fn fill(&self, guest: u64) -> u8 {
        u8::try_from((guest >> self.cluster_bits) % 3 + 1).expect("small")
    }

    /// As `qemu-img convert` writes it: each L2 table before its clusters.
    fn image(&self) -> Vec<u8> {
        let entries = self.size.div_ceil(self.reach());
        let l1_at = 2 << self.cluster_bits;
        let mut image = self.header(entries, l1_at);
        image.resize(image.len() + usize::try_from(entries * 8).expect("in memory"), 0);
        let packed: Vec<Vec<u8>> = (0..4).map(|byte| deflated(byte, self.cluster())).collect();
        for number in 0..self.tables {
            image.resize(image.len().next_multiple_of(self.cluster()), 0);
            let table = image.len();
            // Spread over the disk, so that the parts between are zero.
            let at = number * (entries / self.tables);
            put(&mut image, usize::try_from(l1_at + at * 8).expect("in memory"), table as u64);
            image.resize(table + self.cluster(), 0);
            for cluster in 0..self.clusters {
                let guest = at * self.reach() + (cluster << self.cluster_bits);
                let bytes = &packed[usize::from(self.fill(guest))];
                let host = image.len() as u64;
                let sectors = (host % 512 + bytes.len() as u64 - 1) / 512;
                let entry = 1 << 62 | sectors << (62 - (self.cluster_bits - 8)) | host;
                put(&mut image, table + usize::try_from(cluster * 8).expect("in memory"), entry);
                image.extend_from_slice(bytes);
            }
        }
        image
    }

    fn header(&self, entries: u64, l1_at: u64) -> Vec<u8> {
        let mut header = vec![0; 2 * self.cluster()];
        header[..4].copy_from_slice(b"QFI\xfb");
        put(&mut header, 4, 2 << 32);
        put(&mut header, 16, u64::from(self.cluster_bits));
        put(&mut header, 24, self.size);
        put(&mut header, 32, entries);
        put(&mut header, 40, l1_at);
        put(&mut header, 48, 1 << self.cluster_bits);
        put(&mut header, 56, 1 << 32);
        header
    }

    /// Decode it and check every byte. How much of it is not zero.
    fn check(&self, source: &mut MemorySource) -> u64 {
        let known = survey(source, Options::default().terms()).expect("surveyed");
        let tools = (Arc::new(Meters::new()), Pool::new(CHUNK, POOLED));
        let (mut covered, mut filled) = (0, 0);
        let (upstream, ()) = pipeline::start(source, known, &[], tools, &AtomicU64::new(0), |decoded| {
            for decoded in decoded {
                match decoded {
                    Decoded::Begin { size, .. } => assert_eq!(size, Some(Bytes(self.size))),
                    Decoded::Extent(Extent::Zero { length, .. }) => covered += length.0,
                    Decoded::Extent(Extent::Data { at, bytes }) => {
                        for (cluster, guest) in
                            bytes.bytes().chunks(self.cluster()).zip((at.0..).step_by(self.cluster()))
                        {
                            let fill = self.fill(guest);
                            assert!(
                                cluster[0] == fill && cluster[1..] == cluster[..cluster.len() - 1],
                                "{guest}"
                            );
                        }
                        covered += bytes.bytes().len() as u64;
                        filled += bytes.bytes().len() as u64;
                    }
                    Decoded::End { size } => assert_eq!((size.0, covered), (self.size, self.size)),
                }
            }
        });
        upstream.outcome(Ok(()), &AtomicU64::new(0)).map(|_| ()).expect("decoded");
        filled
    }
}

fn put(bytes: &mut [u8], at: usize, long: u64) {
    bytes[at..at + 8].copy_from_slice(&long.to_be_bytes());
}

#[test]
fn a_tebibyte_of_64_kib_clusters_streams() {
    let huge = Huge { cluster_bits: 16, size: 1 << 40, tables: 200, clusters: 10 };
    let image = huge.image();
    assert_eq!(huge.check(&mut MemorySource::pipe(image.clone())), 2000 << 16);
    assert_eq!(huge.check(&mut MemorySource::new(image)), 2000 << 16);
}

#[test]
fn what_is_in_too_many_pieces_to_be_known_beforehand_streams() {
    let huge = Huge { cluster_bits: 11, size: 1 << 40, tables: 1800, clusters: 256 };
    let mut source = MemorySource::new(huge.image());
    let known = survey(&mut source, Options::default().terms()).expect("surveyed");
    assert_eq!(known.size(), None, "it is not known beforehand");
    assert_eq!(huge.check(&mut source), (1800 * 256) << 11);
}
