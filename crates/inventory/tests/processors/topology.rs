//! Against trees of hwloc and ghw. No output of theirs is recorded beside them, so
//! three others are asked: the name of the tree, which hwloc gives by its shape
//! (`64fake-4n2s2ca2c2t`: four nodes of two sockets …); `/proc/cpuinfo`, which
//! numbers sockets and cores on some architectures; and a count of distinct sets
//! in sysfs, done here in another way.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use crate::{
    Tree,
    table::{self, Difference, Row},
    trees,
};

/// Where somebody means something else.
pub(crate) const DIFFERS: [Difference; 9] = [
    Difference { tree: "16amd64-8n2c-cpusets", fact: "cores", why: LEFT_OUT },
    Difference { tree: "16amd64-8n2c-cpusets", fact: "caches", why: LEFT_OUT },
    Difference { tree: "16amd64-8n2c-cpusets", fact: "online", why: LEFT_OUT },
    Difference {
        tree: "16em64t-4s2ca2c-cpusetreorder",
        fact: "cores",
        why: "cpuinfo counts pairs that share a cache; sysfs and the tree's name know cores",
    },
    Difference {
        tree: "16ia64-8n2s",
        fact: "sockets",
        why: "cpuinfo numbers the boards of this Altix; sysfs and the tree's name know two sockets on each",
    },
    Difference {
        tree: "32em64t-2n8c+dax+nvme+mic+dimms",
        fact: "threads",
        why: "the name counts second threads, which sysfs and cpuinfo of the tree do not have",
    },
    Difference {
        tree: "offline-cpu0-node0",
        fact: "caches",
        why: "folders of processors that are offline still tell of caches",
    },
    Difference { tree: "offline-cpu0-node0", fact: "cores", why: EARLIER },
    Difference { tree: "offline-cpu0-node0", fact: "online", why: EARLIER },
];

const LEFT_OUT: &str = "its list of processors that are online leaves one out, of which the rest still tells";
const EARLIER: &str = "cpuinfo was recorded before seven processors went offline";

type Said = Vec<(&'static str, &'static str, String)>;

pub(crate) fn rows(corpus: &Path) -> Vec<Row> {
    let folders = [("hwloc", "hwloc"), ("ghw", "ghw/snapshots")];
    let mut rows = Vec::new();
    for (by, folder) in folders {
        for tree in trees(&corpus.join(folder)) {
            let found = tree.scan();
            let mut theirs = counted(&tree);
            theirs.extend(cpuinfo(&tree));
            if by == "hwloc" {
                theirs.extend(named(&tree.name));
            }
            rows.push(Row { by, tree: tree.name.clone(), ours: table::ours(&found), theirs });
        }
    }
    // One that holds mounts alone: nothing to compare, and read all the same.
    trees(&corpus.join("hwloc/allowed")).iter().for_each(|tree| assert_eq!(tree.scan().cpu.threads, 0));
    rows
}

fn said(who: &'static str, facts: &[(&'static str, Option<usize>)]) -> Said {
    let told = |(fact, value): &(&'static str, Option<usize>)| Some((*fact, who, (*value)?.to_string()));
    facts.iter().filter_map(told).collect()
}

/// One part of a name, `2ca`: how many, of what.
fn parts(section: &str) -> Option<Vec<(usize, String)>> {
    let mut parts = Vec::new();
    let mut rest = section;
    while !rest.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at(digits);
        let letters = after.len() - after.trim_start_matches(|c: char| c.is_ascii_lowercase()).len();
        let (unit, after) = after.split_at(letters);
        const UNITS: [&str; 14] =
            ["gr", "g", "n", "nu", "s", "p", "pa", "d", "ca", "c", "co", "t", "pu", "1pu"];
        if !UNITS.contains(&unit) {
            return None;
        }
        parts.push((number.parse().ok()?, unit.to_owned()));
        rest = after;
    }
    Some(parts)
}

/// How many there are of the last of `units` in `parts`, if one is there: the
/// product of everything up to it.
fn product(parts: &[(usize, String)], units: &[&str]) -> Option<usize> {
    let at = parts.iter().rposition(|(_, unit)| units.contains(&unit.as_str()))?;
    Some(parts[..=at].iter().map(|(number, _)| number).product())
}

/// What the name of a tree tells. Where its parts do not multiply to the number it
/// begins with, the machine is not even, and that number is all it tells.
fn named(name: &str) -> Said {
    let Some((head, shape)) = name.split_once('-') else { return Vec::new() };
    let digits: String = head.chars().take_while(char::is_ascii_digit).collect();
    let threads: Option<usize> = digits.parse().ok();
    let shape = shape.split('-').find(|part| part.starts_with(|c: char| c.is_ascii_digit())).unwrap_or("");
    let sections: Vec<Vec<(usize, String)>> = shape.split('+').map_while(parts).collect();
    let sum = |units: &[&str]| -> Option<usize> {
        sections.iter().map(|section| product(section, units)).sum::<Option<usize>>().filter(|sum| *sum > 0)
    };
    let all: usize = sections.iter().map(|section| section.iter().map(|(n, _)| n).product::<usize>()).sum();
    let even = Some(all) == threads;
    let first = sections.first().filter(|_| even);
    said(
        "its name",
        &[
            ("threads", threads),
            ("nodes", first.and_then(|parts| product(parts, &["n", "nu"]))),
            ("sockets", first.and_then(|parts| product(parts, &["s", "p", "pa"]))),
            ("cores", sum(&["c", "co"]).filter(|_| even)),
        ],
    )
}

/// What `/proc/cpuinfo` tells: how many processors are online, and on x86, ia64 and
/// LoongArch on which socket and core.
fn cpuinfo(tree: &Tree) -> Said {
    let text = tree.text("proc/cpuinfo");
    let field = |line: &'_ str, name: &str| -> Option<String> {
        let (key, value) = line.split_once(':')?;
        (key.trim() == name).then(|| value.trim().to_owned())
    };
    let online = text.lines().filter(|line| field(line, "processor").is_some()).count();
    let mut sockets = BTreeSet::new();
    let mut siblings = BTreeSet::new();
    let (mut socket, mut cores) = (String::new(), None);
    for line in text.lines() {
        if let Some(id) = field(line, "physical id") {
            sockets.insert(id.clone());
            socket = id;
        }
        if let Some(count) = field(line, "cpu cores") {
            siblings.insert((socket.clone(), count.parse::<usize>().expect("a number")));
            cores = Some(siblings.iter().map(|(_, count)| count).sum());
        }
    }
    let told = |number: usize| (number > 0).then_some(number);
    said("cpuinfo", &[("online", told(online)), ("sockets", told(sockets.len())), ("cores", cores)])
}

/// Distinct sets in sysfs, as text.
fn counted(tree: &Tree) -> Said {
    let system = tree.root().join("sys/devices/system");
    let numbered = |folder: &Path, prefix: &str| -> Vec<PathBuf> {
        let is = |name: &str| name.strip_prefix(prefix).is_some_and(|number| number.parse::<u32>().is_ok());
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.filter(|entry| is(&entry.file_name().to_string_lossy())).map(|entry| entry.path()).collect()
    };
    let cpus = numbered(&system.join("cpu"), "cpu");
    let distinct = |files: [&str; 2]| -> Option<usize> {
        let text = |cpu: &PathBuf| {
            files.iter().find_map(|file| fs::read_to_string(cpu.join("topology").join(file)).ok())
        };
        let texts: BTreeSet<String> = cpus.iter().filter_map(text).collect();
        (!texts.is_empty()).then_some(texts.len())
    };
    let nodes = numbered(&system.join("node"), "node").len();
    let mut told = said(
        "sysfs",
        &[
            ("nodes", (nodes > 0).then_some(nodes)),
            ("sockets", distinct(["package_cpus", "core_siblings"])),
            ("cores", distinct(["core_cpus", "thread_siblings"])),
        ],
    );
    let indexes = cpus.iter().flat_map(|cpu| numbered(&cpu.join("cache"), "index"));
    told.extend(caches(indexes).map(|caches| ("caches", "sysfs", caches)));
    told
}

/// Caches by their level, kind and who shares them, all as text. A set that is empty
/// is one's own.
fn caches(indexes: impl Iterator<Item = PathBuf>) -> Option<String> {
    let mut caches = BTreeMap::new();
    for index in indexes {
        let text = |file: &str| fs::read_to_string(index.join(file)).unwrap_or_default().trim().to_owned();
        let Some(Ok(size)) = text("size").strip_suffix('K').map(str::parse::<u64>) else { continue };
        let mut shared = text("shared_cpu_map");
        if !shared.contains(|c: char| c.is_ascii_hexdigit() && c != '0') {
            shared = index.display().to_string();
        }
        caches.insert((text("level"), text("type"), shared), size);
    }
    let mut sums: BTreeMap<String, (u64, u32)> = BTreeMap::new();
    for ((level, kind, _), size) in caches {
        let (sum, count) = sums.entry(table::cache_name(&level, &kind)).or_default();
        *sum += size;
        *count += 1;
    }
    let words: Vec<String> =
        sums.iter().map(|(name, (sum, count))| table::cache(name, *sum, *count)).collect();
    (!words.is_empty()).then(|| words.join(", "))
}

#[test]
fn topologies_are_what_three_others_say() {
    let Some(rows) = table::rows() else { return };
    let unexplained: Vec<String> = rows.topology.iter().flat_map(|row| row.unexplained(&DIFFERS)).collect();
    assert!(unexplained.is_empty(), "{}", unexplained.join("\n"));
    assert_eq!(rows.topology.len(), 33, "machines in the corpus");
}

#[test]
fn a_shape_in_a_name_is_read() {
    for (name, want) in [
        ("64fake-4n2s2ca2c2t", vec!["threads 64", "nodes 4", "sockets 8", "cores 32"]),
        ("20em64t-hybrid-1p6c2t+2ca4co1t", vec!["threads 20", "sockets 1", "cores 14"]),
        ("2i386-2t-hugepagesizecount", vec!["threads 2"]),
        ("128ia64-17n4s2c", vec!["threads 128"]),
        ("offline-cpu0-node0", vec![]),
    ] {
        let said: Vec<String> =
            named(name).iter().map(|(fact, _, value)| format!("{fact} {value}")).collect();
        assert_eq!(said, want, "{name}");
    }
}
