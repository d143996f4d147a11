//! The management controller, as seen from inside the machine.

use std::net::{Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use crate::Mac;

/// The management controller.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bmc {
    /// Its IPv4 address, when configured.
    pub ipv4: Option<Ipv4Addr>,
    /// Its IPv6 address, when configured.
    pub ipv6: Option<Ipv6Addr>,
    /// Its MAC address.
    pub mac: Option<Mac>,
    /// The VLAN it listens on.
    pub vlan: Option<u16>,
    /// Where its IPv4 address comes from: `static`, `dhcp`.
    pub ipv4_source: Option<String>,
    /// Number of the channel the above is of, 1 to 11.
    pub channel: Option<u8>,
    /// Its maker, an IANA enterprise number.
    pub manufacturer: Option<u32>,
    /// The maker's number for it.
    pub product: Option<u16>,
    /// Its firmware: `2.85`.
    pub firmware: Option<String>,
    /// Version of IPMI: `2.0`.
    pub ipmi: Option<String>,
}
