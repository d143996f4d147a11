//! Images as people's tools compress them, and as they arrive when something
//! went wrong: either exactly the content is on the disk, or the refusal says
//! why, and the disk was not touched when the first bytes already told.

use std::{
    io::{Read, Write},
    process::{Command, Stdio},
    sync::LazyLock,
    thread,
};

use disk::FakeDisk;
use image::{Compression, Declared, Format, MemorySource, Options, install};
use model::{Algorithm, BlockSize, Bytes, Digest, Hasher};

const MIB: usize = 1 << 20;
/// Blocks that tell their sizes are unpacked on threads of their own.
const XZ_THREADS: &str = "xz -0 -T2 --block-size=1MiB";

/// Three mebibytes and a bit of text, noise and holes.
static CONTENT: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut noise = 1_u64;
    let byte = |at: usize| {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        match at / (200 << 10) % 4 {
            0 => noise.to_be_bytes()[0],
            1 | 2 => b"billet "[at % 7] ^ u8::from(at.is_multiple_of(300)),
            _ => 0,
        }
    };
    (0..3 * MIB + 512 * 7).map(byte).collect()
});

fn digest(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(bytes);
    hasher.finish()
}

/// What a command line of `tool` makes of `input`.
fn pipe(line: &str, input: &[u8]) -> Vec<u8> {
    let mut words = line.split(' ');
    let mut child = Command::new(words.next().expect("a program"))
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|err| panic!("{line}: {err}; run scripts/install-deps.sh"));
    let mut stdin = child.stdin.take().expect("piped");
    let mut output = Vec::new();
    thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input));
        child.stdout.take().expect("piped").read_to_end(&mut output).expect("its output");
    });
    assert!(child.wait().expect("its end").success(), "{line}");
    output
}

fn options(image: &[u8], declared: &str) -> Options {
    let declared: Declared = declared.parse().expect("a format");
    Options { declared, digests: vec![digest(image)], ..Options::default() }
}

/// The disk after `image` was put on it, or the whole chain of what was said.
fn put(image: &[u8], options: Options, random: bool, size: usize) -> Result<Vec<u8>, (String, bool)> {
    let block: BlockSize = 512.try_into().expect("a block size");
    let mut disk = FakeDisk::filled(0xaa, Bytes(size as u64), block);
    let source = if random { MemorySource::new(image.to_vec()) } else { MemorySource::pipe(image.to_vec()) };
    let outcome = install(source, &mut disk, options, |_| {});
    let bytes = disk.bytes().to_vec();
    match outcome {
        Ok(_) => Ok(bytes),
        Err(err) => {
            let untouched = bytes.iter().all(|&byte| byte == 0xaa);
            let ends = [&bytes[..MIB], &bytes[bytes.len() - MIB..]].concat();
            assert!(untouched || ends.iter().all(|&byte| byte == 0), "it may boot: {err}");
            let chain = std::iter::successors(Some(&err as &dyn std::error::Error), |err| err.source());
            Err((chain.map(ToString::to_string).collect::<Vec<_>>().join(": "), untouched))
        }
    }
}

/// That `image` is `content`, whether it can be read out of order or not.
fn expect_content(what: &str, image: &[u8], options: &Options, content: &[u8]) {
    for random in [true, false] {
        match put(image, options.clone(), random, 4 * MIB) {
            Ok(disk) => assert!(disk[..content.len()] == *content, "{what}: other content"),
            Err((said, _)) => panic!("{what}: {said}"),
        }
    }
}

/// When a refusal comes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum When {
    /// Before anything is written.
    Before,
    /// While it is written.
    While,
}

fn expect_refusal(what: &str, image: &[u8], when: When, saying: &str) {
    for random in [true, false] {
        let (said, untouched) =
            put(image, options(image, "auto"), random, 4 * MIB).expect_err("it cannot be read");
        assert!(said.contains(saying), "{what}: {said}");
        assert_eq!(untouched, when == When::Before, "{what}: {said}");
    }
}

#[test]
fn every_way_to_compress_is_read() {
    for (line, suffix) in [
        ("gzip -1", "gz"),
        ("gzip -9 -n", "gz"),
        ("zstd -1 -q", "zst"),
        ("zstd -19 -q --no-check", "zst"),
        ("zstd -3 -q --long=25", "zst"),
        ("zstd -3 -q -T2 --block-size=1MiB", "zst"),
        ("pzstd -3 -q -p 2 -c", "zst"),
        ("xz -0", "xz"),
        ("xz -6 -T2 --block-size=512KiB", "xz"),
        (XZ_THREADS, "xz"),
        ("xz -1 -T2 --block-size=1500000 --check=sha256", "xz"),
        ("xz -0 -T2 --block-list=2MiB,3001,0 --check=none", "xz"),
        ("xz -1 --check=none", "xz"),
        ("xz -1 --check=crc32", "xz"),
        ("xz -1 --check=sha256", "xz"),
        ("xz --x86 --lzma2=preset=1", "xz"),
        ("xz --arm64 --lzma2=preset=1", "xz"),
        ("xz --delta=dist=4 --lzma2=preset=1,dict=32MiB", "xz"),
        ("bzip2 -1", "bz2"),
        ("bzip2 -9", "bz2"),
        ("lz4 -1", "lz4"),
        ("lz4 -9 -BD -B4", "lz4"),
        ("lz4 -1 -BD -B7 --no-frame-crc", "lz4"),
        ("lz4 -1 -BX -B5", "lz4"),
        ("lz4 -1 -BI -B6", "lz4"),
    ] {
        let image = pipe(line, &CONTENT);
        for (declared, random) in [("auto", true), (&*format!("raw.{suffix}"), false)] {
            let disk = put(&image, options(&image, declared), random, 4 * MIB);
            let same = disk.map(|disk| disk[..CONTENT.len()] == *CONTENT);
            assert_eq!(same, Ok(true), "{line}, {declared}");
        }
    }
}

#[test]
fn parts_in_a_row_are_read_as_one() {
    let (head, tail) = CONTENT.split_at(MIB + 4096);
    let skippable = b"\x5a\x2a\x4d\x18\x05\0\0\0hello";
    for (line, between) in [
        ("gzip", &b""[..]),
        ("zstd -q", b""),
        ("zstd -q", skippable),
        ("xz -1", b""),
        ("xz -1", b"\0\0\0\0\0\0\0\0"),
        (XZ_THREADS, b"\0\0\0\0"),
        ("bzip2", b""),
        ("lz4", b""),
        ("lz4", skippable),
    ] {
        let empty = pipe(line, b"");
        let (head, tail) = (pipe(line, head), pipe(line, tail));
        let image = [&head, between, &empty, between, &tail, between].concat();
        expect_content(line, &image, &options(&image, "auto"), &CONTENT);
        if !line.starts_with("xz") {
            let image = [between, &image].concat();
            expect_content(line, &image, &options(&image, "auto"), &CONTENT);
        }
    }
}

#[test]
fn a_gzip_header_with_everything_in_it_is_read() {
    let plain = pipe("gzip -n", &CONTENT);
    // FTEXT, FEXTRA, FNAME and FCOMMENT of RFC 1952.
    let header =
        [&b"\x1f\x8b\x08\x1d\0\0\0\0\0\x03"[..], b"\x04\0ABCD", b"disk.raw\0", b"a comment\0"].concat();
    let image = [&header, &plain[10..]].concat();
    expect_content("all of a header", &image, &options(&image, "auto"), &CONTENT);
    // Tapes pad with zeros, and gzip says nothing of them.
    let padded = [&plain[..], &[0; 1000]].concat();
    expect_content("padded", &padded, &options(&padded, "auto"), &CONTENT);
}

#[test]
fn a_compression_goes_around_any_format() {
    let directory = tempfile::tempdir().expect("a directory");
    let raw = directory.path().join("disk.raw");
    std::fs::write(&raw, &*CONTENT).expect("written");
    let qcow2 = directory.path().join("disk.qcow2");
    let made = Command::new("qemu-img").args(["convert", "-O", "qcow2"]).args([&raw, &qcow2]).status();
    assert!(made.expect("qemu-img").success());
    let qcow2 = std::fs::read(&qcow2).expect("read");
    for (line, suffix) in
        [("gzip", "gz"), ("zstd -q", "zst"), ("xz -1", "xz"), ("bzip2", "bz2"), ("lz4", "lz4")]
    {
        let image = pipe(line, &qcow2);
        expect_content(line, &image, &options(&image, &format!("qcow2.{suffix}")), &CONTENT);
        let (said, untouched) =
            put(&image, options(&image, &format!("raw.{suffix}")), true, 4 * MIB).expect_err("it is not raw");
        assert!(said.contains("is qcow2") && untouched, "{said}");
        let twice = pipe("zstd -q", &image);
        expect_refusal(
            line,
            &twice,
            When::Before,
            if line == "zstd -q" { "zstd-compressed within" } else { "twice" },
        );
    }
    // Tables take memory of their own, so the window around them is a quarter.
    for line in ["zstd -1 -q --long=24", "xz -0 --lzma2=preset=0,dict=16MiB"] {
        let image = pipe(line, &qcow2);
        expect_refusal(line, &image, When::Before, "16.0 MiB of memory");
        let more = Options { decoder_memory: Bytes(64 << 20), ..options(&image, "auto") };
        expect_content(line, &image, &more, &CONTENT);
    }
}

#[test]
fn what_is_cut_off_anywhere_is_refused() {
    for line in ["gzip", "zstd -q", "xz -1 --block-size=1MiB", XZ_THREADS, "bzip2", "lz4"] {
        let image = pipe(line, &CONTENT);
        let tail = [1, 2, 3, 4, 5, 8, 9, 12, 13].map(|less| image.len() - less);
        let spread = (1..5).map(|part| image.len() / 5 * part);
        for length in [6, 7, 11, 19, 31].into_iter().chain(spread).chain(tail) {
            let cut = &image[..length];
            let outcome = put(cut, options(cut, "auto"), false, 4 * MIB);
            assert!(outcome.is_err(), "{line}, {length} of {}", image.len());
        }
    }
}

#[test]
fn what_follows_the_end_is_refused() {
    for (line, said) in [
        ("gzip", "data after the last gzip member"),
        ("zstd -q", "data after the last zstd frame"),
        ("xz -1", "xz data"),
        (XZ_THREADS, "xz"),
        ("bzip2", "damaged"),
        ("lz4", "data after the last lz4 frame"),
    ] {
        let image = pipe(line, &CONTENT);
        for tail in [&b"garbage, long enough"[..], b"\0\0\0\x01"] {
            expect_refusal(line, &[&image, tail].concat(), When::While, said);
        }
    }
    for (line, tail) in [
        ("xz -1", &b"\0\0\0"[..]),
        (XZ_THREADS, b"\0\0\0"),
        ("zstd -q", b"\0\0\0\0"),
        ("lz4", b"\0\0\0\0"),
        ("bzip2", b"\0"),
    ] {
        expect_refusal(line, &[&pipe(line, &CONTENT), tail].concat(), When::While, "damaged or cut off");
    }
}

#[test]
fn a_bit_that_flipped_is_found_by_the_checksum() {
    for line in
        ["gzip -1", "zstd -1 -q", "xz -0", XZ_THREADS, "bzip2 -1", "lz4 -1", "lz4 -1 -BX --no-frame-crc"]
    {
        let image = pipe(line, &CONTENT);
        for at in (0..12).map(|part| 40 + (image.len() - 60) / 12 * part) {
            let mut bad = image.clone();
            bad[at] ^= 0x10;
            let outcome = put(&bad, options(&bad, "auto"), false, 4 * MIB);
            // Some bits of a stored deflate block mean nothing.
            let right = outcome.is_err() || outcome.is_ok_and(|disk| disk[..CONTENT.len()] == *CONTENT);
            assert!(right, "{line}, byte {at}");
        }
    }
}

#[test]
fn nothing_in_the_container_of_xz_may_be_otherwise() {
    let image = pipe(XZ_THREADS, &CONTENT);
    for at in (0..32).chain(image.len() - 48..image.len()) {
        let mut bad = image.clone();
        bad[at] ^= 1 << (at % 8);
        assert!(put(&bad, options(&bad, "raw.xz"), false, 4 * MIB).is_err(), "byte {at} of {}", image.len());
    }
}

#[test]
fn wrong_lengths_and_checksums_at_the_end_are_found() {
    let gzip = pipe("gzip", &CONTENT);
    for (what, from_end) in [("length", 1), ("checksum", 5)] {
        let mut bad = gzip.clone();
        let at = bad.len() - from_end;
        bad[at] ^= 1;
        expect_refusal(what, &bad, When::While, "damaged");
    }
    // Magic, flags with a length, block size, then the length itself.
    let mut lz4 = pipe("lz4", &CONTENT);
    let at = lz4.len() - 1;
    lz4[at] ^= 1;
    expect_refusal("lz4's checksum", &lz4, When::While, "the checksum of an lz4 frame is wrong");
    lz4[6] ^= 1;
    expect_refusal("lz4's header", &lz4, When::Before, "header of an lz4 frame is corrupt");
}

#[test]
fn a_window_too_large_is_refused_by_what_it_needs_unless_it_may_be() {
    for (line, needs) in [
        ("xz -0 --lzma2=preset=0,dict=64MiB", 64),
        ("zstd -1 -q --long=27", 128),
        ("zstd -1 -q --long=26", 64),
    ] {
        let image = pipe(line, &CONTENT);
        expect_refusal(line, &image, When::Before, &format!("{} of memory", Bytes(needs << 20)));
        let memory = Bytes(needs << 20);
        let more = Options { decoder_memory: memory, ..options(&image, "auto") };
        expect_content(line, &image, &more, &CONTENT);
        // Not only the first frame counts.
        let tool = line.split(' ').next().expect("a tool");
        let small = pipe(&format!("{tool} -q -1"), &CONTENT[..2 * MIB]);
        expect_refusal(line, &[small, image].concat(), When::While, "of memory");
    }
}

#[test]
fn what_is_not_read_is_refused_by_name_before_it_is_written() {
    let directory = tempfile::tempdir().expect("a directory");
    let dictionary = directory.path().join("dictionary");
    std::fs::write(&dictionary, &CONTENT[200 << 10..264 << 10]).expect("written");
    // RFC 8878: a frame with a dictionary number of one byte, 7, and no content.
    let zstd = b"\x28\xb5\x2f\xfd\x21\x07\x00\x01\x00\x00";
    for (what, image, saying) in [
        ("lzma", pipe("xz --format=lzma -1", &CONTENT), ".lzma"),
        ("legacy lz4", pipe("lz4 -l", &CONTENT), "lz4-compressed in the legacy format"),
        ("zstd with a dictionary", zstd.to_vec(), "dictionary 7"),
        ("zstd around nothing", pipe("zstd -q", b""), "0 bytes"),
        ("a tar archive", pipe("zstd -q", &[&[0; 257][..], b"ustar\0", &[0; 1000]].concat()), "tar archive"),
        ("a page", pipe("gzip", b"<html><body>Not found</body></html>"), "HTML"),
    ] {
        expect_refusal(what, &image, When::Before, saying);
    }
    // lz4 does not number the dictionary of a command line, so only the content tells.
    let lz4 = pipe(&format!("lz4 -D {}", dictionary.display()), &CONTENT[200 << 10..]);
    expect_refusal("lz4 with a dictionary", &lz4, When::Before, "damaged");
}

#[test]
fn what_the_blocks_of_xz_tell_must_be_true() {
    let image = pipe(XZ_THREADS, &CONTENT);
    let other = pipe(XZ_THREADS, &vec![7; 4 * MIB]);
    // A file whose first stream tells its sizes and whose second does not, and the other way round.
    let (head, tail) = CONTENT.split_at(2 * MIB + 512);
    for (one, two) in [(XZ_THREADS, "xz -0"), ("xz -0", XZ_THREADS)] {
        let mixed = [pipe(one, head), pipe(two, tail)].concat();
        expect_content("a mixture", &mixed, &options(&mixed, "auto"), &CONTENT);
    }
    // The index and the footer of another file, whose blocks were as many.
    let ending = |file: &[u8]| {
        let footer = file.len() - 12;
        let size = u32::from_le_bytes(file[footer + 4..footer + 8].try_into().expect("four bytes"));
        footer - (size as usize + 1) * 4
    };
    let swapped = [&image[..ending(&image)], &other[ending(&other)..]].concat();
    expect_refusal("another index", &swapped, When::While, "does not fit its blocks");
    // As a whole it is a VHD, which no block shows but the last.
    let mut vhd = CONTENT[..3 * MIB].to_vec();
    let footer = vhd.len() - 512;
    vhd[footer..footer + 8].copy_from_slice(b"conectix");
    expect_refusal("a footer", &pipe(XZ_THREADS, &vhd), When::While, "fixed VHD");
}

#[test]
fn a_bomb_stops_at_the_end_of_the_disk() {
    for line in ["gzip", "zstd -q", "xz -1", XZ_THREADS, "bzip2", "lz4"] {
        let image = pipe(line, &vec![0; 32 * MIB]);
        let (said, _) =
            put(&image, options(&image, "auto"), false, 4 * MIB).expect_err("larger than the disk");
        assert!(said.contains("pick a larger root device"), "{line}: {said}");
    }
}

#[test]
fn the_digest_of_the_content_is_checked_besides_that_of_the_file() {
    let qcow2 = [&b"QFI\xfb"[..], &[0; 508]].concat();
    for line in ["gzip", "zstd -q", "xz -1", "cat"] {
        let image = pipe(line, &CONTENT);
        let right = Options { content: Some(digest(&CONTENT)), ..options(&image, "auto") };
        expect_content(line, &image, &right, &CONTENT);
        let wrong = Options { content: Some(digest(b"another")), ..right.clone() };
        let (said, _) = put(&image, wrong, false, 4 * MIB).expect_err("another content");
        assert!(said.contains(&format!("content is {}", digest(&CONTENT))), "{said}");
        if line != "cat" {
            let confused = Options { digests: vec![digest(&CONTENT)], ..right };
            let (said, _) = put(&image, confused, false, 4 * MIB).expect_err("the digests are mixed up");
            assert!(said.contains("digest of the image's content, not of the file"), "{said}");
        }
    }
    let early = Options { content: Some(digest(b"")), ..options(&qcow2, "auto") };
    assert!(put(&qcow2, early, false, 4 * MIB).is_err(), "what fails early leaves no thread behind");
}

#[test]
fn the_report_says_what_was_taken_off() {
    let block: BlockSize = 512.try_into().expect("a block size");
    for (line, compression) in
        [("xz -1", Compression::Xz), ("bzip2", Compression::Bzip2), ("lz4", Compression::Lz4)]
    {
        let image = pipe(line, &CONTENT);
        let mut disk = FakeDisk::filled(0xaa, Bytes(4 << 20), block);
        let options = Options { content: Some(digest(&CONTENT)), ..options(&image, "auto") };
        let report = install(MemorySource::new(image), &mut disk, options, |_| {}).expect(line);
        assert_eq!((report.format, report.compression), (Format::Raw, compression));
        assert_eq!(report.content, Some(digest(&CONTENT)));
    }
}
