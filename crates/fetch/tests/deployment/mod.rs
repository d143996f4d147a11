//! A deployment from bad servers onto a disk in memory, and what may come of it.

#![allow(dead_code, reason = "each test uses some of it")]

use std::{process::Command, time::Duration};

use bad_server::Seen;
use disk::FakeDisk;
use fetch::{Floor, HttpSource, Pace, Request, Trust};
use image::{Options, Report, install};
use model::{Algorithm, Bytes, Digest, Hasher};

pub(crate) const MIB: u64 = 1 << 20;
/// Of the disks here; all are full of what the old tenant left.
pub(crate) const DISK: u64 = 8 * MIB;
const OLD: u8 = 0xaa;

pub(crate) fn index(at: u64) -> usize {
    usize::try_from(at).expect("in memory")
}

/// Text, noise and holes of 64 KiB; nothing at its ends is zero.
pub(crate) fn content(length: u64) -> Vec<u8> {
    let mut noise = length | 1;
    let byte = |at: u64| {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        match at / (64 << 10) % 4 {
            0 | 3 => noise.to_be_bytes()[0],
            1 => b"billet "[index(at % 7)],
            _ => 0,
        }
    };
    let mut bytes: Vec<u8> = (0..length).map(byte).collect();
    let last = bytes.len() - 1;
    (bytes[0], bytes[last]) = (0xeb, 0x55);
    bytes
}

pub(crate) fn digest(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(bytes);
    hasher.finish()
}

/// An image: what is served, and the disk in it.
pub(crate) struct Image {
    pub(crate) name: &'static str,
    pub(crate) file: Vec<u8>,
    pub(crate) raw: Vec<u8>,
}

/// The same disk in every format worth a cut.
pub(crate) fn images(length: u64) -> Vec<Image> {
    let raw = content(length);
    let half = raw.len() / 2;
    let frames = [&raw[..half], &raw[half..]].map(|part| zstd::encode_all(part, 1).expect("in memory"));
    [
        ("raw", raw.clone()),
        ("raw.zst", frames.concat()),
        ("qcow2", qcow2(&raw, &[])),
        ("zlib qcow2", qcow2(&raw, &["-c"])),
        ("zstd qcow2", qcow2(&raw, &["-c", "-o", "compression_type=zstd"])),
    ]
    .map(|(name, file)| Image { name, file, raw: raw.clone() })
    .into()
}

fn qcow2(raw: &[u8], options: &[&str]) -> Vec<u8> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (from, to) = (dir.path().join("raw"), dir.path().join("qcow2"));
    std::fs::write(&from, raw).expect("written");
    let status = Command::new("qemu-img")
        .args(["convert", "-f", "raw", "-O", "qcow2"])
        .args(options)
        .args([&from, &to])
        .status()
        .expect("qemu-img is installed (Debian package qemu-utils)");
    assert!(status.success(), "qemu-img {options:?}: {status}");
    std::fs::read(&to).expect("an image")
}

/// Patient enough for loopback on a busy machine, and no more.
pub(crate) fn pace() -> Pace {
    Pace {
        connect: Duration::from_secs(5),
        stall: Duration::from_secs(10),
        floor: None,
        total: None,
        retries: 3,
        delay: Duration::from_millis(1),
    }
}

/// As impatient as can be tested on a busy machine.
pub(crate) fn hasty() -> Pace {
    let moment = Duration::from_secs(1);
    let floor = Some(Floor { bytes: 64 << 10, window: moment });
    Pace { connect: moment, stall: moment, floor, retries: 2, ..pace() }
}

pub(crate) fn request(urls: &[String]) -> Request {
    // Nobody's certificates are needed for plain HTTP.
    let trust = Trust::Bundle("/nonexistent".into());
    Request { pace: pace(), ..Request::new(urls.to_vec(), trust) }
}

/// What came of a deployment.
pub(crate) struct Outcome {
    pub(crate) disk: FakeDisk,
    /// The error with all its causes.
    pub(crate) result: Result<Report, String>,
}

/// Deploy what `request` gives onto a used disk; it must have `digest`.
pub(crate) fn deploy(request: Request, digest: Digest) -> Outcome {
    let block = 512.try_into().expect("a block size");
    let mut disk = FakeDisk::filled(OLD, Bytes(DISK), block);
    let options = Options { digests: vec![digest], ..Options::default() };
    let result = HttpSource::open(request)
        .map_err(anyhow::Error::from)
        .and_then(|source| Ok(install(source, &mut disk, options, |_| {})?))
        .map_err(|err| format!("{err:#}"));
    Outcome { disk, result }
}

impl Outcome {
    /// The disk is the image and nothing else, or does not boot and the error says `words`.
    pub(crate) fn check(&self, what: &str, raw: &[u8], expected: Result<(), &str>) {
        match (&self.result, expected) {
            (Ok(_), Ok(())) => assert!(self.holds(raw), "{what}: the disk is not the image"),
            (Err(said), Err(words)) => {
                assert!(said.contains(words), "{what}: {said:?} does not say {words:?}");
                assert!(self.does_not_boot(), "{what}: the disk may boot");
            }
            (Ok(_), Err(words)) => panic!("{what}: installed, although {words:?}"),
            (Err(said), Ok(())) => panic!("{what}: {said}"),
        }
    }

    fn holds(&self, raw: &[u8]) -> bool {
        self.disk.bytes().starts_with(raw)
    }

    /// Untouched, or without anything at its ends.
    fn does_not_boot(&self) -> bool {
        let bytes = self.disk.bytes();
        let mib = index(MIB);
        let ends = bytes[..mib].iter().chain(&bytes[bytes.len() - mib..]);
        ends.into_iter().all(|&byte| byte == 0) || bytes.iter().all(|&byte| byte == OLD)
    }
}

/// The stream's requests: those for the whole file or for its rest.
pub(crate) fn stream(seen: &[Seen]) -> Vec<&Seen> {
    seen.iter().filter(|seen| seen.range().is_none_or(|(_, last)| last.is_none())).collect()
}
