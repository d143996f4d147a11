//! What we say, what others say, and the table of both.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path, sync::OnceLock};

use model::inventory::{Cache, Cpu, Inventory};

use crate::{corpus, lscpu, topology};

/// What is compared, in the order of the columns.
pub(crate) const FACTS: [&str; 13] = [
    "sockets",
    "cores",
    "threads",
    "online",
    "nodes",
    "memory",
    "caches",
    "model",
    "vendor",
    "flags",
    "MHz",
    "microcode",
    "weaknesses",
];

/// One machine: what was found, what somebody else says, and why they may differ.
pub(crate) struct Row {
    pub(crate) by: &'static str,
    pub(crate) tree: String,
    /// By fact, ours.
    pub(crate) ours: BTreeMap<&'static str, String>,
    /// By fact, theirs, every source by its name; a fact nobody tells is absent.
    pub(crate) theirs: Vec<(&'static str, &'static str, String)>,
}

/// Where we mean something else, and why.
pub(crate) struct Difference {
    pub(crate) tree: &'static str,
    pub(crate) fact: &'static str,
    pub(crate) why: &'static str,
}

impl Row {
    /// Everybody who says otherwise.
    fn against(&self, fact: &str) -> Vec<String> {
        let other =
            |(what, _, value): &&(&str, &str, String)| *what == fact && self.ours.get(fact) != Some(value);
        self.theirs.iter().filter(other).map(|(_, who, value)| format!("{who}: {value}")).collect()
    }

    fn told(&self, fact: &str) -> bool {
        self.theirs.iter().any(|(what, _, _)| *what == fact)
    }

    /// Every difference that nothing in `known` explains, and every explanation of
    /// none.
    pub(crate) fn unexplained(&self, known: &[Difference]) -> Vec<String> {
        let explained = |fact: &str| known.iter().any(|known| known.tree == self.tree && known.fact == fact);
        let mut found = Vec::new();
        for fact in FACTS {
            match (self.against(fact).as_slice(), explained(fact)) {
                ([], false) | ([_, ..], true) => {}
                ([], true) => found.push(format!("{}: {fact}: they agree now", self.tree)),
                (others, false) => {
                    found.push(format!("{}: {fact}: we {:?}, {others:?}", self.tree, self.ours.get(fact)));
                }
            }
        }
        found
    }

    /// The machine as a line: a number where all agree, `=` for agreement on more
    /// than a number, a dot where nobody tells, `≠` where they do not.
    fn line(&self) -> String {
        let cell = |fact: &&str| match (self.told(fact), self.against(fact).as_slice()) {
            (false, _) => "·".to_owned(),
            (true, []) => self
                .ours
                .get(fact)
                .filter(|value| value.parse::<u64>().is_ok())
                .map_or("=".to_owned(), String::clone),
            (true, _) => "≠".to_owned(),
        };
        let cells: Vec<String> = FACTS.iter().map(cell).collect();
        format!("| {} | {} | {} |", self.by, self.tree, cells.join(" | "))
    }
}

/// What we say of one machine, as others would write it.
///
/// Nothing in these trees is worth a warning, but that some have no processors.
pub(crate) fn ours(found: &Inventory) -> BTreeMap<&'static str, String> {
    let about = |warning: &&model::inventory::Warning| {
        warning.path.starts_with("sys/devices/system/") && warning.reason != "lists no processor"
    };
    assert_eq!(found.warnings.iter().find(about), None);
    let cpu = &found.cpu;
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    BTreeMap::from([
        ("sockets", cpu.sockets.to_string()),
        ("cores", cpu.cores.to_string()),
        ("threads", cpu.threads.to_string()),
        ("online", cpu.online.to_string()),
        ("nodes", found.numa.len().to_string()),
        ("memory", found.memory.physical.map_or(String::new(), |bytes| (bytes.0 >> 20).to_string())),
        ("caches", caches(&cpu.caches)),
        ("model", text(&cpu.model_name)),
        ("vendor", text(&cpu.vendor)),
        ("flags", cpu.flags.join(" ")),
        ("MHz", rates(cpu)),
        ("microcode", text(&cpu.microcode)),
        ("weaknesses", weaknesses(cpu)),
    ])
}

/// `L1d 1024 KiB in 32, L3 …`, sizes of one level and kind together.
fn caches(caches: &[Cache]) -> String {
    let mut all: BTreeMap<String, (u64, u32)> = BTreeMap::new();
    for cache in caches {
        let Some(size) = cache.size else { continue };
        let name = cache_name(&cache.level.to_string(), &cache.kind);
        let (sum, count) = all.entry(name).or_default();
        *sum += (size.0 >> 10) * u64::from(cache.instances.unwrap_or(1));
        *count += cache.instances.unwrap_or(0);
    }
    let words = all.into_iter().map(|(name, (sum, count))| cache(&name, sum, count));
    words.collect::<Vec<_>>().join(", ")
}

/// As lscpu names it: `L1d`.
pub(crate) fn cache_name(level: &str, kind: &str) -> String {
    let letter = match kind {
        "Data" => "d",
        "Instruction" => "i",
        _ => "",
    };
    format!("L{level}{letter}")
}

/// One level and kind; none of zero caches is told by number.
pub(crate) fn cache(name: &str, kibibytes: u64, count: u32) -> String {
    if count == 0 { format!("{name} {kibibytes} KiB") } else { format!("{name} {kibibytes} KiB in {count}") }
}

fn rates(cpu: &Cpu) -> String {
    let rate =
        |rate: Option<model::inventory::Frequency>| rate.map_or("-".to_owned(), |rate| rate.to_string());
    format!("{} to {}", rate(cpu.minimum_frequency), rate(cpu.maximum_frequency))
}

/// As lscpu writes them: `Itlb multihit: Not affected`.
fn weaknesses(cpu: &Cpu) -> String {
    let words = cpu.vulnerabilities.iter().map(|found| {
        let name = found.name.replace('_', " ");
        let (first, rest) = name.split_at(1);
        let status = found.status.replacen("Mitigation:", "Mitigation;", 1);
        format!("{}{rest}: {status}", first.to_uppercase())
    });
    words.collect::<Vec<_>>().join("\n")
}

/// The whole table.
fn table(rows: &[&Row], known: &[&Difference]) -> String {
    let mut table =
        format!("| by | machine | {} |\n|---|---|{}\n", FACTS.join(" | "), "---|".repeat(FACTS.len()));
    for row in rows {
        writeln!(table, "{}", row.line()).expect("a string");
    }
    table.push_str("\nWhere they are not equal:\n\n");
    for alike in known.chunk_by(|one, other| (one.tree, one.why) == (other.tree, other.why)) {
        let facts: Vec<&str> = alike.iter().map(|known| known.fact).collect();
        writeln!(table, "- {}, {}: {}.", alike[0].tree, facts.join(", "), alike[0].why).expect("a string");
    }
    let told: usize = rows.iter().map(|row| FACTS.iter().filter(|fact| row.told(fact)).count()).sum();
    writeln!(
        table,
        "\n{} machines, {told} facts that somebody else tells, {} equal.",
        rows.len(),
        told - known.len()
    )
    .expect("a string");
    table
}

/// The rows, worked out once however many tests look at them.
pub(crate) fn rows() -> Option<&'static Rows> {
    static ROWS: OnceLock<Option<Rows>> = OnceLock::new();
    ROWS.get_or_init(|| {
        let corpus = corpus()?;
        std::thread::scope(|scope| {
            let lscpu = scope.spawn(|| lscpu::rows(&corpus));
            let topology = topology::rows(&corpus);
            Some(Rows { lscpu: lscpu.join().expect("no panic"), topology })
        })
    })
    .as_ref()
}

pub(crate) struct Rows {
    pub(crate) lscpu: Vec<Row>,
    pub(crate) topology: Vec<Row>,
}

const BEGIN: &str = "<!-- processors: written by `BLESS=1 cargo test -p inventory --test processors` -->\n\n";
const END: &str = "\n<!-- /processors -->";

#[test]
fn the_table_in_the_documentation_is_what_comes_out() {
    let Some(rows) = rows() else { return };
    let all: Vec<&Row> = rows.lscpu.iter().chain(&rows.topology).collect();
    let known: Vec<&Difference> = lscpu::DIFFERS.iter().chain(&topology::DIFFERS).collect();
    let table = table(&all, &known);
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/figures.md");
    let page = fs::read_to_string(&path).expect("docs/figures.md");
    let (before, rest) = page.split_once(BEGIN).expect("the place of the table");
    let (old, after) = rest.split_once(END).expect("its end");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, format!("{before}{BEGIN}{table}{END}{after}")).expect("docs/figures.md");
        return;
    }
    assert_eq!(old, table, "BLESS=1 writes it anew");
}
