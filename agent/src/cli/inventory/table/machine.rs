//! The machine itself: maker, firmware, boot, processors, memory, controllers.

use model::{
    Bytes,
    inventory::{Bmc, Boot, BootMode, Cpu, Frequency, Inventory, Memory, MemoryModule, Platform, Tpm},
};

use super::{Rows, counted, joined, times};

/// Kinds of memory modules shown: few machines mix more than two.
const KINDS: usize = 4;

pub(super) fn rows(found: &Inventory) -> Rows {
    let mut all: Rows = Vec::new();
    let mut add = |name: &str, text: String| {
        if !text.is_empty() {
            all.push(vec![name.to_owned(), text]);
        }
    };
    let vendor = &found.system_vendor;
    let product =
        joined([vendor.manufacturer.clone(), vendor.product_name.clone(), vendor.version.clone()], " ");
    let serial = vendor.serial_number.as_ref().map(|serial| format!("serial {serial}"));
    let chassis = found.hardware.chassis.first().and_then(|chassis| chassis.kind.clone());
    add("machine", joined([Some(product), chassis, serial], ", "));
    let firmware = vendor.firmware.clone();
    add("firmware", joined([firmware.vendor, firmware.version, firmware.build_date], " "));
    add("booted", booted(found));
    add("cpu", cpu(found));
    add("", clock(&found.cpu));
    add("memory", memory(&found.memory));
    for kind in modules(&found.memory.modules) {
        add("", kind);
    }
    for region in &found.memory.persistent {
        let size = region.size.map(|size| format!("{size} persistent"));
        add("", joined([size, Some(region.name.clone())], ", "));
    }
    add("bmc", found.bmc.as_ref().map(bmc).unwrap_or_default());
    add("tpm", found.tpm.as_ref().map(tpm).unwrap_or_default());
    add("kernel", kernel(&found.platform));
    all
}

fn booted(found: &Inventory) -> String {
    let Boot { mode, secure_boot, current, entries, .. } = &found.boot;
    let mode = match mode {
        BootMode::Bios => "BIOS",
        BootMode::Uefi => "UEFI",
    };
    let over = found.boot_nic().map(|nic| format!("over {} ({})", nic.name, nic.mac));
    let by = joined([Some(format!("by {mode}")), over], " ");
    let secure = secure_boot.map(|on| if on { "Secure Boot" } else { "Secure Boot off" }.to_owned());
    let entry = entries.iter().find(|entry| Some(entry.number) == *current);
    joined([Some(by), secure, entry.map(|entry| format!("entry {:04X} {}", entry.number, entry.label))], ", ")
}

fn cpu(found: &Inventory) -> String {
    let cpu = &found.cpu;
    let model = cpu.model_name.as_deref().unwrap_or("unknown processor");
    let nodes = (found.numa.len() > 1).then(|| counted(found.numa.len(), "NUMA node"));
    let online = (cpu.online < cpu.threads).then(|| format!("{} of them online", cpu.online));
    joined(
        [
            Some(times(cpu.sockets.max(1) as usize, model)),
            Some(counted(cpu.cores as usize, "core")),
            Some(counted(cpu.threads as usize, "thread")),
            online,
            nodes,
        ],
        ", ",
    )
}

fn clock(cpu: &Cpu) -> String {
    let megahertz = |frequency: Frequency| (frequency.0 / 1000).to_string();
    let range = match (cpu.minimum_frequency, cpu.maximum_frequency.or(cpu.frequency)) {
        (Some(low), Some(high)) => Some(format!("{}-{} MHz", megahertz(low), megahertz(high))),
        (None, Some(high)) => Some(megahertz(high) + " MHz"),
        (Some(_) | None, None) => None,
    };
    let base = cpu.base_frequency.map(|base| format!("base {} MHz", megahertz(base)));
    let last = cpu.caches.iter().max_by_key(|cache| cache.level);
    let cache = last.and_then(|cache| {
        Some(format!("L{} {}", cache.level, times(cache.instances? as usize, &cache.size?.to_string())))
    });
    let microcode = cpu.microcode.as_ref().map(|revision| format!("microcode {revision}"));
    let kinds: Vec<String> = cpu
        .kinds
        .iter()
        .map(|kind| format!("{} {}", counted(kind.cores as usize, "core"), kind.name))
        .collect();
    joined([cpu.architecture.clone(), Some(kinds.join(" + ")), range, base, cache, microcode], ", ")
}

fn memory(memory: &Memory) -> String {
    let usable = memory.total.map(|total| format!("{total} usable"));
    let slots = memory
        .slots
        .map(|slots| format!("{} of {} used", memory.modules.len(), counted(slots as usize, "slot")));
    let correction = memory.error_correction.clone().filter(|kind| kind != "None");
    joined([memory.physical.map(whole), usable, slots, correction], ", ")
}

/// `32 GiB`: sizes of memory are round.
fn whole(size: Bytes) -> String {
    size.to_string().replace(".0 ", " ")
}

/// `16 × 32.0 GiB DDR4-3200 ECC Samsung M393A4K40DB3-CWE`, most first.
fn modules(modules: &[MemoryModule]) -> Vec<String> {
    let mut kinds: Vec<(String, usize)> = Vec::new();
    for module in modules {
        let text = module_kind(module);
        match kinds.iter_mut().find(|(kind, _)| *kind == text) {
            Some((_, number)) => *number += 1,
            None => kinds.push((text, 1)),
        }
    }
    let others = kinds.len().saturating_sub(KINDS);
    let mut lines: Vec<_> =
        kinds.iter().take(KINDS).map(|(kind, number)| format!("{number} × {kind}")).collect();
    if others > 0 {
        lines.push(format!("and {} more: --format json", counted(others, "kind")));
    }
    lines
}

fn module_kind(module: &MemoryModule) -> String {
    let speed = module.configured_speed.or(module.speed);
    let kind = joined([module.kind.clone(), speed.map(|speed| speed.to_string())], "-");
    let ecc = module.ecc.filter(|ecc| *ecc).map(|_| "ECC".to_owned());
    let size = module.size.map(whole);
    joined([size, Some(kind), ecc, module.manufacturer.clone(), module.part_number.clone()], " ")
}

fn bmc(bmc: &Bmc) -> String {
    let source = bmc.ipv4_source.as_ref().map(|source| format!("({source})"));
    let ipv4 = joined([bmc.ipv4.map(|address| address.to_string()), source], " ");
    joined(
        [
            Some(if bmc.ipv4.is_some() { ipv4 } else { String::new() }),
            bmc.ipv6.map(|address| address.to_string()),
            Some(if bmc.ipv4.is_none() && bmc.ipv6.is_none() {
                "no address".to_owned()
            } else {
                String::new()
            }),
            bmc.mac.map(|mac| mac.to_string()),
            bmc.vlan.map(|vlan| format!("VLAN {vlan}")),
            bmc.firmware.as_ref().map(|version| format!("firmware {version}")),
            bmc.ipmi.as_ref().map(|version| format!("IPMI {version}")),
        ],
        ", ",
    )
}

fn tpm(tpm: &Tpm) -> String {
    let name = joined([tpm.version.clone(), tpm.manufacturer.clone(), tpm.model.clone()], " ");
    let keys =
        (!tpm.endorsement.is_empty()).then(|| counted(tpm.endorsement.len(), "endorsement certificate"));
    joined([Some(name), tpm.firmware.as_ref().map(|version| format!("firmware {version}")), keys], ", ")
}

fn kernel(platform: &Platform) -> String {
    let clock = platform.clocksource.as_ref().map(|clock| format!("clock {clock}"));
    let guest = platform.hypervisor.as_deref().map(|name| match name {
        "unknown" => "a virtual machine".to_owned(),
        name => format!("guest of {name}"),
    });
    let watchdogs: Vec<_> =
        platform.watchdogs.iter().map(|each| each.identity.as_ref().unwrap_or(&each.name).clone()).collect();
    let watchdogs = (!watchdogs.is_empty()).then(|| format!("watchdog {}", watchdogs.join(" ")));
    joined([platform.kernel.clone(), clock, watchdogs, guest], ", ")
}
