//! Network interfaces: their addresses (`getifaddrs`) and VLANs, `<linux/if_vlan.h>`.

#![allow(unsafe_code)]

use std::{
    io,
    net::IpAddr,
    os::fd::{AsRawFd, OwnedFd},
};

use nix::{
    ifaddrs::getifaddrs,
    libc::IFNAMSIZ,
    sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, socket},
};

mod raw {
    use nix::ioctl_readwrite_bad;

    ioctl_readwrite_bad!(siocgifvlan, 0x8982, super::Vlan);
}

/// One address of one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceAddress {
    /// Kernel name of the interface.
    pub interface: String,
    /// The address, without scope.
    pub address: IpAddr,
    /// How many bits of it name the network.
    pub prefix: u32,
}

/// Every IPv4 and IPv6 address of this network namespace, in the kernel's order.
///
/// # Errors
/// Whatever the kernel reports to a netlink dump.
pub fn addresses() -> io::Result<Vec<InterfaceAddress>> {
    let of = |entry: nix::ifaddrs::InterfaceAddress| {
        let address = ip(&entry.address?)?;
        let prefix = entry.netmask.as_ref().and_then(ip).map_or(bits(address), ones);
        Some(InterfaceAddress { address, prefix, interface: entry.interface_name })
    };
    Ok(getifaddrs()?.filter_map(of).collect())
}

fn ip(storage: &SockaddrStorage) -> Option<IpAddr> {
    let v4 = || storage.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
    let v6 = || storage.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip()));
    v4().or_else(v6)
}

/// All bits of an address: a host of its own, such as the end of a tunnel.
fn bits(address: IpAddr) -> u32 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn ones(mask: IpAddr) -> u32 {
    match mask {
        IpAddr::V4(v4) => v4.to_bits().count_ones(),
        IpAddr::V6(v6) => v6.to_bits().count_ones(),
    }
}

/// The number of the VLAN that `interface` is (`SIOCGIFVLAN`, `GET_VLAN_VID_CMD`).
///
/// # Errors
/// `EINVAL` when it is no VLAN, `ENODEV` when there is no such interface, `ENOTTY` or
/// `ENOPKG` when the kernel has no VLANs.
pub fn vlan_id(interface: &str) -> io::Result<u16> {
    const GET_ID: i32 = 9;
    let mut request = Vlan { command: GET_ID, name: [0; 24], answer: [0; 24], priority: 0 };
    copy_name(interface, &mut request.name)?;
    let any = any_socket()?;
    // SAFETY: the kernel reads and writes one `vlan_ioctl_args`, which outlives the call.
    unsafe { raw::siocgifvlan(any.as_raw_fd(), &raw mut request) }?;
    let id = i32::from_ne_bytes(request.answer[..4].try_into().expect("four of twenty-four bytes"));
    u16::try_from(id).map_err(|_| io::ErrorKind::InvalidData.into())
}

/// `struct vlan_ioctl_args` of `<linux/if_vlan.h>`.
#[repr(C)]
struct Vlan {
    command: i32,
    name: [u8; 24],
    answer: [u8; 24],
    priority: i16,
}

/// The kernel's number of `interface`, for sockets that belong to it (`if_nametoindex`).
///
/// # Errors
/// `ENODEV` when there is no such interface.
pub fn index(interface: &str) -> io::Result<u32> {
    Ok(nix::net::if_::if_nametoindex(interface)?)
}

/// Any socket will do to ask about an interface.
pub(crate) fn any_socket() -> io::Result<OwnedFd> {
    Ok(socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?)
}

/// Put the name of an interface where the kernel wants it.
pub(crate) fn copy_name(interface: &str, to: &mut [u8]) -> io::Result<()> {
    if interface.is_empty() || interface.len() >= IFNAMSIZ || interface.contains('\0') {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    to[..interface.len()].copy_from_slice(interface.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_has_its_address_and_is_no_vlan() {
        let all = addresses().expect("a network namespace");
        let loopback = |found: &InterfaceAddress| {
            found.interface == "lo" && found.address.is_loopback() && [8, 128].contains(&found.prefix)
        };
        // A namespace made with `unshare --net` has its loopback down and without address.
        assert!(all.is_empty() || all.iter().any(loopback), "{all:?}");
        assert!(vlan_id("lo").is_err());
        assert_eq!(index("lo").expect("loopback"), 1);
    }

    #[test]
    fn a_name_that_is_no_interface_is_refused() {
        for name in ["", "sixteen-letters-", "a\0b", "nowhere"] {
            assert!(vlan_id(name).is_err() && index(name).is_err(), "{name:?}");
        }
    }
}
