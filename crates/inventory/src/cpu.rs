//! Processors: names and flags from `/proc/cpuinfo`, everything that is counted
//! from sysfs.

mod arm;
mod cache;
mod clock;
mod kind;
mod set;
mod topology;

use model::inventory::{Cpu, NumaNode, Socket, Vulnerability};

use crate::{kernel, limits, reader::Reader};

pub(crate) use set::{Form, read as read_set};

const CPUINFO: &str = "proc/cpuinfo";
const CPUS: &str = "sys/devices/system/cpu";

/// Every processor, on `nodes`, in `sockets`.
pub(crate) fn read(reader: &Reader<'_>, nodes: &[NumaNode], sockets: &[Socket]) -> Cpu {
    let cpuinfo = reader.head(CPUINFO).unwrap_or_else(|| {
        reader.warn(CPUINFO, "missing or unreadable");
        String::new()
    });
    let architecture = reader.text("proc/sys/kernel/arch").or_else(|| reader.text(kernel::ARCHITECTURE));
    let present = present(reader);
    let online = online(reader, &present);
    let topology = topology::Topology::read(reader, &online);
    let rates = clock::read(reader, &online);
    let parts = kind::parts(reader, &topology.cores, &cpuinfo);
    Cpu {
        architecture,
        model_name: field(&cpuinfo, &["model name", "Model Name", "cpu model", "cpu"])
            .or_else(|| parts.known_names())
            .or_else(|| sockets.iter().find_map(|socket| socket.version.clone()))
            .or_else(|| parts.names())
            .or_else(|| field(&cpuinfo, &["Processor", "uarch"])),
        vendor: field(&cpuinfo, &["vendor_id", "vendor", "mvendorid"]).or_else(|| made_by(&cpuinfo)),
        frequency: rates.maximum.or_else(|| {
            clock::parse_megahertz(&field(&cpuinfo, &["cpu MHz", "cpu MHz dynamic", "CPU MHz", "clock"])?)
        }),
        minimum_frequency: rates.minimum,
        maximum_frequency: rates.maximum,
        base_frequency: rates.base,
        flags: flags(&cpuinfo),
        sockets: count(topology.sockets(present.len())),
        cores: count(topology.cores(present.len())),
        threads: count(present.len()),
        online: count(online.len()),
        kinds: kind::read(reader, &topology.cores, parts),
        caches: cache::read(reader, &online, &cpuinfo),
        microcode: microcode(reader, &online).or_else(|| field(&cpuinfo, &["microcode"])),
        vulnerabilities: vulnerabilities(reader),
        smt: reader.text(format!("{CPUS}/smt/control")),
        topology: topology.numbered(reader, nodes),
        offline: without(present, &online),
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

/// What the processor can do. Most architectures put blanks between words; ia64
/// and sparc64 commas, RISC-V low lines.
fn flags(cpuinfo: &str) -> Vec<String> {
    let words = |text: String, between: &str| -> Vec<String> {
        let words = text.split(|c: char| between.contains(c)).map(str::trim);
        words.filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    match field(cpuinfo, &["flags", "Features", "features", "cpucaps"]) {
        Some(text) if text.contains(',') => words(text, ","),
        Some(text) => words(text, " \t"),
        None => field(cpuinfo, &["isa"]).map(|text| words(text, "_ ")).unwrap_or_default(),
    }
}

/// Who made an ARM processor, which says so by number.
fn made_by(cpuinfo: &str) -> Option<String> {
    let number = arm::hexadecimal(&field(cpuinfo, &["CPU implementer"])?)?;
    arm::implementer(u8::try_from(number).ok()?).map(str::to_owned)
}

/// Numbers of the logical processors that exist, offline ones too.
fn present(reader: &Reader<'_>) -> Vec<u32> {
    if let Some(present) = set::read(reader, CPUS, ("present", Form::List)) {
        return present;
    }
    let number = |name: &String| name.strip_prefix("cpu")?.parse().ok();
    let mut present: Vec<u32> =
        reader.list(CPUS).iter().filter_map(number).filter(|cpu| *cpu < limits::CPUS).collect();
    model::order::sort(&mut present);
    if present.is_empty() {
        reader.warn(CPUS, "lists no processor");
    }
    present
}

/// Those of `present` that are online. Kernels before 2.6.26 have no list of them,
/// and no file where a processor cannot go offline.
fn online(reader: &Reader<'_>, present: &[u32]) -> Vec<u32> {
    if let Some(online) = set::read(reader, CPUS, ("online", Form::List)) {
        return online;
    }
    let is_online =
        |cpu: &&u32| reader.text(format!("{CPUS}/cpu{cpu}/online")).is_none_or(|text| text != "0");
    present.iter().filter(is_online).copied().collect()
}

fn without(present: Vec<u32>, online: &[u32]) -> Vec<u32> {
    let online = model::order::set(online.iter().copied());
    present.into_iter().filter(|cpu| !online.contains(cpu)).collect()
}

fn microcode(reader: &Reader<'_>, online: &[u32]) -> Option<String> {
    reader.text(format!("{CPUS}/cpu{}/microcode/version", online.first()?))
}

fn vulnerabilities(reader: &Reader<'_>) -> Vec<Vulnerability> {
    let dir = format!("{CPUS}/vulnerabilities");
    let read = |name: String| Some(Vulnerability { status: reader.text(format!("{dir}/{name}"))?, name });
    reader.list(&dir).into_iter().take(limits::VULNERABILITIES).filter_map(read).collect()
}

fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_architecture_names_its_processor_its_own_way() {
        let x86 = "processor\t: 0\nmodel name\t: Xeon\nflags\t\t: fpu vme\n";
        let power = "processor\t: 0\ncpu\t\t: POWER9, altivec supported\nclock\t\t: 3800.000000MHz\n";
        assert_eq!(field(x86, &["model name", "cpu"]).as_deref(), Some("Xeon"));
        assert_eq!(field(power, &["model name", "cpu"]).as_deref(), Some("POWER9, altivec supported"));
        assert_eq!(field(x86, &["uarch"]), None);
    }

    #[test]
    fn every_architecture_puts_flags_together_its_own_way() {
        for (cpuinfo, want) in [
            ("flags\t\t: fpu vme\n", vec!["fpu", "vme"]),
            ("features   : branchlong, 16-byte atomic ops\n", vec!["branchlong", "16-byte atomic ops"]),
            ("isa\t\t: rv64imafdc_zicntr_zba\n", vec!["rv64imafdc", "zicntr", "zba"]),
            ("cpucaps\t\t: flush,stbar\n", vec!["flush", "stbar"]),
            ("processor : 0\n", vec![]),
        ] {
            assert_eq!(flags(cpuinfo), want, "{cpuinfo}");
        }
    }

    #[test]
    fn an_arm_processor_says_who_made_it_by_number() {
        for (cpuinfo, want) in [
            ("CPU implementer\t: 0x41\n", Some("ARM")),
            ("CPU implementer\t: 0xc0\n", Some("Ampere")),
            ("CPU implementer\t: 0xfe\n", None),
            ("CPU implementer\t: 0x141\n", None),
            ("CPU implementer\t: 65\n", None),
        ] {
            assert_eq!(made_by(cpuinfo).as_deref(), want, "{cpuinfo}");
        }
    }
}
