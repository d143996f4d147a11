//! Network interfaces: those of hardware, bonds and VLANs, by Ironic's rule.

use std::net::{IpAddr, Ipv6Addr};

use model::{
    Mac,
    inventory::{Nic, PciIds},
};

use crate::{kernel, reader::Reader};

const NICS: &str = "sys/class/net";

/// `ARPHRD_INFINIBAND` of `<linux/if_arp.h>`.
const INFINIBAND: &str = "32";

/// What comes before the port's GUID in the DHCP client id of an InfiniBand
/// interface (RFC 4390, in the form Ironic's agent sends).
const INFINIBAND_CLIENT_ID: &str = "ff:00:00:00:00:00:02:00:00:02:c9:00:";

pub(crate) fn read(reader: &Reader<'_>) -> Vec<Nic> {
    reader
        .list(NICS)
        .iter()
        .filter(|name| counts(reader, name))
        .filter_map(|name| nic(reader, name))
        .collect()
}

/// True for what has hardware below it, and for bonds and VLANs.
fn counts(reader: &Reader<'_>, name: &str) -> bool {
    let is_vlan = || name.rsplit_once('.').is_some_and(|(_, id)| id.parse::<u16>().is_ok());
    reader.exists(format!("{NICS}/{name}/device"))
        || reader.exists(format!("{NICS}/{name}/bonding"))
        || is_vlan()
}

fn nic(reader: &Reader<'_>, name: &str) -> Option<Nic> {
    let of = |attribute: &str| format!("{NICS}/{name}/{attribute}");
    let address = Address::read(reader, name)?;
    let ids = reader
        .text(of("device/vendor"))
        .zip(reader.text(of("device/device")))
        .map(|(vendor, product)| PciIds { vendor, product });
    let addresses = kernel::addresses(reader, name);
    Some(Nic {
        mac: address.mac,
        client_id: address.client_id,
        ipv4: addresses.iter().find_map(|address| match address {
            IpAddr::V4(v4) => Some(*v4),
            IpAddr::V6(_) => None,
        }),
        ipv6: ipv6(&addresses, name),
        has_carrier: reader.text(of("carrier")).as_deref() == Some("1"),
        speed_mbps: speed(reader, name),
        pci_address: pci_address(reader, name),
        device: reader.link_name(of("device")),
        driver: reader.link_name(of("device/driver")),
        ids,
        name: name.to_owned(),
        ..Nic::default()
    })
}

/// A NIC that is down says -1 or `EINVAL`; both mean that it does not know.
fn speed(reader: &Reader<'_>, name: &str) -> Option<u32> {
    let speed: i64 = reader.number(format!("{NICS}/{name}/speed"))?;
    u32::try_from(speed).ok().filter(|speed| *speed > 0 && *speed != u32::MAX)
}

struct Address {
    mac: Mac,
    client_id: Option<String>,
}

impl Address {
    fn read(reader: &Reader<'_>, name: &str) -> Option<Self> {
        let path = format!("{NICS}/{name}/address");
        let text = reader.required_text(&path)?;
        if reader.text(format!("{NICS}/{name}/type")).as_deref() == Some(INFINIBAND) {
            let address = Self::infiniband(&text);
            if address.is_none() {
                reader.warn(&path, format_args!("{text:?} is not an InfiniBand address"));
            }
            return address;
        }
        let present = text.parse::<Mac>().map_err(|err| reader.warn(&path, err)).ok()?;
        let permanent = reader.text(kernel::permanent_mac_path(name)).and_then(|text| text.parse().ok());
        let mac: Mac = permanent.unwrap_or(present);
        if mac.0[0] == SPOOFED {
            reader.warn(&path, format_args!("{mac} is not an address of hardware; interface left out"));
            return None;
        }
        Some(Self { mac, client_id: None })
    }

    /// Twenty bytes end in the port's GUID, eight bytes; the Ethernet-like MAC
    /// is its first and last three.
    fn infiniband(text: &str) -> Option<Self> {
        let bytes: Vec<&str> = text.split(':').collect();
        let guid = bytes.get(12..20).filter(|_| bytes.len() == 20)?;
        let mac = [&guid[..3], &guid[5..]].concat().join(":").parse().ok()?;
        Some(Self { mac, client_id: Some(format!("{INFINIBAND_CLIENT_ID}{}", guid.join(":"))) })
    }
}

/// Ironic's agent leaves out interfaces whose MAC begins so: generated ones.
const SPOOFED: u8 = 0xfa;

/// A global address before a link-local one, which needs its scope.
fn ipv6(addresses: &[IpAddr], name: &str) -> Option<String> {
    let all = || {
        addresses.iter().filter_map(|address| match address {
            IpAddr::V6(v6) => Some(v6),
            IpAddr::V4(_) => None,
        })
    };
    let is_link_local = |v6: &&Ipv6Addr| v6.is_unicast_link_local();
    let global = all().find(|v6| !is_link_local(v6)).map(Ipv6Addr::to_string);
    global.or_else(|| all().find(is_link_local).map(|v6| format!("{v6}%{name}")))
}

/// The nearest PCI function above the interface: virtio devices sit below theirs.
fn pci_address(reader: &Reader<'_>, name: &str) -> Option<String> {
    let device = format!("{NICS}/{name}/device");
    if !reader.exists(&device) {
        return None;
    }
    let real = reader.real(&device)?;
    let names = real.iter().rev().filter_map(|name| name.to_str());
    names.into_iter().find(|name| is_pci_address(name)).map(str::to_owned)
}

/// `0000:3b:00.0`; the domain may have more digits (VMD).
fn is_pci_address(name: &str) -> bool {
    let hex = |text: &str, length: usize| text.len() >= length && text.bytes().all(|b| b.is_ascii_hexdigit());
    let mut parts = name.split([':', '.']);
    let mut part = |length| parts.next().is_some_and(|text| hex(text, length));
    part(4) && part(2) && part(2) && part(1) && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pci_address_is_told_from_other_names() {
        for (name, is) in [
            ("0000:3b:00.0", true),
            ("10000:e1:00.0", true),
            ("virtio0", false),
            ("1-2:1.0", false),
            ("pci0000:3a", false),
        ] {
            assert_eq!(is_pci_address(name), is, "{name}");
        }
    }

    #[test]
    fn an_infiniband_port_has_a_mac_and_a_client_id() {
        let text = "80:00:02:08:fe:80:00:00:00:00:00:00:24:8a:07:03:00:91:f3:c2";
        let address = Address::infiniband(text).expect("an InfiniBand address");
        assert_eq!(address.mac.to_string(), "24:8a:07:91:f3:c2");
        assert_eq!(
            address.client_id.as_deref(),
            Some("ff:00:00:00:00:00:02:00:00:02:c9:00:24:8a:07:03:00:91:f3:c2")
        );
        assert!(Address::infiniband("80:00").is_none());
    }

    #[test]
    fn a_global_address_goes_before_a_link_local_one() {
        let addresses: Vec<IpAddr> =
            ["10.0.0.1", "fe80::1", "2001:db8::5"].map(|text| text.parse().expect("an address")).into();
        assert_eq!(ipv6(&addresses, "eth0").as_deref(), Some("2001:db8::5"));
        assert_eq!(ipv6(&addresses[..2], "eth0").as_deref(), Some("fe80::1%eth0"));
        assert_eq!(ipv6(&addresses[..1], "eth0"), None);
    }
}
