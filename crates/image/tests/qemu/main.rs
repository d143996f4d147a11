//! qcow2 files of many kinds, made by qemu-img (Debian package qemu-utils), must
//! become what `qemu-img convert` makes of them, in any order and on any disk.

mod random;
mod spill;
mod survey;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use disk::FakeDisk;
use image::{MemorySource, Options, install};
use model::{Algorithm, Bytes, Digest, Hasher};

/// Options of `qemu-img convert`, every feature in a few combinations.
const KINDS: [&str; 16] = [
    "",
    "-S 0",
    "-o preallocation=falloc,cluster_size=1M",
    "-o compat=0.10",
    "-o cluster_size=512",
    "-o cluster_size=4k",
    "-o cluster_size=2M",
    "-c",
    "-c -o compat=0.10",
    "-c -o cluster_size=4k",
    "-c -o compression_type=zstd",
    "-c -m 8 -W -o compression_type=zstd,cluster_size=2M",
    "-o extended_l2=on,cluster_size=16k",
    "-c -o extended_l2=on,cluster_size=128k,compression_type=zstd",
    "-o preallocation=metadata",
    "-o lazy_refcounts=on,refcount_bits=64",
];

fn digest(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(bytes);
    hasher.finish()
}

/// Text, noise and holes, scattered down to single sectors.
fn content(length: usize) -> Vec<u8> {
    let mut noise = 7_u64;
    let mut bytes = vec![0; length];
    for (number, sector) in bytes.chunks_mut(512).enumerate() {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        match (number / 300 % 5, noise >> 61) {
            (0, _) => sector.fill_with(|| {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                noise.to_be_bytes()[0]
            }),
            (1, _) | (3, 0) => {
                sector.iter_mut().zip(b"billet ".iter().cycle()).for_each(|(to, from)| *to = *from)
            }
            _ => {}
        }
    }
    bytes
}

/// A small random number generator.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 16
    }

    /// Less than `limit`.
    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// One time out of `times`.
    fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).expect("an index")]
    }
}

fn qemu_img(dir: &Path, arguments: &str) {
    let output = Command::new("qemu-img").args(arguments.split_whitespace()).current_dir(dir).output();
    let output = output.expect("qemu-img is installed (Debian package qemu-utils)");
    assert!(output.status.success(), "qemu-img {arguments}: {output:?}");
}

/// Change `file` in place, as a running machine does.
fn qemu_io(dir: &Path, commands: &[String], file: &str) {
    let output = run_qemu_io(dir, commands, file);
    assert!(output.status.success(), "qemu-io: {output:?}");
}

fn run_qemu_io(dir: &Path, commands: &[String], file: &str) -> Output {
    let commands = commands.iter().flat_map(|command| ["-c", command]);
    let output =
        Command::new("qemu-io").args(["-f", "qcow2"]).args(commands).arg(file).current_dir(dir).output();
    output.expect("qemu-io is installed (Debian package qemu-utils)")
}

/// The message of an error and of what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    error.source().map_or_else(|| error.to_string(), |source| format!("{error}: {}", chain(source)))
}

#[test]
fn every_kind_of_qcow2_becomes_what_qemu_says_it_is() {
    let dir = tempfile::tempdir().expect("a directory");
    for length in [5 * (1 << 20) + 512, 9 << 20] {
        let raw = content(length);
        fs::write(dir.path().join("disk.raw"), &raw).expect("written");
        for kind in KINDS {
            qemu_img(dir.path(), &format!("convert -f raw -O qcow2 {kind} disk.raw disk.qcow2"));
            let image = fs::read(dir.path().join("disk.qcow2")).expect("made");
            for (block, pipe) in [(512, false), (512, true), (4096, false)] {
                let block = u32::try_from(block).expect("small").try_into().expect("a block size");
                let mut disk = FakeDisk::filled(0xaa, Bytes(16 << 20), block);
                let source =
                    if pipe { MemorySource::pipe(image.clone()) } else { MemorySource::new(image.clone()) };
                let options = Options { digests: vec![digest(&image)], ..Options::default() };
                let report = install(source, &mut disk, options, |_| {});
                assert!(report.is_ok(), "{kind:?} {length} {block:?} {pipe}: {report:?}");
                assert!(disk.bytes()[..length] == raw, "{kind:?} {length} {block:?} {pipe}");
            }
        }
    }
}

#[test]
fn long_zeros_that_are_stored_are_left_to_the_disk() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut raw = vec![7; 8 << 20];
    raw[(2 << 20) + 512..6 << 20].fill(0);
    fs::write(dir.path().join("disk.raw"), &raw).expect("written");
    qemu_img(dir.path(), "convert -S 0 -f raw -O qcow2 disk.raw disk.qcow2");
    let image = fs::read(dir.path().join("disk.qcow2")).expect("made");
    let mut disk = FakeDisk::filled(0xaa, Bytes(16 << 20), 512.try_into().expect("a block size"));
    let options = Options { digests: vec![digest(&image)], ..Options::default() };
    let report = install(MemorySource::new(image), &mut disk, options, |_| {}).expect("written");
    assert!(disk.bytes()[..raw.len()] == raw);
    // All but the cluster in which they begin.
    assert_eq!(report.zeroed, Bytes((4 << 20) - (64 << 10)));
}

#[test]
fn no_truncation_or_mutation_of_a_qcow2_panics_or_is_taken_for_whole() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("disk.raw"), content(1 << 20)).expect("written");
    for kind in ["-o cluster_size=4k", "-c -o cluster_size=4k,compression_type=zstd", "-o extended_l2=on"] {
        qemu_img(dir.path(), &format!("convert -f raw -O qcow2 {kind} disk.raw disk.qcow2"));
        let image = fs::read(dir.path().join("disk.qcow2")).expect("made");
        let expected = digest(&image);
        let attempt = |bytes: Vec<u8>, digest: Digest, pipe: bool| {
            let mut disk = FakeDisk::filled(0, Bytes(4 << 20), 512.try_into().expect("a block size"));
            let source = if pipe { MemorySource::pipe(bytes) } else { MemorySource::new(bytes) };
            let options = Options { digests: vec![digest], ..Options::default() };
            install(source, &mut disk, options, |_| {})
        };
        for part in 0..30 {
            let cut = image[..image.len() * part / 30].to_vec();
            let digest = digest(&cut);
            assert!(attempt(cut.clone(), digest.clone(), false).is_err(), "{kind} cut to {}", cut.len());
            assert!(attempt(cut.clone(), digest, true).is_err(), "{kind} pipe cut to {}", cut.len());
        }
        let mut noise = 3_u64;
        for round in 0..200 {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let mut bad = image.clone();
            // The first 32 KiB hold the header and, of small clusters, the tables.
            let random = noise.to_be_bytes();
            let at = usize::from(u16::from_be_bytes([random[0], random[1]])) % bad.len().min(32 << 10);
            bad[at] ^= random[2] | 1;
            assert!(attempt(bad, expected.clone(), round % 2 == 0).is_err(), "{kind} byte {at}");
        }
    }
}

#[test]
fn what_is_not_in_the_file_is_refused_before_the_first_write() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("base.raw"), content(1 << 20)).expect("written");
    let makers = [
        ("a backing file", "create -f qcow2 -F raw -b base.raw bad.qcow2"),
        ("an external data file", "create -f qcow2 -o data_file=data.raw,data_file_raw=on bad.qcow2 1M"),
        (
            "is encrypted",
            "create -f qcow2 --object secret,id=s,data=x -o encrypt.format=aes,encrypt.key-secret=s bad.qcow2 1M",
        ),
    ];
    for (what, arguments) in makers {
        qemu_img(dir.path(), arguments);
        let image = fs::read(dir.path().join("bad.qcow2")).expect("made");
        for source in [MemorySource::new(image.clone()), MemorySource::pipe(image.clone())] {
            let mut disk = FakeDisk::filled(0xaa, Bytes(4 << 20), 512.try_into().expect("a block size"));
            let options = Options { digests: vec![digest(&image)], ..Options::default() };
            let error = install(source, &mut disk, options, |_| {}).expect_err(what);
            let text = std::error::Error::source(&error).expect("a reason").to_string();
            assert!(error.is_refusal() && text.contains(what), "{text}");
            assert!(disk.bytes().iter().all(|&byte| byte == 0xaa), "{what}: untouched");
        }
    }
}

#[test]
fn what_a_header_says_of_itself_is_believed() {
    let dir = tempfile::tempdir().expect("a directory");
    let raw = content(1 << 20);
    fs::write(dir.path().join("disk.raw"), &raw).expect("written");
    qemu_img(dir.path(), "convert -f raw -O qcow2 disk.raw disk.qcow2");
    // Incompatible features, by bit. A dirty image has stale refcounts, which no
    // reader needs; an extended L2 is another layout, so these tables lie.
    let bits = [
        (0, None),
        (1, Some("marked corrupt")),
        (2, Some("an external data file")),
        (3, Some("disagree")),
        (4, Some("malformed")),
        (5, Some("incompatible feature 5")),
        (63, Some("incompatible feature 63")),
    ];
    for (bit, refusal) in bits {
        let mut image = fs::read(dir.path().join("disk.qcow2")).expect("made");
        image[79 - bit / 8] |= 1 << (bit % 8);
        let mut disk = FakeDisk::filled(0xaa, Bytes(4 << 20), 512.try_into().expect("a block size"));
        let options = Options { digests: vec![digest(&image)], ..Options::default() };
        match (install(MemorySource::new(image), &mut disk, options, |_| {}), refusal) {
            (Ok(_), None) => assert!(disk.bytes()[..raw.len()] == raw, "{bit}"),
            (Err(error), Some(refusal)) => {
                assert!(error.is_refusal() && chain(&error).contains(refusal), "{bit}: {}", chain(&error));
                assert!(disk.bytes().iter().all(|&byte| byte == 0xaa), "{bit}: untouched");
            }
            (outcome, _) => panic!("{bit}: {outcome:?}"),
        }
    }
}

#[test]
fn what_is_nothing_must_be_nothing_somewhere_sound() {
    let dir = tempfile::tempdir().expect("a directory");
    qemu_img(dir.path(), "create -f qcow2 disk.qcow2 1M");
    // The place of no snapshots, and the length of no header extension.
    for (at, byte, refusal) in [(71, 1, "start at a cluster at byte 64"), (116, 1, "extension runs past")] {
        let mut image = fs::read(dir.path().join("disk.qcow2")).expect("made");
        image[112..120].fill(0);
        image[at] = byte;
        let mut disk = FakeDisk::filled(0xaa, Bytes(4 << 20), 512.try_into().expect("a block size"));
        let options = Options { digests: vec![digest(&image)], ..Options::default() };
        let error = install(MemorySource::new(image), &mut disk, options, |_| {}).expect_err(refusal);
        assert!(chain(&error).contains(refusal), "{}", chain(&error));
    }
}

#[test]
fn a_file_that_ends_within_its_bitmaps_is_cut_off() {
    let dir = tempfile::tempdir().expect("a directory");
    qemu_img(dir.path(), "create -f qcow2 disk.qcow2 1M");
    qemu_img(dir.path(), "bitmap --add disk.qcow2 b");
    let image = fs::read(dir.path().join("disk.qcow2")).expect("made");
    let put = |image: &[u8]| {
        let mut disk = FakeDisk::filled(0xaa, Bytes(4 << 20), 512.try_into().expect("a block size"));
        let options = Options { digests: vec![digest(image)], ..Options::default() };
        install(MemorySource::new(image.to_vec()), &mut disk, options, |_| {})
    };
    put(&image).expect("all of it");
    let directory = usize::try_from(u64::from_be_bytes(
        image[place_of(&image, &0x2385_2875_u32.to_be_bytes()) + 24..][..8].try_into().expect("eight bytes"),
    ));
    let error = put(&image[..directory.expect("in memory")]).expect_err("its end is missing");
    assert!(chain(&error).contains("the bitmap directory"), "{}", chain(&error));
}

/// Where `part` is in `bytes`.
fn place_of(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).position(|window| window == part).expect("it is there")
}
