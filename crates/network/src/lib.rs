//! Bringing a machine onto its network: links up, DHCPv4, routes, name servers.
//!
//! ```text
//! netlink: links ─▶ watch ─(up, carrier)▶ lease (one task a NIC) ─▶ configure (address, routes)
//!                                            └▶ Board ─▶ Network::wait     └▶ resolv.conf
//! ```
//!
//! Everything runs in one thread of its own that never ends, so that leases are
//! renewed and a cable plugged in late still counts.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, ToSocketAddrs as _, UdpSocket},
    path::PathBuf,
    thread,
    time::Duration,
};

use model::Mac;

mod board;
pub mod clock;
mod configure;
mod lease;
mod netlink;
mod resolv;
mod watch;

use board::Board;

/// When the NIC the machine was booted from has no lease by then, the others will do.
pub const BOOT_NIC_GRACE: Duration = Duration::from_secs(20);

/// How to bring up the network.
#[derive(Clone, Debug)]
pub struct Options {
    /// The NIC the machine was booted from (`BOOTIF`). Its lease is the one worth
    /// waiting for, and its gateway gets the default route.
    pub boot_mac: Option<Mac>,
    /// How long [`up`] waits. The search goes on afterwards.
    pub timeout: Duration,
    /// Where the name servers are written.
    pub resolv_conf: PathBuf,
    /// Told what is being tried, in words for a person at the console.
    pub say: fn(&str),
}

impl Default for Options {
    fn default() -> Self {
        Self {
            boot_mac: None,
            timeout: Duration::from_secs(60),
            resolv_conf: "/etc/resolv.conf".into(),
            say: |_| {},
        }
    }
}

/// What DHCP gave to one NIC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The NIC's name, such as `eth0`.
    pub name: String,
    /// The NIC's address.
    pub mac: Mac,
    /// Our address.
    pub address: Ipv4Addr,
    /// The number of its bits that name the network.
    pub prefix: u8,
    /// Where packets to everywhere else go.
    pub gateway: Option<Ipv4Addr>,
    /// Routes that replace `gateway` when there are any (RFC 3442): destination,
    /// prefix, gateway; `0.0.0.0` stands for the link itself.
    pub routes: Vec<(Ipv4Addr, u8, Ipv4Addr)>,
    /// Name servers, best first.
    pub dns: Vec<Ipv4Addr>,
    /// Domains that short names are looked up in.
    pub search: Vec<String>,
    /// Time servers, best first.
    pub ntp: Vec<Ipv4Addr>,
    /// The largest packet of this network, in bytes.
    pub mtu: Option<u16>,
    /// Who gave it.
    pub server: Ipv4Addr,
}

/// A machine with at least one lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Up {
    /// All leases so far; the NIC the machine was booted from comes first.
    pub interfaces: Vec<Lease>,
}

/// Why there is no network.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// The kernel gives no thread.
    #[error("the kernel refuses a thread for the network; does the machine have enough memory?")]
    Thread(#[source] io::Error),
    /// The network thread ended.
    #[error("the network cannot be managed: {why}")]
    Stopped {
        /// What ended it.
        why: String,
    },
    /// The kernel shows no NIC at all.
    #[error("this machine has no network card that its kernel knows; does the ramdisk have its driver?")]
    NoNic,
    /// Nobody answered in time. The search goes on.
    #[error("no DHCP server answered within {} s ({tried}); check cables, VLANs and the DHCP server", waited.as_secs())]
    NoLease {
        /// How long we waited.
        waited: Duration,
        /// Each NIC and what is known about it.
        tried: String,
    },
}

/// The running network.
#[derive(Clone)]
pub struct Network {
    board: Board,
}

impl Network {
    /// Start bringing up all NICs, those that are there and those that come later.
    ///
    /// # Errors
    /// When the kernel gives no thread; everything else shows in [`Self::wait`].
    pub fn start(options: &Options) -> Result<Self, NetworkError> {
        let board = Board::new(options.clone());
        let network = Self { board: board.clone() };
        let run = move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let Err(why) = match runtime {
                Ok(runtime) => runtime.block_on(watch::watch(&board)),
                Err(err) => Err(err.to_string()),
            };
            board.stopped(why);
        };
        thread::Builder::new().name("network".into()).spawn(run).map_err(NetworkError::Thread)?;
        Ok(network)
    }

    /// Wait until the NIC the machine was booted from has a lease, or any NIC when
    /// that one is not known or was silent for [`BOOT_NIC_GRACE`]; but not longer
    /// than `limit`. May be called again.
    ///
    /// # Errors
    /// See [`NetworkError`].
    pub fn wait(&self, limit: Duration) -> Result<Up, NetworkError> {
        self.board.wait(limit)
    }

    /// The leases of this moment; the NIC the machine was booted from comes first.
    #[must_use]
    pub fn leases(&self) -> Vec<Lease> {
        self.board.leases()
    }
}

/// Bring up the network and wait for it, as [`Network::start`] and [`Network::wait`] do.
///
/// # Errors
/// See [`NetworkError`]. After `NoLease` and `NoNic` the search goes on in the
/// background; to wait for it, use [`Network`].
pub fn up(options: &Options) -> Result<Up, NetworkError> {
    Network::start(options)?.wait(options.timeout)
}

/// Why we have no address towards a peer.
#[derive(Debug, thiserror::Error)]
pub enum SourceAddressError {
    /// Its name means nothing.
    #[error("{peer} has no address; check the name and the DNS servers")]
    Unresolved {
        /// `host:port`.
        peer: String,
        /// What the resolver said.
        #[source]
        err: Option<io::Error>,
    },
    /// No route leads there.
    #[error("no route leads to {peer}; check the gateway that DHCP gives")]
    Unreachable {
        /// `host:port`.
        peer: String,
        /// What the kernel said.
        #[source]
        err: io::Error,
    },
}

/// Our address as `peer` (`host:port`, IPv6 hosts in brackets) will see it. No
/// packet is sent, except to name servers.
///
/// # Errors
/// See [`SourceAddressError`].
pub fn source_address_for(peer: &str) -> Result<IpAddr, SourceAddressError> {
    let peer = peer.to_owned();
    let addresses = match peer.to_socket_addrs() {
        Ok(addresses) => addresses,
        Err(err) => return Err(SourceAddressError::Unresolved { peer, err: Some(err) }),
    };
    let mut last = None;
    for address in addresses {
        let any: IpAddr = if address.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
        // Connecting a UDP socket only makes the kernel choose a route and a source.
        let chosen = UdpSocket::bind((any, 0)).and_then(|socket| {
            socket.connect(address)?;
            socket.local_addr()
        });
        match chosen {
            Ok(local) => return Ok(local.ip()),
            Err(err) => last = Some(err),
        }
    }
    match last {
        Some(err) => Err(SourceAddressError::Unreachable { peer, err }),
        None => Err(SourceAddressError::Unresolved { peer, err: None }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_towards_loopback_is_loopback() {
        assert_eq!(source_address_for("127.0.0.1:6385").ok(), Some(Ipv4Addr::LOCALHOST.into()));
        for bad in ["", "no-port", "127.0.0.1:99999"] {
            assert!(source_address_for(bad).is_err(), "{bad}");
        }
    }
}
