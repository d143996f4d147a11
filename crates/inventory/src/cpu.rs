//! Processors: names and flags from `/proc/cpuinfo`, topology from sysfs.

use std::collections::BTreeSet;

use model::inventory::{Cpu, Frequency};

use crate::{kernel, limits, reader::Reader};

const CPUINFO: &str = "proc/cpuinfo";
const CPUS: &str = "sys/devices/system/cpu";

pub(crate) fn read(reader: &Reader<'_>) -> Cpu {
    let cpuinfo = reader.head(CPUINFO).unwrap_or_else(|| {
        reader.warn(CPUINFO, "missing or unreadable");
        String::new()
    });
    let architecture = reader.text("proc/sys/kernel/arch").or_else(|| reader.text(kernel::ARCHITECTURE));
    let present = present(reader);
    let topology = Topology::read(reader, &present);
    Cpu {
        architecture,
        model_name: field(&cpuinfo, &["model name", "Model Name", "cpu model", "cpu", "Processor", "uarch"]),
        frequency: frequency(reader, &present, &cpuinfo),
        flags: field(&cpuinfo, &["flags", "Features", "features", "isa"])
            .map(|flags| flags.split_whitespace().map(str::to_owned).collect())
            .unwrap_or_default(),
        sockets: topology.sockets,
        cores: topology.cores,
        threads: count(present.len()),
        online: reader
            .text(format!("{CPUS}/online"))
            .and_then(|list| parse_list(&list))
            .map_or(count(present.len()), |online| count(online.len())),
        ..Cpu::default()
    }
}

/// The first of `names` that `/proc/cpuinfo` has, in the first processor that
/// has it. Which name it has depends on the architecture.
fn field(cpuinfo: &str, names: &[&str]) -> Option<String> {
    let value = |name: &str| {
        cpuinfo.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            (key.trim() == name && !value.trim().is_empty()).then(|| value.trim().to_owned())
        })
    };
    names.iter().find_map(|name| value(name))
}

/// Numbers of the logical processors that exist, offline ones too.
fn present(reader: &Reader<'_>) -> Vec<u32> {
    let path = format!("{CPUS}/present");
    if let Some(list) = reader.text(&path) {
        match parse_list(&list) {
            Some(present) => return present,
            None => reader.warn(&path, "is not a set of processors"),
        }
    }
    let number = |name: &String| name.strip_prefix("cpu")?.parse().ok();
    let mut present: Vec<u32> = reader.list(CPUS).iter().filter_map(number).collect();
    model::order::sort(&mut present);
    if present.is_empty() {
        reader.warn(CPUS, "lists no processor");
    }
    present
}

/// `0-3,8-11`, as sysfs writes sets of processors.
fn parse_list(list: &str) -> Option<Vec<u32>> {
    let mut cpus = Vec::new();
    for range in list.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if last >= limits::CPUS || cpus.len() > limits::CPUS as usize {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

struct Topology {
    sockets: u32,
    cores: u32,
}

impl Topology {
    /// Count the distinct sets of siblings, which is right where numbers of
    /// cores repeat from die to die. Processors that are offline have no
    /// topology and belong to sockets counted already.
    fn read(reader: &Reader<'_>, present: &[u32]) -> Self {
        let mut sockets = BTreeSet::new();
        let mut cores = BTreeSet::new();
        for cpu in present {
            let of = |name: &str| reader.text(format!("{CPUS}/cpu{cpu}/topology/{name}"));
            sockets.extend(of("package_cpus").or_else(|| of("core_siblings")));
            cores.extend(of("core_cpus").or_else(|| of("thread_siblings")));
        }
        let known =
            |set: &BTreeSet<String>, otherwise| if set.is_empty() { otherwise } else { count(set.len()) };
        // Kernels without topology (some guests) say nothing: one socket, a core a processor.
        let sockets = known(&sockets, u32::from(!present.is_empty()));
        Self { sockets, cores: known(&cores, count(present.len())) }
    }
}

/// The highest rate that cpufreq offers, else the present one, as `lscpu` has it.
fn frequency(reader: &Reader<'_>, present: &[u32], cpuinfo: &str) -> Option<Frequency> {
    let highest = |cpu: &u32| reader.number::<u64>(format!("{CPUS}/cpu{cpu}/cpufreq/cpuinfo_max_freq"));
    let highest = present.iter().filter_map(highest).max().filter(|kilohertz| *kilohertz > 0);
    highest.map(Frequency).or_else(|| parse_megahertz(&field(cpuinfo, &["cpu MHz", "cpu MHz dynamic"])?))
}

/// `2595.124`, in kilohertz.
fn parse_megahertz(text: &str) -> Option<Frequency> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let thousandths: u64 = format!("{fraction:0<3}").get(..3)?.parse().ok()?;
    let kilohertz = whole.parse::<u64>().ok()?.checked_mul(1000)?.checked_add(thousandths)?;
    Some(Frequency(kilohertz)).filter(|frequency| frequency.0 > 0)
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_processors_are_read_and_bounded() {
        assert_eq!(parse_list("0"), Some(vec![0]));
        assert_eq!(parse_list("0-2,8-9"), Some(vec![0, 1, 2, 8, 9]));
        for bad in ["", "a", "0-", "0-4294967295", "-1", "5-99999999999"] {
            assert_eq!(parse_list(bad), None, "{bad}");
        }
    }

    #[test]
    fn a_frequency_is_written_as_lscpu_writes_it() {
        for (text, written) in [
            ("2595.124", Some("2595.1240")),
            ("3000", Some("3000.0000")),
            ("800.5", Some("800.5000")),
            ("x", None),
        ] {
            assert_eq!(parse_megahertz(text).map(|f| f.to_string()).as_deref(), written, "{text}");
        }
    }

    #[test]
    fn every_architecture_names_its_processor_its_own_way() {
        let x86 = "processor\t: 0\nmodel name\t: Xeon\nflags\t\t: fpu vme\n";
        let power = "processor\t: 0\ncpu\t\t: POWER9, altivec supported\nclock\t\t: 3800.000000MHz\n";
        assert_eq!(field(x86, &["model name", "cpu"]).as_deref(), Some("Xeon"));
        assert_eq!(field(power, &["model name", "cpu"]).as_deref(), Some("POWER9, altivec supported"));
        assert_eq!(field(x86, &["uarch"]), None);
    }
}
