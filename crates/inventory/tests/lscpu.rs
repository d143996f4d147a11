//! Processors against util-linux' recorded machines and what lscpu makes of them.
//! They are run against, never kept here: without `BILLET_CORPUS` (default
//! `../shared/data`) this says so, loudly, and passes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use inventory::{Options, Root, scan};

fn corpus() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    let corpus = std::env::var_os("BILLET_CORPUS").map_or_else(beside, PathBuf::from).join("util-linux");
    if corpus.is_dir() {
        return Some(corpus);
    }
    eprintln!("SKIPPED: no recorded machines at {}; set BILLET_CORPUS", corpus.display());
    None
}

/// A line of lscpu's, `Socket(s):           4`.
fn line<'a>(expected: &'a str, name: &str) -> Option<&'a str> {
    let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':').map(str::trim);
    expected.lines().find_map(value).filter(|value| *value != "-")
}

fn number(expected: &str, name: &str) -> Option<u32> {
    line(expected, name)?.parse().ok()
}

/// Where we mean something else. A phone with three kinds of cores: lscpu tells of
/// the first kind only, we of all. Names of ARM parts: lscpu has a table of them.
/// sparc64: lscpu calls the machine's type a flag.
const DIFFERS: [(&str, &str); 6] = [
    ("arm-A510-A710-A715-X3", "sockets"),
    ("arm-A510-A710-A715-X3", "cores"),
    ("arm-A510-A710-A715-X3", "model"),
    ("arm-A510-A710-A715-X3", "frequency"),
    ("armv7", "model"),
    ("sparc64", "flags"),
];

#[test]
fn processors_are_counted_as_lscpu_counts_them() {
    let Some(corpus) = corpus() else { return };
    let mut disagreements = Vec::new();
    let mut dumps: Vec<_> = fs::read_dir(corpus.join("ts/lscpu/dumps")).expect("dumps").flatten().collect();
    dumps.sort_by_key(fs::DirEntry::file_name);
    for dump in dumps {
        let name = dump.file_name().into_string().expect("UTF-8").replace(".tar.gz", "");
        let tree = tempfile::tempdir().expect("temporary directory");
        let unpacked = Command::new("tar").arg("xzf").arg(dump.path()).arg("-C").arg(tree.path()).status();
        assert!(unpacked.expect("tar runs").success());
        let expected =
            fs::read_to_string(corpus.join(format!("expected/lscpu/lscpu-{name}"))).expect("expected");

        let cpu = scan(&Root::at(tree.path().join(&name)), &Options::default()).cpu;
        let books = number(&expected, "Book(s)").unwrap_or(1) * number(&expected, "Drawer(s)").unwrap_or(1);
        let sockets =
            number(&expected, "Socket(s)").or(number(&expected, "Socket(s) per book").map(|n| n * books));
        let cores =
            sockets.zip(number(&expected, "Core(s) per socket")).map(|(sockets, cores)| sockets * cores);
        let counts = [
            ("threads", number(&expected, "CPU(s)"), cpu.threads),
            ("sockets", sockets, cpu.sockets),
            ("cores", cores, cpu.cores),
        ];
        let counts =
            counts.map(|(what, want, have)| (what, want.map(|n| n.to_string()), Some(have.to_string())));
        let texts = [
            ("model", line(&expected, "Model name").map(str::to_owned), cpu.model_name),
            (
                "frequency",
                line(&expected, "CPU max MHz").map(str::to_owned),
                cpu.frequency.map(|f| f.to_string()),
            ),
            ("flags", line(&expected, "Flags").map(str::to_owned), Some(cpu.flags.join(" "))),
        ];
        for (what, want, have) in counts.into_iter().chain(texts) {
            let excused = DIFFERS.contains(&(name.as_str(), what));
            if want.is_some() && want != have && !excused {
                disagreements.push(format!("{name}: {what}: lscpu {want:?}, we {have:?}"));
            }
        }
    }
    assert!(disagreements.is_empty(), "{}", disagreements.join("\n"));
}
