//! `HardwareDetails` of Metal3's `BareMetalHost`: what an operator pastes into
//! the annotation `inspect.metal3.io/hardwaredetails`. Its decoder refuses keys it
//! does not know, so there are none but these.

use model::inventory::{self as facts, Inventory, Transport};
use serde::Serialize;

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
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pxe: bool,
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
    let entry = |ip| Nic {
        name: nic.name.clone(),
        model: nic.ids.as_ref().map(|ids| format!("{} {}", ids.vendor, ids.product)),
        mac: nic.mac.to_string(),
        pci_address: nic.pci_address.clone(),
        ip,
        speed_gbps: nic.speed_mbps.map(|speed| speed / 1000),
        pxe,
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
