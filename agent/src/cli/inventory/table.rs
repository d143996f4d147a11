//! An inventory on one screen, for a person.

use std::fmt::Write as _;

use model::inventory::{BootMode, Cpu, Disk, DiskKind, Inventory, Memory, Nic, Transport, Warning};

/// Warnings shown; the JSON has them all.
const WARNINGS: usize = 8;

pub(super) fn draw(inventory: &Inventory) -> String {
    let vendor = &inventory.system_vendor;
    let firmware = &vendor.firmware;
    let mut head = vec![
        row("machine", &[&vendor.manufacturer, &vendor.product_name]),
        row("serial", &[&vendor.serial_number]),
        row("firmware", &[&firmware.vendor, &firmware.version, &firmware.build_date]),
        vec!["booted".to_owned(), booted(inventory)],
        vec!["cpu".to_owned(), cpu(&inventory.cpu)],
        vec!["memory".to_owned(), memory(&inventory.memory)],
    ];
    head.retain(|row| !row[1].is_empty());
    let mut text = columns(&head, "");
    section(&mut text, "disks", inventory.disks.iter().map(disk).collect());
    section(&mut text, "network", inventory.nics.iter().map(nic).collect());
    section(&mut text, "could not be read", inventory.warnings.iter().take(WARNINGS).map(warning).collect());
    if let Some(more) = inventory.warnings.len().checked_sub(WARNINGS).filter(|more| *more > 0) {
        text.push_str(&format!("  and {more} more: --format json\n"));
    }
    text
}

fn row(name: &str, parts: &[&Option<String>]) -> Vec<String> {
    let known: Vec<&str> = parts.iter().filter_map(|part| part.as_deref()).collect();
    vec![name.to_owned(), known.join(" ")]
}

fn booted(inventory: &Inventory) -> String {
    let mode = match inventory.boot.mode {
        BootMode::Bios => "BIOS",
        BootMode::Uefi => "UEFI",
    };
    match inventory.boot_nic() {
        Some(nic) => format!("by {mode} over {} ({})", nic.name, nic.mac),
        None => format!("by {mode}"),
    }
}

fn cpu(cpu: &Cpu) -> String {
    let model = cpu.model_name.as_deref().unwrap_or("unknown processor");
    let (cores, threads) = (counted(cpu.cores, "core"), counted(cpu.threads, "thread"));
    let mut text = format!("{} × {model}, {cores}, {threads}", cpu.sockets);
    if cpu.online < cpu.threads {
        let _ = write!(text, " ({} online)", cpu.online);
    }
    if let Some(frequency) = cpu.frequency {
        let _ = write!(text, ", {} MHz", frequency.0 / 1000);
    }
    text + &cpu.architecture.as_ref().map(|architecture| format!(", {architecture}")).unwrap_or_default()
}

fn counted(number: u32, of: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {of}{plural}")
}

fn memory(memory: &Memory) -> String {
    match (memory.physical, memory.total) {
        (Some(physical), Some(total)) => format!("{physical}, {total} of it usable"),
        (Some(physical), None) => physical.to_string(),
        (None, Some(total)) => format!("{total} usable"),
        (None, None) => String::new(),
    }
}

fn disk(disk: &Disk) -> Vec<String> {
    let kind = match disk.kind {
        DiskKind::Disk if disk.rotational => "HDD",
        DiskKind::Disk => "SSD",
        DiskKind::Raid => "RAID",
        DiskKind::Multipath => "multipath",
        DiskKind::Loop => "loop",
    };
    let read_only = if disk.read_only { ", read-only" } else { "" };
    vec![
        disk.name.clone(),
        disk.size.to_string(),
        kind.to_owned() + read_only,
        disk.transport.map_or("-", Transport::as_str).to_owned(),
        [&disk.vendor, &disk.model]
            .into_iter()
            .filter_map(|part| part.as_deref())
            .collect::<Vec<_>>()
            .join(" "),
        disk.serial.clone().unwrap_or_default(),
        disk.by_path
            .as_deref()
            .map(|path| path.trim_start_matches("/dev/disk/by-path/"))
            .unwrap_or_default()
            .to_owned(),
    ]
}

fn nic(nic: &Nic) -> Vec<String> {
    let speed = nic.speed_mbps.map(|speed| match speed {
        whole if whole % 1000 == 0 => format!("{} Gbit/s", whole / 1000),
        odd => format!("{odd} Mbit/s"),
    });
    let addresses = nic.ipv4.map(|v4| v4.to_string()).into_iter().chain(nic.ipv6.clone());
    vec![
        nic.name.clone(),
        nic.mac.to_string(),
        if nic.has_carrier { "up" } else { "no carrier" }.to_owned(),
        speed.unwrap_or_default(),
        nic.driver.clone().unwrap_or_default(),
        nic.pci_address.clone().unwrap_or_default(),
        addresses.collect::<Vec<_>>().join(" "),
    ]
}

fn warning(warning: &Warning) -> Vec<String> {
    vec![warning.path.clone(), warning.reason.clone()]
}

fn section(text: &mut String, title: &str, rows: Vec<Vec<String>>) {
    if !rows.is_empty() {
        let _ = write!(text, "\n{title}\n{}", columns(&rows, "  "));
    }
}

/// Rows with their columns aligned; the last one is not padded.
fn columns(rows: &[Vec<String>], indent: &str) -> String {
    let width = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let mut text = String::new();
    for row in rows {
        let mut line = indent.to_owned();
        for (column, cell) in row.iter().enumerate().filter(|(column, _)| width(*column) > 0) {
            let _ = write!(line, "{cell:<width$}  ", width = width(column));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}
