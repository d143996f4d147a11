//! Kinds of cores: fast and thrifty ones in one processor, and the names of ARM's.

use model::inventory::CoreKind;

use super::{CPUS, arm, set};
use crate::{limits, reader::Reader};

/// Intel's kinds, each a unit that counts events of its own.
const UNITS: [(&str, &str); 3] =
    [("cpu_core", "performance"), ("cpu_atom", "efficiency"), ("cpu_lowpower", "low power")];

/// ARM's kinds of cores.
#[derive(Default)]
pub(super) struct Parts {
    kinds: Vec<CoreKind>,
    /// True when each of them has a name, and not just a number.
    named: bool,
    /// True when the part of every core is known.
    complete: bool,
}

impl Parts {
    /// What the processor is called by its parts: `Cortex-A725 + Cortex-X925`.
    pub(super) fn names(&self) -> Option<String> {
        let names: Vec<&str> = self.kinds.iter().map(|part| part.name.as_str()).collect();
        (!names.is_empty()).then(|| names.join(" + "))
    }

    /// The same, unless a part has no name.
    pub(super) fn known_names(&self) -> Option<String> {
        if self.named { self.names() } else { None }
    }
}

/// The kinds of cores, where there are several.
pub(super) fn read(reader: &Reader<'_>, cores: &[Vec<u32>], parts: Parts) -> Vec<CoreKind> {
    let kinds = units(reader, cores);
    let kinds = if kinds.is_empty() && parts.complete { parts.kinds } else { kinds };
    if kinds.len() > 1 { kinds } else { Vec::new() }
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
pub(super) fn parts(reader: &Reader<'_>, cores: &[Vec<u32>], cpuinfo: &str) -> Parts {
    let listed = arm::parse_cpuinfo(cpuinfo);
    if listed.is_empty() {
        return Parts::default();
    }
    let register = |cpu: u32| {
        arm::parse_register(&reader.text(format!("{CPUS}/cpu{cpu}/regs/identification/midr_el1"))?)
    };
    // cpuinfo of hundreds of processors is longer than what is read of it.
    let has_registers =
        cores.first().and_then(|core| core.first()).is_some_and(|cpu| register(*cpu).is_some());
    let part_of = |core: &Vec<u32>| {
        let first = *core.first()?;
        if has_registers { register(first) } else { *listed.get(first as usize)? }
    };
    let mut found: Vec<(arm::Part, Vec<&Vec<u32>>)> = Vec::new();
    for core in cores {
        let Some(part) = part_of(core) else { continue };
        let full = found.len() >= limits::CORE_KINDS;
        match found.iter_mut().find(|(known, _)| *known == part) {
            Some((_, cores)) => cores.push(core),
            None if !full => found.push((part, vec![core])),
            None => {}
        }
    }
    Parts {
        complete: found.iter().map(|(_, cores)| cores.len()).sum::<usize>() == cores.len(),
        named: found.iter().all(|(part, _)| part.name().is_some()),
        kinds: found.into_iter().map(|(part, cores)| kind(part.label(), cores.into_iter())).collect(),
    }
}

fn kind<'a>(name: String, cores: impl Iterator<Item = &'a Vec<u32>>) -> CoreKind {
    let (mut count, mut threads) = (0, 0);
    for core in cores {
        count += 1;
        threads += core.len();
    }
    CoreKind { name, cores: count, threads: super::count(threads) }
}
