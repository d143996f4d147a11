//! Processors and the nodes of memory they sit on.

use serde::{Deserialize, Serialize};

use crate::Bytes;

/// The processors, taken together.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cpu {
    /// As the kernel names it: `x86_64`, `aarch64`.
    pub architecture: Option<String>,
    /// Marketing name, from `/proc/cpuinfo`. ARM processors have none there: the
    /// name of the part, of all kinds of parts joined by ` + `.
    pub model_name: Option<String>,
    /// Who made it, as the processor says: `GenuineIntel`, `ARM`, `0x489` (RISC-V).
    pub vendor: Option<String>,
    /// The highest frequency, from cpufreq, else the present one.
    pub frequency: Option<Frequency>,
    /// The lowest rate cpufreq goes down to.
    pub minimum_frequency: Option<Frequency>,
    /// The highest rate cpufreq goes up to.
    pub maximum_frequency: Option<Frequency>,
    /// The rate it is sold with (`base_frequency`, ACPI CPPC nominal).
    pub base_frequency: Option<Frequency>,
    /// Feature flags in the kernel's order.
    pub flags: Vec<String>,
    /// Populated sockets.
    pub sockets: u32,
    /// Physical cores.
    pub cores: u32,
    /// Logical processors present, offline ones too.
    pub threads: u32,
    /// Logical processors online.
    pub online: u32,
    /// Numbers of logical processors that are present and not online.
    pub offline: Vec<u32>,
    /// Cores of one kind each, where a processor has several kinds; else empty.
    pub kinds: Vec<CoreKind>,
    /// Caches, level by level.
    pub caches: Vec<Cache>,
    /// Revision of the microcode: `0x2b000571`.
    pub microcode: Option<String>,
    /// What the kernel says of known weaknesses, by name: `Mitigation: PTI`.
    pub vulnerabilities: Vec<Vulnerability>,
    /// Threads of one core that are in use (`smt/control`): `on`, `off`, `forceoff`.
    pub smt: Option<String>,
    /// Every core that is online and has a number, by its first logical processor.
    pub topology: Vec<Core>,
}

/// A clock rate, in kilohertz, as cpufreq counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Frequency(pub u64);

impl std::fmt::Display for Frequency {
    /// Megahertz with four decimals, as `lscpu` and so Ironic write it: `3000.0000`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:03}0", self.0 / 1000, self.0 % 1000)
    }
}

/// Cores of one kind in a processor that has several.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoreKind {
    /// `performance` and `efficiency`, or the name of the part: `Cortex-X3`.
    pub name: String,
    /// Cores of this kind, online ones only.
    pub cores: u32,
    /// Their logical processors.
    pub threads: u32,
}

/// Caches of one level, kind and size.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cache {
    /// 1 is nearest to the core.
    pub level: u32,
    /// `Data`, `Instruction` or `Unified`.
    pub kind: String,
    /// Of one of them; device trees often keep it to themselves.
    pub size: Option<Bytes>,
    /// How many there are; `None` where the kernel (of s390x) only says that it is
    /// shared.
    pub instances: Option<u32>,
    /// Logical processors that share one: of the one most share.
    pub threads: Option<u32>,
}

/// One weakness and what the kernel does about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vulnerability {
    /// As the kernel calls it: `spectre_v2`.
    pub name: String,
    /// In the kernel's words: `Not affected`, `Vulnerable`, `Mitigation: …`.
    pub status: String,
}

/// One core.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Core {
    /// Number of the core inside its socket (`core_id`).
    pub id: u32,
    /// Its socket (`physical_package_id`), where the firmware numbers them.
    pub socket: Option<u32>,
    /// The NUMA node it sits on; 0 where the kernel knows no nodes.
    pub numa_node: u32,
    /// Its logical processors.
    pub threads: Vec<u32>,
}

/// One NUMA node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumaNode {
    /// The kernel's number; numbers may have gaps.
    pub id: u32,
    /// Its logical processors, online ones only; none where a node is memory
    /// alone (HBM, CXL, a GPU's).
    pub cpus: Vec<u32>,
    /// What the kernel can use of its memory.
    pub memory: Option<Bytes>,
    /// How far every node is, in the firmware's measure, 10 being here. In the
    /// order of the nodes.
    pub distances: Vec<u32>,
    /// How fast the kernel holds its memory to be; a lower number is faster
    /// (`/sys/devices/virtual/memory_tiering`).
    pub tier: Option<u32>,
}
