//! Whole images, onto a small disk that panics when it is written amiss.

use disk::FakeDisk;
use image::{Declared, Formats, MemorySource, Options, WriteError, install, measure};
use model::{Algorithm, BlockSize, Bytes, Digest, Hasher};

use crate::checksums;

/// The disk: room for any seed, and small enough to be made often.
const DISK: Bytes = Bytes(3 << 20);
/// What is on it before.
const DIRT: u8 = 0xaa;
/// What a write leaves alone or clears first and writes last, at both ends.
const END: usize = 1 << 20;

pub(crate) fn qcow2(data: &[u8]) -> String {
    everywhere(data, "qcow2")
}

pub(crate) fn vmdk(data: &[u8]) -> String {
    everywhere(data, "vmdk")
}

pub(crate) fn vhd(data: &[u8]) -> String {
    sealed(data, &checksums::vhd(data), "vhd")
}

pub(crate) fn vhdx(data: &[u8]) -> String {
    sealed(data, &checksums::vhdx(data), "vhdx")
}

/// As it is, and with its checksums made right if they were not.
fn sealed(data: &[u8], right: &[u8], declared: &str) -> String {
    let as_it_is = everywhere(data, declared);
    if data == right { as_it_is } else { format!("{as_it_is} | {}", everywhere(right, declared)) }
}

pub(crate) fn raw(data: &[u8]) -> String {
    everywhere(data, "raw")
}

/// Whatever its first bytes say it is.
pub(crate) fn compressed(data: &[u8]) -> String {
    everywhere(data, "auto")
}

/// Read out of order where that is possible, and in order only: whoever accepts
/// it finds the same disk in it.
pub(crate) fn everywhere(data: &[u8], declared: &str) -> String {
    let declared: Declared = declared.parse().unwrap_or_default();
    let measured = measure(MemorySource::new(data.to_vec()), declared);
    // Looking at tables is quick, and disks are not: of what is refused by its
    // tables, one in four is put on a disk all the same.
    if let Err(err) = &measured
        && !digest(data).hex().ends_with(['0', '4', '8', 'c'])
    {
        return chain(err);
    }
    let random = written(MemorySource::new(data.to_vec()), data, declared);
    let in_order = written(MemorySource::pipe(data.to_vec()), data, declared);
    if let (Ok(random), Ok(in_order)) = (&random, &in_order) {
        assert!(random == in_order, "one image, two disks");
    }
    if let (Ok(size), Ok(written)) = (&measured, &random) {
        assert_eq!(size.0, written.size, "measured and written sizes");
    }
    format!("{} | {}", told(random), told(in_order))
}

fn options(data: &[u8], declared: Declared) -> Options {
    let digests = vec![digest(data)];
    Options { declared, permitted: Formats::ALL, digests, ..Options::default() }
}

/// What an image made of the disk.
#[derive(PartialEq, Eq)]
struct Written {
    size: u64,
    disk: Vec<u8>,
}

fn told(outcome: Result<Written, String>) -> String {
    outcome.map_or_else(|err| err, |_| "installed".to_owned())
}

fn digest(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(bytes);
    hasher.finish()
}

fn written(source: MemorySource, data: &[u8], declared: Declared) -> Result<Written, String> {
    let block = BlockSize::try_from(512).expect("a block size");
    let mut disk = FakeDisk::filled(DIRT, DISK, block);
    match install(source, &mut disk, options(data, declared), |_| {}) {
        Ok(report) => {
            let size = report.image_size.0;
            let bytes = disk.bytes().to_vec();
            check_rest(&bytes, size);
            Ok(Written { size, disk: bytes })
        }
        Err(err) => {
            assert!(!matches!(err, WriteError::Broken { .. }), "a thread panicked: {}", chain(&err));
            check_unbootable(&disk.bytes(), &err);
            Err(chain(&err))
        }
    }
}

/// Behind the image nothing but the disk's own end is touched.
fn check_rest(disk: &[u8], size: u64) {
    let size = usize::try_from(size).expect("it fits");
    assert!(size <= disk.len(), "an image larger than the disk was installed");
    let rest = size.max(END).next_multiple_of(4096);
    let rest = disk.get(rest..disk.len() - END).unwrap_or_default();
    assert!(is_all(rest, DIRT), "written behind the image");
}

/// A disk that was refused an image is as before, or boots nothing.
fn check_unbootable(disk: &[u8], err: &WriteError) {
    let is_safe = is_all(&disk[..END], 0) || is_all(disk, DIRT);
    assert!(is_safe, "bootable after {}", chain(err));
}

/// Compares like memory, which is quick in a build without optimisation too.
fn is_all(bytes: &[u8], value: u8) -> bool {
    bytes.first().is_none_or(|&first| first == value && bytes[1..] == bytes[..bytes.len() - 1])
}

/// An error and its causes, without the words of the image that it quotes:
/// every name in a descriptor would be something new.
fn chain(err: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(err), |err| err.source());
    let text = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
    match (text.split_once(" uses "), text.split_once(", which")) {
        (Some((before, _)), Some((_, after))) => format!("{before} uses it, which{after}"),
        _ => text,
    }
}
