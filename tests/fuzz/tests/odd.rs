//! Machines that lie: each entry of each recorded machine missing, empty, broken or
//! absurd, one at a time, and machines that are far too large. A scan ends, in
//! bounded memory, and what the entry does not tell is as it was.
//!
//! `BILLET_ODD_ENTRIES` (of each machine) for more of them than a few hundred in all,
//! `BILLET_FUZZ_SEED` to repeat a choice.

use std::{
    collections::BTreeSet,
    env,
    sync::Mutex,
    thread,
    time::{Duration, Instant, SystemTime},
};

use fuzz::{corpus, mutate::Random};
use inventory::{Depth, Options, Root, limits, scan};
use model::inventory::Inventory;
use peak_alloc::PeakAlloc;
use serde_json::Value;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// One test at a time: both measure.
static ALONE: Mutex<()> = Mutex::new(());

/// No machine takes longer, however slow and busy this one is.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a scan may allocate at once.
const MOST_MEMORY: usize = 96 << 20;

/// Entries that meet their fate with every test, of all machines; each twice.
const ENTRIES: u64 = 250;

fn number(name: &str, default: u64) -> u64 {
    env::var(name).ok().map_or(default, |text| text.parse().expect("a number"))
}

fn look(listing: &str) -> Inventory {
    let root: Root = listing.parse().expect("a listing");
    let start = Instant::now();
    let told = scan(&root, &Options { depth: Depth::Whole, ..Options::default() });
    assert!(start.elapsed() < PATIENCE, "took {:?}", start.elapsed());
    assert!(told.warnings.len() <= limits::WARNINGS);
    told
}

/// A line for what became of the entry at a path; none where it is empty.
type Fate = fn(&str) -> String;

/// What may become of an entry.
const FATES: [(&str, Fate); 11] = [
    ("missing", |_| String::new()),
    ("empty", |path| format!("{path} =")),
    ("binary", |path| format!("{path} = \\x00\\x01\\x7f\\x80\\xff\\x00\\x00\\x12\\x00\\x10")),
    ("not UTF-8", |path| format!("{path} = \\xc3\\x28 \\xff\\xfe")),
    ("negative", |path| format!("{path} = -1")),
    ("overflowing", |path| format!("{path} = 99999999999999999999999999")),
    ("the largest", |path| format!("{path} = 18446744073709551615")),
    ("many lines", |path| format!("{path} = {}", "a: b=c\\n0-9999999,1:2\\n".repeat(200))),
    ("overlong", |path| format!("{path} = {}", "7".repeat(1 << 20))),
    ("EIO", |path| format!("{path} ! 5")),
    ("a link to itself", |path| format!("{path} -> {}", path.rsplit('/').next().unwrap_or_default())),
];

fn path(line: &str) -> Option<&str> {
    let end = [" =", " -> ", " ! "].iter().filter_map(|mark| line.find(mark)).min();
    end.map_or_else(|| line.strip_suffix('/'), |end| line.get(..end)).filter(|path| !path.starts_with('#'))
}

/// What an entry may change, by what its path has in it; an entry that has none of
/// these may change anything.
const TELLS: [(&str, &[&str]); 7] = [
    ("/block/", &["disks"]),
    ("/nvme", &["disks", "pci"]),
    ("/scsi_", &["disks"]),
    ("/net/", &["nics"]),
    ("proc/meminfo", &["memory"]),
    ("sys/firmware/dmi", &["system_vendor", "hardware", "memory", "bmc"]),
    ("proc/cpuinfo", &["cpu", "platform"]),
];

fn may_change(path: &str) -> Option<&'static [&'static str]> {
    TELLS.iter().find(|(part, _)| path.contains(part)).map(|(_, sections)| *sections)
}

fn changed(before: &Inventory, after: &Inventory) -> Vec<String> {
    let of = |told: &Inventory| serde_json::to_value(told).expect("every value has a JSON form");
    let (before, after) = (of(before), of(after));
    let sections = before.as_object().into_iter().flat_map(|object| object.keys());
    let differs = |name: &&String| before.get(name.as_str()) != after.get(name.as_str());
    sections.filter(differs).filter(|name| *name != "warnings").cloned().collect()
}

/// The `nth` line of `lines` has met its fate.
fn spoil(lines: &[&str], nth: usize, fate: Fate) -> Option<(String, String)> {
    let path = path(lines[nth])?;
    let spoiled = fate(path);
    let others = lines.iter().enumerate().map(|(at, line)| if at == nth { spoiled.as_str() } else { line });
    Some((path.to_owned(), others.collect::<Vec<_>>().join("\n")))
}

fn check(lines: &[&str], before: &Inventory, nth: usize, fate: usize) -> Result<(), String> {
    let (name, fate) = FATES[fate];
    let Some((path, listing)) = spoil(lines, nth, fate) else { return Ok(()) };
    let ended = std::panic::catch_unwind(|| look(&listing));
    let Ok(after) = ended else { return Err(format!("{path} {name}: panicked")) };
    let Some(may) = may_change(&path) else { return Ok(()) };
    let others: Vec<_> =
        changed(before, &after).into_iter().filter(|section| !may.contains(&section.as_str())).collect();
    if others.is_empty() { Ok(()) } else { Err(format!("{path} {name}: changes {others:?}")) }
}

#[test]
fn each_entry_of_each_machine_may_be_missing_or_absurd() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    let seed = number("BILLET_FUZZ_SEED", now.as_secs());
    let mut jobs = Vec::new();
    let machines = corpus::elsewhere("recording");
    let share = ENTRIES / machines.len() as u64;
    let entries = usize::try_from(number("BILLET_ODD_ENTRIES", share)).expect("a small number");
    let mut random = Random::new(seed);
    for (machine, listing) in machines.iter().enumerate() {
        let count = String::from_utf8_lossy(listing).lines().count();
        for nth in 0..count {
            // Missing, and one other fate.
            if random.below(count) < entries {
                jobs.extend([(machine, nth, 0), (machine, nth, 1 + random.below(FATES.len() - 1))]);
            }
        }
    }
    let failed = Mutex::new(BTreeSet::new());
    let (first, second) = jobs.split_at(jobs.len() / 2);
    thread::scope(|scope| {
        for part in [first, second] {
            scope.spawn(|| work(&machines, part, &failed));
        }
    });
    let failed = failed.into_inner().expect("nobody panicked");
    let shown: Vec<_> = failed.iter().take(40).map(String::as_str).collect();
    assert!(failed.is_empty(), "seed {seed}, {} of {}:\n{}", failed.len(), jobs.len(), shown.join("\n"));
    eprintln!("{} machines, {} odd ones, seed {seed}", machines.len(), jobs.len());
}

fn work(machines: &[Vec<u8>], jobs: &[(usize, usize, usize)], failed: &Mutex<BTreeSet<String>>) {
    let mut current = None;
    for (machine, nth, fate) in jobs {
        let listing = std::str::from_utf8(&machines[*machine]).expect("text");
        let lines: Vec<&str> = listing.lines().collect();
        if current.as_ref().is_none_or(|(at, _)| at != machine) {
            current = Some((*machine, look(listing)));
        }
        let Some((_, before)) = &current else { continue };
        if let Err(why) = check(&lines, before, *nth, *fate) {
            failed.lock().expect("nobody panicked").insert(format!("machine {machine}: {why}"));
        }
    }
}

/// A machine of `cpus`, `disks`, network cards and PCI devices, all with one serial number.
fn giant(cpus: u32, disks: u32, devices: u32) -> String {
    let cpu = |number: u32| {
        let topology = format!("sys/devices/system/cpu/cpu{number}/topology");
        format!(
            "{topology}/physical_package_id = {}\n{topology}/core_id = {}\n{topology}/package_cpus = {}\n\
             {topology}/core_cpus = {}\nsys/devices/system/cpu/cpu{number}/node{} -> ../../node/node0\n",
            number / 256,
            number / 2,
            number / 256,
            number / 2,
            number / 512
        )
    };
    let disk = |number: u32| {
        let device = format!("sys/devices/virtual/block/sd{number}");
        format!(
            "sys/block/sd{number} -> ../devices/virtual/block/sd{number}\n{device}/size = 20971520\n\
             {device}/dev = 8:{number}\n{device}/queue/logical_block_size = 512\n{device}/serial = THE SAME\n\
             {device}/queue/physical_block_size = 512\n{device}/queue/rotational = 0\n{device}/ro = 0\n"
        )
    };
    let pci = |number: u32| {
        let address = format!("{:04x}:{:02x}:{:02x}.{}", number >> 13, number >> 5 & 0xff, number & 0x1f, 0);
        let device = format!("sys/devices/pci0000:00/{address}");
        format!(
            "sys/bus/pci/devices/{address} -> ../../../devices/pci0000:00/{address}\n{device}/vendor = 0x8086\n\
             {device}/device = 0x1572\n{device}/class = 0x020000\n{device}/revision = 0x01\n\
             sys/class/net/eth{number} -> ../../devices/pci0000:00/{address}/net/eth{number}\n\
             {device}/net/eth{number}/address = 52:54:00:00:00:01\n{device}/net/eth{number}/type = 1\n\
             {device}/net/eth{number}/device -> ../../../{address}\n"
        )
    };
    let parts = [
        (0..cpus).map(cpu).collect::<String>(),
        (0..disks).map(disk).collect(),
        (0..devices).map(pci).collect(),
    ];
    format!(
        "sys/devices/system/cpu/present = 0-{}\nsys/devices/system/cpu/online = 0-{}\n{}",
        cpus - 1,
        cpus - 1,
        parts.concat()
    )
}

#[test]
fn a_machine_that_is_far_too_large_is_read_in_bounded_time_and_memory() {
    let _alone = ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let listing = giant(4096, 500, 10_000);
    let root: Root = listing.parse().expect("a listing");
    MEMORY.reset_peak_usage();
    let (before, start) = (MEMORY.current_usage(), Instant::now());
    let told = scan(&root, &Options { depth: Depth::Whole, ..Options::default() });
    let (memory, time) = (MEMORY.peak_usage() - before, start.elapsed());
    eprintln!("{} KiB of listing: {} MiB, {time:?}", listing.len() >> 10, memory >> 20);
    assert_eq!((told.disks.len(), told.cpu.threads), (500, 4096));
    assert!(told.pci.len() <= limits::PCI_DEVICES && told.nics.len() <= limits::NICS);
    assert!(told.warnings.len() <= limits::WARNINGS);
    let size = serde_json::to_string(&told).map(|text| text.len()).expect("every value has a JSON form");
    assert!(memory <= MOST_MEMORY && size <= 16 << 20, "{memory} bytes, {size} as JSON");
    assert!(time < PATIENCE, "took {time:?}");
    let cut = |told: &Inventory| told.warnings.iter().any(|warning| warning.reason.contains("more than"));
    assert!(cut(&told), "what is left out is said: {:?}", told.warnings);
}

#[test]
fn an_entry_is_what_its_line_says() {
    let cases = [
        ("a/b = 1 -> 2", Some("a/b")),
        ("a -> b", Some("a")),
        ("a ! 5", Some("a")),
        ("a/", Some("a")),
        ("# a = 1", None),
    ];
    for (line, want) in cases {
        assert_eq!(path(line), want, "{line}");
    }
    let empty = look("a/");
    assert_eq!(changed(&empty, &empty), Vec::<String>::new());
    assert!(Value::is_object(&serde_json::to_value(&empty).expect("JSON")));
}
