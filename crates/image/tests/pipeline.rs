//! The whole pipeline on fake disks: every format, every way to fail.

use std::io::{self, Read, Write};

use disk::{FakeDisk, gpt};
use image::{Declared, MemorySource, Options, Progress, Source, Stage, WriteError, install};
use model::{Algorithm, BlockSize, Bytes, Digest, Hasher};

const MIB: usize = 1 << 20;

fn digest(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(bytes);
    hasher.finish()
}

fn block(size: u32) -> BlockSize {
    size.try_into().expect("a block size")
}

/// A disk that is full of something else.
fn dirty(size: usize, block_size: u32) -> FakeDisk {
    FakeDisk::filled(0xaa, Bytes(size as u64), block(block_size))
}

fn options(image: &[u8]) -> Options {
    Options { digests: vec![digest(image)], ..Options::default() }
}

/// Content with text, noise and holes, of any length.
fn content(length: usize) -> Vec<u8> {
    let mut noise = 1_u64;
    let byte = |at: usize| {
        noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        match at / (200 << 10) % 4 {
            0 | 3 => noise.to_be_bytes()[0],
            1 => b"billet "[at % 7],
            _ => 0,
        }
    };
    (0..length).map(byte).collect()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).expect("in memory")
}

fn is_unbootable(disk: &FakeDisk) -> bool {
    let bytes = disk.bytes();
    let (head, tail) = (&bytes[..MIB], &bytes[bytes.len() - MIB..]);
    head.iter().chain(tail).all(|&byte| byte == 0)
}

#[test]
fn every_length_and_compression_arrives_on_a_dirty_disk() {
    for length in [512, 513, 4096, MIB - 1, MIB, MIB + 1, 2 * MIB, 3 * MIB + 512, 5 * MIB + 777, 8 * MIB] {
        let raw = content(length);
        let twice = [zstd(&raw[..length / 2]), zstd(&raw[length / 2..])].concat();
        for (name, image) in [("raw", raw.clone()), ("gz", gzip(&raw)), ("zst", zstd(&raw)), ("2 zst", twice)]
        {
            for size in [512, 4096] {
                let mut disk = dirty(8 * MIB, size);
                let report = install(MemorySource::new(image.clone()), &mut disk, options(&image), |_| {})
                    .unwrap_or_else(|err| panic!("{length} {name} {size}: {err:?}"));
                assert!(disk.bytes()[..length] == raw[..], "{length} {name} {size}");
                let padded = length.next_multiple_of(size as usize);
                assert!(disk.bytes()[length..padded].iter().all(|&byte| byte == 0), "{length} {name} {size}");
                let beyond = padded.max(MIB)..7 * MIB;
                assert!(
                    disk.bytes().get(beyond).is_none_or(|beyond| beyond.iter().all(|&byte| byte == 0xaa))
                );
                assert_eq!(
                    (report.image_size, report.read),
                    (Bytes(length as u64), Bytes(image.len() as u64))
                );
            }
        }
    }
}

#[test]
fn a_wrong_image_never_becomes_bootable() {
    let image = content(4 * MIB);
    let mut disk = dirty(8 * MIB, 512);
    let wrong = Options { digests: vec![digest(b"another")], ..Options::default() };
    let error = install(MemorySource::new(image.clone()), &mut disk, wrong, |_| {}).expect_err("wrong");
    assert!(matches!(error, WriteError::WrongImage { .. }) && error.is_refusal(), "{error}");
    assert!(is_unbootable(&disk));
    install(MemorySource::new(image.clone()), &mut disk, options(&image), |_| {}).expect("a retry works");
    let error = install(MemorySource::new(image), &mut disk, Options::default(), |_| {});
    assert!(matches!(error, Err(WriteError::NoDigest)));
}

#[test]
fn nothing_boots_before_everything_is_verified() {
    let image = content(4 * MIB);
    let mut disk = dirty(8 * MIB, 512);
    let staged =
        image::stage(MemorySource::new(image.clone()), &mut disk, options(&image), |_| {}).expect("staged");
    drop(staged);
    assert!(is_unbootable(&disk));
    let verified = image::stage(MemorySource::new(image.clone()), &mut disk, options(&image), |_| {})
        .and_then(|staged| staged.verify(|_| {}))
        .expect("verified");
    drop(verified);
    assert!(is_unbootable(&disk));
}

#[test]
fn an_image_larger_than_the_disk_is_refused_before_the_first_write() {
    let image = content(8 * MIB + 512);
    let mut disk = dirty(8 * MIB, 512);
    let error = install(MemorySource::new(image.clone()), &mut disk, options(&image), |_| {});
    assert!(matches!(error, Err(WriteError::TooLarge { .. })), "{error:?}");
    assert!(disk.bytes().iter().all(|&byte| byte == 0xaa), "untouched");
    let packed = zstd(&image);
    let error = install(MemorySource::new(packed.clone()), &mut disk, options(&packed), |_| {});
    assert!(matches!(error, Err(WriteError::TooLarge { .. })), "{error:?}");
    assert!(is_unbootable(&disk));
}

#[test]
fn a_disk_that_lies_is_caught() {
    // The second mebibyte holds zeros and data; the ends of the disk are held back.
    for at in [0, 512, 600 << 10, MIB, MIB + 4096, 2 * MIB, 3 * MIB + 512, 8 * MIB - 512] {
        let image = content(8 * MIB);
        let mut disk = dirty(8 * MIB, 512);
        disk.lying = at as u64..at as u64 + 512;
        let error = install(MemorySource::new(image.clone()), &mut disk, options(&image), |_| {});
        let error = error.expect_err("a lie");
        assert!(says_it_lies(&error), "{at}: {error:?}");
        let at_an_end = !(MIB..7 * MIB).contains(&at);
        assert_eq!(matches!(error, WriteError::NotCleared { .. }), at_an_end, "{at}: it may still boot");
    }
}

/// It is told, and where the disk drops even the zeros that make it unbootable, that too.
fn says_it_lies(err: &WriteError) -> bool {
    let cause = if let WriteError::NotCleared { cause, .. } = err { cause } else { err };
    matches!(cause, WriteError::DiskLies { .. })
}

#[test]
fn a_broken_disk_is_named_and_does_not_boot() {
    for at in [MIB, 3 * MIB, 5 * MIB] {
        let image = content(8 * MIB);
        let mut disk = dirty(8 * MIB, 512);
        disk.broken = at as u64..at as u64 + 512;
        let error =
            install(MemorySource::new(image.clone()), &mut disk, options(&image), |_| {}).expect_err("EIO");
        assert!(matches!(error, WriteError::Disk { .. }) && !error.is_refusal(), "{at}: {error:?}");
        assert!(is_unbootable(&disk), "{at}");
    }
    let image = content(4 * MIB);
    let mut disk = dirty(8 * MIB, 512);
    disk.broken = 0..512;
    let error = install(MemorySource::new(image.clone()), &mut disk, options(&image), |_| {});
    assert!(matches!(error, Err(WriteError::NotCleared { .. })), "{error:?}");
}

/// A source that fails after `good` bytes.
struct Failing {
    source: MemorySource,
    good: usize,
}

impl Read for Failing {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let length = into.len().min(self.good);
        if length == 0 {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let count = self.source.read(&mut into[..length])?;
        self.good -= count;
        Ok(count)
    }
}

impl Source for Failing {
    fn length(&self) -> Option<Bytes> {
        self.source.length()
    }
}

#[test]
fn a_source_that_fails_or_ends_early_is_an_error_at_every_byte() {
    let raw = content(3 * MIB);
    for image in [raw.clone(), gzip(&raw), zstd(&raw)] {
        for part in 0..20 {
            let good = image.len() * part / 20;
            let mut disk = dirty(4 * MIB, 512);
            let source = Failing { source: MemorySource::new(image.clone()), good };
            let error = install(source, &mut disk, options(&image), |_| {}).expect_err("reset");
            assert!(matches!(error, WriteError::Source { .. }) && !error.is_refusal(), "{good}: {error:?}");
            let mut short = MemorySource::new(image[..good].to_vec());
            short.length = Some(Bytes(image.len() as u64));
            short.random = false;
            let error = install(short, &mut disk, options(&image), |_| {}).expect_err("short");
            assert!(matches!(error, WriteError::Source { .. } | WriteError::Image(_)), "{good}: {error:?}");
            // Even when the short body is what was asked for, half a stream is none.
            let cut = image[..good].to_vec();
            if cut.len() != image.len() && image != raw {
                let error = install(MemorySource::pipe(cut.clone()), &mut disk, options(&cut), |_| {});
                assert!(matches!(error, Err(WriteError::Image(_))), "{good}: {error:?}");
            }
        }
    }
}

#[test]
fn no_mutation_of_a_compressed_image_panics_or_boots() {
    let image = gzip(&content(MIB + 5000));
    for at in (0..image.len()).step_by(image.len() / 60) {
        for flip in [0x01, 0x80] {
            let mut bad = image.clone();
            bad[at] ^= flip;
            let mut disk = dirty(4 * MIB, 512);
            assert!(install(MemorySource::new(bad), &mut disk, options(&image), |_| {}).is_err(), "{at}");
        }
    }
}

#[test]
fn what_is_declared_must_be_what_it_is() {
    let image = zstd(&content(MIB));
    let mut disk = dirty(4 * MIB, 512);
    let declared: Declared = "raw".parse().expect("a format");
    let options = Options { declared, ..options(&image) };
    let error = install(MemorySource::new(image), &mut disk, options, |_| {}).expect_err("compressed");
    assert!(error.is_refusal(), "{error}");
    assert!(disk.bytes().iter().all(|&byte| byte == 0xaa), "untouched");
}

#[test]
fn a_disk_that_fails_at_any_sync_does_not_boot() {
    let image = content(8 * MIB);
    for good in 0.. {
        let mut disk = dirty(8 * MIB, 512);
        disk.failing_sync = Some(good);
        let outcome = install(MemorySource::new(image.clone()), &mut disk, options(&image), |_| {});
        if outcome.is_ok() {
            assert!(good >= 5 && disk.syncs() == good, "every sync failed once before");
            return;
        }
        assert!(is_unbootable(&disk), "sync {good}: {outcome:?}");
        let err = outcome.expect_err("a failed sync");
        assert!(matches!(err, WriteError::Sync(_)) && !err.is_refusal(), "sync {good}: {err:?}");
    }
}

#[test]
fn a_sample_reads_both_ends_of_the_disk_whole() {
    for at in [4096, 64 << 10, MIB - 512, 7 * MIB, 8 * MIB - 512] {
        let image: Vec<u8> =
            (0..8 * MIB).map(|at| u8::try_from(at / 512 % 250).expect("small") + 1).collect();
        let mut disk = dirty(8 * MIB, 512);
        disk.lying = at as u64..at as u64 + 1;
        let sample = Options { verify: image::Verify::Sample, ..options(&image) };
        let error = install(MemorySource::new(image.clone()), &mut disk, sample, |_| {}).expect_err("a lie");
        assert!(says_it_lies(&error), "{at}: {error:?}");
    }
}

#[test]
fn progress_goes_through_every_stage_and_ends_complete() {
    let image = content(4 * MIB);
    let mut disk = dirty(8 * MIB, 512);
    let mut seen: Vec<Progress> = Vec::new();
    install(MemorySource::new(image.clone()), &mut disk, options(&image), |p| seen.push(p))
        .expect("installed");
    for stage in [Stage::Write, Stage::Verify, Stage::Commit] {
        let last = seen.iter().rfind(|progress| progress.stage == stage).expect("seen");
        assert_eq!(Some(last.done), last.total, "{stage:?}");
    }
}

/// A 16 MiB GPT disk with one partition named `name`.
fn gpt_image(name: &str) -> Vec<u8> {
    let path = tempfile::NamedTempFile::new().expect("a file");
    path.as_file().set_len(16 << 20).expect("sized");
    let sgdisk = std::process::Command::new("sgdisk")
        .args(["-n", "1:2048:+4M", "-c"])
        .arg(format!("1:{name}"))
        .arg(path.path())
        .output()
        .expect("sgdisk is installed (Debian package gdisk)");
    assert!(sgdisk.status.success(), "{sgdisk:?}");
    std::fs::read(path.path()).expect("an image")
}

/// What sgdisk says of a disk.
fn sgdisk_finds_no_problems(disk: &FakeDisk) -> bool {
    let mut path = tempfile::NamedTempFile::new().expect("a file");
    path.write_all(&disk.bytes()).expect("written");
    let sgdisk = std::process::Command::new("sgdisk").arg("-v").arg(path.path()).output().expect("sgdisk");
    String::from_utf8_lossy(&sgdisk.stdout).contains("No problems found")
}

fn iso() -> Vec<u8> {
    let mut iso = vec![0; 40 << 10];
    iso[0x8001..0x8006].copy_from_slice(b"CD001");
    iso[0x8028..0x8030].copy_from_slice(b"config-2");
    iso
}

#[test]
fn the_backup_gpt_moves_to_the_end_of_a_larger_disk() {
    let image = gpt_image("root");
    let mut disk = dirty(100 * MIB, 512);
    install(MemorySource::new(image.clone()), &mut disk, options(&image), |_| {}).expect("installed");
    assert!(sgdisk_finds_no_problems(&disk));
}

#[test]
fn a_gpt_image_as_large_as_the_disk_stays_as_it_is() {
    let image = gpt_image("root");
    let mut disk = dirty(image.len(), 512);
    install(MemorySource::new(image.clone()), &mut disk, options(&image), |_| {}).expect("installed");
    assert!(*disk.bytes() == image);
}

#[test]
fn a_gpt_for_other_sectors_is_refused_and_does_not_boot() {
    let image = gpt_image("root");
    let mut disk = dirty(100 * MIB, 4096);
    let error =
        install(MemorySource::new(image.clone()), &mut disk, options(&image), |_| {}).expect_err("4Kn");
    assert!(matches!(error, WriteError::Commit(_)) && error.is_refusal(), "{error}");
    assert!(is_unbootable(&disk));
}

#[test]
fn a_config_drive_gets_a_partition_of_its_own_or_the_one_that_waits_for_it() {
    for (name, expected) in [("root", 2), ("CONFIG-2", 1)] {
        let image = gpt_image(name);
        let mut disk = dirty(100 * MIB, 512);
        let with_drive = Options { config_drive: Some(iso()), ..options(&image) };
        let report = install(MemorySource::new(image), &mut disk, with_drive, |_| {}).expect("installed");
        assert_eq!(report.config_drive_partition, Some(expected), "{name}");
        assert!(sgdisk_finds_no_problems(&disk), "{name}");
        let partitions = gpt::read(&mut disk).expect("a table").partitions();
        let partition = partitions.iter().find(|partition| partition.number == expected).expect("there");
        let start = usize::try_from(partition.start.0).expect("in memory");
        let end = start + usize::try_from(partition.length.0).expect("in memory");
        assert!(disk.bytes()[start..].starts_with(&iso()), "{name}");
        assert!(disk.bytes()[start + iso().len()..end].iter().all(|&byte| byte == 0), "{name}");
    }
}

#[test]
fn a_config_drive_that_fits_nowhere_fails_the_write() {
    let image = gpt_image("root");
    let bare = content(16 * MIB);
    for (image, what) in [(image, "no room"), (bare, "no table")] {
        let mut disk = dirty(20 * MIB, 512);
        let with_drive = Options { config_drive: Some(iso()), ..options(&image) };
        let error = install(MemorySource::new(image), &mut disk, with_drive, |_| {}).expect_err(what);
        assert!(matches!(error, WriteError::Commit(_)), "{what}: {error:?}");
        assert!(is_unbootable(&disk), "{what}");
    }
}

#[test]
fn an_mbr_image_gets_a_primary_partition_for_its_config_drive() {
    let mut image = content(4 * MIB);
    image[446..512].fill(0);
    image[510..512].copy_from_slice(&[0x55, 0xaa]);
    let mut disk = dirty(100 * MIB, 512);
    let with_drive = Options { config_drive: Some(iso()), ..options(&image) };
    let report = install(MemorySource::new(image), &mut disk, with_drive, |_| {}).expect("installed");
    assert_eq!(report.config_drive_partition, Some(1));
    assert!(disk.bytes()[36 * MIB..].starts_with(&iso()));
}
