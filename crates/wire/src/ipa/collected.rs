//! What the collectors beside `default` find, one key each, in the shapes of
//! Ironic's agent. Where that agent copies numbers out of files, so do we.

use std::collections::BTreeMap;

use model::inventory as facts;
use serde::Serialize;

use super::{dmi::Dmi, extra_hardware::Row};

/// The keys of collectors.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Collection {
    /// `logs`: base64 of a tar.gz.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<String>,
    /// `pci-devices`: every function on the PCI bus.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pci_devices: Option<Vec<PciDevice>>,
    /// `numa-topology`: what is near to what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub numa_topology: Option<NumaTopology>,
    /// `lldp`: what switches say of themselves, by interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lldp_raw: Option<BTreeMap<String, Vec<Tlv>>>,
    /// `dmi-decode`: tables of the firmware.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dmi: Option<Dmi>,
    /// `usb-devices`: what is plugged in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usb_devices: Option<Vec<UsbDevice>>,
    /// `extra-hardware`: everything else, in rows of four.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<Vec<Row>>,
}

/// Type and hexadecimal value of a TLV of LLDP.
pub type Tlv = (u8, String);

/// A function on the PCI bus; numbers are hexadecimal without `0x`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PciDevice {
    /// `8086`.
    pub vendor_id: String,
    /// `1533`.
    pub product_id: String,
    /// Class, subclass and interface: `020000`.
    pub class: String,
    /// `03`.
    pub revision: Option<String>,
    /// Its address: `0000:3b:00.0`.
    pub bus: String,
    /// The node it is near, as text: `-1` where it is near none, null where the
    /// kernel knows no nodes.
    pub numa_node_id: Option<String>,
}

/// What is near to what.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NumaTopology {
    /// Memory of each node.
    pub ram: Vec<NumaMemory>,
    /// Cores.
    pub cpus: Vec<NumaCore>,
    /// Interfaces on the PCI bus.
    pub nics: Vec<NumaNic>,
}

/// Memory of a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NumaMemory {
    /// The node.
    pub numa_node: u32,
    /// In KiB.
    pub size_kb: u64,
}

/// A core.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NumaCore {
    /// Number of the core inside its socket.
    pub cpu: u32,
    /// Its node.
    pub numa_node: u32,
    /// Its logical processors.
    pub thread_siblings: Vec<u32>,
}

/// An interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NumaNic {
    /// Kernel name.
    pub name: String,
    /// Its node; -1 for none.
    pub numa_node: i64,
}

/// A device on the USB bus.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UsbDevice {
    /// What it is, in its own words; its number where it has none.
    pub product: String,
    /// Its maker, in its own words; empty where it has none.
    pub vendor: String,
    /// Where it is plugged in: `USB:1-1.4`.
    pub handle: String,
}

/// Every function on the PCI bus.
#[must_use]
pub fn pci_devices(found: &facts::Inventory) -> Vec<PciDevice> {
    let device = |device: &facts::PciDevice| PciDevice {
        vendor_id: bare(&device.ids.vendor),
        product_id: bare(&device.ids.product),
        class: bare(&device.class),
        revision: device.revision.as_deref().map(bare),
        bus: device.address.clone(),
        numa_node_id: nearest(found, device.numa_node).map(|node| node.to_string()),
    };
    found.pci.iter().map(device).collect()
}

/// The node of a function on the PCI bus. A kernel that knows nodes says -1 of
/// one that is near none, and Ironic's agent repeats that.
fn nearest(found: &facts::Inventory, node: Option<u32>) -> Option<i64> {
    node.map(i64::from).or_else(|| (!found.numa.is_empty()).then_some(-1))
}

impl From<&facts::UsbDevice> for UsbDevice {
    fn from(found: &facts::UsbDevice) -> Self {
        let number = || format!("{}:{}", bare(&found.vendor), bare(&found.product));
        Self {
            product: found.product_name.clone().unwrap_or_else(number),
            vendor: found.manufacturer.clone().unwrap_or_default(),
            handle: format!("USB:{}", found.name),
        }
    }
}

impl From<&facts::Inventory> for NumaTopology {
    fn from(found: &facts::Inventory) -> Self {
        let memory =
            |node: &facts::NumaNode| Some(NumaMemory { numa_node: node.id, size_kb: node.memory?.0 >> 10 });
        let core = |core: &facts::Core| NumaCore {
            cpu: core.id,
            numa_node: core.numa_node,
            thread_siblings: core.threads.clone(),
        };
        let nic = |nic: &facts::Nic| {
            let on_pci = nic.pci_address.is_some() && nic.pci_address == nic.device;
            let numa_node = if on_pci { nearest(found, nic.numa_node)? } else { nic.numa_node?.into() };
            Some(NumaNic { name: nic.name.clone(), numa_node })
        };
        Self {
            ram: found.numa.iter().filter_map(memory).collect(),
            cpus: found.cpu.topology.iter().map(core).collect(),
            nics: found.nics.iter().filter_map(nic).collect(),
        }
    }
}

/// What the switch beyond `nic` said, TLV by TLV.
pub(super) fn tlvs(nic: &facts::Nic) -> Option<Vec<Tlv>> {
    let neighbour = nic.neighbour.as_ref()?;
    Some(neighbour.tlvs.iter().map(|tlv| (tlv.kind, tlv.value.clone())).collect())
}

/// What every switch said; nothing is an empty list.
#[must_use]
pub fn lldp_raw(found: &facts::Inventory) -> BTreeMap<String, Vec<Tlv>> {
    model::order::map(found.nics.iter().map(|nic| (nic.name.clone(), tlvs(nic).unwrap_or_default())))
}

/// A hexadecimal number without its `0x`.
pub(super) fn bare(number: &str) -> String {
    number.strip_prefix("0x").unwrap_or(number).to_owned()
}
