//! ARM's processors carry numbers, not names: who made them and which part it is
//! (`MIDR_EL1`, Arm DDI 0487). Names of what stands in server rooms, as `lscpu` has
//! them.

use crate::limits;

/// One kind of core.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) implementer: u8,
    pub(super) part: u16,
}

impl Part {
    /// `Cortex-X3`; `None` of a part nobody told us of.
    pub(super) fn name(self) -> Option<&'static str> {
        let is = |(by, part, _): &&(u8, u16, &str)| (*by, *part) == (self.implementer, self.part);
        PARTS.iter().find(is).map(|(_, _, name)| *name)
    }

    /// The name, else the number: `ARM 0xd99`.
    pub(super) fn label(self) -> String {
        match (self.name(), implementer(self.implementer)) {
            (Some(name), _) => name.to_owned(),
            (None, Some(by)) => format!("{by} {:#05x}", self.part),
            (None, None) => format!("{:#04x} {:#05x}", self.implementer, self.part),
        }
    }
}

/// Who made it.
pub(super) fn implementer(number: u8) -> Option<&'static str> {
    IMPLEMENTERS.iter().find(|(by, _)| *by == number).map(|(_, name)| *name)
}

/// The register's content: `0x00000000410fd0c1`.
pub(super) fn parse_register(text: &str) -> Option<Part> {
    let register = u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()?;
    let [_, _, _, _, implementer, _, high, low] = register.to_be_bytes();
    Some(Part { implementer, part: u16::from_be_bytes([high, low]) >> 4 })
}

/// The parts in `/proc/cpuinfo`, each at the number of its logical processor. Old
/// kernels tell the part once, at the end, for all.
pub(super) fn parse_cpuinfo(cpuinfo: &str) -> Vec<Option<Part>> {
    let mut parts = Vec::new();
    let (mut untold, mut implementer): (Vec<usize>, Option<u8>) = (Vec::new(), None);
    for (key, value) in cpuinfo.lines().filter_map(|line| line.split_once(':')) {
        match key.trim() {
            "processor" => {
                untold.extend(value.trim().parse::<usize>().ok().filter(|cpu| *cpu < limits::CPUS as usize))
            }
            "CPU implementer" => {
                implementer = hexadecimal(value).and_then(|number| u8::try_from(number).ok())
            }
            "CPU part" => {
                let part = implementer.zip(hexadecimal(value));
                let part = part.map(|(implementer, part)| Part { implementer, part });
                for cpu in untold.drain(..) {
                    parts.resize(parts.len().max(cpu + 1), None);
                    parts[cpu] = part;
                }
            }
            _ => {}
        }
    }
    parts
}

/// `0xd0c`.
pub(super) fn hexadecimal(text: &str) -> Option<u16> {
    u16::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok()
}

const IMPLEMENTERS: [(u8, &str); 16] = [
    (0x41, "ARM"),
    (0x42, "Broadcom"),
    (0x43, "Cavium"),
    (0x46, "FUJITSU"),
    (0x48, "HiSilicon"),
    (0x49, "Infineon"),
    (0x4d, "Motorola/Freescale"),
    (0x4e, "NVIDIA"),
    (0x50, "APM"),
    (0x51, "Qualcomm"),
    (0x56, "Marvell"),
    (0x61, "Apple"),
    (0x69, "Intel"),
    (0x6d, "Microsoft"),
    (0x70, "Phytium"),
    (0xc0, "Ampere"),
];

const PARTS: [(u8, u16, &str); 58] = [
    (0x41, 0xc07, "Cortex-A7"),
    (0x41, 0xc08, "Cortex-A8"),
    (0x41, 0xc09, "Cortex-A9"),
    (0x41, 0xc0f, "Cortex-A15"),
    (0x41, 0xd03, "Cortex-A53"),
    (0x41, 0xd04, "Cortex-A35"),
    (0x41, 0xd05, "Cortex-A55"),
    (0x41, 0xd07, "Cortex-A57"),
    (0x41, 0xd08, "Cortex-A72"),
    (0x41, 0xd09, "Cortex-A73"),
    (0x41, 0xd0a, "Cortex-A75"),
    (0x41, 0xd0b, "Cortex-A76"),
    (0x41, 0xd0c, "Neoverse-N1"),
    (0x41, 0xd0d, "Cortex-A77"),
    (0x41, 0xd40, "Neoverse-V1"),
    (0x41, 0xd41, "Cortex-A78"),
    (0x41, 0xd42, "Cortex-A78AE"),
    (0x41, 0xd44, "Cortex-X1"),
    (0x41, 0xd46, "Cortex-A510"),
    (0x41, 0xd47, "Cortex-A710"),
    (0x41, 0xd48, "Cortex-X2"),
    (0x41, 0xd49, "Neoverse-N2"),
    (0x41, 0xd4a, "Neoverse-E1"),
    (0x41, 0xd4b, "Cortex-A78C"),
    (0x41, 0xd4d, "Cortex-A715"),
    (0x41, 0xd4e, "Cortex-X3"),
    (0x41, 0xd4f, "Neoverse-V2"),
    (0x41, 0xd80, "Cortex-A520"),
    (0x41, 0xd81, "Cortex-A720"),
    (0x41, 0xd82, "Cortex-X4"),
    (0x41, 0xd83, "Neoverse-V3AE"),
    (0x41, 0xd84, "Neoverse-V3"),
    (0x41, 0xd85, "Cortex-X925"),
    (0x41, 0xd87, "Cortex-A725"),
    (0x41, 0xd8e, "Neoverse-N3"),
    (0x42, 0x516, "ThunderX2"),
    (0x43, 0x0a1, "ThunderX-88XX"),
    (0x43, 0x0a2, "ThunderX-81XX"),
    (0x43, 0x0a3, "ThunderX-83XX"),
    (0x43, 0x0af, "ThunderX2-99xx"),
    (0x43, 0x0b8, "ThunderX3-T110"),
    (0x46, 0x001, "A64FX"),
    (0x46, 0x003, "MONAKA"),
    (0x48, 0xd01, "TaiShan-v110"),
    (0x48, 0xd02, "TaiShan-v120"),
    (0x4e, 0x004, "Carmel"),
    (0x4e, 0x010, "Olympus"),
    (0x50, 0x000, "X-Gene"),
    (0x51, 0xc00, "Falkor"),
    (0x61, 0x022, "Icestorm-M1"),
    (0x61, 0x023, "Firestorm-M1"),
    (0x61, 0x032, "Blizzard-M2"),
    (0x61, 0x033, "Avalanche-M2"),
    (0x6d, 0xd49, "Azure-Cobalt-100"),
    (0x70, 0x662, "FTC662"),
    (0x70, 0x663, "FTC663"),
    (0xc0, 0xac3, "Ampere-1"),
    (0xc0, 0xac4, "Ampere-1a"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_register_names_the_part() {
        for (text, name) in [
            ("0x00000000410fd0c1", Some("Neoverse-N1")),
            ("0x00000000c00fac30", Some("Ampere-1")),
            ("0x00000000410fd991", Some("ARM 0xd99")),
            ("0x00000000fe000010", Some("0xfe 0x001")),
            ("410fd0c1", None),
            ("0x", None),
            ("0x1ffffffffffffffff", None),
        ] {
            assert_eq!(parse_register(text).map(Part::label).as_deref(), name, "{text}");
        }
    }

    #[test]
    fn cpuinfo_names_the_part_of_each_processor_or_once_for_all() {
        let new = "processor : 0\nCPU implementer : 0x41\nCPU part : 0xd87\n\nprocessor : 1\nCPU implementer : 0x41\nCPU part : 0xd85\n";
        let names =
            |text| parse_cpuinfo(text).into_iter().flatten().filter_map(Part::name).collect::<Vec<_>>();
        assert_eq!(names(new), ["Cortex-A725", "Cortex-X925"]);
        let old = "processor : 0\n\nprocessor : 1\n\nCPU implementer : 0x41\nCPU part : 0xc0f\n";
        assert_eq!(names(old), ["Cortex-A15", "Cortex-A15"]);
        assert!(names("processor : 0\nCPU part : 0xd87\n").is_empty(), "nobody made it");
        assert!(names("processor : 4000000000\nCPU implementer : 0x41\nCPU part : 0xd87\n").is_empty());
        assert!(names("processor : x\nCPU implementer : 0x41\nCPU part : 1\n").is_empty());
    }
}
