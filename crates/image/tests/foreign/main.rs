//! VMDK, VHD and VHDX, made by qemu-img (Debian package qemu-utils), must become
//! what `qemu-img convert` makes of them, in any order and on any disk.

mod refused;
mod stream;

use std::{fs, path::Path, process::Command};

use disk::FakeDisk;
use image::{Declared, Formats, MemorySource, Options, install};
use model::{Algorithm, BlockSize, Bytes, Digest, Hasher};

/// The disk they are put on.
const DISK: Bytes = Bytes(12 << 20);

/// Format and options of `qemu-img convert`.
const KINDS: &[(&str, &str)] = &[
    ("vmdk", "subformat=monolithicSparse"),
    ("vmdk", "subformat=monolithicSparse,zeroed_grain=on,compat6=on"),
    ("vmdk", "subformat=streamOptimized"),
    ("vpc", "subformat=dynamic"),
    ("vpc", "subformat=dynamic,force_size=on"),
    ("vpc", "subformat=fixed"),
    ("vpc", "subformat=fixed,force_size=on"),
    ("vhdx", "subformat=dynamic"),
    ("vhdx", "subformat=dynamic,block_size=1M"),
    ("vhdx", "subformat=dynamic,block_size=2M,log_size=3M,block_state_zero=off"),
    ("vhdx", "subformat=fixed,block_size=1M"),
    ("vhdx", "subformat=fixed"),
];

/// A small random number generator.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        self.0 >> 16
    }

    fn below(&mut self, limit: usize) -> usize {
        usize::try_from(self.next() % limit as u64).expect("below a usize")
    }
}

fn digest(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(bytes);
    hasher.finish()
}

/// Text, noise and holes, from whole mebibytes down to single sectors.
fn content(length: usize, random: &mut Random) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut at = 0;
    while at < length {
        let run = (512 << random.below(12)).min(length - at);
        let part = &mut bytes[at..at + run];
        match random.below(4) {
            0 => part.fill_with(|| random.next().to_le_bytes()[0]),
            1 => part.iter_mut().zip(b"billet ".iter().cycle()).for_each(|(to, from)| *to = *from),
            _ => {}
        }
        at += run;
    }
    bytes
}

fn qemu_img(dir: &Path, arguments: &str) {
    let output = Command::new("qemu-img").args(arguments.split_whitespace()).current_dir(dir).output();
    let output = output.expect("qemu-img is installed (Debian package qemu-utils)");
    assert!(output.status.success(), "qemu-img {arguments}: {output:?}");
}

/// What the image in `bytes` makes of a dirty disk: its length and the disk.
fn installed(bytes: &[u8], block: u32, source: MemorySource) -> Result<(usize, Vec<u8>), String> {
    let block: BlockSize = block.try_into().expect("a block size");
    let mut disk = FakeDisk::filled(0xaa, DISK, block);
    let options = Options {
        declared: Declared::AUTO,
        permitted: Formats::ALL,
        digests: vec![digest(bytes)],
        ..Options::default()
    };
    let outcome = install(source, &mut disk, options, |_| {});
    let held = disk.bytes().to_vec();
    match outcome {
        Ok(report) => Ok((usize::try_from(report.image_size.0).expect("small"), held)),
        Err(err) => {
            let is_untouched = is_all(&held, 0xaa);
            assert!(is_all(&held[..1 << 20], 0) || is_untouched, "bootable: {err}");
            let cause = std::error::Error::source(&err).map(ToString::to_string).unwrap_or_default();
            let touched = if is_untouched { "untouched" } else { "cleared" };
            Err(format!("{err}: {cause} ({touched})"))
        }
    }
}

/// Compares like memory, which is quick in a build without optimisation too.
fn is_all(bytes: &[u8], value: u8) -> bool {
    bytes[0] == value && bytes[1..] == bytes[..bytes.len() - 1]
}

fn any_order(bytes: &[u8]) -> MemorySource {
    MemorySource::new(bytes.to_vec())
}

fn in_order(bytes: &[u8]) -> MemorySource {
    let mut source = MemorySource::new(bytes.to_vec());
    source.random = false;
    source
}

/// The disk in `image`, as qemu-img reads it.
fn as_qemu_reads(dir: &Path, format: &str, image: &str) -> Vec<u8> {
    qemu_img(dir, &format!("convert -f {format} -O raw {image} expected"));
    fs::read(dir.join("expected")).expect("made")
}

/// Install the image in `bytes` in every way; each must give `expected`.
fn check(name: &str, bytes: &[u8], expected: &[u8]) {
    for (block, source) in [(512, any_order(bytes)), (512, in_order(bytes)), (4096, any_order(bytes))] {
        let name = format!("{name}, {block}-byte blocks, in any order: {}", source.random);
        let outcome = installed(bytes, block, source);
        if name.contains("vpc subformat=fixed") && name.ends_with("false") {
            let refusal = outcome.expect_err(&name);
            assert!(refusal.contains("both a raw disk and a fixed VHD"), "{refusal}");
            continue;
        }
        let (size, disk) = outcome.unwrap_or_else(|err| panic!("{name}: {err}"));
        assert_eq!(size, expected.len(), "{name}");
        assert!(disk[..size] == *expected, "{name}");
    }
}

#[test]
fn every_kind_becomes_what_qemu_says_it_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut random = Random(20);
    for length in [3 * (1 << 20) + 512, 5 << 20] {
        fs::write(dir.path().join("disk.raw"), content(length, &mut random)).expect("written");
        for (format, options) in KINDS {
            qemu_img(dir.path(), &format!("convert -f raw -O {format} -o {options} disk.raw image"));
            let expected = as_qemu_reads(dir.path(), format, "image");
            let image = fs::read(dir.path().join("image")).expect("made");
            check(&format!("{format} {options} {length}"), &image, &expected);
        }
    }
}

/// How many random images are made: `BILLET_QEMU_ROUNDS`, or a few.
fn rounds() -> u64 {
    std::env::var("BILLET_QEMU_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(4)
}

#[test]
fn images_changed_in_place_become_what_qemu_says_they_are() {
    let seed = std::env::var("BILLET_QEMU_SEED").ok().and_then(|text| text.parse().ok());
    let now = || std::time::SystemTime::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
    let seed: u64 = seed.unwrap_or_else(now);
    eprintln!("BILLET_QEMU_SEED={seed}");
    let dir = tempfile::tempdir().expect("a directory");
    for round in 0..rounds() {
        let mut random = Random(seed.wrapping_add(round));
        let (format, options) = KINDS[random.below(KINDS.len())];
        if options.contains("streamOptimized") {
            continue;
        }
        let length = (1 + random.below(10_000)) * 512;
        qemu_img(dir.path(), &format!("create -f {format} -o {options} image {length}"));
        for _ in 0..random.below(40) {
            let at = random.below(length / 512) * 512;
            let part = (512 << random.below(10)).min(length - at);
            let write = match random.below(4) {
                0 => format!("write -z {at} {part}"),
                _ => format!("write -P {} {at} {part}", random.below(256)),
            };
            let arguments = ["-f", format, "-c", &write, "image"];
            let output = Command::new("qemu-io").args(arguments).current_dir(dir.path()).output();
            assert!(output.expect("qemu-io is installed").status.success(), "{write}");
        }
        let expected = as_qemu_reads(dir.path(), format, "image");
        let image = fs::read(dir.path().join("image")).expect("made");
        check(&format!("{format} {options} {length} of seed {seed}, round {round}"), &image, &expected);
    }
}
