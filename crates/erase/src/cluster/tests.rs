//! Every sign in every place, and disks that other people made.

use std::{path::PathBuf, process::Command};

use super::*;

const MIB: u64 = 1 << 20;

/// A sparse disk with `bytes` written at the places given.
fn disk(pieces: &[(u64, &[u8])]) -> File {
    let file = tempfile::tempfile().expect("a file");
    file.set_len(64 * MIB).expect("sized");
    for (at, bytes) in pieces {
        file.write_all_at(bytes, *at).expect("written");
    }
    file
}

fn told(file: &File, partitions: &[u64]) -> Vec<String> {
    let block = 512.try_into().expect("a block size");
    let look = look(file, block, partitions).expect("readable");
    assert_eq!(look.unread, None);
    look.found.iter().map(|sign| format!("{} at {}", sign.kind.name(), sign.place)).collect()
}

/// A GPT header at `at`, with its entries there and one partition of this type at 8 MiB.
fn gpt(at: u64, sector: u64, entries: u64, kind: [u8; 16]) -> [(u64, Vec<u8>); 2] {
    let mut header = vec![0; 92];
    header[..8].copy_from_slice(b"EFI PART");
    header[72..80].copy_from_slice(&entries.to_le_bytes());
    header[80..84].copy_from_slice(&128_u32.to_le_bytes());
    header[84..88].copy_from_slice(&128_u32.to_le_bytes());
    let mut entry = vec![0; 128];
    entry[..16].copy_from_slice(&kind);
    entry[32..40].copy_from_slice(&(8 * MIB / sector).to_le_bytes());
    // The second entry: what is looked at is every one.
    [(at, header), (entries * sector + 128, entry)]
}

/// The GUID as a disk has it.
fn guid(text: &str) -> [u8; 16] {
    let digits: String = text.chars().filter(|c| *c != '-').collect();
    let plain = u128::from_str_radix(&digits, 16).expect("hexadecimal, of either case").to_be_bytes();
    const MIXED: [usize; 16] = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    MIXED.map(|place| plain[place])
}

#[test]
fn no_mark_is_lost_where_the_table_of_signatures_changes() {
    let count = |wanted| marks().iter().filter(|mark| mark.kind == wanted).count();
    assert_eq!([ClusterKind::Gfs2, ClusterKind::Ocfs2, ClusterKind::Vmfs].map(count), [1, 5, 3]);
    assert!(marks().iter().all(|mark| mark.bytes.len() >= 4));
}

#[test]
fn every_signature_is_found_on_a_bare_disk_and_in_every_partition() {
    for start in [0, MIB, 8 * MIB] {
        for Mark { kind, at, bytes } in marks() {
            let file = disk(&[(start + at, &bytes)]);
            assert_eq!(told(&file, &[start]), [format!("{} at byte {}", kind.name(), start + at)], "{start}");
        }
    }
    let corral = disk(&[(4096 + 77, b"Corral FS descriptor for gpfs1")]);
    assert_eq!(told(&corral, &[]), ["GPFS at byte 4173"]);
    assert!(told(&disk(&[]), &[MIB, 1 << 60, u64::MAX]).is_empty());
}

#[test]
fn a_partition_s_type_is_enough_in_either_case_and_wherever_the_table_is() {
    let last = 64 * MIB - 512;
    for (name, text) in [
        ("GPFS", "37AFFC90-EF7D-4E96-91C3-2D7AE055B174"),
        ("GPFS", "37affc90-ef7d-4e96-91c3-2d7ae055b174"),
        ("VMFS", "AA31E02A-400F-11DB-9590-000C2911D1B8"),
        ("VMFS", "aa31e02a-400f-11db-9590-000c2911d1b8"),
    ] {
        for (at, sector, entries) in [(512, 512, 2), (4096, 4096, 2), (last, 512, 64 * 2048 - 33)] {
            let pieces = gpt(at, sector, entries, guid(text));
            let file = disk(&[(pieces[0].0, &pieces[0].1), (pieces[1].0, &pieces[1].1)]);
            assert_eq!(told(&file, &[]), [format!("{name} at the type of partition 2")], "{at}");
        }
    }
}

#[test]
fn a_signature_behind_a_table_that_the_kernel_did_not_read_is_found() {
    let [header, entry] = gpt(512, 512, 2, *b"some other type.");
    let file = disk(&[
        (header.0, &header.1),
        (entry.0, &entry.1),
        (8 * MIB + (64 << 10), &[0x01, 0x16, 0x19, 0x70]),
    ]);
    assert_eq!(told(&file, &[]), ["GFS2 at byte 8454144"]);
}

/// A sector with a boot signature and these entries: type, first sector.
fn table(entries: &[(u8, u32)]) -> Vec<u8> {
    let mut sector = vec![0; 512];
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    for (place, (kind, start)) in entries.iter().enumerate() {
        let at = 446 + place * 16;
        sector[at + 4] = *kind;
        sector[at + 8..at + 12].copy_from_slice(&start.to_le_bytes());
        sector[at + 12..at + 16].copy_from_slice(&2048_u32.to_le_bytes());
    }
    sector
}

#[test]
fn types_of_an_mbr_count_in_the_extended_partition_too() {
    let plain = disk(&[(0, &table(&[(0x83, 2048), (0xfb, 4096)]))]);
    assert_eq!(told(&plain, &[]), ["VMFS at the type of partition 2"]);
    // The chain's offsets are from the extended partition, a logical's from its own table.
    let chained = disk(&[
        (0, &table(&[(0x0f, 2048)])),
        (MIB, &table(&[(0x83, 2048), (0x05, 8192)])),
        (5 * MIB, &table(&[(0xfb, 2048)])),
        (6 * MIB + 1024, b"OCFSV2"),
    ]);
    assert_eq!(told(&chained, &[]), ["VMFS at the type of partition 6", "OCFS2 at byte 6292480"]);
}

#[test]
fn a_chain_that_bites_its_tail_ends() {
    let file = disk(&[(0, &table(&[(0x05, 2048)])), (MIB, &table(&[(0x83, 2048), (0x05, 0)]))]);
    assert!(told(&file, &[]).is_empty());
}

#[test]
fn hostile_tables_are_survived() {
    let mut header = vec![0xff; 92];
    header[..8].copy_from_slice(b"EFI PART");
    assert!(told(&disk(&[(512, &header), (0, &[0xff; 512])]), &[]).is_empty());
    header[80..84].copy_from_slice(&1024_u32.to_le_bytes());
    header[84..88].copy_from_slice(&512_u32.to_le_bytes());
    assert!(told(&disk(&[(512, &header)]), &[]).is_empty());
    let tiny = tempfile::tempfile().expect("a file");
    tiny.set_len(512).expect("sized");
    assert!(told(&tiny, &[]).is_empty());
}

#[test]
fn what_cannot_be_read_is_said() {
    // A process may seek in its own memory and read none of the first page.
    let memory = File::open("/proc/self/mem").expect("our own");
    let mut looking =
        Looking { file: &memory, size: MIB, failures: 0, look: Look::default(), marks: marks() };
    looking.signatures(0);
    assert_eq!(looking.failures, FAILURES_LIMIT, "a disk that fails is left in peace");
    let unread = looking.look.unread.expect("it says so");
    assert!(unread.starts_with("byte 65536: "), "{unread}");
}

#[test]
fn a_disk_of_a_thousand_partitions_is_looked_at_for_a_while() {
    let file = disk(&[((64 << 10) + 600 * 4096, &[0x01, 0x16, 0x19, 0x70])]);
    let starts: Vec<u64> = (1..1000).map(|number| number * 4096).collect();
    let block = 512.try_into().expect("a block size");
    let look = look(&file, block, &starts).expect("readable");
    assert_eq!(look.unread.as_deref(), Some("byte 2097152 and on: it has 1000 partitions"));
    assert!(look.found.is_empty());
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// Whatever the tables are: an end, and nothing read past the disk.
    #[test]
    fn any_bytes_are_survived(
        mut tables in proptest::collection::vec(proptest::array::uniform32(0_u8..), 0..4),
        at in proptest::sample::select(vec![0_u64, 446, 512, 512 + 72, 1024, 4096, 4096 + 72, MIB]),
    ) {
        let mut header = b"EFI PART".to_vec();
        header.resize(512, 0);
        header[72] = 2;
        header[84] = 128;
        let mbr = table(&[(0x05, 1), (0x0f, 2), (0xfb, 3), (0xee, u32::MAX)]);
        let bytes = tables.drain(..).flatten().collect::<Vec<u8>>();
        let file = disk(&[(0, &mbr), (512, &header), (4096, &header), (at, &bytes)]);
        let block = 4096.try_into().expect("a block size");
        let _ = look(&file, block, &[]).expect("readable");
    }
}

/// util-linux's own images: the four kinds, and eighty others that are none.
#[test]
fn the_images_of_util_linux_are_told_apart() {
    let beside = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/data"));
    let corpus = std::env::var_os("BILLET_CORPUS").map_or_else(beside, PathBuf::from);
    let images = corpus.join("util-linux/ts/blkid/images-fs");
    let Ok(entries) = std::fs::read_dir(&images) else {
        return eprintln!("SKIPPED: no recorded images at {}; set BILLET_CORPUS", images.display());
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.expect("listed").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let Some(name) = name.strip_suffix(".img.xz") else { continue };
        // Unpacked they are up to 250 MB of nothing; no mark lies behind the first 3 MiB.
        let unpacked = Command::new("sh")
            .args(["-c", "xz -dc \"$0\" | head -c 3145728"])
            .arg(&path)
            .output()
            .expect("sh runs");
        let file = tempfile::tempfile().expect("a file");
        file.write_all_at(&unpacked.stdout, 0).expect("written");
        let kinds = told(&file, &[]);
        if !kinds.is_empty() {
            found.push(format!("{name}: {}", kinds.join(", ")));
        }
    }
    found.sort();
    assert_eq!(
        found,
        ["gfs2: GFS2 at byte 65536", "ocfs2: OCFS2 at byte 2048", "vmfs: VMFS at byte 2097152"]
    );
}
