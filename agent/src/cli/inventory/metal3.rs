//! `HardwareDetails` of Metal3's `BareMetalHost`: what an operator pastes into
//! the annotation `inspect.metal3.io/hardwaredetails`. Its decoder refuses keys it
//! does not know, so there are none but these.

use model::inventory::{self as facts, Inventory, Transport};
use serde::Serialize;

/// Metal3 refuses higher numbers.
const LAST_VLAN: u16 = 4094;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct HardwareDetails {
    system_vendor: SystemVendor,
    firmware: Firmware,
    ram_mebibytes: u64,
    nics: Vec<Nic>,
    storage: Vec<Storage>,
    cpu: Cpu,
    hostname: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct SystemVendor {
    #[serde(skip_serializing_if = "Option::is_none")]
    manufacturer: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    product_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial_number: Option<String>,
}

#[derive(Serialize)]
struct Firmware {
    bios: Bios,
}

#[derive(Serialize)]
struct Bios {
    #[serde(skip_serializing_if = "Option::is_none")]
    date: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vendor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    version: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Nic {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    mac: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pci_address: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ip: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    speed_gbps: Option<u32>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    vlans: Vec<Vlan>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vlan_id: Option<u16>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pxe: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    lldp: Option<Lldp>,
}

#[derive(Serialize, Clone)]
struct Vlan {
    id: u16,
    #[serde(skip_serializing_if = "String::is_empty")]
    name: String,
}

#[derive(Serialize, Clone)]
#[serde(rename_all = "camelCase")]
struct Lldp {
    #[serde(rename = "switchID", skip_serializing_if = "Option::is_none")]
    switch: Option<String>,
    #[serde(rename = "portID", skip_serializing_if = "Option::is_none")]
    port: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    switch_system_name: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Storage {
    name: String,
    alternate_names: Vec<String>,
    rotational: bool,
    #[serde(rename = "type")]
    kind: &'static str,
    size_bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    vendor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    serial_number: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wwn: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wwn_vendor_extension: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wwn_with_extension: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hctl: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Cpu {
    #[serde(skip_serializing_if = "Option::is_none")]
    arch: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    clock_megahertz: Option<f64>,
    flags: Vec<String>,
    count: u32,
}

impl From<&Inventory> for HardwareDetails {
    fn from(found: &Inventory) -> Self {
        let vendor = found.system_vendor.clone();
        let boot_mac = found.boot_nic().map(|nic| nic.mac);
        Self {
            system_vendor: SystemVendor {
                manufacturer: vendor.manufacturer,
                product_name: vendor.product_name,
                serial_number: vendor.serial_number,
            },
            firmware: Firmware {
                bios: Bios {
                    date: vendor.firmware.build_date,
                    vendor: vendor.firmware.vendor,
                    version: vendor.firmware.version,
                },
            },
            ram_mebibytes: found.memory.physical.map_or(0, |physical| physical.0 >> 20),
            nics: found.nics.iter().flat_map(|nic| nics(nic, Some(nic.mac) == boot_mac)).collect(),
            storage: found.disks.iter().map(Storage::from).collect(),
            cpu: Cpu::from(&found.cpu),
            hostname: found.hostname.clone(),
        }
    }
}

/// One entry for each address, and one for a NIC without any.
fn nics(nic: &facts::Nic, pxe: bool) -> Vec<Nic> {
    let ipv6 = nic.ipv6.as_deref().map(|v6| v6.split('%').next().unwrap_or(v6).to_owned());
    let mut addresses: Vec<_> = nic.ipv4.map(|v4| v4.to_string()).into_iter().chain(ipv6).map(Some).collect();
    if addresses.is_empty() {
        addresses.push(None);
    }
    let switch = nic.neighbour.as_ref();
    let vlans = switch.map(|switch| switch.vlans.as_slice()).unwrap_or_default().iter();
    let vlans: Vec<_> = vlans
        .filter(|vlan| vlan.id <= LAST_VLAN)
        .map(|vlan| Vlan { id: vlan.id, name: vlan.name.clone() })
        .collect();
    let entry = |ip| Nic {
        name: nic.name.clone(),
        model: nic.ids.as_ref().map(|ids| format!("{} {}", ids.vendor, ids.product)),
        mac: nic.mac.to_string(),
        pci_address: nic.pci_address.clone(),
        ip,
        // What it can do goes before what it does just now, as in Ironic's form.
        speed_gbps: nic.maximum_speed_mbps.or(nic.speed_mbps).map(|speed| speed / 1000),
        vlans: vlans.clone(),
        vlan_id: switch.and_then(|switch| switch.untagged_vlan).filter(|vlan| *vlan <= LAST_VLAN),
        pxe,
        lldp: switch.map(|switch| Lldp {
            switch: switch.chassis_id.clone(),
            port: switch.port_id.clone(),
            switch_system_name: switch.system_name.clone(),
        }),
    };
    addresses.into_iter().map(entry).collect()
}

impl From<&facts::Disk> for Storage {
    fn from(disk: &facts::Disk) -> Self {
        let wwn = disk.wwn.as_ref();
        let with_extension = wwn.and_then(|wwn| wwn.with_extension.clone());
        Self {
            name: disk.by_path.clone().unwrap_or_else(|| disk.path()),
            alternate_names: [disk.path()].into_iter().chain(disk.by_path.clone()).collect(),
            rotational: disk.rotational,
            kind: match disk.transport {
                _ if disk.rotational => "HDD",
                Some(Transport::Nvme) => "NVME",
                _ => "SSD",
            },
            size_bytes: disk.size.0,
            vendor: disk.vendor.clone(),
            model: disk.model.clone(),
            serial_number: disk.serial.clone(),
            wwn: with_extension.clone().or_else(|| wwn.map(|wwn| wwn.id.clone())),
            wwn_vendor_extension: wwn.and_then(|wwn| wwn.vendor_extension.clone()),
            wwn_with_extension: with_extension,
            hctl: disk.hctl.clone(),
        }
    }
}

impl From<&facts::Cpu> for Cpu {
    fn from(cpu: &facts::Cpu) -> Self {
        let mut flags = cpu.flags.clone();
        model::order::sort(&mut flags);
        Self {
            arch: cpu.architecture.clone(),
            model: cpu.model_name.clone(),
            clock_megahertz: cpu.frequency.map(megahertz),
            flags,
            count: cpu.threads,
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "no clock has 2^53 kHz")]
fn megahertz(frequency: facts::Frequency) -> f64 {
    frequency.0 as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use model::{
        Mac,
        inventory::{Boot, Neighbour, NeighbourVlan},
    };
    use serde_json::json;

    use super::*;

    #[test]
    fn a_nic_is_told_once_for_each_address_with_the_switch_beyond() {
        let text = |text: &str| Some(text.to_owned());
        let vlan = |id, name: &str| NeighbourVlan { id, name: name.to_owned() };
        let machine = Inventory {
            boot: Boot { interface: text("01-02-00-00-00-00-01"), ..Boot::default() },
            nics: vec![facts::Nic {
                name: "eno1".to_owned(),
                mac: Mac([2, 0, 0, 0, 0, 1]),
                ipv4: Some([10, 0, 0, 5].into()),
                ipv6: text("fe80::1%eno1"),
                speed_mbps: Some(1000),
                maximum_speed_mbps: Some(25_000),
                neighbour: Some(Neighbour {
                    chassis_id: text("88:5a:92:ec:54:59"),
                    port_id: text("Ethernet1/18"),
                    untagged_vlan: Some(4095),
                    vlans: vec![vlan(101, "lab"), vlan(4095, "none")],
                    ..Neighbour::default()
                }),
                ..facts::Nic::default()
            }],
            cpu: facts::Cpu { flags: vec!["vme".to_owned(), "fpu".to_owned()], ..facts::Cpu::default() },
            ..Inventory::default()
        };
        let details = serde_json::to_value(HardwareDetails::from(&machine)).expect("plain data");
        let nic = |ip: &str| {
            json!({
                "name": "eno1", "mac": "02:00:00:00:00:01", "ip": ip, "speedGbps": 25, "pxe": true,
                "vlans": [{"id": 101, "name": "lab"}],
                "lldp": {"switchID": "88:5a:92:ec:54:59", "portID": "Ethernet1/18"},
            })
        };
        assert_eq!(details["nics"], json!([nic("10.0.0.5"), nic("fe80::1")]));
        assert_eq!(details["cpu"]["flags"], json!(["fpu", "vme"]), "Metal3 sorts them");
    }
}
