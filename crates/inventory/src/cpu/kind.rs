//! Kinds of cores: fast and thrifty ones in one processor, and the names of ARM's.

use model::inventory::CoreKind;

use super::{CPUS, arm, set};
use crate::reader::Reader;

/// Intel's kinds, each a unit that counts events of its own.
const UNITS: [(&str, &str); 3] =
    [("cpu_core", "performance"), ("cpu_atom", "efficiency"), ("cpu_lowpower", "low power")];

/// The kinds of cores, where there are several; `parts` are ARM's.
pub(super) fn read(reader: &Reader<'_>, cores: &[Vec<u32>], parts: Vec<CoreKind>) -> Vec<CoreKind> {
    let kinds = units(reader, cores);
    let kinds = if kinds.is_empty() { parts } else { kinds };
    if kinds.len() > 1 { kinds } else { Vec::new() }
}

/// What the processor is called by its parts.
pub(super) fn names(parts: &[CoreKind]) -> Option<String> {
    let names: Vec<&str> = parts.iter().map(|part| part.name.as_str()).collect();
    (!names.is_empty()).then(|| names.join(" + "))
}

fn units(reader: &Reader<'_>, cores: &[Vec<u32>]) -> Vec<CoreKind> {
    let unit = |(unit, name): &(&str, &str)| {
        let source = ("cpus", set::Form::List);
        let cpus = set::read(reader, &format!("sys/devices/{unit}"), source)?;
        let has = |core: &&Vec<u32>| core.first().is_some_and(|first| cpus.binary_search(first).is_ok());
        Some(kind((*name).to_owned(), cores.iter().filter(has)))
    };
    UNITS.iter().filter_map(unit).collect()
}

/// ARM's processors say which part each of them is.
pub(super) fn parts(reader: &Reader<'_>, cores: &[Vec<u32>], cpuinfo: &str) -> Vec<CoreKind> {
    let listed = arm::parse_cpuinfo(cpuinfo);
    if listed.is_empty() {
        return Vec::new();
    }
    let register = |cpu: u32| {
        arm::parse_register(&reader.text(format!("{CPUS}/cpu{cpu}/regs/identification/midr_el1"))?)
    };
    // cpuinfo of hundreds of processors is longer than what is read of it.
    let has_registers =
        cores.first().and_then(|core| core.first()).is_some_and(|cpu| register(*cpu).is_some());
    let part_of = |core: &Vec<u32>| {
        let first = *core.first()?;
        if has_registers { register(first) } else { listed.get(&first).copied() }
    };
    let mut found: Vec<(arm::Part, Vec<&Vec<u32>>)> = Vec::new();
    for core in cores {
        let Some(part) = part_of(core) else { continue };
        match found.iter_mut().find(|(known, _)| *known == part) {
            Some((_, cores)) => cores.push(core),
            None => found.push((part, vec![core])),
        }
    }
    found.into_iter().map(|(part, cores)| kind(part.name(), cores.into_iter())).collect()
}

fn kind<'a>(name: String, cores: impl Iterator<Item = &'a Vec<u32>>) -> CoreKind {
    let (mut count, mut threads) = (0, 0);
    for core in cores {
        count += 1;
        threads += core.len();
    }
    CoreKind { name, cores: count, threads: super::count(threads) }
}
