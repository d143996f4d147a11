#![expect(clippy::cast_possible_truncation, reason = "test disks fit in memory")]

use std::{
    io,
    ops::Range,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use disk::FakeDisk;
use model::{Algorithm, BlockSize, Hasher};

use super::*;
use crate::{
    Options, Report, Stage, Verify, WriteError,
    budget::RECORDS,
    readback::{Record, Records},
    writer::Writer,
};

const CHUNK: u64 = 64 << 10;
const MIB: u64 = 1 << 20;

fn digest_of(algorithm: Algorithm, bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(algorithm);
    hasher.update(bytes);
    hasher.finish()
}

/// A disk of `size` bytes whose chunks all differ, each fourth of them zero.
fn content(size: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in 0..size.div_ceil(CHUNK) {
        let word = if number % 4 == 3 { 0 } else { number + 1 };
        for place in 0..CHUNK / 16 {
            bytes.extend(word.to_le_bytes());
            bytes.extend(word.wrapping_mul(place.wrapping_mul(0x9e37_79b9_7f4a_7c15)).to_le_bytes());
        }
    }
    bytes.truncate(size as usize);
    bytes
}

/// The file that stores `disk`, and the document of its manifest.
fn stored(disk: &[u8], encoding: Encoding) -> (Vec<u8>, Vec<u8>) {
    let mut draft = Draft::new(Bytes(CHUNK)).expect("a chunk size");
    let mut file = Vec::new();
    for chunk in disk.chunks(CHUNK as usize) {
        let start = file.len() as u64;
        match encoding {
            Encoding::Raw => file.extend(chunk),
            Encoding::Zstd => file.extend(zstd::bulk::compress(chunk, 3).expect("compresses")),
        }
        draft.add(chunk, &(start..file.len() as u64)).expect("a chunk");
    }
    let manifest = draft.finish(ImageFile {
        name: format!("a.{}", encoding.format()),
        length: Bytes(file.len() as u64),
        encoding,
        sha256: digest_of(Algorithm::Sha256, &file),
        sha512: digest_of(Algorithm::Sha512, &file),
    });
    let document = manifest.and_then(|manifest| manifest.to_json()).expect("a manifest");
    (file, document)
}

/// Mirrors in memory. Those listed give wrong bytes for the chunk at an offset.
struct Mirrors {
    file: Vec<u8>,
    wrong_at: Vec<Option<u64>>,
    struck: Mutex<Vec<usize>>,
    served: AtomicU64,
    at_once: usize,
}

impl Mirrors {
    fn new(file: Vec<u8>, wrong_at: &[Option<u64>]) -> Self {
        Self {
            file,
            wrong_at: wrong_at.to_vec(),
            struck: Mutex::default(),
            served: AtomicU64::new(0),
            at_once: 3,
        }
    }

    fn good(file: Vec<u8>) -> Self {
        Self::new(file, &[None])
    }

    /// In order, so that every write is the same one each time.
    fn in_order(file: &[u8]) -> Self {
        Self { at_once: 1, ..Self::good(file.to_vec()) }
    }
}

impl ChunkSource for Mirrors {
    fn fetch(&self, range: Range<u64>) -> io::Result<Piece> {
        let struck = self.struck.lock().expect("not poisoned");
        let mirror = (0..self.wrong_at.len()).find(|mirror| !struck.contains(mirror));
        let mirror = mirror.ok_or_else(|| io::Error::other("no mirror is left"))?;
        let mut bytes = self.file[range.start as usize..range.end as usize].to_vec();
        if let Some(at) = self.wrong_at[mirror].filter(|at| range.contains(at)) {
            bytes[(at - range.start) as usize] ^= 1;
        }
        self.served.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        Ok(Piece { bytes, mirror })
    }

    fn distrust(&self, mirror: usize) {
        self.struck.lock().expect("not poisoned").push(mirror);
    }

    fn at_once(&self) -> usize {
        self.at_once
    }
}

/// A disk full of something else.
fn dirty(size: u64, block: u32) -> FakeDisk {
    FakeDisk::filled(0xaa, Bytes(size), block.try_into().expect("a block size"))
}

fn trusted(document: &[u8]) -> Accepted {
    accept(document, &[digest_of(Algorithm::Sha256, document)], &[]).expect("its digest is given")
}

fn write(document: &[u8], from: &Mirrors, disk: &mut FakeDisk) -> Result<Report, WriteError> {
    install_chunks(trusted(document), from, disk, Options::default(), |_| {})
}

/// Both ends are zero.
fn does_not_boot(disk: &FakeDisk) -> bool {
    let bytes = disk.bytes();
    let end = bytes.len() - MIB as usize;
    bytes[..MIB as usize].iter().chain(&bytes[end..]).all(|&byte| byte == 0)
}

#[test]
fn a_dirty_disk_gets_exactly_the_image_whatever_its_blocks_and_the_images_length() {
    for encoding in [Encoding::Raw, Encoding::Zstd] {
        for block in [512, 4096] {
            for (image, size) in [
                (9 * MIB, 9 * MIB),
                (9 * MIB, 12 * MIB),
                (5 * MIB + 512, 8 * MIB),
                (5 * MIB + 100, 6 * MIB),
                (MIB / 2, 4 * MIB),
                (3 * CHUNK + 4096, MIB),
            ] {
                let content = content(image);
                let (file, document) = stored(&content, encoding);
                let mut disk = dirty(size, block);
                let report = write(&document, &Mirrors::good(file), &mut disk).expect("written");
                assert!(disk.bytes()[..content.len()] == content, "{encoding:?} {block} {image} {size}");
                assert_eq!((report.image_size, report.skipped), (Bytes(image), Bytes(0)));
                assert!(report.verified.0 >= image, "{} of {image} read back", report.verified.0);
            }
        }
    }
}

#[test]
fn only_what_differs_is_fetched_and_all_of_it_is_read_back() {
    let content = content(40 * MIB);
    let (file, document) = stored(&content, Encoding::Raw);
    let mut disk = dirty(40 * MIB, 512);
    disk.bytes_mut().copy_from_slice(&content);
    // One chunk of twenty-one, the zeros among them too.
    for chunk in disk.bytes_mut().chunks_mut(CHUNK as usize).step_by(21) {
        chunk[100] ^= 1;
    }
    let mirrors = Mirrors::good(file);
    let report = write(&document, &mirrors, &mut disk).expect("written");
    assert!(*disk.bytes() == content);
    let (served, data) = (mirrors.served.into_inner(), 40 * MIB / 4 * 3);
    assert_eq!(report.read, Bytes(served));
    assert!(served < data / 100 * 6, "{served} of {data} fetched");
    assert_eq!(report.skipped.0 + served, data);
    assert!(report.verified.0 >= 40 * MIB, "{}", report.verified.0);
}

#[test]
fn the_same_again_fetches_nothing_and_a_disk_of_something_else_is_not_read_through() {
    let content = content(40 * MIB);
    let (file, document) = stored(&content, Encoding::Zstd);
    let mirrors = Mirrors::good(file);
    let mut disk = dirty(40 * MIB, 4096);
    write(&document, &mirrors, &mut disk).expect("written");
    let before = disk.events().iter().position(|event| matches!(event, disk::Event::Write(_)));
    assert!(before.expect("cleared") <= 64, "probes only");
    let once = mirrors.served.load(Ordering::Relaxed);
    let mut last = None;
    let outcome = install_chunks(trusted(&document), &mirrors, &mut disk, Options::default(), |progress| {
        if progress.stage == Stage::Compare {
            last = Some((Some(progress.done), progress.total));
        }
    });
    let report = outcome.expect("written again");
    let data = Some(Bytes(40 * MIB / 4 * 3));
    assert_eq!(last, Some((data, data)), "the comparing ends complete");
    assert_eq!((report.read, mirrors.served.into_inner()), (Bytes(0), once));
    assert_eq!(report.skipped, Bytes(40 * MIB / 4 * 3));
    assert!(*disk.bytes() == content);
}

#[test]
fn a_mirror_that_gives_a_wrong_chunk_is_not_asked_again() {
    let content = content(9 * MIB);
    for encoding in [Encoding::Raw, Encoding::Zstd] {
        let (file, document) = stored(&content, encoding);
        let at = Some(file.len() as u64 / 2);
        let mut disk = dirty(9 * MIB, 512);
        let mirrors = Mirrors::new(file.clone(), &[at, None]);
        write(&document, &mirrors, &mut disk).expect("the other mirror is right");
        assert!(*disk.bytes() == content);
        assert!(mirrors.struck.lock().expect("not poisoned").contains(&0));
        let err = write(&document, &Mirrors::new(file, &[at, at]), &mut dirty(9 * MIB, 512));
        assert!(matches!(err, Err(WriteError::Source { .. })), "{err:?}");
    }
}

#[test]
fn wrong_bytes_never_reach_the_disk_and_it_does_not_boot() {
    let content = content(9 * MIB);
    let (file, document) = stored(&content, Encoding::Raw);
    let at = 4 * MIB + 5;
    let mut disk = dirty(9 * MIB, 512);
    write(&document, &Mirrors::new(file, &[Some(at), Some(at)]), &mut disk).expect_err("both lie");
    assert!(does_not_boot(&disk));
    assert_eq!(disk.bytes()[at as usize], 0xaa);
}

#[test]
fn a_write_that_is_cut_off_leaves_no_bootable_disk_and_goes_on_where_it_was() {
    let content = content(40 * MIB);
    let (file, document) = stored(&content, Encoding::Zstd);
    let whole = Mirrors::in_order(&file);
    let mut disk = dirty(40 * MIB, 512);
    write(&document, &whole, &mut disk).expect("written");
    let (all, writes) = (whole.served.into_inner(), disk.writes());
    // Zeros come first, and the ends, which make it bootable, last.
    for cut in [3, writes * 2 / 3, writes * 5 / 6, writes - 4] {
        let mut disk = dirty(40 * MIB, 512);
        disk.vanishes_after = Some(cut);
        write(&document, &Mirrors::in_order(&file), &mut disk).expect_err("cut off");
        disk.vanishes_after = None;
        assert!(does_not_boot(&disk), "cut after {cut} writes");
        let mirrors = Mirrors::in_order(&file);
        let report = write(&document, &mirrors, &mut disk).expect("the second time");
        assert!(*disk.bytes() == content, "cut after {cut} writes");
        assert_eq!(report.skipped > Bytes(0), cut > 3, "cut after {cut} writes");
        assert!(mirrors.served.into_inner() <= all);
    }
}

#[test]
fn a_disk_that_drops_writes_is_caught() {
    let (file, document) = stored(&content(9 * MIB), Encoding::Zstd);
    let mut disk = dirty(9 * MIB, 512);
    disk.lying = 4 * MIB..4 * MIB + 1;
    let err = write(&document, &Mirrors::good(file), &mut disk).expect_err("it lies");
    assert!(matches!(err, WriteError::DiskLies { .. }), "{err:?}");
    assert!(does_not_boot(&disk));
}

#[test]
fn an_image_longer_than_the_disk_is_refused_before_it_is_touched() {
    let (file, document) = stored(&content(9 * MIB), Encoding::Zstd);
    let mut disk = dirty(8 * MIB, 512);
    let err = write(&document, &Mirrors::good(file), &mut disk).expect_err("too large");
    assert!(matches!(err, WriteError::TooLarge { .. }), "{err:?}");
    assert_eq!(disk.events(), []);
}

#[test]
fn of_a_raw_image_its_own_digest_is_enough_and_is_taken_over_the_disk() {
    let content = content(9 * MIB + 512);
    let image = digest_of(Algorithm::Sha512, &content);
    let (file, document) = stored(&content, Encoding::Raw);
    let accepted = accept(&document, &[], std::slice::from_ref(&image)).expect("raw");
    let mut disk = dirty(12 * MIB, 512);
    let options = Options::default;
    let report = install_chunks(accepted, &Mirrors::good(file), &mut disk, options(), |_| {});
    assert_eq!(report.expect("written").digests, std::slice::from_ref(&image));
    assert!(disk.bytes()[..content.len()] == content);

    // A manifest of other content that says it is this image's.
    let mut forged = content.clone();
    forged[4 * MIB as usize] ^= 1;
    let (forged, forged_document) = stored(&forged, Encoding::Raw);
    let text = String::from_utf8(forged_document).expect("JSON");
    let text = text.replace(&digest_of(Algorithm::Sha512, &forged).hex(), &image.hex());
    let accepted = accept(text.as_bytes(), &[], &[image]).expect("it says so");
    let err = install_chunks(accepted, &Mirrors::good(forged), &mut disk, options(), |_| {});
    assert!(matches!(err, Err(WriteError::WrongImage { .. })), "{err:?}");
    assert!(does_not_boot(&disk));
}

#[test]
fn content_that_is_another_format_never_boots() {
    let mut content = content(3 * MIB);
    content[..4].copy_from_slice(b"QFI\xfb");
    let (file, document) = stored(&content, Encoding::Raw);
    let mut disk = dirty(3 * MIB, 512);
    let err = write(&document, &Mirrors::good(file), &mut disk).expect_err("a qcow2");
    assert!(matches!(err, WriteError::Image(_)) && err.is_refusal(), "{err:?}");
    assert!(does_not_boot(&disk));
}

#[test]
fn a_digest_of_the_content_is_taken_over_the_disk_too() {
    let content = content(3 * MIB);
    let (file, document) = stored(&content, Encoding::Zstd);
    let mut disk = dirty(4 * MIB, 512);
    for (given, right) in
        [(digest_of(Algorithm::Sha512, &content), true), (digest_of(Algorithm::Sha512, b""), false)]
    {
        let options = Options { content: Some(given.clone()), ..Options::default() };
        let outcome =
            install_chunks(trusted(&document), &Mirrors::good(file.clone()), &mut disk, options, |_| {});
        match outcome {
            Ok(report) => assert!(right && report.content == Some(given)),
            Err(err) => assert!(!right && matches!(err, WriteError::WrongContent { .. }), "{err:?}"),
        }
        assert_eq!(does_not_boot(&disk), !right);
    }
}

#[test]
fn more_may_stay_on_the_disk_than_is_remembered_at_once() {
    let block: BlockSize = 512.try_into().expect("a block size");
    let mut disk = FakeDisk::filled(0, Bytes(RECORDS as u64 * 512 + (4 << 20)), block);
    let mut writer = Writer::new(&mut disk, Records::new(Verify::Full));
    let body = (1 << 20)..(1 << 20) + (RECORDS as u64 + 1000) * 512;
    let length = body.end - body.start;
    let (skipped, written) = writer
        .write_by_lanes(|writer| body.step_by(512).try_for_each(|at| writer.skip(Record::zeros(at, 512))));
    skipped.and(written).expect("read back on the way");
    writer.prove(|_| {}).expect("proven");
    assert_eq!(writer.lanes.proven(), Bytes(length));
}
