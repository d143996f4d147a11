//! The tables that were read beforehand and those that stream past must be the
//! same, and a server may forget how to serve ranges.

use std::{
    fs,
    io::{self, Read},
};

use disk::FakeDisk;
use image::{MemorySource, Options, ReadAt, Source, install};
use model::Bytes;

use super::{chain, content, digest, qemu_img};

/// One image when read out of order, another when streamed.
struct TwoFaced {
    surveyed: MemorySource,
    streamed: MemorySource,
    /// How many reads out of order work.
    ranges: usize,
}

impl Read for TwoFaced {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.streamed.read(into)
    }
}

impl Source for TwoFaced {
    fn length(&self) -> Option<Bytes> {
        self.streamed.length()
    }

    fn random(&mut self) -> Option<&mut dyn ReadAt> {
        Some(self)
    }
}

impl ReadAt for TwoFaced {
    fn read_exact_at(&mut self, at: Bytes, into: &mut [u8]) -> io::Result<()> {
        self.ranges = self.ranges.checked_sub(1).ok_or(io::ErrorKind::Unsupported)?;
        self.surveyed.read_exact_at(at, into)
    }
}

fn image() -> (Vec<u8>, Vec<u8>) {
    let dir = tempfile::tempdir().expect("a directory");
    let raw = content(3 << 20);
    fs::write(dir.path().join("disk.raw"), &raw).expect("written");
    qemu_img(dir.path(), "convert -f raw -O qcow2 -o cluster_size=4k disk.raw disk.qcow2");
    (fs::read(dir.path().join("disk.qcow2")).expect("made"), raw)
}

fn disk() -> FakeDisk {
    FakeDisk::filled(0xaa, Bytes(4 << 20), 512.try_into().expect("a block size"))
}

fn long(image: &[u8], at: usize) -> usize {
    let bytes = image[at..at + 8].try_into().expect("8 bytes");
    usize::try_from(u64::from_be_bytes(bytes) & 0x00ff_ffff_ffff_fe00).expect("in memory")
}

#[test]
fn a_table_that_changed_since_it_was_read_is_an_error() {
    let (image, _) = image();
    let (l1, refcounts) = (long(&image, 40), long(&image, 48));
    let l2 = long(&image, l1);
    // The bits for "one reference" and of header fields nobody needs are not
    // wrong by themselves.
    for (what, at) in [("header", 99), ("L1", l1), ("L2", l2), ("refcounts", refcounts + 4000)] {
        let mut streamed = image.clone();
        streamed[at] ^= 0x80;
        // The digest is that of what streams past: only the comparison can tell.
        let options = Options { digests: vec![digest(&streamed)], ..Options::default() };
        let (surveyed, streamed) = (MemorySource::new(image.clone()), MemorySource::new(streamed));
        let source = TwoFaced { surveyed, streamed, ranges: usize::MAX };
        let error = install(source, &mut disk(), options, |_| {}).expect_err(what);
        assert!(chain(&error).contains("changed while it was read"), "{what}: {}", chain(&error));
    }
}

#[test]
fn a_source_that_stops_serving_ranges_is_read_in_order() {
    let (image, raw) = image();
    for ranges in [0, 1, 2, 3, 5, 100] {
        let (surveyed, streamed) = (MemorySource::new(image.clone()), MemorySource::new(image.clone()));
        let options = Options { digests: vec![digest(&image)], ..Options::default() };
        let mut disk = disk();
        let report = install(TwoFaced { surveyed, streamed, ranges }, &mut disk, options, |_| {});
        assert!(report.is_ok() && disk.bytes()[..raw.len()] == raw, "{ranges}: {report:?}");
    }
}
