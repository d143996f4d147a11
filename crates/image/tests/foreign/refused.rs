//! What is not all of a disk, or lies, is refused by name and before anything is
//! written; what is cut off or damaged is never taken for whole.

use std::fs;

use super::{Random, any_order, as_qemu_reads, content, digest, in_order, installed, qemu_img};
use disk::FakeDisk;
use image::{Declared, Formats, MemorySource, Options, install};

#[test]
fn what_is_not_all_of_a_disk_is_refused_by_name() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("disk.raw"), content(1 << 20, &mut Random(1))).expect("written");
    let make = |line: &str, file: &str| {
        qemu_img(dir.path(), line);
        fs::read(dir.path().join(file)).expect("made")
    };
    let convert = "convert -f raw disk.raw -O vmdk -o";
    make(&format!("{convert} subformat=monolithicSparse base.vmdk"), "base.vmdk");
    for (line, file, says) in [
        (format!("{convert} subformat=monolithicFlat flat.vmdk"), "flat.vmdk", "VMDK descriptor"),
        (format!("{convert} subformat=twoGbMaxExtentSparse two.vmdk"), "two.vmdk", "VMDK descriptor"),
        (format!("{convert} subformat=twoGbMaxExtentSparse two.vmdk"), "two-s001.vmdk", "split"),
        ("create -f vmdk -b base.vmdk -F vmdk snapshot.vmdk".to_owned(), "snapshot.vmdk", "snapshot"),
    ] {
        let image = make(&line, file);
        for source in [any_order(&image), in_order(&image)] {
            let refusal = installed(&image, 512, source).expect_err(file);
            assert!(refusal.contains(says) && refusal.ends_with("(untouched)"), "{file}: {refusal}");
        }
    }
}

/// The sum that a VHD's footer and header hold of themselves.
fn seal_vhd(part: &mut [u8], place: usize) {
    part[place..place + 4].fill(0);
    let sum = !part.iter().map(|&byte| u32::from(byte)).sum::<u32>();
    part[place..place + 4].copy_from_slice(&sum.to_be_bytes());
}

fn put(image: &mut [u8], at: usize, bytes: &[u8]) {
    image[at..at + bytes.len()].copy_from_slice(bytes);
}

#[test]
fn a_vhd_that_lies_is_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("disk.raw"), content(5 << 20, &mut Random(2))).expect("written");
    qemu_img(dir.path(), "convert -f raw disk.raw -O vpc -o force_size=on image");
    let sound = fs::read(dir.path().join("image")).expect("made");
    let end = sound.len() - 512;
    let footers = |change: &dyn Fn(&mut [u8])| {
        let mut image = sound.clone();
        for at in [0, end] {
            change(&mut image[at..at + 512]);
            seal_vhd(&mut image[at..at + 512], 64);
        }
        image
    };
    let header = |at: usize, bytes: &[u8]| {
        let mut image = sound.clone();
        put(&mut image[512..1536], at, bytes);
        seal_vhd(&mut image[512..1536], 36);
        image
    };
    let plain = |at: usize, bytes: &[u8]| {
        let mut image = sound.clone();
        put(&mut image, at, bytes);
        image
    };
    let entries = 1536;
    let cases = [
        ("differencing", footers(&|footer| footer[63] = 4)),
        ("disk type 9", footers(&|footer| footer[63] = 9)),
        ("version 0x20000", footers(&|footer| footer[13] = 2)),
        ("size of the disk is absurd", footers(&|footer| footer[48..56].fill(0xff))),
        ("checksum of the footer", plain(100, &[1])),
        ("checksum of the dynamic disk header", plain(512 + 100, &[1])),
        ("no dynamic disk header", header(0, b"nonsense")),
        ("block size", header(32, &[0, 0x20, 0, 1])),
        ("too small for the disk", header(28, &[0, 0, 0, 1])),
        ("the tables overlap", header(16, &1024_u64.to_be_bytes())),
        ("cut off", header(16, &(1_u64 << 40).to_be_bytes())),
        ("overlaps the tables", plain(entries, &2_u32.to_be_bytes())),
        ("two blocks overlap", plain(entries, &sound[entries + 4..entries + 8])),
        ("cut off", plain(entries, &0x00ff_ffff_u32.to_be_bytes())),
        ("not the one at the start", {
            let mut image = sound.clone();
            image[end + 70] ^= 1;
            seal_vhd(&mut image[end..], 64);
            image
        }),
        ("the footer at byte", sound[..end].to_vec()),
    ];
    for (says, image) in cases {
        let refusal = installed(&image, 512, any_order(&image)).expect_err(says);
        assert!(refusal.contains(says) && refusal.ends_with("(untouched)"), "{says}: {refusal}");
    }
}

fn seal_vhdx(image: &mut [u8], at: usize, length: usize) {
    let part = &mut image[at..at + length];
    part[4..8].fill(0);
    let crc = part.iter().fold(u32::MAX, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| crc >> 1 ^ (crc & 1).wrapping_neg() & 0x82f6_3b78)
    });
    part[4..8].copy_from_slice(&(!crc).to_le_bytes());
}

#[test]
fn a_vhdx_that_lies_is_refused_before_anything_is_written() {
    const KIB: usize = 1 << 10;
    const MIB: usize = 1 << 20;
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("disk.raw"), content(3 << 20, &mut Random(3))).expect("written");
    qemu_img(dir.path(), "convert -f raw disk.raw -O vhdx -o block_size=1M image");
    let sound = fs::read(dir.path().join("image")).expect("made");
    // Each change to both headers, and to both region tables.
    let twice = |places: [usize; 2], length: usize, at: usize, bytes: &[u8]| {
        let mut image = sound.clone();
        for place in places {
            put(&mut image[place..], at, bytes);
            seal_vhdx(&mut image, place, length);
        }
        image
    };
    let header = |at: usize, bytes: &[u8]| twice([64 * KIB, 128 * KIB], 4 * KIB, at, bytes);
    let regions = |at: usize, bytes: &[u8]| twice([192 * KIB, 256 * KIB], 64 * KIB, at, bytes);
    let plain = |at: usize, bytes: &[u8]| {
        let mut image = sound.clone();
        put(&mut image, at, bytes);
        image
    };
    let (blocks, metadata) = (2 * MIB, 3 * MIB);
    let items = metadata + 64 * KIB;
    let cases = [
        ("a log that was not replayed", header(48, &[1])),
        ("version 2", header(66, &[2])),
        ("both headers claim", {
            let mut image = header(8, &[9]);
            put(&mut image[64 * KIB..], 16, &[0xff]);
            seal_vhdx(&mut image, 64 * KIB, 4 * KIB);
            image
        }),
        ("neither header is sound", plain(64 * KIB + 20, &[1; 64 * 1024 + 20])),
        ("two regions overlap", regions(32, &(3 * MIB as u64).to_le_bytes())),
        ("at a mebibyte", regions(32, &(2 * MIB as u64 + 512).to_le_bytes())),
        ("cut off", regions(32, &(1_u64 << 50).to_le_bytes())),
        ("a region is missing", regions(8, &1_u32.to_le_bytes())),
        ("too many entries", regions(8, &9999_u32.to_le_bytes())),
        ("a region of its own", {
            let mut image = regions(16, &[0; 16]);
            put(&mut image[192 * KIB..], 44, &[1]);
            seal_vhdx(&mut image, 192 * KIB, 64 * KIB);
            image
        }),
        ("no metadata table", plain(metadata, &[0])),
        ("metadata table has too many", plain(metadata + 10, &[0xff, 0xff])),
        ("an item of the metadata is missing", plain(metadata + 10, &[1, 0])),
        ("not where items are", plain(metadata + 48, &[0, 0, 0, 0])),
        ("metadata of its own", plain(metadata + 32, &[0xee])),
        ("differencing", plain(items + 4, &[2])),
        ("block size", plain(items, &[0, 0, 0x11, 0])),
        ("size of the disk is absurd", plain(items + 8, &[1])),
        ("logical sector size", plain(items + 32, &[1])),
        ("too small for the disk", plain(items + 8, &(60_u64 << 40).to_le_bytes())),
        ("differencing", plain(blocks, &[7])),
        ("state is unknown", plain(blocks, &[4])),
        ("entry is malformed", plain(blocks + 1, &[1])),
        ("lies in the headers", plain(blocks, &6_u64.to_le_bytes())),
        ("overlaps a region", plain(blocks, &(0x20_0006_u64).to_le_bytes())),
        ("cut off", plain(blocks, &((1_u64 << 50) | 6).to_le_bytes())),
    ];
    for (says, image) in cases {
        let refusal = installed(&image, 512, any_order(&image)).expect_err(says);
        assert!(refusal.contains(says) && refusal.ends_with("(untouched)"), "{says}: {refusal}");
    }
}

#[test]
fn a_vmdk_that_lies_is_refused_before_anything_is_written() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("disk.raw"), content(3 << 20, &mut Random(4))).expect("written");
    qemu_img(dir.path(), "convert -f raw disk.raw -O vmdk image");
    let sound = fs::read(dir.path().join("image")).expect("made");
    let number = |at: usize| sound[at] as usize | (sound[at + 1] as usize) << 8;
    let directory = number(56) * 512;
    let table = number(directory) * 512;
    let entries: Vec<usize> = (0..48).map(|entry| table + entry * 4).filter(|&at| number(at) != 0).collect();
    let plain = |at: usize, bytes: &[u8]| {
        let mut image = sound.clone();
        put(&mut image, at, bytes);
        image
    };
    let cases = [
        ("version 4", plain(4, &[4])),
        ("later version", plain(11, &[0x80])),
        ("without markers", plain(10, &[1])),
        ("without markers", plain(77, &[1])),
        ("algorithm 2", plain(77, &[2])),
        ("line ends", plain(75, b"\n")),
        ("flat or split", plain(12, &[0; 8])),
        ("split disk", plain(28, &[0; 8])),
        ("grain size", plain(20, &[127])),
        ("length of grain tables", plain(44, &[3])),
        ("size of the disk is absurd", plain(12, &[0xff; 8])),
        ("the grain directory is nowhere", plain(56, &[0; 8])),
        ("the grain directory is nowhere", plain(56, &[0xff; 8])),
        ("behind its first 64 KiB", plain(36, &[0xff])),
        ("no type", plain(512, &[b'#'; 160])),
        ("cut off", plain(56, &[0xff, 0xff, 0xff, 0])),
        ("cut off", plain(directory, &[0xff, 0xff, 0xff, 0])),
        ("cut off", plain(entries[0], &[0xff, 0xff, 0xff, 0])),
        ("overlap", plain(directory, &[1])),
        ("overlap", plain(entries[0], &[1])),
        ("overlap", plain(entries[0], &sound[entries[1]..entries[1] + 4])),
    ];
    for (says, image) in cases {
        let refusal = installed(&image, 512, any_order(&image)).expect_err(says);
        assert!(refusal.contains(says) && refusal.ends_with("(untouched)"), "{says}: {refusal}");
    }
}

/// The disk that `source` makes, if it makes one, when it was declared.
fn declared(bytes: &[u8], format: &str, source: MemorySource) -> Option<Vec<u8>> {
    let mut disk = FakeDisk::filled(0xaa, super::DISK, 512.try_into().expect("a block size"));
    let declared: Declared = format.parse().expect("a format");
    let digests = vec![digest(bytes)];
    let options = Options { declared, permitted: Formats::ALL, digests, ..Options::default() };
    let report = install(source, &mut disk, options, |_| {}).ok()?;
    let size = usize::try_from(report.image_size.0).expect("small");
    Some(disk.bytes()[..size].to_vec())
}

#[test]
fn no_truncation_is_taken_for_whole() {
    let dir = tempfile::tempdir().expect("a directory");
    fs::write(dir.path().join("disk.raw"), content(2 << 20, &mut Random(5))).expect("written");
    for (format, options) in super::KINDS {
        qemu_img(dir.path(), &format!("convert -f raw -O {format} -o {options} disk.raw image"));
        let expected = as_qemu_reads(dir.path(), format, "image");
        let image = fs::read(dir.path().join("image")).expect("made");
        let cuts = (0..12)
            .map(|part| image.len() * part / 12)
            .chain([1, 511, 512, 513].map(|less| image.len() - less));
        for cut in cuts {
            let part = &image[..cut];
            for source in [any_order(part), in_order(part), MemorySource::pipe(part.to_vec())] {
                let (random, disk) = (source.random, declared(part, format, source));
                // A tail that no part of the disk is in may be missing.
                assert!(
                    disk.is_none_or(|disk| disk == expected),
                    "{format} {options} cut to {cut}, {random}"
                );
            }
        }
    }
}
