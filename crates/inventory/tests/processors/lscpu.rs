//! Against what lscpu and lsmem of util-linux make of their recorded machines.

use std::{fs, path::Path};

use crate::{
    Tree, numbers,
    table::{self, Difference, FACTS, Row},
    trees,
};

const KINDS: &str = "four kinds of cores; lscpu's first line tells of the first kind, we of all";

/// Where we mean something else.
pub(crate) const DIFFERS: [Difference; 6] = [
    Difference { tree: "arm-A510-A710-A715-X3", fact: "sockets", why: KINDS },
    Difference { tree: "arm-A510-A710-A715-X3", fact: "cores", why: KINDS },
    Difference { tree: "arm-A510-A710-A715-X3", fact: "model", why: KINDS },
    Difference { tree: "arm-A510-A710-A715-X3", fact: "MHz", why: KINDS },
    Difference { tree: "sparc64", fact: "flags", why: "lscpu calls the machine's type (`sun4u`) a flag" },
    Difference {
        tree: "sparc64",
        fact: "caches",
        why: "this kernel has files of its own for them, which we do not read",
    },
];

pub(crate) fn rows(corpus: &Path) -> Vec<Row> {
    let util_linux = corpus.join("util-linux");
    let expected = |tool: &str, tree: &Tree| {
        let path = util_linux.join(format!("expected/{tool}/{tool}-{}", tree.name));
        fs::read_to_string(&path).unwrap_or_else(|err| panic!("{}: {err}", path.display()))
    };
    let mut rows = Vec::new();
    for tree in trees(&util_linux.join("ts/lscpu/dumps")) {
        let found = tree.scan();
        let said = expected("lscpu", &tree);
        each_node_has_lscpus_processors(&tree.name, &found, &said);
        rows.push(row("lscpu", tree.name, &found, theirs(&said)));
    }
    for tree in trees(&util_linux.join("ts/lsmem/dumps")) {
        let found = tree.scan();
        let said = expected("lsmem", &tree);
        rows.push(row("lsmem", tree.name, &found, vec![("memory", "lsmem", memory(&said))]));
    }
    rows
}

fn row(
    by: &'static str,
    tree: String,
    found: &model::inventory::Inventory,
    theirs: Vec<(&'static str, &'static str, String)>,
) -> Row {
    Row { by, tree, ours: table::ours(found), theirs }
}

/// A line of lscpu's, `Socket(s):           4`.
fn line<'a>(said: &'a str, name: &str) -> Option<&'a str> {
    let value = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':').map(str::trim);
    said.lines().find_map(value).filter(|value| *value != "-")
}

fn number(said: &str, name: &str) -> Option<u32> {
    line(said, name)?.parse().ok()
}

/// What lscpu says, fact by fact.
fn theirs(said: &str) -> Vec<(&'static str, &'static str, String)> {
    let books = number(said, "Book(s)").unwrap_or(1) * number(said, "Drawer(s)").unwrap_or(1);
    let sockets =
        number(said, "Socket(s)").or(number(said, "Socket(s) per book").map(|sockets| sockets * books));
    let cores = sockets.zip(number(said, "Core(s) per socket")).map(|(sockets, cores)| sockets * cores);
    let written = |number: Option<u32>| number.map(|number| number.to_string());
    let text = |name: &str| line(said, name).map(str::to_owned);
    let rates = |least| Some(format!("{least} to {}", line(said, "CPU max MHz")?));
    let values = [
        written(sockets),
        written(cores),
        written(number(said, "CPU(s)")),
        line(said, "On-line CPU(s) list").map(|list| numbers(list).len().to_string()),
        written(number(said, "NUMA node(s)")),
        None,
        caches(said),
        text("Model name"),
        text("Vendor ID"),
        text("Flags"),
        line(said, "CPU min MHz").and_then(rates),
        text("Microcode version"),
        weaknesses(said),
    ];
    FACTS.iter().zip(values).filter_map(|(fact, value)| Some((*fact, "lscpu", value?))).collect()
}

/// `L1d cache:  1 MiB (32 instances)`.
fn caches(said: &str) -> Option<String> {
    let cache = |line: &str| {
        let (name, rest) = line.split_once(" cache:")?;
        let (size, rest) = rest.trim().split_once(' ')?;
        let (unit, count) = rest.split_once(" (").unwrap_or((rest, "0"));
        let scale = match unit {
            "KiB" => 1,
            "MiB" => 1024,
            _ => return None,
        };
        let size: u64 = size.parse().expect("a whole number, in all of them");
        let count = count.split(' ').next()?.parse().ok()?;
        Some(table::cache(name, size * scale, count))
    };
    let caches: Vec<String> = said.lines().filter_map(cache).collect();
    (!caches.is_empty()).then(|| caches.join(", "))
}

fn weaknesses(said: &str) -> Option<String> {
    let words = |line: &str| {
        let (name, status) = line.strip_prefix("Vulnerability ")?.split_once(':')?;
        Some(format!("{name}: {}", status.trim()))
    };
    let all: Vec<String> = said.lines().filter_map(words).collect();
    (!all.is_empty()).then(|| all.join("\n"))
}

/// The ranges of lsmem's last list, in MiB.
fn memory(said: &str) -> String {
    let last = said.rsplit("\n---\n").next().expect("a part");
    let address = |text: &str| u64::from_str_radix(text.strip_prefix("0x")?, 16).ok();
    let range = |line: &str| {
        let (first, last) = line.split_whitespace().next()?.split_once('-')?;
        Some(address(last)? + 1 - address(first)?)
    };
    (last.lines().filter_map(range).sum::<u64>() >> 20).to_string()
}

/// `NUMA node2 CPU(s):   1-61:4`.
fn each_node_has_lscpus_processors(tree: &str, found: &model::inventory::Inventory, said: &str) {
    for node in &found.numa {
        if let Some(list) = line(said, &format!("NUMA node{} CPU(s)", node.id)) {
            assert_eq!(node.cpus, numbers(list), "{tree}: node {}", node.id);
        }
    }
    let online = numbers(line(said, "On-line CPU(s) list").expect("always there"));
    let present: Vec<u32> = online.iter().copied().filter(|cpu| found.cpu.offline.contains(cpu)).collect();
    assert!(present.is_empty(), "{tree}: {present:?} are online");
}

#[test]
fn processors_and_memory_are_what_util_linux_says() {
    let Some(rows) = table::rows() else { return };
    let unexplained: Vec<String> = rows.lscpu.iter().flat_map(|row| row.unexplained(&DIFFERS)).collect();
    assert!(unexplained.is_empty(), "{}", unexplained.join("\n"));
    assert_eq!(rows.lscpu.len(), 18, "machines in the corpus");
}
