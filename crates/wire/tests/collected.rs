//! What the collectors post, key by key, of a machine that has one of everything.

use model::{
    Bytes, Mac,
    inventory::{
        Bmc, Core, Cpu, Disk, Firmware, Frequency, Hardware, Inventory, Memory, MemoryModule, Neighbour, Nic,
        NumaNode, PciDevice, PciIds, Platform, Socket, SystemVendor, Tlv, UsbDevice, Wwn,
    },
};
use serde::Serialize;
use serde_json::{Value, json};
use wire::ipa;

fn text(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn ids(vendor: &str, product: &str) -> PciIds {
    PciIds { vendor: vendor.to_owned(), product: product.to_owned() }
}

fn machine() -> Inventory {
    Inventory {
        system_vendor: SystemVendor {
            manufacturer: text("Dell Inc."),
            product_name: text("PowerEdge R640"),
            firmware: Firmware {
                version: text("2.19.1"),
                rom_size: Some(Bytes(32 << 20)),
                ..Firmware::default()
            },
            ..SystemVendor::default()
        },
        hardware: Hardware {
            sockets: vec![
                Socket {
                    designation: text("CPU1"),
                    populated: true,
                    maximum_speed: Some(4000),
                    cores: Some(16),
                    ..Socket::default()
                },
                Socket { designation: text("CPU2"), ..Socket::default() },
            ],
            ..Hardware::default()
        },
        cpu: Cpu {
            architecture: text("x86_64"),
            model_name: text("Xeon"),
            maximum_frequency: Some(Frequency(3_700_000)),
            flags: vec!["fpu".to_owned(), "vme".to_owned()],
            sockets: 1,
            cores: 1,
            threads: 2,
            topology: vec![Core { id: 7, socket: Some(0), numa_node: 1, threads: vec![0, 32] }],
            ..Cpu::default()
        },
        memory: Memory {
            physical: Some(Bytes(32 << 30)),
            slots: Some(24),
            maximum: Some(Bytes(3 << 40)),
            modules: vec![MemoryModule {
                locator: text("A1"),
                size: Some(Bytes(32 << 30)),
                kind: text("DDR4"),
                speed: Some(2933),
                ..MemoryModule::default()
            }],
            ..Memory::default()
        },
        numa: vec![NumaNode {
            id: 1,
            cpus: vec![0, 32],
            memory: Some(Bytes(1_560_000 << 10)),
            ..NumaNode::default()
        }],
        disks: vec![Disk {
            name: "sda".to_owned(),
            size: Bytes(500_107_862_016),
            wwn: Some(Wwn {
                id: "0x5002538e40b4d2f1".to_owned(),
                vendor_extension: None,
                with_extension: None,
            }),
            ..Disk::default()
        }],
        nics: vec![
            Nic {
                name: "eno1".to_owned(),
                mac: Mac([2, 0, 0, 0, 0, 1]),
                numa_node: Some(1),
                pci_address: text("0000:3b:00.0"),
                speed_mbps: Some(10_000),
                maximum_speed_mbps: Some(25_000),
                neighbour: Some(Neighbour {
                    tlvs: vec![
                        Tlv { kind: 1, value: "04885a92ec5459".to_owned() },
                        Tlv { kind: 0, value: String::new() },
                    ],
                    ..Neighbour::default()
                }),
                ..Nic::default()
            },
            Nic {
                name: "eno2".to_owned(),
                mac: Mac([2, 0, 0, 0, 0, 2]),
                pci_address: text("0000:00:1f.6"),
                device: text("0000:00:1f.6"),
                ..Nic::default()
            },
            Nic { name: "bond0".to_owned(), mac: Mac([2, 0, 0, 0, 0, 3]), ..Nic::default() },
        ],
        pci: vec![
            PciDevice {
                address: "0000:3b:00.0".to_owned(),
                ids: ids("0x8086", "0x158b"),
                class: "0x020000".to_owned(),
                revision: text("0x02"),
                numa_node: Some(1),
                vendor_name: text("Intel"),
                ..PciDevice::default()
            },
            PciDevice {
                address: "0000:00:1f.0".to_owned(),
                ids: ids("0x8086", "0xa1c1"),
                class: "0x060100".to_owned(),
                ..PciDevice::default()
            },
        ],
        usb: vec![
            UsbDevice {
                name: "1-1.4".to_owned(),
                vendor: "0x0557".to_owned(),
                product: "0x2419".to_owned(),
                ..UsbDevice::default()
            },
            UsbDevice {
                name: "1-2".to_owned(),
                manufacturer: text("AMI"),
                product_name: text("Virtual CDROM0"),
                ..UsbDevice::default()
            },
        ],
        bmc: Some(Bmc { ipv4: Some([10, 0, 0, 9].into()), vlan: Some(7), ..Bmc::default() }),
        platform: Platform { kernel: text("6.1.0"), ..Platform::default() },
        ..Inventory::default()
    }
}

fn json_of(value: impl Serialize) -> Value {
    serde_json::to_value(value).expect("plain data")
}

#[test]
fn pci_and_usb_devices_are_written_as_ironics_agent_writes_them() {
    let machine = machine();
    let pci = ipa::pci_devices(&machine);
    assert_eq!(
        json_of(pci),
        json!([
            {"vendor_id": "8086", "product_id": "158b", "class": "020000", "revision": "02",
             "bus": "0000:3b:00.0", "numa_node_id": "1"},
            {"vendor_id": "8086", "product_id": "a1c1", "class": "060100", "revision": null,
             "bus": "0000:00:1f.0", "numa_node_id": "-1"},
        ])
    );
    let flat = Inventory { numa: Vec::new(), ..machine.clone() };
    assert_eq!(ipa::pci_devices(&flat)[1].numa_node_id, None, "a kernel without nodes has no file for it");
    let usb: Vec<_> = machine.usb.iter().map(ipa::UsbDevice::from).collect();
    assert_eq!(
        json_of(usb),
        json!([
            {"product": "0557:2419", "vendor": "", "handle": "USB:1-1.4"},
            {"product": "Virtual CDROM0", "vendor": "AMI", "handle": "USB:1-2"},
        ])
    );
}

#[test]
fn nodes_have_memory_cores_and_interfaces() {
    assert_eq!(
        json_of(ipa::NumaTopology::from(&machine())),
        json!({
            "ram": [{"numa_node": 1, "size_kb": 1_560_000}],
            "cpus": [{"cpu": 7, "numa_node": 1, "thread_siblings": [0, 32]}],
            "nics": [{"name": "eno1", "numa_node": 1}, {"name": "eno2", "numa_node": -1}],
        })
    );
}

#[test]
fn neighbours_are_told_twice_and_silence_is_an_empty_list() {
    let machine = machine();
    let tlvs = json!([[1, "04885a92ec5459"], [0, ""]]);
    assert_eq!(json_of(ipa::lldp_raw(&machine)), json!({"eno1": tlvs, "eno2": [], "bond0": []}));
    let interfaces = json_of(ipa::Inventory::from(&machine))["interfaces"].clone();
    assert_eq!((&interfaces[0]["lldp"], &interfaces[1]["lldp"]), (&tlvs, &Value::Null));
    assert_eq!(interfaces[0]["speed_mbps"], 25_000, "what it can do, not what it does");
}

#[test]
fn firmware_tables_have_dmidecodes_names() {
    assert_eq!(
        json_of(ipa::Dmi::from(&machine())),
        json!({
            "bios": {"Version": "2.19.1", "ROM Size": "32 MB"},
            "cpu": [
                {"Socket Designation": "CPU1", "Status": "Populated", "Max Speed": "4000 MHz", "Core Count": "16"},
                {"Socket Designation": "CPU2", "Status": "Unpopulated"},
            ],
            "memory": {
                "Maximum Capacity": "3 TB",
                "Number Of Devices": 24,
                "devices": [{"Locator": "A1", "Size": "32 GB", "Type": "DDR4", "Speed": "2933 MT/s"}],
            },
        })
    );
}

#[test]
fn extra_hardware_is_rows_of_four_and_says_nothing_it_does_not_know() {
    let rows = json_of(ipa::extra_hardware(&machine()));
    let rows = rows.as_array().expect("a list");
    assert!(rows.iter().all(|row| row.as_array().is_some_and(|row| row.len() == 4 && !row[3].is_null())));
    for row in [
        json!(["disk", "logical", "count", "1"]),
        json!(["disk", "sda", "size", "500"]),
        json!(["disk", "sda", "wwn-id", "wwn-0x5002538e40b4d2f1"]),
        json!(["system", "product", "name", "PowerEdge R640"]),
        json!(["firmware", "bios", "version", "2.19.1"]),
        json!(["memory", "total", "size", "34359738368"]),
        json!(["memory", "bank:0", "clock", "2933000000"]),
        json!(["memory", "bank:0", "description", "DDR4"]),
        json!(["network", "eno1", "businfo", "pci@0000:3b:00.0"]),
        json!(["network", "eno1", "vendor", "Intel"]),
        json!(["network", "eno1", "size", "10000000000"]),
        json!(["network", "eno2", "serial", "02:00:00:00:00:02"]),
        json!(["cpu", "physical", "number", 1]),
        json!(["cpu", "physical_0", "max_Mhz", 3700]),
        json!(["cpu", "physical_0", "flags", "fpu vme"]),
        json!(["numa", "node_1", "cpu_mask", "0x100000001"]),
        json!(["system", "kernel", "version", "6.1.0"]),
        json!(["ipmi", "lan", "802.1q-vlan-id", "7"]),
    ] {
        assert!(rows.contains(&row), "{row} is not in {rows:#?}");
    }
    let said = |thing: &str| rows.iter().any(|row| row[1] == thing || row[2] == thing);
    assert!(!said("motherboard") && !said("mac-address") && !said("uuid"));
}
