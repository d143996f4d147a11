//! VMDK, VHD and VHDX, made by qemu-img (Debian package qemu-utils), must become
//! what `qemu-img convert` makes of them, in any order and on any disk.

use std::{fs, path::Path, process::Command};

use disk::FakeDisk;
use image::{Declared, Formats, MemorySource, Options, install};
use model::{Algorithm, BlockSize, Bytes, Digest, Hasher};

/// The disk they are put on.
const DISK: Bytes = Bytes(16 << 20);

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
            let head = &held[..1 << 20];
            assert!(head.iter().all(|&b| b == 0) || held.iter().all(|&b| b == 0xaa), "bootable: {err}");
            let cause = std::error::Error::source(&err).map(ToString::to_string).unwrap_or_default();
            let touched = if held.iter().all(|&b| b == 0xaa) { "untouched" } else { "cleared" };
            Err(format!("{err}: {cause} ({touched})"))
        }
    }
}

fn any_order(bytes: &[u8]) -> MemorySource {
    MemorySource::new(bytes.to_vec())
}

fn in_order(bytes: &[u8]) -> MemorySource {
    let mut source = MemorySource::new(bytes.to_vec());
    source.random = false;
    source
}

#[test]
fn every_kind_becomes_what_qemu_says_it_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut random = Random(20);
    for length in [5 * (1 << 20) + 512, 9 << 20] {
        fs::write(dir.path().join("disk.raw"), content(length, &mut random)).expect("written");
        for (format, options) in KINDS {
            qemu_img(dir.path(), &format!("convert -f raw -O {format} -o {options} disk.raw image"));
            qemu_img(dir.path(), &format!("convert -f {format} -O raw image expected"));
            let image = fs::read(dir.path().join("image")).expect("made");
            let expected = fs::read(dir.path().join("expected")).expect("made");
            for (block, source) in
                [(512, any_order(&image)), (512, in_order(&image)), (4096, any_order(&image))]
            {
                let name = format!("{format} {options} {length} {block} {}", source.random);
                if !source.random && options.contains("fixed") && *format == "vpc" {
                    let refusal = installed(&image, block, source).expect_err(&name);
                    assert!(refusal.contains("both a raw disk and a fixed VHD"), "{refusal}");
                    continue;
                }
                let (size, disk) =
                    installed(&image, block, source).unwrap_or_else(|err| panic!("{name}: {err}"));
                assert_eq!(size, expected.len(), "{name}");
                assert!(disk[..size] == expected, "{name}");
            }
        }
    }
}
