//! Caches: their levels, sizes, how many there are and who shares them.

use std::collections::BTreeSet;

use model::{Bytes, inventory::Cache};

use super::{
    CPUS,
    set::{self, Form, Source},
};
use crate::{limits, reader::Reader};

/// Files that hold the threads that share a cache.
const SHARED: [Source; 2] = [("shared_cpu_map", Form::Mask), ("shared_cpu_list", Form::List)];

/// Folders that are looked for although one before them is missing: kernels leave
/// out caches whose firmware contradicts itself.
const USUAL: u32 = 4;

pub(super) fn read(reader: &Reader<'_>, online: &[u32], cpuinfo: &str) -> Vec<Cache> {
    let directory = |cpu: u32, index: u32| format!("{CPUS}/cpu{cpu}/cache/index{index}");
    let first = set::source(reader, online.iter().map(|cpu| directory(*cpu, 0)), &SHARED);
    let mut found = Found::default();
    if let Some(shared) = first {
        for &cpu in online {
            for index in 0..limits::CACHES {
                if !found.add(reader, cpu, &directory(cpu, index), shared) && index >= USUAL {
                    break;
                }
            }
        }
    }
    found.caches.extend(cpuinfo.lines().filter_map(parse_shared));
    model::order::sort_by_key(&mut found.caches, |cache| (cache.level, cache.kind.clone(), cache.size));
    found.caches
}

#[derive(Default)]
struct Found {
    caches: Vec<Cache>,
    /// Every cache that is counted, as [`name`] names it.
    counted: BTreeSet<u32>,
}

impl Found {
    /// Count the cache in `dir`, which `cpu` uses, unless it was seen from another
    /// thread; false when there is none. Old kernels of ia64 leave the set of those
    /// that share empty: it is at least this one's.
    fn add(&mut self, reader: &Reader<'_>, cpu: u32, dir: &str, shared: Source) -> bool {
        let Some(level) = reader.number::<u8>(format!("{dir}/level")) else { return false };
        let Some(kind) = reader.text(format!("{dir}/type")) else { return false };
        let first = set::read_first(reader, dir, shared).unwrap_or(cpu);
        if self.counted.insert(name(level, &kind, first)) {
            let threads = set::read(reader, dir, shared).filter(|set| !set.is_empty());
            let threads = threads.map(|set| super::count(set.len()));
            self.count(
                reader,
                Cache { level: level.into(), kind, size: size(reader, dir), instances: Some(1), threads },
            );
        }
        true
    }

    fn count(&mut self, reader: &Reader<'_>, cache: Cache) {
        let alike = |known: &&mut Cache| {
            (known.level, known.size) == (cache.level, cache.size) && known.kind == cache.kind
        };
        let full = self.caches.len() >= limits::CACHE_SORTS;
        match self.caches.iter_mut().find(alike) {
            Some(known) => {
                known.instances = known.instances.map(|instances| instances + 1);
                known.threads = known.threads.max(cache.threads);
            }
            None if !full => self.caches.push(cache),
            None => reader.warn(CPUS, "has more sorts of caches than any machine"),
        }
    }
}

/// One number for a cache of `level` whose lowest thread is `first`; that is below
/// [`limits::CPUS`], 15 bits.
fn name(level: u8, kind: &str, first: u32) -> u32 {
    let kind = match kind {
        "Data" => 0,
        "Instruction" => 1,
        _ => 2,
    };
    u32::from(level) << 24 | kind << 16 | first
}

fn size(reader: &Reader<'_>, dir: &str) -> Option<Bytes> {
    let path = format!("{dir}/size");
    let text = reader.text(&path)?;
    let size = parse_size(&text);
    if size.is_none() {
        reader.warn(&path, "is no size such as 32K");
    }
    size.filter(|size| size.0 > 0)
}

/// `18432K`.
fn parse_size(text: &str) -> Option<Bytes> {
    let (number, unit) = match text.as_bytes().last()? {
        b'K' => (&text[..text.len() - 1], 1 << 10),
        b'M' => (&text[..text.len() - 1], 1 << 20),
        _ => (text, 1),
    };
    number.parse::<u64>().ok()?.checked_mul(unit).map(Bytes)
}

/// What s390x tells of caches beyond the core, in `/proc/cpuinfo` alone:
/// `cache5 : level=4 type=Unified scope=Shared size=491520K line_size=256 …`.
fn parse_shared(line: &str) -> Option<Cache> {
    let (name, facts) = line.split_once(':')?;
    let fact =
        |name: &str| facts.split_whitespace().find_map(|fact| fact.strip_prefix(name)?.strip_prefix('='));
    if !name.starts_with("cache") || fact("scope")? != "Shared" {
        return None;
    }
    Some(Cache {
        level: fact("level")?.parse().ok()?,
        kind: fact("type")?.to_owned(),
        size: Some(parse_size(fact("size")?)?),
        instances: None,
        threads: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_or_absent() {
        for (text, size) in [
            ("32K", Some(32 << 10)),
            ("2M", Some(2 << 20)),
            ("512", Some(512)),
            ("", None),
            ("K", None),
            ("-1K", None),
            ("18446744073709551615K", None),
            ("32\u{212a}", None),
        ] {
            assert_eq!(parse_size(text), size.map(Bytes), "{text}");
        }
    }

    #[test]
    fn shared_caches_of_s390x_stand_in_cpuinfo() {
        let shared =
            "cache5          : level=4 type=Unified scope=Shared size=491520K line_size=256 associativity=30";
        let cache = parse_shared(shared).expect("a cache");
        assert_eq!((cache.level, cache.size, cache.instances), (4, Some(Bytes(480 << 20)), None));
        assert_eq!(parse_shared("cache0 : level=1 type=Data scope=Private size=128K"), None);
        assert_eq!(parse_shared("cache size\t: 6144 KB"), None);
    }
}
