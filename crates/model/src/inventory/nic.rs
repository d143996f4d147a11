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
    /// Every address it has, with the length of its network: `192.0.2.7/24`.
    pub addresses: Vec<String>,
    /// What runs on it.
    pub medium: Medium,
    /// The bus its device sits on: `pci`, `usb`, `virtio`; nothing for bonds and VLANs.
    pub bus: Option<String>,
    /// True when a cable with something alive at its end is plugged in.
    pub has_carrier: bool,
    /// Vendor and device as the driver's bus has them.
    pub ids: Option<PciIds>,
    /// DHCP client id of an InfiniBand interface.
    pub client_id: Option<String>,
    /// Negotiated speed, in Mbit/s.
    pub speed_mbps: Option<u32>,
    /// The highest speed of the modes its driver supports, in Mbit/s; known without a link.
    pub maximum_speed_mbps: Option<u32>,
    /// Whether both ends may speak at once.
    pub duplex: Option<Duplex>,
    /// Whether speed and duplex are negotiated with the other end.
    pub autonegotiation: Option<bool>,
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
    /// The name the program `biosdevname` would give it. Never known: its rules need tables of
    /// vendors (Dell's `DCM` strings) that nobody can test here; see `onboard`.
    pub biosdevname: Option<String>,
    /// What the firmware calls it, for interfaces that are part of the board.
    pub onboard: Option<Onboard>,
    /// Who built the card and which.
    pub subsystem: Option<PciIds>,
    /// The bond it is.
    pub bond: Option<Bond>,
    /// The bond or bridge it belongs to.
    pub controller: Option<String>,
    /// The VLAN it is.
    pub vlan: Option<Vlan>,
    /// Its virtual functions.
    pub sriov: Option<Sriov>,
    /// For a virtual function: the PCI address of its physical one.
    pub physical_function: Option<String>,
    /// The port of a switch in the card, where one has more (`phys_port_id`, `phys_port_name`).
    pub port: Option<String>,
    /// The switch in the card (`phys_switch_id`).
    pub switch: Option<String>,
    /// Its InfiniBand port.
    pub infiniband: Option<Infiniband>,
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
    /// The member preferred, where one is.
    pub primary: Option<String>,
    /// Whether any member has a link, as `miimon` sees it.
    pub up: Option<bool>,
}

/// A tagged network on an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vlan {
    /// Its number.
    pub id: u16,
    /// The interface below it.
    pub parent: Option<String>,
}

/// What the firmware calls an interface of the board (ACPI `_DSM`, or SMBIOS type 41).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Onboard {
    /// Its number among those of its kind, as the firmware counts.
    pub index: Option<u32>,
    /// As it is printed on the case: `NIC 1`.
    pub label: Option<String>,
}

/// A port of an InfiniBand adapter.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Infiniband {
    /// Its name in the fabric: `24:8a:07:03:00:91:f3:c2`.
    pub guid: String,
    /// Its number on the adapter, from 1.
    pub port: Option<u32>,
    /// `ACTIVE`, `DOWN`, `INIT`.
    pub state: Option<String>,
}

/// What runs on an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Medium {
    /// Ethernet, or what looks like it.
    #[default]
    Ethernet,
    /// IP over InfiniBand.
    Infiniband,
    /// Wireless LAN.
    Wireless,
    /// Anything else (tunnels, CAN, modems).
    Other,
}

/// Whether both ends may speak at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Duplex {
    /// One after the other.
    Half,
    /// Both at once.
    Full,
}

/// Virtual functions of an interface.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sriov {
    /// The most it can have.
    pub total: u32,
    /// How many it has now.
    pub enabled: u32,
}
