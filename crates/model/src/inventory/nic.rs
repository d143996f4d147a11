//! Network interfaces.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::{lldp::Neighbour, pci::PciIds};
use crate::Mac;

/// One network interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nic {
    /// Kernel name, such as `eth0`.
    pub name: String,
    /// The permanent address, or the present one when the driver has no other.
    pub mac: Mac,
    /// The address it uses just now, when that is not the permanent one.
    pub present_mac: Option<Mac>,
    /// Its first IPv4 address.
    pub ipv4: Option<Ipv4Addr>,
    /// Its first IPv6 address, global before link-local; a link-local one
    /// carries its scope: `fe80::1%eth0`.
    pub ipv6: Option<String>,
    /// Every address it has.
    pub addresses: Vec<String>,
    /// True when a cable with something alive at its end is plugged in.
    pub has_carrier: bool,
    /// Vendor and device as the driver's bus has them.
    pub ids: Option<PciIds>,
    /// DHCP client id of an InfiniBand interface.
    pub client_id: Option<String>,
    /// Negotiated speed, in Mbit/s.
    pub speed_mbps: Option<u32>,
    /// The highest speed it can do, in Mbit/s.
    pub maximum_speed_mbps: Option<u32>,
    /// Largest packet, in bytes.
    pub mtu: Option<u32>,
    /// Where it sits on the PCI bus: `0000:3b:00.0`.
    pub pci_address: Option<String>,
    /// The kernel's name of the device it belongs to: the PCI address, or
    /// `virtio0`, which is what Ironic's agent reports as address.
    pub device: Option<String>,
    /// The driver, such as `ixgbe`.
    pub driver: Option<String>,
    /// The driver's version.
    pub driver_version: Option<String>,
    /// The version of its firmware.
    pub firmware_version: Option<String>,
    /// The NUMA node it is near.
    pub numa_node: Option<u32>,
    /// The name the BIOS gives it.
    pub biosdevname: Option<String>,
    /// The bond it is.
    pub bond: Option<Bond>,
    /// The bond or bridge it belongs to.
    pub controller: Option<String>,
    /// The VLAN it is.
    pub vlan: Option<Vlan>,
    /// Its virtual functions.
    pub sriov: Option<Sriov>,
    /// RDMA devices of the same hardware: `mlx5_0`.
    pub rdma: Vec<String>,
    /// What the switch at the other end says of itself.
    pub neighbour: Option<Neighbour>,
}

/// Several interfaces as one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bond {
    /// `802.3ad`, `active-backup`.
    pub mode: Option<String>,
    /// Its members.
    pub members: Vec<String>,
    /// The member in use, where only one is.
    pub active: Option<String>,
}

/// A tagged network on an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vlan {
    /// Its number.
    pub id: u16,
    /// The interface below it.
    pub parent: Option<String>,
}

/// Virtual functions of an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sriov {
    /// The most it can have.
    pub total: u32,
    /// How many it has now.
    pub enabled: u32,
}
