//! What a network driver says of its hardware: `<linux/ethtool.h>`.

#![allow(unsafe_code)]

use std::{io, os::fd::AsRawFd};

use nix::libc;

use crate::net::{any_socket, copy_name};

mod raw {
    use nix::ioctl_readwrite_bad;

    ioctl_readwrite_bad!(siocethtool, nix::libc::SIOCETHTOOL, super::Request);
}

/// `struct ifreq`, of which the ethtool half is used.
#[repr(C)]
struct Request {
    name: [u8; libc::IFNAMSIZ],
    data: *mut u8,
    rest: [u8; 16],
}

/// `ETHTOOL_GDRVINFO`, and the length of its `struct ethtool_drvinfo`.
const GET_DRIVER: u32 = 0x03;
const DRIVER_LENGTH: usize = 196;

/// `ETHTOOL_GPERMADDR`, and its `struct ethtool_perm_addr` with room for `MAX_ADDR_LEN` bytes.
const GET_PERMANENT_ADDRESS: u32 = 0x20;
const MAX_ADDRESS: usize = 32;

/// `ETHTOOL_GLINKSETTINGS`, the fixed part of its `struct ethtool_link_settings`, and where in
/// it the number of words in each of the three masks behind it stands.
const GET_LINK: u32 = 0x4c;
const LINK_LENGTH: usize = 48;
const LINK_WORDS: usize = 15;
/// The number of words is an `__s8`.
const MAX_WORDS: usize = 127;

/// Driver, its version, its firmware's version and bus, 32 bytes each from the fourth
/// (`ETHTOOL_GDRVINFO`, `struct ethtool_drvinfo`).
///
/// # Errors
/// `ENODEV` when there is no such interface, `EOPNOTSUPP` when its driver has
/// no ethtool, `InvalidInput` when the name cannot be one.
pub fn driver(interface: &str) -> io::Result<Vec<u8>> {
    let mut answer = vec![0; DRIVER_LENGTH];
    // SAFETY: the answer to this command is one `ethtool_drvinfo`, which has so many bytes.
    unsafe { ask(interface, GET_DRIVER, &mut answer) }?;
    Ok(answer)
}

/// Speed, duplex and the modes of a link: `struct ethtool_link_settings` and the three masks
/// behind it, of `link_mode_masks_nwords` words each (`ETHTOOL_GLINKSETTINGS`).
///
/// # Errors
/// As [`driver`]; `InvalidData` when the kernel cannot say how long the masks are.
pub fn link(interface: &str) -> io::Result<Vec<u8>> {
    let mut header = vec![0; LINK_LENGTH];
    // SAFETY: asked for masks of no words, the kernel writes the fixed part only.
    unsafe { ask(interface, GET_LINK, &mut header) }?;
    let negative = header[LINK_WORDS].cast_signed();
    let words = usize::try_from(-i16::from(negative)).map_err(|_| io::ErrorKind::InvalidData)?;
    if words == 0 || words > MAX_WORDS {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut answer = vec![0; LINK_LENGTH + 3 * 4 * words];
    answer[LINK_WORDS] = words as u8; // at most 127
    // SAFETY: behind the fixed part stand three masks of as many words as were asked for;
    // a kernel that has another number by now writes the fixed part only.
    unsafe { ask(interface, GET_LINK, &mut answer) }?;
    Ok(answer)
}

/// The address burnt into an Ethernet interface, whatever it uses just now
/// (`ETHTOOL_GPERMADDR`); `None` when the driver knows none.
///
/// # Errors
/// As [`driver`].
pub fn permanent_mac(interface: &str) -> io::Result<Option<[u8; 6]>> {
    let mut answer = vec![0; 8 + MAX_ADDRESS];
    answer[4..8].copy_from_slice(&(MAX_ADDRESS as u32).to_ne_bytes());
    // SAFETY: the kernel writes at most as many bytes behind the header as `size` says.
    unsafe { ask(interface, GET_PERMANENT_ADDRESS, &mut answer) }?;
    let mac: [u8; 6] = answer[8..14].try_into().expect("six of thirty-two bytes");
    Ok((answer[4..8] == 6_u32.to_ne_bytes() && mac != [0; 6]).then_some(mac))
}

/// One conversation: `answer` begins with the command and is what the kernel writes to.
///
/// # Safety
/// `answer` has room for all that the kernel writes to this command.
unsafe fn ask(interface: &str, command: u32, answer: &mut [u8]) -> io::Result<()> {
    let any = any_socket()?;
    answer[..4].copy_from_slice(&command.to_ne_bytes());
    let mut request = Request { name: [0; libc::IFNAMSIZ], data: answer.as_mut_ptr(), rest: [0; 16] };
    copy_name(interface, &mut request.name)?;
    // SAFETY: `request` is as long as an `ifreq` and outlives the call; for what lies behind
    // its pointer the caller answers.
    unsafe { raw::siocethtool(any.as_raw_fd(), &raw mut request) }?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_as_long_as_the_kernel_reads() {
        assert_eq!(size_of::<Request>(), size_of::<libc::ifreq>());
        assert_eq!(std::mem::offset_of!(Request, data), std::mem::offset_of!(libc::ifreq, ifr_ifru));
    }

    #[test]
    fn the_loopback_interface_has_no_permanent_address() {
        assert!(!matches!(permanent_mac("lo"), Ok(Some(_))));
    }

    #[test]
    fn every_interface_here_answers_or_says_that_it_cannot() {
        for entry in std::fs::read_dir("/sys/class/net").expect("sysfs") {
            let name = entry.expect("an interface").file_name().into_string().expect("ASCII");
            if let Ok(answer) = driver(&name) {
                assert!(answer[4..36].contains(&0), "{name}: a name ends");
            }
            match link(&name) {
                Ok(answer) => {
                    let words = usize::from(answer[LINK_WORDS]);
                    assert_eq!(answer.len(), LINK_LENGTH + 12 * words, "{name}");
                }
                Err(err) => assert!(err.raw_os_error().is_some(), "{name}: the kernel speaks, not we: {err}"),
            }
        }
    }

    #[test]
    fn a_name_that_is_no_interface_is_refused() {
        for name in ["", "sixteen-letters-", "a\0b", "nowhere"] {
            assert!(permanent_mac(name).is_err() && driver(name).is_err() && link(name).is_err(), "{name:?}");
        }
    }
}
