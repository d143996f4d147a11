//! What an interface is called by others: MACs, InfiniBand GUIDs and IP addresses.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use model::Mac;

use super::NICS;
use crate::{kernel, reader::Reader};

/// What comes before the port's GUID in the DHCP client id of an InfiniBand
/// interface (RFC 4390, in the form Ironic's agent sends).
const INFINIBAND_CLIENT_ID: &str = "ff:00:00:00:00:00:02:00:00:02:c9:00:";

/// Ironic's agent leaves out interfaces whose MAC begins so: generated ones.
const SPOOFED: u8 = 0xfa;

/// The addresses of a link.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Address {
    /// The permanent one, or else the present one.
    pub(super) mac: Mac,
    /// The present one, when that is another.
    pub(super) present: Option<Mac>,
    /// Of an InfiniBand port.
    pub(super) guid: Option<String>,
}

impl Address {
    /// Those of `name`; `None` is an interface to leave out.
    pub(super) fn read(reader: &Reader<'_>, name: &str, is_infiniband: bool) -> Option<Self> {
        let path = format!("{NICS}/{name}/address");
        let text = reader.required_text(&path)?;
        if is_infiniband {
            let address = Self::infiniband(&text);
            if address.is_none() {
                reader.warn(&path, format_args!("{text:?} is not an InfiniBand address"));
            }
            return address;
        }
        let present = text.parse::<Mac>().map_err(|err| reader.warn(&path, err)).ok()?;
        let path_of_permanent = kernel::permanent_mac_path(name);
        let permanent = reader
            .text(&path_of_permanent)
            .and_then(|text| text.parse().map_err(|err| reader.warn(&path_of_permanent, err)).ok());
        let mac: Mac = permanent.unwrap_or(present);
        if mac.0[0] == SPOOFED || mac.0 == [0; 6] {
            reader.warn(&path, format_args!("{mac} is not an address of hardware; interface left out"));
            return None;
        }
        Some(Self { mac, present: (present != mac).then_some(present), guid: None })
    }

    /// The DHCP client id of an InfiniBand port.
    pub(super) fn client_id(&self) -> Option<String> {
        self.guid.as_ref().map(|guid| format!("{INFINIBAND_CLIENT_ID}{guid}"))
    }

    /// Twenty bytes end in the port's GUID, eight bytes; the Ethernet-like MAC
    /// is its first and last three.
    fn infiniband(text: &str) -> Option<Self> {
        let bytes: Vec<&str> = text.split(':').collect();
        let guid = bytes.get(12..20).filter(|_| bytes.len() == 20)?;
        let mac = [&guid[..3], &guid[5..]].concat().join(":").parse().ok()?;
        Some(Self { mac, present: None, guid: Some(guid.join(":")) })
    }
}

/// The first IPv4 address.
pub(super) fn ipv4(addresses: &[(IpAddr, String)]) -> Option<Ipv4Addr> {
    addresses.iter().find_map(|(address, _)| match address {
        IpAddr::V4(v4) => Some(*v4),
        IpAddr::V6(_) => None,
    })
}

/// A global address before a link-local one, which needs its scope.
pub(super) fn ipv6(addresses: &[(IpAddr, String)], name: &str) -> Option<String> {
    let all = || {
        addresses.iter().filter_map(|(address, _)| match address {
            IpAddr::V6(v6) => Some(v6),
            IpAddr::V4(_) => None,
        })
    };
    let is_link_local = |v6: &&Ipv6Addr| v6.is_unicast_link_local();
    let global = all().find(|v6| !is_link_local(v6)).map(Ipv6Addr::to_string);
    global.or_else(|| all().find(is_link_local).map(|v6| format!("{v6}%{name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_infiniband_port_has_a_mac_and_a_client_id() {
        let text = "80:00:02:08:fe:80:00:00:00:00:00:00:24:8a:07:03:00:91:f3:c2";
        let address = Address::infiniband(text).expect("an InfiniBand address");
        assert_eq!(address.mac.to_string(), "24:8a:07:91:f3:c2");
        assert_eq!(
            address.client_id().as_deref(),
            Some("ff:00:00:00:00:00:02:00:00:02:c9:00:24:8a:07:03:00:91:f3:c2")
        );
        assert!(Address::infiniband("80:00").is_none());
    }

    #[test]
    fn a_global_address_goes_before_a_link_local_one() {
        let addresses = ["10.0.0.1", "fe80::1", "2001:db8::5"]
            .map(|text| (text.parse().expect("an address"), format!("{text}/8")));
        assert_eq!(ipv4(&addresses), Some(Ipv4Addr::new(10, 0, 0, 1)));
        assert_eq!(ipv6(&addresses, "eth0").as_deref(), Some("2001:db8::5"));
        assert_eq!(ipv6(&addresses[..2], "eth0").as_deref(), Some("fe80::1%eth0"));
        assert_eq!(ipv6(&addresses[..1], "eth0"), None);
    }
}
