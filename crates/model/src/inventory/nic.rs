//! Network interfaces.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use crate::Mac;

/// One network interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nic {
    /// Kernel name, such as `eth0`.
    pub name: String,
    /// The permanent address, or the present one when the driver has no other.
    pub mac: Mac,
    /// Its first IPv4 address.
    pub ipv4: Option<Ipv4Addr>,
    /// Its first IPv6 address, global before link-local; a link-local one
    /// carries its scope: `fe80::1%eth0`.
    pub ipv6: Option<String>,
    /// True when a cable with something alive at its end is plugged in.
    pub has_carrier: bool,
    /// Vendor and device as the driver's bus has them.
    pub ids: Option<PciIds>,
    /// DHCP client id of an InfiniBand interface.
    pub client_id: Option<String>,
    /// Negotiated speed, in Mbit/s.
    pub speed_mbps: Option<u32>,
    /// Where it sits on the PCI bus: `0000:3b:00.0`.
    pub pci_address: Option<String>,
    /// The kernel's name of the device it belongs to: the PCI address, or
    /// `virtio0`, which is what Ironic's agent reports as address.
    pub device: Option<String>,
    /// The driver, such as `ixgbe`.
    pub driver: Option<String>,
}

/// Vendor and device numbers, as sysfs writes them: `0x8086`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PciIds {
    /// Vendor.
    pub vendor: String,
    /// Device.
    pub product: String,
}
