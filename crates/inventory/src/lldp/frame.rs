//! One frame of LLDP (IEEE 802.1AB-2016): bytes a stranger sent, so everything is
//! bounded, and what is odd ends the reading and is said.
//!
//! Ethernet header ─▶ TLVs: type (7 bits), length (9 bits), value ─▶ [`Neighbour`]

use std::{
    net::{Ipv4Addr, Ipv6Addr},
    ops::Range,
};

use model::{
    Mac,
    inventory::{Neighbour, NeighbourVlan, Tlv},
};

use crate::limits;

/// The EtherType of LLDP.
pub(super) const ETHERTYPE: u16 = 0x88cc;
/// Of tags in front of it: customers' and providers' VLANs. Cards take off one themselves.
const TAGS: [u16; 2] = [0x8100, 0x88a8];
/// Destination and source.
const ADDRESSES: usize = 12;

const END: u8 = 0;
const CHASSIS_ID: u8 = 1;
const PORT_ID: u8 = 2;
const LIFETIME: u8 = 3;
const PORT_DESCRIPTION: u8 = 4;
const SYSTEM_NAME: u8 = 5;
const SYSTEM_DESCRIPTION: u8 = 6;
const CAPABILITIES: u8 = 7;
const MANAGEMENT_ADDRESS: u8 = 8;
const ORGANISATION: u8 = 127;

/// Organisations, by the first three bytes of their TLVs: IEEE 802.1 and 802.3.
const IEEE_802_1: [u8; 3] = [0x00, 0x80, 0xc2];
const IEEE_802_3: [u8; 3] = [0x00, 0x12, 0x0f];

/// Of IDs, by their first byte: a MAC and a network address, for a chassis and for a port.
const CHASSIS_MAC: u8 = 4;
const CHASSIS_ADDRESS: u8 = 5;
const PORT_MAC: u8 = 3;
const PORT_ADDRESS: u8 = 4;

/// Address families (IANA): IPv4, IPv6, MAC.
const IPV4: u8 = 1;
const IPV6: u8 = 2;
const MAC: u8 = 6;

/// Bits of the capabilities, from the lowest.
const CAPABILITY_NAMES: [&str; 11] = [
    "other",
    "repeater",
    "bridge",
    "wlan",
    "router",
    "telephone",
    "docsis",
    "station",
    "c-vlan",
    "s-vlan",
    "relay",
];

/// What the sender of `frame` says; `None` when it is no frame of LLDP.
#[must_use]
pub fn parse(frame: &[u8]) -> Option<Neighbour> {
    let start = payload(frame)?;
    let (places, flaw) = tlvs(frame, start);
    let mut neighbour = Neighbour { flaw: flaw.map(str::to_owned), ..Neighbour::default() };
    for Place { kind, value } in places {
        let value = &frame[value];
        neighbour.tlvs.push(Tlv { kind, value: hex(value) });
        understand(kind, value, &mut neighbour);
    }
    if neighbour.flaw.is_none() {
        neighbour.flaw = unusable(&neighbour).map(str::to_owned);
    }
    Some(neighbour)
}

/// What every frame has to say.
fn unusable(neighbour: &Neighbour) -> Option<&'static str> {
    if neighbour.chassis_id.is_none() {
        return Some("names no chassis");
    }
    if neighbour.port_id.is_none() {
        return Some("names no port");
    }
    neighbour.lifetime_s.is_none().then_some("has no lifetime")
}

/// Where the TLVs begin.
pub(crate) fn payload(frame: &[u8]) -> Option<usize> {
    let kind = |at: usize| Some(u16::from_be_bytes(frame.get(at..at + 2)?.try_into().ok()?));
    let mut at = ADDRESSES;
    for _ in 0..=TAGS.len() {
        match kind(at)? {
            ETHERTYPE => return Some(at + 2),
            tag if TAGS.contains(&tag) => at += 4,
            _ => return None,
        }
    }
    None
}

/// A TLV of a frame.
struct Place {
    kind: u8,
    value: Range<usize>,
}

/// Whole TLVs from `start` to the end TLV, which is among them, and what is wrong with
/// what follows them. After the end comes what fills up the frame.
fn tlvs(frame: &[u8], start: usize) -> (Vec<Place>, Option<&'static str>) {
    let mut places = Vec::new();
    let mut at = start;
    while let Some(header) = frame.get(at..at + 2) {
        if places.len() == limits::LLDP_TLVS {
            return (places, Some("has too many TLVs"));
        }
        let header = u16::from_be_bytes([header[0], header[1]]);
        let (kind, length) = ((header >> 9) as u8, usize::from(header & 0x1ff)); // 7 bits, 9 bits
        let value = at + 2..at + 2 + length;
        if value.end > frame.len() {
            return (places, Some("ends in the middle of a TLV"));
        }
        at = value.end;
        places.push(Place { kind, value });
        if kind == END {
            return (places, None);
        }
    }
    // The end TLV may be missing where the frame ends.
    (places, (at != frame.len()).then_some("ends in the middle of a TLV"))
}

/// Put what one TLV says where it belongs. Of two that say the same thing the first counts.
fn understand(kind: u8, value: &[u8], neighbour: &mut Neighbour) {
    match kind {
        CHASSIS_ID => first(&mut neighbour.chassis_id, id(value, CHASSIS_MAC, CHASSIS_ADDRESS)),
        PORT_ID => first(&mut neighbour.port_id, id(value, PORT_MAC, PORT_ADDRESS)),
        LIFETIME => first(&mut neighbour.lifetime_s, number(value, 0)),
        PORT_DESCRIPTION => first(&mut neighbour.port_description, text(value)),
        SYSTEM_NAME => first(&mut neighbour.system_name, text(value)),
        SYSTEM_DESCRIPTION => first(&mut neighbour.system_description, text(value)),
        CAPABILITIES if neighbour.capabilities.is_empty() => neighbour.capabilities = capabilities(value),
        MANAGEMENT_ADDRESS => neighbour.management_addresses.extend(management_address(value)),
        ORGANISATION => {
            if let Some((maker, [subtype, rest @ ..])) = value.split_first_chunk::<3>() {
                organisation(*maker, *subtype, rest, neighbour);
            }
        }
        _ => {}
    }
}

fn organisation(maker: [u8; 3], subtype: u8, value: &[u8], neighbour: &mut Neighbour) {
    let is_vlan = |vlan: &u16| (1..=4094).contains(vlan);
    match (maker, subtype) {
        (IEEE_802_1, 1) => first(&mut neighbour.untagged_vlan, number(value, 0).filter(is_vlan)),
        (IEEE_802_1, 3) => neighbour.vlans.extend(vlan(value).filter(|vlan| is_vlan(&vlan.id))),
        (IEEE_802_1, 6) => first(&mut neighbour.management_vlan, number(value, 0).filter(is_vlan)),
        // The same in both: once 802.3's, now 802.1's. Bit 1 is "enabled".
        (IEEE_802_1, 7) | (IEEE_802_3, 3) => {
            first(&mut neighbour.aggregated, value.first().map(|status| status & 2 != 0));
        }
        (IEEE_802_3, 4) => first(&mut neighbour.mtu, number(value, 0)),
        _ => {}
    }
}

fn first<T>(place: &mut Option<T>, value: Option<T>) {
    if place.is_none() {
        *place = value;
    }
}

fn number(value: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(value.get(at..at + 2)?.try_into().ok()?))
}

/// A kind, and then a MAC, an address or a name.
fn id(value: &[u8], mac: u8, address: u8) -> Option<String> {
    match value.split_first()? {
        (kind, value) if *kind == mac => Some(Mac(value.try_into().ok()?).to_string()),
        (kind, [family, value @ ..]) if *kind == address => network_address(*family, value),
        (_, value) if std::str::from_utf8(value).is_err() => Some(format!("0x{}", hex(value))),
        (_, value) => text(value),
    }
}

fn network_address(family: u8, value: &[u8]) -> Option<String> {
    match family {
        IPV4 => Some(Ipv4Addr::from(<[u8; 4]>::try_from(value).ok()?).to_string()),
        IPV6 => Some(Ipv6Addr::from(<[u8; 16]>::try_from(value).ok()?).to_string()),
        MAC => Some(Mac(value.try_into().ok()?).to_string()),
        _ => None,
    }
}

/// Length, family, address; then an interface and its object, which nobody needs.
fn management_address(value: &[u8]) -> Option<String> {
    let (length, rest) = value.split_first()?;
    let (family, address) = rest.get(..usize::from(*length))?.split_first()?;
    network_address(*family, address)
}

/// Two masks: what it could do, and what is switched on.
fn capabilities(value: &[u8]) -> Vec<String> {
    let enabled = number(value, 2).unwrap_or(0);
    let names = CAPABILITY_NAMES.iter().enumerate().filter(|(bit, _)| enabled >> bit & 1 == 1);
    names.map(|(_, name)| (*name).to_owned()).collect()
}

/// Number, length of the name, name.
fn vlan(value: &[u8]) -> Option<NeighbourVlan> {
    let id = number(value, 0)?;
    let (length, rest) = value.get(2..)?.split_first()?;
    Some(NeighbourVlan { id, name: text(rest.get(..usize::from(*length))?).unwrap_or_default() })
}

/// Words for people, in one line: nothing in it moves a terminal's cursor.
fn text(value: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(value);
    let line: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    Some(line.trim().to_owned()).filter(|line| !line.is_empty())
}

fn hex(bytes: &[u8]) -> String {
    let digit = |value: u8| char::from(b"0123456789abcdef"[usize::from(value)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 0xf)]).collect()
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
