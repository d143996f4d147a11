//! Putting a lease into the kernel: address, routes, MTU.

use std::net::Ipv4Addr;

use rtnetlink::{
    AddressMessageBuilder, Handle, LinkUnspec, RouteMessageBuilder,
    packet_route::{
        address::{AddressAttribute, AddressFlags},
        route::{RouteMessage, RouteScope},
    },
};

use crate::{Lease, board::Nic};

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
pub(crate) async fn apply(
    handle: &Handle,
    nic: &Nic,
    rank: Rank,
    lease: &Lease,
    old: Option<&Lease>,
) -> Result<Vec<String>, rtnetlink::Error> {
    if let Some(old) = old.filter(|old| (old.address, old.prefix) != (lease.address, lease.prefix)) {
        remove(handle, nic, old).await?;
    }
    if let Some(mtu) = lease.mtu.filter(|&mtu| mtu >= MIN_MTU) {
        let message = LinkUnspec::new_with_index(nic.index).mtu(mtu.into()).build();
        // A NIC that cannot has a smaller limit, which it keeps.
        if let Err(err) = handle.link().set(message).execute().await {
            tracing::warn!(nic = nic.name, mtu, %err, "the MTU was not set");
        }
    }
    add_address(handle, nic.index, lease).await?;
    let mut refused = Vec::new();
    for (what, route) in routes(nic.index, metric(rank, nic.index), lease) {
        if let Err(err) = handle.route().add(route).replace().execute().await {
            refused.push(format!("{what} ({err})"));
        }
    }
    Ok(refused)
}

/// Without the kernel's own route to the network: two NICs of one network would
/// get equal ones, and answers to the boot NIC could leave through the other.
async fn add_address(handle: &Handle, index: u32, lease: &Lease) -> Result<(), rtnetlink::Error> {
    let mut request = handle.address().add(index, lease.address.into(), lease.prefix).replace();
    let flags = AddressAttribute::Flags(AddressFlags::Noprefixroute);
    request.message_mut().attributes.push(flags);
    request.execute().await
}

/// Give up the address of `old`; its routes go with it.
pub(crate) async fn remove(handle: &Handle, nic: &Nic, old: &Lease) -> Result<(), rtnetlink::Error> {
    let address = AddressMessageBuilder::<Ipv4Addr>::new().index(nic.index).address(old.address, old.prefix);
    handle.address().del(address.build()).execute().await
}

fn routes(index: u32, metric: u32, lease: &Lease) -> Vec<(String, RouteMessage)> {
    let to = |network: Ipv4Addr, prefix: u8| {
        RouteMessageBuilder::<Ipv4Addr>::new()
            .destination_prefix(masked(network, prefix), prefix)
            .output_interface(index)
            .pref_source(lease.address)
            .priority(metric)
    };
    let own = to(lease.address, lease.prefix).scope(RouteScope::Link).build();
    let mut routes = vec![(format!("{}/{}", lease.address, lease.prefix), own)];
    // RFC 3442: with classless routes the gateway option must be ignored.
    let default = lease.gateway.filter(|_| lease.routes.is_empty());
    let default = default.map(|gateway| (Ipv4Addr::UNSPECIFIED, 0, gateway));
    for (network, prefix, gateway) in lease.routes.iter().copied().chain(default) {
        let route = to(network, prefix);
        let route = if gateway.is_unspecified() {
            route.scope(RouteScope::Link).build()
        } else {
            // `onlink`: a lease for a /32 has its gateway outside of its network.
            route.gateway(gateway).onlink().build()
        };
        routes.push((format!("{network}/{prefix} via {gateway}"), route));
    }
    routes
}

/// `network` without the bits that name a host.
fn masked(network: Ipv4Addr, prefix: u8) -> Ipv4Addr {
    let hosts = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
    Ipv4Addr::from_bits(network.to_bits() & !hosts)
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
