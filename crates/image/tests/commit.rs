//! What the end of a write makes of an image's partition table.

use std::process::Command;

use disk::{FakeDisk, gpt};
use image::{CommitError, MemorySource, Options, Verify, WriteError, install};
use model::{Algorithm, Bytes, Digest, Hasher};

const MIB: usize = 1 << 20;

fn options(image: &[u8]) -> Options {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(image);
    let digests: Vec<Digest> = vec![hasher.finish()];
    Options { digests, ..Options::default() }
}

fn dirty(size: usize, block: u32) -> FakeDisk {
    FakeDisk::filled(0xaa, Bytes(size as u64), block.try_into().expect("a block size"))
}

/// A disk of `size` bytes with a GPT of one small partition.
fn gpt_image(size: usize) -> Vec<u8> {
    let path = tempfile::NamedTempFile::new().expect("a file");
    path.as_file().set_len(size as u64).expect("sized");
    let sgdisk = Command::new("sgdisk").args(["-n", "1:2048:+4M"]).arg(path.path()).output();
    let sgdisk = sgdisk.expect("sgdisk is installed (Debian package gdisk)");
    assert!(sgdisk.status.success(), "{sgdisk:?}");
    std::fs::read(path.path()).expect("an image")
}

#[test]
fn a_config_drive_where_the_backup_table_was_is_whole() {
    // The partition goes from 35 to 99 MiB, and the image's backup ends at 36.
    let image = gpt_image(36 * MIB);
    let mut drive = vec![0x11; 3 * MIB];
    drive[0x8001..0x8006].copy_from_slice(b"CD001");
    for verify in [Verify::Full, Verify::Sample, Verify::Ends] {
        let mut disk = dirty(100 * MIB, 512);
        let with_drive = Options { config_drive: Some(drive.clone()), verify, ..options(&image) };
        let report =
            install(MemorySource::new(image.clone()), &mut disk, with_drive, |_| {}).expect("installed");
        let partition = gpt::read(&mut disk).expect("a table").partitions().remove(1);
        assert_eq!((report.config_drive_partition, partition.start), (Some(2), Bytes(35 << 20)));
        assert!(disk.bytes()[35 * MIB..].starts_with(&drive), "{verify:?}");
        assert!(disk.bytes()[38 * MIB..99 * MIB].iter().all(|&byte| byte == 0), "{verify:?}");
    }
}

#[test]
fn a_table_that_nobody_looks_for_is_left_alone() {
    // As isohybrid makes it: MBR partitions, and a GPT whose first starts at 0.
    let mut image = gpt_image(8 * MIB);
    image[446..510].fill(0);
    image[446 + 16 + 4] = 0xef;
    image[446 + 16 + 8] = 64;
    image[446 + 16 + 12] = 64;
    let mut damaged = image.clone();
    damaged[1024 + 32..1024 + 40].fill(0);
    for image in [image, damaged] {
        for block in [512, 4096] {
            let mut disk = dirty(20 * MIB, block);
            install(MemorySource::new(image.clone()), &mut disk, options(&image), |_| {}).expect("installed");
            assert!(disk.bytes()[..8 * MIB] == image);
            assert!(disk.bytes()[19 * MIB..].iter().all(|&byte| byte == 0));
        }
    }
}

/// 64 MiB with an MBR partition, of 4 MiB at 1 MiB counted in sectors of `unit`
/// bytes, that holds ext4 of 4096-byte blocks.
fn mbr_image(unit: u32) -> Vec<u8> {
    let mut image = vec![0; 64 * MIB];
    image[510..512].copy_from_slice(&[0x55, 0xaa]);
    image[446 + 4] = 0x83;
    image[446 + 8..446 + 12].copy_from_slice(&((1 << 20) / unit).to_le_bytes());
    image[446 + 12..446 + 16].copy_from_slice(&((4 << 20) / unit).to_le_bytes());
    image[MIB + 0x418] = 2;
    image[MIB + 0x438..MIB + 0x43a].copy_from_slice(&[0x53, 0xef]);
    image
}

#[test]
fn an_mbr_for_other_sectors_is_told_by_its_file_systems_too() {
    for (unit, block, rewrite, right) in [
        (512, 512, false, true),
        (512, 4096, false, false),
        (512, 4096, true, true),
        (4096, 4096, false, true),
        (4096, 4096, true, true),
    ] {
        let image = mbr_image(unit);
        let mut disk = dirty(65 * MIB, block);
        let options = Options { rewrite_sectors: rewrite, ..options(&image) };
        match install(MemorySource::new(image), &mut disk, options, |_| {}) {
            Ok(_) => assert!(right && disk.bytes()[..512] == mbr_image(block)[..512], "{unit} {block}"),
            Err(WriteError::Commit(CommitError::OtherSectors { .. })) => assert!(!right, "{unit} {block}"),
            Err(err) => panic!("{unit} {block}: {err:?}"),
        }
    }
}
