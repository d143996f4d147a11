//! What the controller's answers say, IPMI 2.0 sections 20.1, 22.24, 23.2 and 27.7.
//! Bytes come without the completion code, which was "good".

use std::net::{Ipv4Addr, Ipv6Addr};

use model::{Mac, inventory::BmcIpv6};

/// Channel medium 4: 802.3 LAN (table 6-3).
const LAN: u8 = 4;

/// What Get Device ID tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Device {
    pub(super) manufacturer: u32,
    pub(super) product: u16,
    pub(super) firmware: String,
    pub(super) ipmi: String,
}

/// Get Device ID (section 20.1).
pub(super) fn device(answer: &[u8]) -> Option<Device> {
    let [_id, _revision, major, minor, ipmi, _support, maker @ .., product_low, product_high] =
        answer.first_chunk::<11>()?;
    Some(Device {
        // The upper four of 24 bits are reserved.
        manufacturer: u32::from_le_bytes([maker[0], maker[1], maker[2] & 0x0f, 0]),
        product: u16::from_le_bytes([*product_low, *product_high]),
        // The minor number is BCD; the major one's first bit says "being updated".
        firmware: format!("{}.{minor:02x}", major & 0x7f),
        ipmi: format!("{}.{}", ipmi & 0x0f, ipmi >> 4),
    })
}

/// Get Channel Info (section 22.24): whether `channel` is one to a LAN.
pub(super) fn is_lan(answer: &[u8], channel: u8) -> bool {
    answer.first_chunk().is_some_and(|[number, medium]| number & 0x0f == channel && medium & 0x7f == LAN)
}

/// Get Watchdog Timer (section 27.7): whether it counts.
pub(super) fn watchdog_counts(answer: &[u8]) -> Option<bool> {
    Some(answer.first()? & 0x40 != 0)
}

/// Parameters 3, 6 and 12 of a LAN; all zeros is none.
pub(super) fn ipv4(value: &[u8]) -> Option<Ipv4Addr> {
    let octets = *value.first_chunk::<4>()?;
    Some(Ipv4Addr::from(octets)).filter(|address| !address.is_unspecified())
}

/// Parameter 4.
pub(super) fn ipv4_source(value: &[u8]) -> Option<&'static str> {
    Some(match value.first()? & 0x0f {
        1 => "static",
        2 => "dhcp",
        3 => "bios",
        4 => "other",
        _ => return None,
    })
}

/// Parameter 5; all zeros is none.
pub(super) fn mac(value: &[u8]) -> Option<Mac> {
    value.first_chunk().copied().filter(|mac| *mac != [0; 6]).map(Mac)
}

/// Parameter 20, when enabled.
pub(super) fn vlan(value: &[u8]) -> Option<u16> {
    let [low, high] = *value.first_chunk()?;
    (high & 0x80 != 0).then(|| u16::from_le_bytes([low, high & 0x0f]))
}

/// Parameter 51: whether the controller uses IPv6 at all.
pub(super) fn uses_ipv6(value: &[u8]) -> bool {
    matches!(value.first(), Some(1 | 2))
}

/// Parameter 55: how many static and how many dynamic addresses it can hold.
pub(super) fn ipv6_places(value: &[u8]) -> Option<(u8, u8)> {
    value.first_chunk().map(|[fixed, dynamic]| (*fixed, *dynamic))
}

/// Parameters 56 (static) and 59 (dynamic): the address at one place, if one is in use there.
pub(super) fn ipv6(value: &[u8], dynamic: bool) -> Option<BmcIpv6> {
    let [_place, source, octets @ .., prefix, status] = value.first_chunk::<20>()?;
    let octets: [u8; 16] = *octets;
    let address = Ipv6Addr::from(octets);
    let source = match (dynamic, source & 0x0f, source & 0x80) {
        (false, _, 0x80) => "static",
        (true, 1, _) => "slaac",
        (true, 2, _) => "dhcpv6",
        _ => return None,
    };
    let in_use = *status == 0 && !address.is_unspecified() && *prefix <= 128;
    in_use.then(|| BmcIpv6 { address, prefix: *prefix, source: source.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_controller_says_what_it_is() {
        // As a PowerEdge's does: `ipmitool raw 6 1`.
        let answer = [0x20, 0x81, 0x02, 0x85, 0x02, 0xdf, 0xa2, 0x02, 0x00, 0x00, 0x01, 0, 7, 0x85, 0];
        let device = device(&answer).expect("whole");
        assert_eq!((device.manufacturer, device.product), (674, 256));
        assert_eq!((device.firmware.as_str(), device.ipmi.as_str()), ("2.85", "2.0"));
    }

    #[test]
    fn an_answer_that_is_cut_off_says_nothing() {
        let long = [0xffu8; 20];
        for length in 0..20 {
            let cut = &long[..length];
            assert_eq!(device(cut).is_some(), length >= 11, "{length}");
            assert!(!is_lan(cut, 1) && !uses_ipv6(cut));
            assert_eq!(watchdog_counts(cut).is_some(), length >= 1);
            assert_eq!(ipv4(cut).is_some(), length >= 4);
            assert_eq!(mac(cut).is_some(), length >= 6);
            assert_eq!(vlan(cut).is_some(), length >= 2);
            assert_eq!(ipv6_places(cut).is_some(), length >= 2);
            assert_eq!(ipv6(cut, true), None);
        }
    }

    #[test]
    fn nothing_configured_is_no_address() {
        assert_eq!(ipv4(&[0; 4]), None);
        assert_eq!(mac(&[0; 6]), None);
        assert_eq!(vlan(&[100, 0]), None, "not enabled");
        assert_eq!(vlan(&[0x2c, 0x81]), Some(300));
        assert_eq!(ipv4_source(&[0]), None);
        assert_eq!(ipv4_source(&[0xf2]), Some("dhcp"));
    }

    #[test]
    fn ipv6_addresses_count_when_they_are_in_use() {
        let place = |source: u8, first: u8, prefix: u8, status: u8| {
            let mut value = [0; 20];
            (value[1], value[2], value[17], value[18], value[19]) = (source, first, 1, prefix, status);
            value
        };
        let source = |value: [u8; 20], dynamic| ipv6(&value, dynamic).map(|found| found.source);
        assert_eq!(source(place(0x80, 0xfd, 64, 0), false).as_deref(), Some("static"));
        assert_eq!(source(place(0x02, 0xfd, 64, 0), true).as_deref(), Some("dhcpv6"));
        assert_eq!(source(place(0x01, 0xfd, 64, 0), true).as_deref(), Some("slaac"));
        for unused in [place(0x00, 0xfd, 64, 0), place(0x80, 0xfd, 64, 1), place(0x80, 0xfd, 129, 0), [0; 20]]
        {
            assert_eq!(source(unused, false), None);
        }
        let found = ipv6(&place(0x80, 0xfd, 64, 0), false).expect("in use");
        assert_eq!((found.address.to_string().as_str(), found.prefix), ("fd00::1", 64));
    }
}
