//! Machines written down here: what the recorded ones do not have, or have wrong.

use std::time::{Duration, Instant};

use inventory::{Options, Root, scan};
use model::{
    Bytes,
    inventory::{Core, CxlMemory, Inventory, PersistentMemory},
};

/// A machine of these lines, each `path = content` below the processors' folder, or
/// from the root when it begins with a slash.
fn machine(lines: &str) -> Inventory {
    let dir = tempfile::tempdir().expect("temporary directory");
    let mut listing = String::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        match line.strip_prefix('/') {
            // /proc is kept as files.
            Some(line) if line.starts_with("proc/") => {
                let (path, content) = line.split_once(" = ").expect("path = content");
                let path = dir.path().join(path);
                std::fs::create_dir_all(path.parent().expect("below")).expect("temporary directory");
                std::fs::write(path, content.replace("\\n", "\n")).expect("temporary file");
            }
            Some(line) => listing += &format!("{line}\n"),
            None => listing += &format!("sys/devices/system/cpu/{line}\n"),
        }
    }
    std::fs::write(dir.path().join("sysfs.txt"), listing).expect("temporary file");
    scan(&Root::open(dir.path()).expect("a recording"), &Options::default())
}

/// Warnings about processors and memory, without the missing `/proc`.
fn warnings(found: &Inventory) -> Vec<String> {
    let ours = found.warnings.iter().filter(|warning| !warning.reason.starts_with("missing"));
    ours.map(|warning| format!("{}: {}", warning.path, warning.reason)).collect()
}

/// Two fast cores of two threads, two thrifty ones of one.
const HYBRID: &str = "
    present = 0-5
    online = 0-5
    cpu0/topology/core_cpus = 03
    cpu1/topology/core_cpus = 03
    cpu2/topology/core_cpus = 0c
    cpu3/topology/core_cpus = 0c
    cpu4/topology/core_cpus = 10
    cpu5/topology/core_cpus = 20
    /sys/devices/cpu_core/cpus = 0-3
    /sys/devices/cpu_atom/cpus = 4-5
    /proc/cpuinfo = model name : Core Ultra\\nflags : fpu hypervisor\\n
";

#[test]
fn intels_kinds_of_cores_are_told_apart() {
    let found = machine(HYBRID);
    let kinds: Vec<_> =
        found.cpu.kinds.iter().map(|kind| (kind.name.as_str(), kind.cores, kind.threads)).collect();
    assert_eq!(kinds, [("performance", 2, 4), ("efficiency", 2, 2)]);
    assert_eq!(found.cpu.model_name.as_deref(), Some("Core Ultra"));
    assert_eq!(warnings(&found), [""; 0]);
}

/// Three cores, and a cpuinfo that tells of the first alone, as if it were cut.
const ARM: &str = "
    present = 0-2
    cpu0/topology/core_cpus = 1
    cpu1/topology/core_cpus = 2
    cpu2/topology/core_cpus = 4
    /proc/cpuinfo = processor : 0\\nCPU implementer : 0x41\\nCPU part : 0xd0c\\n
";

#[test]
fn arms_parts_are_named_by_register_and_counted_only_when_all_are_known() {
    const N1: &str = "0x00000000410fd0c1";
    const V2: &str = "0x00000000410fd4f0";
    const UNNAMED: &str = "0x00000000410fd991";
    for (registers, name, kinds) in [
        (vec![], "Neoverse-N1", 0),
        (vec![N1, N1, N1], "Neoverse-N1", 0),
        (vec![N1, V2, N1], "Neoverse-N1 + Neoverse-V2", 2),
        (vec![N1, UNNAMED, V2], "Neoverse-N1 + ARM 0xd99 + Neoverse-V2", 3),
        (vec![N1, V2], "Neoverse-N1 + Neoverse-V2", 0),
        (vec![N1], "Neoverse-N1", 0),
    ] {
        let line =
            |(cpu, register): (usize, &&str)| format!("cpu{cpu}/regs/identification/midr_el1 = {register}\n");
        let lines: String = registers.iter().enumerate().map(line).collect();
        let found = machine(&format!("{ARM}{lines}"));
        assert_eq!(found.cpu.model_name.as_deref(), Some(name), "{registers:?}");
        assert_eq!(found.cpu.kinds.len(), kinds, "{registers:?}");
        assert_eq!(found.cpu.vendor.as_deref(), Some("ARM"));
    }
}

#[test]
fn clocks_are_read_once_for_those_that_share_one_and_not_of_those_offline() {
    let found = machine(
        "
        present = 0-3
        online = 0-2
        cpu0/cpufreq -> ../cpufreq/policy0
        cpu1/cpufreq -> ../cpufreq/policy0
        cpu2/cpufreq -> ../cpufreq/policy2
        cpu3/cpufreq -> ../cpufreq/policy3
        cpufreq/policy0/cpuinfo_min_freq = 800000
        cpufreq/policy0/cpuinfo_max_freq = 4100000
        cpufreq/policy0/base_frequency = 2100000
        cpufreq/policy2/cpuinfo_min_freq = 400000
        cpufreq/policy2/cpuinfo_max_freq = 3900000
        cpufreq/policy3/cpuinfo_min_freq ! 16
        cpufreq/policy3/cpuinfo_max_freq ! 16
        ",
    );
    let written = |rate: Option<model::inventory::Frequency>| rate.map(|rate| rate.to_string());
    assert_eq!(written(found.cpu.minimum_frequency).as_deref(), Some("400.0000"));
    assert_eq!(written(found.cpu.maximum_frequency).as_deref(), Some("4100.0000"));
    assert_eq!(written(found.cpu.base_frequency).as_deref(), Some("2100.0000"));
    assert_eq!(found.cpu.frequency, found.cpu.maximum_frequency);
    assert_eq!((found.cpu.online, found.cpu.offline.as_slice()), (3, [3].as_slice()));
    assert_eq!(warnings(&found), [""; 0]);
    let amd = machine("present = 0\ncpu0/acpi_cppc/nominal_freq = 2450\n");
    assert_eq!(written(amd.cpu.base_frequency).as_deref(), Some("2450.0000"));
}

#[test]
fn weaknesses_microcode_and_threads_are_told_in_the_kernels_words() {
    let found = machine(
        "
        present = 0
        cpu0/microcode/version = 0x2b000571
        smt/control = forceoff
        vulnerabilities/meltdown = Not affected
        vulnerabilities/spectre_v2 = Mitigation: Retpolines; IBPB: conditional
        ",
    );
    assert_eq!(found.cpu.microcode.as_deref(), Some("0x2b000571"));
    assert_eq!(found.cpu.smt.as_deref(), Some("forceoff"));
    let told: Vec<_> =
        found.cpu.vulnerabilities.iter().map(|told| (told.name.as_str(), told.status.as_str())).collect();
    assert_eq!(
        told,
        [("meltdown", "Not affected"), ("spectre_v2", "Mitigation: Retpolines; IBPB: conditional")]
    );
}

/// Two sockets of one core, each a node; a node of memory alone behind the first.
const NODES: &str = "
    present = 0-3
    online = 0-3
    cpu0/topology/core_cpus = 3
    cpu0/topology/package_cpus = 3
    cpu0/topology/core_id = 0
    cpu0/topology/physical_package_id = 0
    cpu1/topology/core_cpus = 3
    cpu2/topology/core_cpus = c
    cpu2/topology/package_cpus = c
    cpu2/topology/core_id = 0
    cpu2/topology/physical_package_id = 1
    cpu3/topology/core_cpus = c
    /sys/devices/system/node/node0/cpumap = 3
    /sys/devices/system/node/node0/meminfo = Node 0 MemTotal:       65842928 kB
    /sys/devices/system/node/node0/distance = 10 21 17
    /sys/devices/system/node/node1/cpulist = 2-3
    /sys/devices/system/node/node1/meminfo = Node 1 MemTotal:       66000000 kB
    /sys/devices/system/node/node1/distance = 21 10 28
    /sys/devices/system/node/node2/cpumap = 0
    /sys/devices/system/node/node2/meminfo = Node 2 MemTotal:       16777216 kB
    /sys/devices/system/node/node2/distance = 17 28 10
    /sys/devices/virtual/memory_tiering/memory_tier4/nodelist = 0-1
    /sys/devices/virtual/memory_tiering/memory_tier22/nodelist = 2
";

#[test]
fn nodes_hold_processors_or_memory_alone() {
    let found = machine(NODES);
    let nodes: Vec<_> = found.numa.iter().map(|node| (node.id, node.cpus.clone(), node.tier)).collect();
    assert_eq!(nodes, [(0, vec![0, 1], Some(4)), (1, vec![2, 3], Some(4)), (2, vec![], Some(22))]);
    assert_eq!(found.numa[2].memory, Some(Bytes(16 << 30)));
    assert_eq!(found.numa[1].distances, [21, 10, 28]);
    let core = |socket, numa_node, threads: [u32; 2]| Core {
        id: 0,
        socket: Some(socket),
        numa_node,
        threads: threads.into(),
    };
    assert_eq!(found.cpu.topology, [core(0, 0, [0, 1]), core(1, 1, [2, 3])]);
    assert_eq!((found.cpu.sockets, found.cpu.cores), (2, 2), "both cores have the number 0");
    assert_eq!(warnings(&found), [""; 0]);
}

#[test]
fn caches_are_told_by_size_and_a_missing_folder_hides_no_other() {
    let cache = |cpu: u32, index: u32, told: [&str; 4]| {
        let [level, kind, shared, size] = told;
        let dir = format!("cpu{cpu}/cache/index{index}");
        let size = if size.is_empty() { String::new() } else { format!("{dir}/size = {size}\n") };
        format!("{dir}/level = {level}\n{dir}/type = {kind}\n{dir}/shared_cpu_map = {shared}\n{size}")
    };
    let lines = [
        "present = 0-2\n".to_owned(),
        cache(0, 0, ["1", "Data", "1", "48K"]),
        cache(1, 0, ["1", "Data", "2", "32K"]),
        cache(2, 0, ["1", "Data", "0", "32K"]),
        cache(0, 3, ["3", "Unified", "7", ""]),
        cache(1, 2, ["3", "Unified", "7", ""]),
    ];
    let found = machine(&lines.concat());
    let told: Vec<_> = found
        .cpu
        .caches
        .iter()
        .map(|cache| (cache.level, cache.size, cache.instances, cache.threads))
        .collect();
    let size = |kibibytes: u64| Some(Bytes(kibibytes << 10));
    assert_eq!(
        told,
        [(1, size(32), Some(2), Some(1)), (1, size(48), Some(1), Some(1)), (3, None, Some(1), Some(3))]
    );
}

#[test]
fn a_core_without_a_number_is_counted_and_not_listed() {
    let found = machine("present = 0\ncpu0/topology/core_cpus = 1\ncpu0/topology/core_id = -1\n");
    assert_eq!((found.cpu.cores, found.cpu.topology.len()), (1, 0));
    assert_eq!(warnings(&found), [""; 0]);
}

#[test]
fn memory_beyond_the_bus_is_told() {
    let found = machine(
        "
        /sys/bus/nd/devices/region0/size = 270582939648
        /sys/bus/nd/devices/region0/available_size = 0
        /sys/bus/nd/devices/region0/devtype = nd_pmem
        /sys/bus/nd/devices/region0/numa_node = 1
        /sys/bus/nd/devices/nmem0/devtype = nvdimm
        /sys/bus/cxl/devices/mem0/ram/size = 0x4000000000
        /sys/bus/cxl/devices/mem0/pmem/size = 0x0
        /sys/bus/cxl/devices/mem0/serial = 0x7f3a
        /sys/bus/cxl/devices/mem0/numa_node = -1
        ",
    );
    let region = PersistentMemory {
        name: "region0".into(),
        size: Some(Bytes(270_582_939_648)),
        available: Some(Bytes(0)),
        kind: Some("pmem".into()),
        numa_node: Some(1),
    };
    assert_eq!(found.memory.persistent, [region]);
    let device = CxlMemory {
        name: "mem0".into(),
        volatile: Some(Bytes(256 << 30)),
        persistent: Some(Bytes(0)),
        serial: Some("0x7f3a".into()),
        ..CxlMemory::default()
    };
    assert_eq!(found.memory.cxl, [device]);
}

#[test]
fn what_is_malformed_is_a_warning_with_its_path_and_nothing_else() {
    for (line, path) in [
        ("present = 0-\n", "sys/devices/system/cpu/present"),
        ("present = 0-99999999\n", "sys/devices/system/cpu/present"),
        ("present = 0\nonline = yes\n", "sys/devices/system/cpu/online"),
        ("present = 0\ncpu0/topology/core_cpus = xyz\n", "cpu0/topology/core_cpus"),
        ("present = 0\ncpu0/topology/core_cpus = 1\ncpu0/topology/core_id = first\n", "topology/core_id"),
        ("present = 0\ncpu0/cpufreq/cpuinfo_max_freq = fast\n", "cpufreq/cpuinfo_max_freq"),
        (
            "present = 0\ncpu0/cache/index0/level = 1\ncpu0/cache/index0/type = Data\n\
             cpu0/cache/index0/shared_cpu_map = 1\ncpu0/cache/index0/size = large\n",
            "cache/index0/size",
        ),
        ("present = 0\ncpu0/cache/index0/shared_cpu_map = 1\ncpu0/cache/index0/level = -1\n", "index0/level"),
        ("/sys/devices/system/node/node0/distance = 10 far\n", "node0/distance"),
        ("/sys/devices/system/node/node0/meminfo = Node 0 MemTotal: -5 kB\n", "node0/meminfo"),
        ("/sys/devices/system/node/node0/cpumap = \\xff\\xfe\n", "node0/cpumap"),
        ("/sys/bus/nd/devices/region0/size = 1 TiB\n", "region0/size"),
        ("/sys/bus/cxl/devices/mem0/ram/size = 0xfffffffffffffffff\n", "mem0/ram/size"),
    ] {
        let found = machine(line);
        let about: Vec<String> = warnings(&found);
        assert!(about.iter().any(|warning| warning.contains(path)), "{line}: {about:?}");
        assert!(about.len() <= 2, "{line}: {about:?}");
    }
}

#[test]
fn what_is_told_twice_or_without_end_is_bounded() {
    // Every processor claims all before it.
    let mut lines = "present = 0-63\n".to_owned();
    for cpu in 0..64 {
        lines += &format!("cpu{cpu}/topology/core_cpus_list = 0-{cpu}\ncpu{cpu}/topology/core_id = {cpu}\n");
    }
    let found = machine(&lines);
    let mut threads: Vec<u32> = found.cpu.topology.iter().flat_map(|core| core.threads.clone()).collect();
    threads.sort_unstable();
    assert_eq!(threads, (0..64).collect::<Vec<u32>>(), "each once");

    let mut lines = "present = 0-199\n".to_owned();
    for cpu in 0..200 {
        let cache = format!("cpu{cpu}/cache/index0");
        lines += &format!(
            "{cache}/level = 1\n{cache}/type = Data\n{cache}/shared_cpu_list = {cpu}\n{cache}/size = {cpu}K\n"
        );
    }
    let found = machine(&lines);
    assert_eq!(found.cpu.caches.len(), inventory::limits::CACHE_SORTS);
    assert_eq!(warnings(&found), ["sys/devices/system/cpu: has more sorts of caches than any machine"]);

    let lines = (0..1100).map(|node| format!("/sys/devices/system/node/node{node}/cpumap = 1\n"));
    let found = machine(&lines.collect::<String>());
    assert_eq!(found.numa.len(), inventory::limits::NODES);
    let about = warnings(&found);
    assert!(about.iter().any(|warning| warning.contains("has more than 1024 nodes")), "{about:?}");
}

/// Eight sockets, 2048 cores, three caches seen by each thread, a clock of its own for
/// each: read in linear time.
#[test]
fn four_thousand_processors_with_caches_and_clocks_take_moments() {
    let mut listing = "present = 0-4095\nonline = 0-4095\n".to_owned();
    let mask = |first: u32, count: u32| -> String {
        let digit = |nth: u32| {
            let bits = (0..4)
                .filter(|bit| (first..first + count).contains(&(nth * 4 + bit)))
                .fold(0, |all, bit| all | 1 << bit);
            char::from_digit(bits, 16).expect("a digit")
        };
        let digits: Vec<char> = (0..1024).rev().map(digit).collect();
        digits.chunks(8).map(String::from_iter).collect::<Vec<String>>().join(",")
    };
    let cores: Vec<String> = (0..2048).map(|core| mask(core * 2, 2)).collect();
    let sockets: Vec<String> = (0..8).map(|socket| mask(socket * 512, 512)).collect();
    for cpu in 0..4096_usize {
        let (core, socket) = (&cores[cpu / 2], &sockets[cpu / 512]);
        listing += &format!(
            "cpu{cpu}/topology/core_cpus = {core}\ncpu{cpu}/topology/package_cpus = {socket}\n\
             cpu{cpu}/topology/core_id = {}\ncpu{cpu}/cpufreq/cpuinfo_max_freq = 3000000\n",
            cpu / 2 % 256
        );
        for (index, (level, kind, shared)) in
            [(1, "Data", core), (2, "Unified", core), (3, "Unified", socket)].iter().enumerate()
        {
            let cache = format!("cpu{cpu}/cache/index{index}");
            listing += &format!(
                "{cache}/level = {level}\n{cache}/type = {kind}\n{cache}/shared_cpu_map = {shared}\n{cache}/size = 32K\n"
            );
        }
    }
    let start = Instant::now();
    let found = machine(&listing);
    assert!(start.elapsed() < Duration::from_secs(60), "took {:?}", start.elapsed());
    assert_eq!((found.cpu.sockets, found.cpu.cores, found.cpu.topology.len()), (8, 2048, 2048));
    let caches: Vec<_> = found.cpu.caches.iter().map(|cache| (cache.instances, cache.threads)).collect();
    assert_eq!(caches, [(Some(2048), Some(2)), (Some(2048), Some(2)), (Some(8), Some(512))]);
}
