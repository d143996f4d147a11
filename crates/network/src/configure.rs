//! Putting a lease into the kernel: address, routes, MTU.

use std::{io, net::Ipv4Addr};

use crate::{
    Lease,
    board::Nic,
    netlink::{self, DELETE_ADDRESS, IPV4, Message, NEW_ADDRESS, NEW_ROUTE, REPLACE},
};

/// Route metrics; the kernel prefers the smaller one.
const BOOT_METRIC: u32 = 100;
const OTHER_METRIC: u32 = 1000;
/// A network with smaller packets is a mistake of its server (RFC 791 asks for 576).
const MIN_MTU: u16 = 576;

/// Which routes win.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rank {
    /// The NIC the machine was booted from.
    Boot,
    /// Any other; the lower number wins.
    Other,
}

fn metric(rank: Rank, index: u32) -> u32 {
    match rank {
        Rank::Boot => BOOT_METRIC,
        Rank::Other => OTHER_METRIC.saturating_add(index),
    }
}

/// Make the kernel use `lease` on `nic`, instead of `old` if there was one. Returns
/// the routes that the kernel refused, and why: an address without them still
/// reaches its own network.
pub(crate) fn apply(nic: &Nic, rank: Rank, lease: &Lease, old: Option<&Lease>) -> io::Result<Vec<String>> {
    if let Some(old) = old.filter(|old| (old.address, old.prefix) != (lease.address, lease.prefix)) {
        remove(nic, old)?;
    }
    if let Some(mtu) = lease.mtu.filter(|&mtu| mtu >= MIN_MTU) {
        // A NIC that cannot has a smaller limit, which it keeps.
        if let Err(err) = netlink::ask(netlink::mtu(nic.index, mtu)) {
            tracing::warn!(nic = nic.name, mtu, %err, "the MTU was not set");
        }
    }
    add(nic, lease)?;
    let mut refused = Vec::new();
    for (what, route) in routes(nic.index, metric(rank, nic.index), lease) {
        if let Err(err) = netlink::ask(route) {
            refused.push(format!("{what} ({err})"));
        }
    }
    Ok(refused)
}

/// Without the kernel's own route to the network: two NICs of one network would
/// get equal ones, and answers to the boot NIC could leave through the other.
fn add(nic: &Nic, lease: &Lease) -> io::Result<()> {
    const FLAGS: u16 = 8;
    const NO_PREFIX_ROUTE: u32 = 0x200;
    const BROADCAST: u16 = 4;
    let message = address(NEW_ADDRESS, REPLACE, nic.index, lease).with(FLAGS, &NO_PREFIX_ROUTE.to_ne_bytes());
    // RFC 3021: a network of two has no broadcast address.
    let broadcast = (lease.prefix < 31).then(|| lease.address.to_bits() | hosts(lease.prefix));
    netlink::ask(match broadcast {
        Some(broadcast) => message.with(BROADCAST, &broadcast.to_be_bytes()),
        None => message,
    })
}

/// Give up the address of `old`; its routes go with it.
pub(crate) fn remove(nic: &Nic, old: &Lease) -> io::Result<()> {
    netlink::ask(address(DELETE_ADDRESS, 0, nic.index, old))
}

/// `struct ifaddrmsg` (family, prefix, flags, scope, index) with `IFA_ADDRESS`, the
/// address of the peer, which is ours on Ethernet, and `IFA_LOCAL`.
fn address(kind: u16, flags: u16, index: u32, lease: &Lease) -> Message {
    const ADDRESS: u16 = 1;
    const LOCAL: u16 = 2;
    let mut body = [IPV4, lease.prefix, 0, 0, 0, 0, 0, 0];
    body[4..].copy_from_slice(&index.to_ne_bytes());
    let ours = lease.address.octets();
    Message::new(kind, flags, &body).with(ADDRESS, &ours).with(LOCAL, &ours)
}

/// The routes of `lease`: in words, and as the kernel is asked for them.
fn routes(index: u32, metric: u32, lease: &Lease) -> Vec<(String, Message)> {
    let own = (lease.address, lease.prefix, Ipv4Addr::UNSPECIFIED);
    // RFC 3442: with classless routes the gateway option must be ignored.
    let default = lease.gateway.filter(|_| lease.routes.is_empty());
    let default = default.map(|gateway| (Ipv4Addr::UNSPECIFIED, 0, gateway));
    let all = [own].into_iter().chain(lease.routes.iter().copied()).chain(default);
    let message = |(network, prefix, gateway): (Ipv4Addr, u8, Ipv4Addr)| {
        let message = route(masked(network, prefix), prefix, gateway)
            .with(OUTPUT, &index.to_ne_bytes())
            .with(PREFERRED_SOURCE, &lease.address.octets())
            .with(PRIORITY, &metric.to_ne_bytes());
        (format!("{network}/{prefix} via {gateway}"), message)
    };
    all.map(message).collect()
}

/// `RTA_DST`, `RTA_OIF`, `RTA_GATEWAY`, `RTA_PRIORITY` and `RTA_PREFSRC`.
const DESTINATION: u16 = 1;
const OUTPUT: u16 = 4;
const GATEWAY: u16 = 5;
const PRIORITY: u16 = 6;
const PREFERRED_SOURCE: u16 = 7;

/// `struct rtmsg`: family, bits of destination, bits of source, type of service, table,
/// protocol, scope, type and flags; without a gateway (`0.0.0.0`) it is on the link itself.
fn route(network: Ipv4Addr, prefix: u8, gateway: Ipv4Addr) -> Message {
    const MAIN: u8 = 254;
    const STATIC: u8 = 4;
    const UNIVERSE: u8 = 0;
    const LINK: u8 = 253;
    const UNICAST: u8 = 1;
    /// A lease for a /32 has its gateway outside of its network.
    const ON_LINK: u32 = 4;
    let direct = gateway.is_unspecified();
    let (scope, flags) = if direct { (LINK, 0) } else { (UNIVERSE, ON_LINK) };
    let mut body = [IPV4, prefix, 0, 0, MAIN, STATIC, scope, UNICAST, 0, 0, 0, 0];
    body[8..].copy_from_slice(&u32::to_ne_bytes(flags));
    let message = Message::new(NEW_ROUTE, REPLACE, &body).with(DESTINATION, &network.octets());
    if direct { message } else { message.with(GATEWAY, &gateway.octets()) }
}

/// `network` without the bits that name a host.
fn masked(network: Ipv4Addr, prefix: u8) -> Ipv4Addr {
    Ipv4Addr::from_bits(network.to_bits() & !hosts(prefix))
}

/// The bits that name a host.
fn hosts(prefix: u8) -> u32 {
    u32::MAX.checked_shr(prefix.into()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_no_host_bits() {
        for (prefix, network) in
            [(24, [10, 1, 2, 0]), (32, [10, 1, 2, 3]), (0, [0, 0, 0, 0]), (9, [10, 0, 0, 0])]
        {
            assert_eq!(masked([10, 1, 2, 3].into(), prefix), Ipv4Addr::from(network), "/{prefix}");
        }
    }

    #[test]
    fn the_boot_nic_wins_every_route() {
        assert!(metric(Rank::Boot, 99) < metric(Rank::Other, 1));
        assert!(metric(Rank::Other, 2) < metric(Rank::Other, 3));
    }
}
