//! The collector `extra-hardware`: rows of class, thing, property and value, by
//! the names that `hardware-detect` (PyPI `hardware`) gives them, for conductors
//! that make a dictionary of them (the hook `extra-hardware`) and rules that look
//! into it. Rows that program takes out of text for people, or measures, are not here.

use model::inventory as facts;
use serde_json::Value;

/// Sockets that get rows of their own. The largest machines have 32.
const SOCKETS: u32 = 64;

/// Processors with higher numbers are in no mask: the kernel's own limit.
const PROCESSORS: u32 = 8192;

/// Class, thing, property, value.
pub type Row = (String, String, String, Value);

/// All rows of a machine.
#[must_use]
pub fn extra_hardware(found: &facts::Inventory) -> Vec<Row> {
    let mut rows = Rows(Vec::new());
    disks(&mut rows, &found.disks);
    system(&mut rows, found);
    memory(&mut rows, &found.memory);
    for nic in &found.nics {
        network(&mut rows, nic, found);
    }
    processors(&mut rows, &found.cpu);
    nodes(&mut rows, &found.numa);
    kernel(&mut rows, found);
    if let Some(bmc) = &found.bmc {
        controller(&mut rows, bmc);
    }
    rows.0
}

struct Rows(Vec<Row>);

impl Rows {
    fn text(&mut self, class: &str, thing: &str, property: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.add(class, thing, property, Value::from(value));
        }
    }

    /// What the program writes as a number; most numbers it writes as text.
    fn number(&mut self, class: &str, thing: &str, property: &str, value: usize) {
        self.add(class, thing, property, Value::from(value));
    }

    fn count(&mut self, class: &str, thing: &str, property: &str, value: u64) {
        self.add(class, thing, property, Value::from(value.to_string()));
    }

    fn add(&mut self, class: &str, thing: &str, property: &str, value: Value) {
        self.0.push((class.to_owned(), thing.to_owned(), property.to_owned(), value));
    }
}

fn disks(rows: &mut Rows, disks: &[facts::Disk]) {
    rows.count("disk", "logical", "count", disks.len() as u64);
    for disk in disks {
        let name = disk.name.as_str();
        rows.count("disk", name, "size", disk.size.0 / 1_000_000_000);
        rows.text("disk", name, "vendor", disk.vendor.as_deref());
        rows.text("disk", name, "model", disk.model.as_deref());
        rows.text("disk", name, "rev", disk.firmware.as_deref());
        rows.count("disk", name, "physical_block_size", disk.physical_block.get());
        rows.count("disk", name, "rotational", disk.rotational.into());
        rows.text("disk", name, "serial", disk.serial.as_deref());
        let wwn = disk.wwn.as_ref().map(|wwn| {
            let whole = wwn.with_extension.as_ref().unwrap_or(&wwn.id);
            format!("wwn-{whole}")
        });
        rows.text("disk", name, "wwn-id", wwn.as_deref());
    }
}

fn system(rows: &mut Rows, found: &facts::Inventory) {
    let vendor = &found.system_vendor;
    rows.text("system", "product", "serial", vendor.serial_number.as_deref());
    rows.text("system", "product", "name", vendor.product_name.as_deref());
    rows.text("system", "product", "vendor", vendor.manufacturer.as_deref());
    rows.text("system", "product", "version", vendor.version.as_deref());
    rows.text("system", "product", "uuid", vendor.uuid.as_deref());
    if let Some(board) = found.hardware.boards.first() {
        rows.text("system", "motherboard", "name", board.product_name.as_deref());
        rows.text("system", "motherboard", "vendor", board.manufacturer.as_deref());
        rows.text("system", "motherboard", "version", board.version.as_deref());
        rows.text("system", "motherboard", "serial", board.serial_number.as_deref());
    }
    rows.text("firmware", "bios", "version", vendor.firmware.version.as_deref());
    rows.text("firmware", "bios", "date", vendor.firmware.build_date.as_deref());
    rows.text("firmware", "bios", "vendor", vendor.firmware.vendor.as_deref());
}

fn memory(rows: &mut Rows, memory: &facts::Memory) {
    if let Some(size) = memory.physical {
        rows.count("memory", "total", "size", size.0);
    }
    for (number, module) in memory.modules.iter().enumerate() {
        let bank = format!("bank:{number}");
        if let Some(size) = module.size {
            rows.count("memory", &bank, "size", size.0);
        }
        if let Some(speed) = module.speed {
            rows.count("memory", &bank, "clock", u64::from(speed) * 1_000_000);
        }
        rows.text("memory", &bank, "description", described(module).as_deref());
        rows.text("memory", &bank, "vendor", module.manufacturer.as_deref());
        rows.text("memory", &bank, "product", module.part_number.as_deref());
        rows.text("memory", &bank, "serial", module.serial_number.as_deref());
        rows.text("memory", &bank, "slot", module.locator.as_deref());
    }
    if !memory.modules.is_empty() {
        rows.count("memory", "banks", "count", memory.modules.len() as u64);
    }
}

/// `DIMM DDR4`.
fn described(module: &facts::MemoryModule) -> Option<String> {
    let words: Vec<_> =
        [&module.form_factor, &module.kind].into_iter().filter_map(|word| word.as_deref()).collect();
    (!words.is_empty()).then(|| words.join(" "))
}

fn network(rows: &mut Rows, nic: &facts::Nic, found: &facts::Inventory) {
    let name = nic.name.as_str();
    let place = nic.pci_address.as_ref().map(|address| format!("pci@{address}"));
    rows.text("network", name, "businfo", place.as_deref());
    let device = found.pci.iter().find(|device| Some(&device.address) == nic.pci_address.as_ref());
    rows.text("network", name, "vendor", device.and_then(|device| device.vendor_name.as_deref()));
    rows.text("network", name, "firmware", nic.firmware_version.as_deref());
    if let Some(speed) = nic.speed_mbps {
        rows.count("network", name, "size", u64::from(speed) * 1_000_000);
    }
    rows.text("network", name, "ipv4", nic.ipv4.map(|address| address.to_string()).as_deref());
    rows.text("network", name, "link", Some(if nic.has_carrier { "yes" } else { "no" }));
    rows.text("network", name, "driver", nic.driver.as_deref());
    rows.text("network", name, "serial", Some(&nic.mac.to_string()));
}

fn processors(rows: &mut Rows, cpu: &facts::Cpu) {
    rows.number("cpu", "physical", "number", cpu.sockets as usize);
    rows.text("cpu", "physical", "smt", cpu.smt.as_deref());
    let flags = cpu.flags.join(" ");
    for socket in 0..cpu.sockets.min(SOCKETS) {
        let name = format!("physical_{socket}");
        rows.text("cpu", &name, "vendor", cpu.vendor.as_deref());
        rows.text("cpu", &name, "product", cpu.model_name.as_deref());
        rows.number("cpu", &name, "cores", (cpu.cores / cpu.sockets) as usize);
        rows.number("cpu", &name, "threads", (cpu.threads / cpu.sockets) as usize);
        rows.text("cpu", &name, "architecture", cpu.architecture.as_deref());
        for (property, frequency) in [("min_Mhz", cpu.minimum_frequency), ("max_Mhz", cpu.maximum_frequency)]
        {
            if let Some(frequency) = frequency {
                rows.number("cpu", &name, property, (frequency.0 / 1000) as usize);
            }
        }
        rows.text("cpu", &name, "flags", Some(&flags));
    }
    rows.number("cpu", "logical", "number", cpu.threads as usize);
}

fn nodes(rows: &mut Rows, nodes: &[facts::NumaNode]) {
    rows.number("numa", "nodes", "count", nodes.len());
    for node in nodes {
        let name = format!("node_{}", node.id);
        rows.number("numa", &name, "cpu_count", node.cpus.len());
        rows.text("numa", &name, "cpu_mask", Some(&mask(&node.cpus)));
    }
}

/// As `lscpu -x` writes it, the highest number first: `0x3ff`.
fn mask(cpus: &[u32]) -> String {
    let highest = cpus.iter().copied().filter(|cpu| *cpu < PROCESSORS).max().unwrap_or(0);
    let mut text = "0x".to_owned();
    for place in (0..=highest / 4).rev() {
        let here = cpus.iter().filter(|cpu| **cpu / 4 == place);
        let digit = here.fold(0, |digit, cpu| digit | 1 << (cpu % 4));
        text.push(char::from_digit(digit, 16).unwrap_or('0'));
    }
    text
}

fn kernel(rows: &mut Rows, found: &facts::Inventory) {
    rows.text("system", "kernel", "version", found.platform.kernel.as_deref());
    rows.text("system", "kernel", "arch", found.cpu.architecture.as_deref());
    rows.text("system", "kernel", "cmdline", found.platform.command_line.as_deref());
}

fn controller(rows: &mut Rows, bmc: &facts::Bmc) {
    rows.text("ipmi", "lan", "ip-address", bmc.ipv4.map(|address| address.to_string()).as_deref());
    rows.text("ipmi", "lan", "mac-address", bmc.mac.map(|mac| mac.to_string()).as_deref());
    rows.text("ipmi", "lan", "ip-address-source", bmc.ipv4_source.as_deref());
    rows.text("ipmi", "lan", "802.1q-vlan-id", bmc.vlan.map(|vlan| vlan.to_string()).as_deref());
    if let Some(channel) = bmc.channel {
        rows.count("ipmi", "lan", "channel", channel.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_of_a_node_are_written_as_lscpu_writes_them() {
        for (cpus, text) in [
            (vec![], "0x0"),
            (vec![0], "0x1"),
            (vec![0, 1, 2, 3, 4, 5, 6, 7], "0xff"),
            (vec![1, 64], "0x10000000000000002"),
            (vec![2, u32::MAX], "0x4"),
        ] {
            assert_eq!(mask(&cpus), text);
        }
    }
}
