//! Every truncation and many mutations of every table: no panic, no loop, and
//! never more memory than a bound that the length of the table sets.
//!
//! `MUTATIONS=100000 cargo test --release -p inventory --test smbios_hostile` is
//! the whole of it; some hundreds of each are enough to notice that something broke.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use inventory::smbios::decode;
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Of each table, unless `MUTATIONS` says otherwise.
const MUTATIONS: u64 = 500;

/// Below it every truncation is tried, above it some, unless `MUTATIONS` is set.
const SHORT: usize = 1 << 10;

/// Seven texts refer to one, each kept once; and every structure becomes a few
/// hundred bytes of plain data, of which lists reserve twice as many.
fn bound(table: &[u8]) -> usize {
    16 * table.len() + (16 << 10)
}

/// A linear congruence: the same numbers every time.
struct Noise(u64);

impl Noise {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from((self.0 >> 33) % limit as u64).expect("small")
    }

    fn byte(&mut self) -> u8 {
        self.below(256).to_le_bytes()[0]
    }
}

/// A table of everything that is read, so that there is one without a corpus.
fn made() -> Vec<u8> {
    let mut table = Vec::new();
    for kind in [0, 1, 2, 3, 4, 9, 16, 17, 17, 38, 41] {
        let mut structure: Vec<u8> = vec![kind, 0x5c, 0, kind];
        structure.extend((4..0x5c).map(|at| if kind == 17 && at == 0x0c { 1 } else { at % 7 }));
        structure.extend(b"DIMM_A1\0Dell Inc.\0To be filled by O.E.M.\x000123456789\0S5STNF0R\0Slot 3\0\0");
        table.extend(structure);
    }
    table.extend([127, 4, 0xff, 0xfe, 0, 0]);
    table
}

fn tables() -> Vec<(String, Vec<u8>)> {
    let mut tables = vec![("made here".to_owned(), made())];
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let corpus = std::env::var_os("BILLET_CORPUS").map_or_else(beside, PathBuf::from);
    for dir in ["go-smbios", "u-root-smbios", "u-root-smbios/pkg/smbios/testdata"] {
        let Ok(entries) = fs::read_dir(corpus.join(dir)) else {
            eprintln!("SKIPPED: no recorded tables at {}; set BILLET_CORPUS", corpus.join(dir).display());
            continue;
        };
        for path in entries.map(|entry| entry.expect("an entry").path()) {
            if path.extension().is_some_and(|ending| ending == "dmi" || ending == "bin") {
                let bytes = fs::read(&path).expect("readable");
                let start = if bytes.starts_with(b"_SM") { 32 } else { 0 };
                tables.push((path.display().to_string(), bytes[start..].to_vec()));
            }
        }
    }
    tables.sort();
    tables
}

fn mutated(table: &[u8], noise: &mut Noise) -> Vec<u8> {
    let mut table = table.to_vec();
    for _ in 0..=noise.below(4) {
        let at = noise.below(table.len());
        match noise.below(6) {
            0 => table[at] = 0,
            1 => table[at] = 0xff,
            2 => table[at] ^= 1 << noise.below(8),
            3 => table.insert(at, noise.byte()),
            4 => drop(table.remove(at)),
            _ => table[at] = noise.byte(),
        }
    }
    table
}

/// What decoding takes at most, in bytes above what was there.
fn cost(table: &[u8]) -> usize {
    MEMORY.reset_peak_usage();
    let before = MEMORY.current_usage();
    drop(decode(table, b""));
    MEMORY.peak_usage().saturating_sub(before)
}

/// One test: the memory of two at once cannot be told apart.
#[test]
fn a_hostile_table_costs_bounded_time_and_memory() {
    expensive_tables();
    let asked = std::env::var("MUTATIONS").ok().map(|number| number.parse().expect("a number"));
    let (whole, mutations) = (asked.is_some(), asked.unwrap_or(MUTATIONS));
    for (name, table) in tables() {
        let start = Instant::now();
        let mut most = 0;
        for length in (0..=table.len()).filter(|length| whole || *length <= SHORT || length % 17 == 0) {
            let cost = cost(&table[..length]);
            assert!(cost <= bound(&table[..length]), "{name} cut at {length}: {cost} bytes");
        }
        let mut noise = Noise(7);
        for nth in 0..mutations {
            let table = mutated(&table, &mut noise);
            let cost = cost(&table);
            assert!(cost <= bound(&table), "{name}, mutation {nth}: {cost} bytes of {}", table.len());
            most = most.max(cost);
        }
        eprintln!("{name}: {} bytes, {:?}, at most {most} bytes of memory", table.len(), start.elapsed());
    }
}

/// Tables made to be expensive are not.
fn expensive_tables() {
    let largest = inventory::limits::SMBIOS_BYTES;
    let end = [127, 4, 0, 0, 0, 0];
    // As many structures as fit; all of them numbering the longest text; one text for all of the table.
    let memory = [17, 0x1b, 0, 0, 0, 0, 0, 0, 64, 0, 64, 0, 1, 0, 9, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1];
    let long = [memory.as_slice(), &[b'A'; 200], &[0, 0]].concat();
    let texts = [memory.as_slice(), &b"\xff\0".repeat(200), &[0]].concat();
    let endless = [memory.as_slice(), &vec![b'A'; largest - 64], &[0, 0]].concat();
    let filled = |structure: &[u8]| structure.repeat(largest / structure.len());
    for table in [
        filled(&[17, 4, 0, 0, 0, 0]),
        filled(&[9, 4, 0, 0, 0, 0]),
        filled(&long),
        filled(&texts),
        endless,
        vec![0xff; largest],
    ] {
        let table = [table.as_slice(), &end].concat();
        let start = Instant::now();
        let cost = cost(&table);
        assert!(cost < 16 << 20, "{cost} bytes");
        assert!(start.elapsed() < Duration::from_secs(5), "took {:?}", start.elapsed());
    }
}
