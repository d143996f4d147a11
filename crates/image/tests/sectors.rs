//! Images made for disks with other sectors, and what an image leaves of what
//! was on the disk before. Tables are made by sgdisk, and judged by
//! it.

use std::{fs, process::Command};

use disk::{FakeDisk, gpt};
use image::{MemorySource, Options, Report, WriteError, install};
use model::{Algorithm, BlockSize, Bytes, Digest, Hasher};

const MIB: usize = 1 << 20;
/// The image.
const IMAGE: usize = 24 * MIB;
/// The disk: larger, so that the backup table moves.
const DISK: usize = 28 * MIB;

fn run(program: &str, arguments: &[&str]) -> String {
    let output =
        Command::new(program).args(arguments).output().unwrap_or_else(|err| panic!("{program}: {err}"));
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A disk for 512-byte sectors: an ESP whose FAT has sectors of `fat` bytes, and ext4 of `ext` byte blocks.
fn image(fat: &str, ext: &str) -> Vec<u8> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("image");
    fs::write(&path, vec![0; IMAGE]).expect("a file");
    let text = path.to_str().expect("UTF-8");
    run("sgdisk", &["--new=1:2048:+8M", "--typecode=1:ef00", "--new=2:0:0", "--change-name=2:root", text]);
    run("mkfs.vfat", &["-S", fat, "--offset", "2048", text, "8192"]);
    run("mke2fs", &["-q", "-b", ext, "-E", "offset=9437184", text, "14M"]);
    fs::read(path).expect("the image")
}

fn options(image: &[u8], rewrite_sectors: bool) -> Options {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(image);
    let digest: Digest = hasher.finish();
    Options { digests: vec![digest], rewrite_sectors, ..Options::default() }
}

fn disk(sectors: u32) -> FakeDisk {
    // As dirty as a disk can be.
    FakeDisk::filled(0xaa, Bytes(DISK as u64), block(sectors))
}

fn block(sectors: u32) -> BlockSize {
    sectors.try_into().expect("a block size")
}

fn written(image: &[u8], disk: &mut FakeDisk, rewrite: bool) -> Result<Report, WriteError> {
    install(MemorySource::new(image.to_vec()), disk, options(image, rewrite), |_| {})
}

/// The error, its causes too.
fn said(error: &WriteError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(err) = cause {
        text += &format!(": {err}");
        cause = err.source();
    }
    text
}

#[test]
fn a_table_for_other_sectors_is_refused_by_default_and_leaves_nothing_to_boot() {
    let image = image("4096", "4096");
    let mut disk = disk(4096);
    let error = written(&image, &mut disk, false).expect_err("made for 512");
    assert!(error.is_refusal());
    let text = said(&error);
    assert!(text.contains("made for 512-byte sectors and the disk has 4096-byte sectors"), "{text}");
    assert!(disk.bytes()[..MIB].iter().chain(&disk.bytes()[DISK - MIB..]).all(|&byte| byte == 0));
}

#[test]
fn a_table_for_other_sectors_is_rewritten_when_asked() {
    let image = image("4096", "4096");
    let before = gpt::Table::parse(&image[..MIB], block(512)).expect("sound");
    let mut disk = disk(4096);
    let report = written(&image, &mut disk, true).expect("rewritten");
    assert_eq!(report.rewritten_from, Some(512));
    let bytes = disk.bytes();
    let after = gpt::Table::parse(&bytes[..MIB], block(4096)).expect("sound in 4096");
    let starts = |table: &gpt::Table| -> Vec<_> {
        table.partitions().into_iter().map(|p| (p.number, p.kind, p.id, p.name, p.start)).collect()
    };
    assert_eq!(starts(&after), starts(&before));
    for (new, old) in after.partitions().iter().zip(before.partitions()) {
        assert_eq!(new.length, Bytes(old.length.0.next_multiple_of(4096)), "partition {}", old.number);
    }
    assert_eq!(after.disk_id(), before.disk_id());
    let first = usize::try_from(before.partitions()[0].start.0).expect("small");
    assert_eq!(bytes[first..IMAGE - MIB], image[first..IMAGE - MIB], "not a byte of a partition has moved");
    assert_ne!(&bytes[512..520], b"EFI PART", "the old header is gone");
    assert_eq!(bytes[IMAGE - 512..IMAGE], [0; 512], "and the old backup");
    judged_by_others(&bytes, 4096);
}

/// On a loop device of such sectors, sgdisk finds no problem, and the first partition at the first mebibyte.
fn judged_by_others(bytes: &[u8], of: u32) {
    let file = tempfile::NamedTempFile::new().expect("a temporary file");
    fs::write(file.path(), bytes).expect("written");
    let sectors = of.to_string();
    let attach = ["--find", "--show", "--sector-size", &sectors, file.path().to_str().expect("UTF-8")];
    let Ok(output) = Command::new("losetup").args(attach).output() else { return };
    if !output.status.success() {
        return eprintln!("SKIPPED: sgdisk was not asked: losetup needs root");
    }
    let device = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let verdict = Command::new("sgdisk").args(["--verify", "--info=1", &device]).output().expect("sgdisk");
    run("losetup", &["--detach", &device]);
    let verdict = String::from_utf8_lossy(&verdict.stdout).into_owned();
    assert!(verdict.contains("No problems found"), "{verdict}");
    assert!(
        verdict.contains(&format!("First sector: {} (at 1024.0 KiB)", (1 << 20) / block(of).get())),
        "{verdict}"
    );
}

#[test]
fn a_table_is_not_rewritten_around_a_file_system_that_would_not_be_mounted() {
    for (fat, ext, want) in [
        ("512", "4096", "partition 1 holds FAT made for sectors of at most 512 bytes"),
        ("4096", "1024", "partition 2 holds ext made for sectors of at most 1024 bytes"),
    ] {
        let image = image(fat, ext);
        let mut disk = disk(4096);
        let error = written(&image, &mut disk, true).expect_err("not mountable");
        let text = said(&error);
        assert!(error.is_refusal() && text.contains(want), "{text}");
        assert!(disk.bytes()[..MIB].iter().all(|&byte| byte == 0));
    }
}

#[test]
fn a_table_for_large_sectors_comes_to_a_disk_of_small_ones_when_asked() {
    // The same image, rewritten for 4096 and back.
    let image = image("4096", "4096");
    let mut large = disk(4096);
    written(&image, &mut large, true).expect("rewritten");
    let image = large.bytes().clone();
    let mut small = disk(512);
    let text = said(&written(&image, &mut small, false).expect_err("made for 4096"));
    assert!(text.contains("made for 4096-byte sectors and the disk has 512-byte sectors"), "{text}");
    written(&image, &mut small, true).expect("rewritten back");
    judged_by_others(&small.bytes(), 512);
}

#[test]
fn an_mbr_for_small_sectors_is_refused_or_rewritten_on_a_disk_of_large_ones() {
    let mut image = vec![0; IMAGE];
    (image[510], image[511]) = (0x55, 0xaa);
    let entry = &mut image[446..462];
    entry[4] = 0x83;
    entry[8..12].copy_from_slice(&2048_u32.to_le_bytes());
    entry[12..16].copy_from_slice(&(46_u32 * 1024).to_le_bytes());
    let text = said(&written(&image, &mut disk(4096), false).expect_err("made for 512"));
    assert!(text.contains("its MBR was made for 512-byte sectors"), "{text}");
    let mut large = disk(4096);
    assert_eq!(written(&image, &mut large, true).expect("rewritten").rewritten_from, Some(512));
    let found = disk::mbr::partitions(&large.bytes()[..512]);
    assert_eq!((found[0].start_blocks, found[0].length_blocks), (256, 46 * 128));
    assert_eq!(written(&image, &mut disk(512), false).expect("as it is").rewritten_from, None);
}

/// Where the labels of what uses whole disks lie, from either end of the disk.
const LABELS: &[(&str, Place, &[u8])] = &[
    ("md 0.90", Place::End(128 << 10), &[0xfc, 0x4e, 0x2b, 0xa9]),
    ("md 1.0", Place::End(16 << 10), &[0xfc, 0x4e, 0x2b, 0xa9]),
    ("md 1.1", Place::Start(0), &[0xfc, 0x4e, 0x2b, 0xa9]),
    ("md 1.2", Place::Start(4096), &[0xfc, 0x4e, 0x2b, 0xa9]),
    ("LVM", Place::Start(512), b"LABELONE"),
    ("ZFS, first label", Place::Start(128 << 10), &[0x0c, 0xb1, 0xba]),
    ("ZFS, last label", Place::End(128 << 10), &[0x0c, 0xb1, 0xba]),
    ("ZFS, third label", Place::End(384 << 10), &[0x0c, 0xb1, 0xba]),
    ("Intel RAID", Place::End(1024), b"Intel Raid ISM"),
    ("DDF", Place::End(512), &[0xde, 0x11, 0xde, 0x11]),
    ("backup GPT", Place::End(512), b"EFI PART"),
];

#[derive(Clone, Copy)]
enum Place {
    Start(usize),
    End(usize),
}

#[test]
fn no_label_of_a_whole_disk_outlives_an_image() {
    // An image without a partition table: nothing of its own belongs to the ends.
    let image = vec![0x11; 4 * MIB];
    for sectors in [512, 4096] {
        for (name, place, label) in LABELS {
            let mut disk = disk(sectors);
            let at = match place {
                Place::Start(at) => *at,
                Place::End(at) => DISK - at,
            };
            disk.bytes_mut()[at..at + label.len()].copy_from_slice(label);
            written(&image, &mut disk, false).unwrap_or_else(|err| panic!("{name}: {err:?}"));
            assert_ne!(&disk.bytes()[at..at + label.len()], *label, "{name} on {sectors}");
            assert!(disk.bytes()[DISK - MIB..].iter().all(|&byte| byte == 0), "{name} on {sectors}");
        }
    }
}
