//! Network interfaces: their addresses (`getifaddrs`) and `<linux/ethtool.h>`.

#![allow(unsafe_code)]

use std::{io, net::IpAddr, os::fd::AsRawFd};

use nix::{
    ifaddrs::getifaddrs,
    libc::{self, IFNAMSIZ, c_char},
    sys::socket::{AddressFamily, SockFlag, SockType, socket},
};

mod raw {
    use nix::{ioctl_readwrite_bad, libc};

    ioctl_readwrite_bad!(siocethtool, libc::SIOCETHTOOL, libc::ifreq);
}

/// One address of one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// Kernel name of the interface.
    pub interface: String,
    /// The address, without scope.
    pub address: IpAddr,
}

/// Every IPv4 and IPv6 address of this network namespace, in the kernel's order.
///
/// # Errors
/// Whatever the kernel reports to a netlink dump.
pub fn addresses() -> io::Result<Vec<InterfaceAddress>> {
    let of = |entry: nix::ifaddrs::InterfaceAddress| {
        let storage = entry.address?;
        let v4 = || storage.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
        let v6 = || storage.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip()));
        Some(InterfaceAddress { address: v4().or_else(v6)?, interface: entry.interface_name })
    };
    Ok(getifaddrs()?.filter_map(of).collect())
}

/// `MAX_ADDR_LEN` of `<linux/netdevice.h>`: the longest hardware address.
const MAX_ADDRESS: usize = 32;

/// `ETHTOOL_GPERMADDR`.
const GET_PERMANENT_ADDRESS: u32 = 0x20;

/// `struct ethtool_perm_addr` with room for its flexible array.
#[repr(C)]
struct PermanentAddress {
    command: u32,
    size: u32,
    data: [u8; MAX_ADDRESS],
}

/// The address burnt into an Ethernet interface, whatever it uses just now
/// (`ETHTOOL_GPERMADDR`); `None` when the driver knows none.
///
/// # Errors
/// `ENODEV` when there is no such interface, `EOPNOTSUPP` when its driver has
/// no ethtool, `EINVAL` when the name is too long to be one.
pub fn permanent_mac(interface: &str) -> io::Result<Option<[u8; 6]>> {
    if interface.is_empty() || interface.len() >= IFNAMSIZ || interface.contains('\0') {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let any = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    let mut answer =
        PermanentAddress { command: GET_PERMANENT_ADDRESS, size: MAX_ADDRESS as u32, data: [0; MAX_ADDRESS] };
    // SAFETY: ifreq is plain integers, arrays and pointers; all zeros is a valid one.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(interface.bytes()) {
        *to = from as c_char;
    }
    request.ifr_ifru.ifru_data = (&raw mut answer).cast::<c_char>();
    // SAFETY: the kernel writes at most `answer.size` bytes behind the header of
    // `answer`, which has that many and outlives the call.
    unsafe { raw::siocethtool(any.as_raw_fd(), &raw mut request) }?;
    let mac: [u8; 6] = answer.data[..6].try_into().expect("six of thirty-two bytes");
    Ok((answer.size == 6 && mac != [0; 6]).then_some(mac))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_has_its_address_and_no_permanent_mac() {
        let all = addresses().expect("a network namespace");
        let loopback = |found: &InterfaceAddress| found.interface == "lo" && found.address.is_loopback();
        // A namespace made with `unshare --net` has its loopback down and without address.
        assert!(all.is_empty() || all.iter().any(loopback), "{all:?}");
        assert!(!matches!(permanent_mac("lo"), Ok(Some(_))));
    }

    #[test]
    fn a_name_that_is_no_interface_is_refused() {
        for name in ["", "sixteen-letters-", "a\0b", "nowhere"] {
            assert!(permanent_mac(name).is_err(), "{name:?}");
        }
    }
}
