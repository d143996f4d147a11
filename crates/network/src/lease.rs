//! One NIC's lease: get it, use it, renew it, for as long as there is a link.

use std::{net::Ipv4Addr, time::Duration};

use mozim::{DhcpError, DhcpV4Client, DhcpV4Config, DhcpV4Lease, DhcpV4State};
use tokio::time::{sleep, timeout};

use crate::{
    Lease,
    board::{Board, Nic},
    configure::{self, Rank},
    resolv::is_domain,
};

/// How long one try for a lease may take; the last one counts for all further tries.
/// The first is short: a switch that has just brought the link up swallows packets.
const TRIES: &[Duration] = &[
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(16),
    Duration::from_secs(30),
];
/// The most servers and routes taken from one lease.
const MAX_LIST: usize = 16;

/// Keep `nic` leased. Ends only by being aborted.
pub(crate) async fn keep(board: Board, nic: Nic) {
    let mut held: Option<Lease> = None;
    let mut tries = TRIES.iter();
    let mut limit = TRIES[0];
    loop {
        limit = tries.next().copied().unwrap_or(limit);
        match timeout(limit, first_lease(&nic)).await {
            Err(_) => say_why(&board, &nic, &format!("no DHCP server answered within {} s", limit.as_secs())),
            Ok(Err(why)) => {
                say_why(&board, &nic, &why);
                sleep(limit).await; // it failed at once, and would again
            }
            Ok(Ok((client, granted))) => {
                match hold(&board, &nic, client, granted, &mut held).await {
                    Ok(()) => tries = TRIES.iter(), // it had a lease and lost it
                    Err(why) => {
                        say_why(&board, &nic, &why);
                        sleep(limit).await;
                    }
                }
            }
        }
    }
}

fn say_why(board: &Board, nic: &Nic, why: &str) {
    board.say(&format!("{} {}: {why}; trying again", nic.name, nic.mac));
}

/// Ask until a server grants a lease.
async fn first_lease(nic: &Nic) -> Result<(DhcpV4Client, Box<DhcpV4Lease>), String> {
    let mut config = DhcpV4Config::new(&nic.name);
    config.set_iface_index(nic.index);
    config.set_iface_mac_raw(&nic.mac.0).map_err(|err| err.to_string())?;
    // iPXE names itself this way too, so it and we get the same address.
    config.use_mac_as_client_id();
    let mut client = DhcpV4Client::init(config, None).await.map_err(|err| err.to_string())?;
    let granted = next_lease(&mut client).await.map_err(|err| err.to_string())?;
    Ok((client, granted))
}

/// Use what was granted and renew it until that fails.
async fn hold(
    board: &Board,
    nic: &Nic,
    mut client: DhcpV4Client,
    mut granted: Box<DhcpV4Lease>,
    held: &mut Option<Lease>,
) -> Result<(), String> {
    loop {
        use_lease(board, nic, &granted, held)?;
        match next_lease(&mut client).await {
            Ok(renewed) => granted = renewed,
            Err(err) => {
                board.say(&format!("{}: its lease was not renewed ({err})", nic.name));
                return Ok(());
            }
        }
    }
}

/// The next lease that is granted: the first, or a renewed one.
async fn next_lease(client: &mut DhcpV4Client) -> Result<Box<DhcpV4Lease>, DhcpError> {
    loop {
        if let DhcpV4State::Done(lease) = client.run().await? {
            return Ok(lease);
        }
    }
}

fn use_lease(
    board: &Board,
    nic: &Nic,
    granted: &DhcpV4Lease,
    held: &mut Option<Lease>,
) -> Result<(), String> {
    let lease = read(nic, granted)?;
    if held.as_ref() == Some(&lease) {
        tracing::debug!(nic = nic.name, "lease renewed");
        return Ok(());
    }
    let rank = if board.is_boot_nic(nic.mac) { Rank::Boot } else { Rank::Other };
    let applied = configure::apply(nic, rank, &lease, held.as_ref());
    let refused =
        applied.map_err(|err| format!("the kernel refuses {}/{}: {err}", lease.address, lease.prefix))?;
    for route in refused {
        board.say(&format!(
            "{}: the kernel refuses a route of this lease, going on without: {route}",
            nic.name
        ));
    }
    let Lease { name, mac, address, prefix, server, .. } = &lease;
    let gateway = lease.gateway.map_or("no gateway".to_owned(), |gateway| format!("gateway {gateway}"));
    board.say(&format!("{name} {mac}: {address}/{prefix}, {gateway}, from DHCP server {server}"));
    board.leased(nic.index, lease.clone());
    *held = Some(lease);
    Ok(())
}

/// Take from `granted` what makes sense.
fn read(nic: &Nic, granted: &DhcpV4Lease) -> Result<Lease, String> {
    let address = granted.yiaddr;
    let mask = granted.subnet_mask.to_bits();
    let prefix = u8::try_from(mask.leading_ones()).unwrap_or(32);
    let odd =
        address.is_unspecified() || address.is_loopback() || address.is_multicast() || address.is_broadcast();
    if odd || mask == 0 || mask.count_ones() != mask.leading_ones() {
        return Err(format!("DHCP server {} offers {address} mask {}", granted.srv_id, granted.subnet_mask));
    }
    let routes = granted.classless_routes.iter().flatten().take(MAX_LIST);
    let domains = granted.domain_search.iter().flatten().chain(&granted.domain_name);
    Ok(Lease {
        name: nic.name.clone(),
        mac: nic.mac,
        address,
        prefix,
        gateway: hosts(&granted.gateways).first().copied(),
        routes: routes.map(|route| (route.destination, route.prefix_length.min(32), route.router)).collect(),
        dns: hosts(&granted.dns_srvs),
        search: domains.filter(|domain| is_domain(domain)).take(MAX_LIST).cloned().collect(),
        ntp: hosts(&granted.ntp_srvs),
        mtu: granted.mtu,
        server: granted.srv_id,
    })
}

fn hosts(list: &Option<Vec<Ipv4Addr>>) -> Vec<Ipv4Addr> {
    list.iter().flatten().copied().filter(|host| !host.is_unspecified()).take(MAX_LIST).collect()
}

#[cfg(test)]
mod tests {
    use model::Mac;

    use super::*;

    fn nic() -> Nic {
        Nic { index: 2, name: "eth0".to_owned(), mac: Mac([2, 0, 0, 0, 0, 1]), carrier: true }
    }

    fn granted() -> DhcpV4Lease {
        let mut granted = DhcpV4Lease::default();
        granted.yiaddr = [10, 0, 2, 15].into();
        granted.subnet_mask = [255, 255, 255, 0].into();
        granted
    }

    #[test]
    fn a_lease_is_read() {
        let mut granted = granted();
        granted.gateways = Some(vec![[0, 0, 0, 0].into(), [10, 0, 2, 2].into()]);
        granted.dns_srvs = Some(vec![[10, 0, 2, 3].into()]);
        granted.domain_name = Some("lab example\n".to_owned());
        granted.domain_search = Some(vec!["lab.example".to_owned()]);
        let lease = read(&nic(), &granted).expect("a good lease");
        assert_eq!((lease.prefix, lease.gateway), (24, Some([10, 0, 2, 2].into())));
        assert_eq!(lease.search, ["lab.example"], "a domain with a line end is left out");
    }

    #[test]
    fn a_lease_that_cannot_be_used_is_refused() {
        for (address, mask) in [
            ([0, 0, 0, 0], [255, 255, 255, 0]),
            ([127, 0, 0, 1], [255, 0, 0, 0]),
            ([224, 0, 0, 1], [255, 0, 0, 0]),
            ([10, 0, 0, 1], [0, 0, 0, 0]),
            ([10, 0, 0, 1], [255, 0, 255, 0]),
        ] {
            let mut granted = granted();
            granted.yiaddr = address.into();
            granted.subnet_mask = mask.into();
            assert!(read(&nic(), &granted).is_err(), "{address:?} {mask:?}");
        }
    }
}
