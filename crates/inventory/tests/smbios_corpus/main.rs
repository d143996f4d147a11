//! SMBIOS tables of real machines against what others decoded of them.
//!
//! They are run against, never kept here: without `BILLET_CORPUS` (default
//! `../shared/data`) this says so, loudly, and passes.

mod compare;
mod dmidecode;
mod encode;
mod go;
mod ours;

use std::{
    fs,
    path::{Path, PathBuf},
};

use compare::Agreement;
use inventory::smbios::decode;

fn corpus(part: &str) -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let corpus = std::env::var_os("BILLET_CORPUS").map_or_else(beside, PathBuf::from).join(part);
    if corpus.is_dir() {
        return Some(corpus);
    }
    eprintln!("SKIPPED: no recorded tables at {}; set BILLET_CORPUS", corpus.display());
    None
}

/// Files in `dir` with that ending, by name.
fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let all = fs::read_dir(dir).expect("a directory").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = all.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    files.sort();
    files
}

/// Entry point and table: as `dmidecode --dump-bin` writes them, or the table alone.
fn dump(path: &Path) -> (Vec<u8>, Vec<u8>) {
    let bytes = fs::read(path).expect("readable");
    let entry_point = if bytes.starts_with(b"_SM") { 32 } else { 0 };
    (bytes[..entry_point].to_vec(), bytes[entry_point..].to_vec())
}

fn name(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}

/// Everything agrees, and what was compared is printed for `docs/figures.md`.
fn check(family: &str, machines: usize, agreement: &Agreement) {
    eprintln!(
        "{family}: {machines} tables, {} fields, {} of them say nothing",
        agreement.fields,
        agreement.nothing.values().sum::<usize>()
    );
    for (text, times) in &agreement.nothing {
        eprintln!("  {times:4} x {text:?}");
    }
    assert!(
        agreement.differing.is_empty(),
        "{} of {} differ:\n{}",
        agreement.differing.len(),
        agreement.fields,
        agreement.differing.join("\n")
    );
}

#[test]
fn u_roots_tables_are_what_dmidecode_printed() {
    let Some(corpus) = corpus("u-root-smbios") else { return };
    let mut agreement = Agreement::default();
    let tables = files(&corpus, ".bin");
    for path in &tables {
        let (entry_point, table) = dump(path);
        let text = fs::read(path.with_extension("orig.txt")).expect("beside it");
        let smbios = decode(&table, &entry_point);
        assert_eq!(smbios.flaws, Vec::<String>::new(), "{}", path.display());
        agreement.add(
            &name(path),
            &compare::KINDS,
            &dmidecode::parse(&String::from_utf8_lossy(&text)),
            &smbios,
        );
    }
    check("u-root", tables.len(), &agreement);
}

#[test]
fn go_smbios_tables_are_what_it_decoded() {
    let Some(corpus) = corpus("go-smbios") else { return };
    let mut agreement = Agreement::default();
    let tables = files(&corpus, ".dmi");
    for path in &tables {
        let (entry_point, table) = dump(path);
        let text = fs::read_to_string(path.with_extension("json")).expect("beside it");
        let smbios = decode(&table, &entry_point);
        let flaws = if name(path) == "HyperV.dmi" { 1 } else { 0 }; // 16 KiB of something else behind it
        assert_eq!(smbios.flaws.len(), flaws, "{}: {:?}", path.display(), smbios.flaws);
        // It could not read the first structure of that one.
        let kinds =
            if name(path) == "Beelink-EQ12.dmi" { &[1, 2, 3, 4, 17][..] } else { &[0, 1, 2, 3, 4, 17] };
        agreement.add(&name(path), kinds, &go::parse(&text), &smbios);
    }
    check("go-smbios", tables.len(), &agreement);
}

/// Of these there is only what `dmidecode` printed: tables are made of it.
#[test]
fn servers_of_linux_hardware_org_are_read_as_they_are_printed() {
    let Some(corpus) = corpus("linuxhw-dmi/samples") else { return };
    let mut agreement = Agreement::default();
    let texts = files(&corpus, ".txt");
    for path in &texts {
        let text = fs::read(path).expect("readable");
        let blocks = encode::comparable(dmidecode::parse(&String::from_utf8_lossy(&text)));
        let smbios = decode(&encode::table(&blocks), b"");
        agreement.add(&name(path), &encode::KINDS, &blocks, &smbios);
        let (sum, unknown) = encode::installed(&blocks);
        let expected = Some(sum).filter(|sum| *sum > 0 && unknown == 0);
        assert_eq!(smbios.memory.physical.map(|sum| sum.0), expected, "{}", path.display());
        let bad = smbios.flaws.iter().any(|flaw| flaw.contains("texts that are not there"));
        assert_eq!(
            bad,
            blocks.iter().any(|block| block.values.iter().any(|(_, value)| value == "<BAD INDEX>")),
            "{:?}",
            smbios.flaws
        );
    }
    check("linuxhw", texts.len(), &agreement);
}
