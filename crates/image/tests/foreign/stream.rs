//! Stream-optimized VMDKs as VMware makes them: with all tables at the end.

use std::{fs, io::Write};

use super::{Random, as_qemu_reads, check, content, in_order, installed};

/// Sectors of a grain, and entries of a grain table.
const GRAIN: usize = 128;
const ENTRIES: usize = 512;
/// Where the first marker is, in sectors.
const OVERHEAD: usize = 128;

/// A file that is made from start to end.
pub(super) struct Maker {
    pub(super) file: Vec<u8>,
    capacity: usize,
    /// Where tables are, in sectors.
    tables: Vec<u32>,
    directory: u64,
}

impl Maker {
    /// The file that holds the disk `raw`, as VMware makes it.
    pub(super) fn make(raw: &[u8]) -> Self {
        let capacity = raw.len().div_ceil(512);
        let mut maker = Self { file: Vec::new(), capacity, tables: Vec::new(), directory: u64::MAX };
        maker.file = maker.header();
        let descriptor = format!(
            "# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\n\
             createType=\"streamOptimized\"\n\nRDONLY {capacity} SPARSE \"call-me-stream.vmdk\"\n"
        );
        maker.file.extend(descriptor.as_bytes());
        maker.file.resize(OVERHEAD * 512, 0);
        let reach = GRAIN * ENTRIES * 512;
        for (number, part) in raw.chunks(reach).enumerate() {
            maker.table(number * GRAIN * ENTRIES, part);
        }
        maker.end();
        maker
    }

    fn header(&self) -> Vec<u8> {
        let mut header = vec![0; 512];
        let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, b"KDMV");
        put(4, &3_u32.to_le_bytes());
        put(8, &0x3_0001_u32.to_le_bytes());
        put(12, &(self.capacity as u64).to_le_bytes());
        put(20, &(GRAIN as u64).to_le_bytes());
        put(28, &1_u64.to_le_bytes());
        put(36, &20_u64.to_le_bytes());
        put(44, &u32::try_from(ENTRIES).expect("small").to_le_bytes());
        put(56, &self.directory.to_le_bytes());
        put(64, &(OVERHEAD as u64).to_le_bytes());
        put(73, b"\n \r\n");
        put(77, &1_u16.to_le_bytes());
        header
    }

    fn sector(&self) -> u32 {
        u32::try_from(self.file.len() / 512).expect("a small file")
    }

    fn marker(&mut self, value: u64, kind: u32) {
        self.file.extend([&value.to_le_bytes()[..], &[0; 4], &kind.to_le_bytes(), &[0; 496]].concat());
    }

    /// The grains of `part`, which belongs on the disk at sector `lba`, and their
    /// table.
    fn table(&mut self, lba: usize, part: &[u8]) {
        let mut entries = vec![0; ENTRIES];
        for (number, grain) in part.chunks(GRAIN * 512).enumerate() {
            if grain.iter().all(|&byte| byte == 0) {
                continue;
            }
            entries[number] = self.sector();
            self.grain((lba + number * GRAIN) as u64, grain);
        }
        if entries.iter().all(|&entry| entry == 0) {
            return self.tables.push(0);
        }
        self.marker((ENTRIES * 4 / 512) as u64, 1);
        self.tables.push(self.sector());
        self.file.extend(entries.iter().flat_map(|entry| entry.to_le_bytes()));
    }

    fn grain(&mut self, lba: u64, grain: &[u8]) {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(grain).expect("in memory");
        let packed = encoder.finish().expect("in memory");
        self.file.extend(lba.to_le_bytes());
        self.file.extend(u32::try_from(packed.len()).expect("small").to_le_bytes());
        self.file.extend(packed);
        self.file.resize(self.file.len().next_multiple_of(512), 0);
    }

    fn end(&mut self) {
        let sectors = (self.tables.len() * 4).div_ceil(512);
        self.marker(sectors as u64, 2);
        self.directory = self.sector().into();
        let entries: Vec<u8> = self.tables.iter().flat_map(|entry| entry.to_le_bytes()).collect();
        self.file.extend(entries);
        self.file.resize(self.file.len().next_multiple_of(512), 0);
        self.marker(1, 3);
        let footer = self.header();
        self.file.extend(footer);
        self.marker(0, 0);
    }
}

#[test]
fn tables_at_the_end_are_no_trouble_in_any_order() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut random = Random(7);
    for length in [512, 64 << 10, (3 << 20) + 512, 11 << 20] {
        let raw = content(length, &mut random);
        let image = Maker::make(&raw).file;
        fs::write(dir.path().join("image"), &image).expect("written");
        let expected = as_qemu_reads(dir.path(), "vmdk", "image");
        assert!(expected == raw, "qemu reads {length} bytes differently");
        check(&format!("a stream of {length}"), &image, &raw);
    }
}

#[test]
fn markers_that_contradict_the_tables_are_refused() {
    let raw = content(3 << 20, &mut Random(9));
    let made = Maker::make(&raw);
    let table = made.tables.first().map(|&sector| sector as usize * 512).expect("a table");
    let last = made.file.len() - 512;
    let mut changes: Vec<(&str, usize, u8, &str)> = vec![
        ("an entry of the table", table, 1, "do not fit"),
        ("the directory", usize::try_from(made.directory).expect("small") * 512, 1, "not where it should be"),
        ("a marker's sector", OVERHEAD * 512, 1, "no part of the disk"),
        ("the end", last + 12, 7, "no marker"),
        ("the footer's size", last - 512 + 12, 1, "not the one of this disk"),
        ("the table's marker", table - 512, 1, "wrong length"),
    ];
    changes.push(("a grain", OVERHEAD * 512 + 40, 0xff, "damaged compressed cluster"));
    for (what, at, mask, says) in changes {
        let mut image = made.file.clone();
        image[at] ^= mask;
        let refusal = installed(&image, 512, in_order(&image)).expect_err(what);
        assert!(refusal.contains(says), "{what}: {refusal}");
    }
}

#[test]
fn a_grain_that_is_for_another_place_is_refused() {
    let made = Maker::make(&vec![7; 3 << 20]);
    // The second grain says that it is the first.
    let table = made.tables.first().map(|&sector| sector as usize * 512).expect("a table");
    let entry = made.file[table + 4..table + 8].first_chunk().expect("an entry");
    let second = u32::from_le_bytes(*entry) as usize * 512;
    let mut image = made.file.clone();
    image[second..second + 8].fill(0);
    let refusal = installed(&image, 512, in_order(&image)).expect_err("the markers contradict each other");
    assert!(refusal.contains("there twice"), "{refusal}");
    let refusal = installed(&image, 512, super::any_order(&image)).expect_err("the table knows better");
    assert!(refusal.contains("damaged compressed cluster"), "{refusal}");
}
