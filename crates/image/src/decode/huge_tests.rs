//! Images of a tebibyte, in more pieces than may be known at once.

use std::{
    io::Write,
    sync::{Arc, atomic::AtomicU64},
};

use disk::Pool;
use model::Bytes;

use super::{Decoded, survey};
use crate::{
    MemorySource, Options, WriteError,
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
    /// Compressed clusters, by what they are filled with.
    packed: Vec<Vec<u8>>,
}

fn deflated(byte: u8, length: usize) -> Vec<u8> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(&vec![byte; length]).expect("in memory");
    encoder.finish().expect("in memory")
}

impl Huge {
    fn new(cluster_bits: u32, tables: u64, clusters: u64) -> Self {
        let packed = (0..4).map(|byte| deflated(byte, 1 << cluster_bits)).collect();
        Self { cluster_bits, size: 1 << 40, tables, clusters, packed }
    }

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
        let mut image = self.start();
        for number in 0..self.tables {
            let table = self.add_table(&mut image, number);
            let entries = self.add_clusters(&mut image, number);
            put_all(&mut image, table, &entries);
        }
        image
    }

    /// As a machine leaves it: every L2 table far behind its clusters.
    fn image_backwards(&self) -> Vec<u8> {
        let mut image = self.start();
        let entries: Vec<_> = (0..self.tables).map(|number| self.add_clusters(&mut image, number)).collect();
        image.resize(image.len() + (14 << 20), 0);
        for (number, entries) in (0..).zip(&entries) {
            let table = self.add_table(&mut image, number);
            put_all(&mut image, table, entries);
        }
        image
    }

    /// The header, the refcount table, and an L1 table with nothing in it.
    fn start(&self) -> Vec<u8> {
        let mut image = self.header(self.l1_entries(), self.l1_at() as u64);
        image.resize(image.len() + usize::try_from(self.l1_entries() * 8).expect("in memory"), 0);
        image
    }

    fn l1_at(&self) -> usize {
        2 * self.cluster()
    }

    fn l1_entries(&self) -> u64 {
        self.size.div_ceil(self.reach())
    }

    /// Where in the L1 table the L2 table `number` is: they are spread over the
    /// disk, so that the parts between are zero.
    fn place(&self, number: u64) -> u64 {
        number * (self.l1_entries() / self.tables)
    }

    /// An empty L2 table. Where it is.
    fn add_table(&self, image: &mut Vec<u8>, number: u64) -> usize {
        image.resize(image.len().next_multiple_of(self.cluster()), 0);
        let table = image.len();
        put(image, self.l1_at() + usize::try_from(self.place(number) * 8).expect("in memory"), table as u64);
        image.resize(table + self.cluster(), 0);
        table
    }

    /// The clusters of one L2 table. Its entries.
    fn add_clusters(&self, image: &mut Vec<u8>, number: u64) -> Vec<u64> {
        let add = |cluster: u64| {
            let guest = self.place(number) * self.reach() + (cluster << self.cluster_bits);
            let bytes = &self.packed[usize::from(self.fill(guest))];
            let host = image.len() as u64;
            let sectors = (host % 512 + bytes.len() as u64 - 1) / 512;
            image.extend_from_slice(bytes);
            1 << 62 | sectors << (62 - (self.cluster_bits - 8)) | host
        };
        (0..self.clusters).map(add).collect()
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
    fn check(&self, source: &mut MemorySource) -> Result<u64, WriteError> {
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
        upstream.outcome(Ok(()), &AtomicU64::new(0)).map(|_| filled)
    }
}

fn put_all(bytes: &mut [u8], at: usize, longs: &[u64]) {
    longs.iter().zip((at..).step_by(8)).for_each(|(&long, at)| put(bytes, at, long));
}

fn put(bytes: &mut [u8], at: usize, long: u64) {
    bytes[at..at + 8].copy_from_slice(&long.to_be_bytes());
}

#[test]
fn a_tebibyte_of_64_kib_clusters_streams() {
    let huge = Huge::new(16, 200, 10);
    let image = huge.image();
    assert_eq!(huge.check(&mut MemorySource::pipe(image.clone())).expect("decoded"), 2000 << 16);
    assert_eq!(huge.check(&mut MemorySource::new(image)).expect("decoded"), 2000 << 16);
}

#[test]
fn what_is_in_too_many_pieces_to_be_known_beforehand_streams() {
    let huge = Huge::new(11, 1800, 256);
    let mut source = MemorySource::new(huge.image());
    let known = survey(&mut source, Options::default().terms()).expect("surveyed");
    assert_eq!(known.size(), None, "it is not known beforehand");
    assert_eq!(huge.check(&mut source).expect("decoded"), (1800 * 256) << 11);
}

#[test]
fn what_is_in_too_many_pieces_and_out_of_order_is_refused_for_that() {
    let huge = Huge::new(11, 1800, 256);
    let image = huge.image_backwards();
    let refusal = |mut source: MemorySource| {
        let error = huge.check(&mut source).expect_err("neither known nor in order");
        std::error::Error::source(&error).expect("a reason").to_string()
    };
    let text = refusal(MemorySource::new(image.clone()));
    assert!(text.contains("so many pieces") && text.contains("10.0 MiB"), "{text}");
    let text = refusal(MemorySource::pipe(image));
    assert!(text.contains("before the table") && text.contains("Range"), "{text}");
}
