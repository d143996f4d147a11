//! The management controller, as seen from inside the machine.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::Mac;

/// The management controller: one that answers. Addresses are those of the first channel
/// that has one, as Ironic's agent chooses them; [`Bmc::lan`] has every channel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bmc {
    /// Its IPv4 address, when configured.
    pub ipv4: Option<Ipv4Addr>,
    /// Its IPv6 address, when configured.
    pub ipv6: Option<Ipv6Addr>,
    /// Length of the prefix of [`Bmc::ipv6`], in bits.
    pub ipv6_prefix: Option<u8>,
    /// Its MAC address.
    pub mac: Option<Mac>,
    /// The VLAN it listens on.
    pub vlan: Option<u16>,
    /// Where its IPv4 address comes from: `static`, `dhcp`.
    pub ipv4_source: Option<String>,
    /// Number of the channel that [`Bmc::mac`] and [`Bmc::vlan`] are of, 1 to 11.
    pub channel: Option<u8>,
    /// Its maker, an IANA enterprise number.
    pub manufacturer: Option<u32>,
    /// The maker's number for it.
    pub product: Option<u16>,
    /// Its firmware: `2.85`.
    pub firmware: Option<String>,
    /// Version of IPMI: `2.0`.
    pub ipmi: Option<String>,
    /// True while its watchdog counts: nobody feeds it, and it resets the machine.
    pub watchdog_active: Option<bool>,
    /// Its channels to a LAN, configured or not, by number.
    pub lan: Vec<BmcLan>,
}

/// One of the controller's channels to a LAN.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BmcLan {
    /// Its number, 1 to 11.
    pub channel: u8,
    /// IPv4 address, when configured.
    pub ipv4: Option<Ipv4Addr>,
    /// Where it comes from: `static`, `dhcp`, `bios`, `other`.
    pub ipv4_source: Option<String>,
    /// Its network mask.
    pub netmask: Option<Ipv4Addr>,
    /// The default gateway.
    pub gateway: Option<Ipv4Addr>,
    /// IPv6 addresses in use, those that the network gave first.
    pub ipv6: Vec<BmcIpv6>,
    /// MAC address.
    pub mac: Option<Mac>,
    /// VLAN, when enabled.
    pub vlan: Option<u16>,
}

/// One IPv6 address of the controller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BmcIpv6 {
    /// The address.
    pub address: Ipv6Addr,
    /// Length of its prefix, in bits.
    pub prefix: u8,
    /// Where it comes from: `static`, `slaac`, `dhcpv6`.
    pub source: String,
}
