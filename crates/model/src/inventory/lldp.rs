//! What a switch says of itself (IEEE 802.1AB).

use serde::{Deserialize, Serialize};

/// The neighbour at the other end of a cable.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Neighbour {
    /// Every whole TLV as it came, which is what Ironic wants.
    pub tlvs: Vec<Tlv>,
    /// What is wrong with the frame: what came before it is believed, the rest is not.
    pub flaw: Option<String>,
    /// The switch: a MAC, an address or a name.
    pub chassis_id: Option<String>,
    /// Its port: a MAC or a name.
    pub port_id: Option<String>,
    /// How long this is true, in seconds; 0 says that the switch goes away.
    pub lifetime_s: Option<u16>,
    /// The port in words.
    pub port_description: Option<String>,
    /// The switch's name.
    pub system_name: Option<String>,
    /// The switch in words.
    pub system_description: Option<String>,
    /// What it is: `bridge`, `router`; those of its capabilities that are switched on.
    pub capabilities: Vec<String>,
    /// Where the switch is managed.
    pub management_addresses: Vec<String>,
    /// The VLAN of untagged frames.
    pub untagged_vlan: Option<u16>,
    /// The VLAN the switch is managed in.
    pub management_vlan: Option<u16>,
    /// VLANs the port carries.
    pub vlans: Vec<NeighbourVlan>,
    /// Largest frame the port takes, in bytes.
    pub mtu: Option<u16>,
    /// True when the port is part of a bond.
    pub aggregated: Option<bool>,
}

/// A VLAN of a switch port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NeighbourVlan {
    /// Its number.
    pub id: u16,
    /// Its name.
    pub name: String,
}

/// One type, length and value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tlv {
    /// 0 to 127.
    pub kind: u8,
    /// The value, in hex.
    pub value: String,
}
