use super::*;

pub(super) const BLOCKS: [u32; 2] = [512, 4096];
pub(super) const SIZE: Bytes = Bytes(96 << 20);

pub(super) fn block(size: u32) -> BlockSize {
    size.try_into().expect("a block size")
}

/// The start of a disk with an ESP and a root partition, as sgdisk makes it.
pub(super) fn disk(size: u32) -> Vec<u8> {
    let (block, blocks) = (u64::from(size), SIZE.0 / u64::from(size));
    let mut header = [0; HEADER];
    put(&mut header, 0, SIGNATURE);
    put(&mut header, 8, &0x1_0000_u32.to_le_bytes());
    put(&mut header, 12, &92_u32.to_le_bytes());
    put(&mut header, 24, &1_u64.to_le_bytes());
    put(&mut header, 32, &(blocks - 1).to_le_bytes());
    let reserved = (128 * 128_u64).div_ceil(block) + 1;
    put(&mut header, 40, &(reserved + 1).to_le_bytes());
    put(&mut header, 48, &(blocks - reserved - 1).to_le_bytes());
    put(&mut header, 56, &[0xdd; 16]);
    put(&mut header, 72, &2_u64.to_le_bytes());
    put(&mut header, 80, &128_u32.to_le_bytes());
    put(&mut header, 84, &128_u32.to_le_bytes());
    let mut table = Table { block, header, entries: vec![0; 128 * 128], entry_size: 128 };
    table.add_last(Guid::LINUX, Guid([2; 16]), "root", Bytes(8 << 20)).expect("room");
    table.add_last(Guid::ESP, Guid([1; 16]), "esp", Bytes(4 << 20)).expect("room");
    let mut head = vec![0; HEAD];
    table.write_primary(&mut head).expect("room");
    head
}

#[test]
fn crc_is_the_one_of_the_specification() {
    assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
}

#[test]
fn guids_print_as_everybody_prints_them() {
    assert_eq!(Guid::ESP.to_string(), "c12a7328-f81f-11d2-ba4b-00a0c93ec93b");
    assert_eq!(Guid::LINUX.to_string(), "0fc63daf-8483-4772-8e79-3d69d8477de4");
}

#[test]
fn partitions_are_added_from_the_end() {
    for size in BLOCKS {
        let partitions = Table::parse(&disk(size), block(size)).expect("sound").partitions();
        let shape: Vec<_> =
            partitions.iter().map(|p| (p.number, p.name.as_str(), p.kind, p.length.0 >> 20)).collect();
        assert_eq!(shape, [(1, "root", Guid::LINUX, 8), (2, "esp", Guid::ESP, 4)], "{size}");
        assert!(partitions[1].start < partitions[0].start);
        assert!(partitions.iter().all(|p| p.start.0.is_multiple_of(1 << 20)));
    }
}

#[test]
fn the_backup_moves_to_the_end_of_a_larger_disk() {
    for size in BLOCKS {
        let mut head = disk(size);
        let mut table = Table::parse(&head, block(size)).expect("sound");
        table.fit_to(Bytes(SIZE.0 * 2)).expect("fits");
        table.write_primary(&mut head).expect("room");
        let (at, backup) = table.backup();
        assert_eq!(at.0 + backup.len() as u64, SIZE.0 * 2);
        let again = Table::parse(&head, block(size)).expect("still sound");
        assert_eq!(again.partitions(), table.partitions());
        // The backup is a table too: put where a primary is, all but its place is right.
        let header = header_at(&backup, backup.len() - index(size.into())).expect("a header");
        assert_eq!(crc32(&without_crc(&header)), u32_at(&header, 16));
        assert_eq!(u64_at(&header, 72) * u64::from(size), at.0);
        assert_eq!(crc32(&backup[..128 * 128]), u32_at(&header, 88));
    }
}

#[test]
fn a_table_that_fits_already_stays_as_it_is() {
    let mut head = disk(512);
    let before = head.clone();
    let mut table = Table::parse(&head, block(512)).expect("sound");
    table.fit_to(SIZE).expect("fits");
    table.write_primary(&mut head).expect("room");
    assert_eq!(head, before);
}

#[test]
fn a_smaller_disk_is_refused() {
    let mut table = Table::parse(&disk(512), block(512)).expect("sound");
    assert_eq!(table.fit_to(Bytes(90 << 20)), Err(GptError::TooLarge { number: 1 }));
}

#[test]
fn a_full_disk_takes_no_partition() {
    let mut table = Table::parse(&disk(512), block(512)).expect("sound");
    let length = Bytes(95 << 20);
    assert_eq!(table.add_last(Guid::LINUX, Guid([3; 16]), "x", length), Err(GptError::NoRoom { length }));
}

#[test]
fn other_sectors_are_refused_by_name() {
    let error = |made: u32, read: u32| Table::parse(&disk(made), block(read)).expect_err("other sectors");
    assert_eq!(error(512, 4096), GptError::OtherSectors { made_for: 512, disk: 4096 });
    assert_eq!(error(4096, 512), GptError::OtherSectors { made_for: 4096, disk: 512 });
    assert_eq!(Table::parse(&[0; 4096], block(512)).expect_err("nothing"), GptError::Absent);
}

#[test]
fn no_damage_goes_unseen_and_none_panics() {
    let sound = disk(512);
    let spans = [512..512 + HEADER, 1024..1024 + 256];
    for at in spans.into_iter().flatten() {
        for flip in [0x01, 0x80, 0xff] {
            let mut head = sound.clone();
            head[at] ^= flip;
            assert!(Table::parse(&head, block(512)).is_err(), "byte {at} ^ {flip:#x}");
        }
    }
    for length in [0, 1, 511, 512, 600, 604, 1024, 17_000] {
        assert!(Table::parse(&sound[..length], block(512)).is_err(), "{length} bytes");
    }
}

#[test]
fn a_lying_header_with_right_checksums_is_seen() {
    let lies: [(usize, u64, usize); 6] =
        [(80, 0, 4), (80, u64::MAX, 4), (84, 0, 4), (84, 1 << 31, 4), (72, u64::MAX, 8), (48, u64::MAX, 8)];
    for (at, value, width) in lies {
        let mut head = disk(512);
        put(&mut head, 512 + at, &value.to_le_bytes()[..width]);
        let header = header_at(&head, 512).expect("a header");
        let sum = crc32(&without_crc(&header));
        put(&mut head, 512 + 16, &sum.to_le_bytes());
        assert!(Table::parse(&head, block(512)).is_err(), "{value} at {at}");
    }
}

#[test]
fn a_partition_as_long_as_numbers_go_is_refused() {
    for size in BLOCKS {
        let mut head = disk(size);
        let mut table = Table::parse(&head, block(size)).expect("sound");
        let last = u64::MAX / u64::from(size);
        put(&mut table.header, 40, &0_u64.to_le_bytes());
        put(&mut table.header, 48, &last.to_le_bytes());
        put(&mut table.entries, 32, &0_u64.to_le_bytes());
        put(&mut table.entries, 40, &last.to_le_bytes());
        table.write_primary(&mut head).expect("room");
        let absurd = GptError::Damaged { what: "its last usable sector is absurd" };
        assert_eq!(Table::parse(&head, block(size)).map(|table| table.partitions()), Err(absurd));
    }
}

#[test]
fn usable_sectors_end_before_the_backup_whatever_the_image_says() {
    for size in BLOCKS {
        let mut table = Table::parse(&disk(size), block(size)).expect("sound");
        let sound = table.last_usable();
        put(&mut table.header, 48, &(sound + 2).to_le_bytes());
        table.fit_to(SIZE).expect("fits");
        assert_eq!(table.last_usable(), sound);
    }
}
