//! Conversations with the kernel about links, addresses and routes:
//! `<linux/netlink.h>`, family `NETLINK_ROUTE`. What is said is the caller's.

use std::{
    io,
    os::fd::{AsFd, AsRawFd, OwnedFd},
};

use nix::{
    errno::Errno,
    sys::socket::{
        AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, send, socket,
    },
};

/// `RTMGRP_LINK`: news about links.
pub const LINKS: u32 = 1;

/// A socket to the kernel's routing half that hears of `groups` (such as [`LINKS`])
/// besides the answers to what it asks. Reading it never blocks.
///
/// # Errors
/// `EPROTONOSUPPORT` when the kernel has no `NETLINK_ROUTE`; whatever `socket` and `bind` say.
pub fn open(groups: u32) -> io::Result<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
    bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
    Ok(socket)
}

/// Tell the kernel `message`, one or more whole netlink messages. The kernel acts on it,
/// and puts its answer into the socket, before this returns.
///
/// # Errors
/// `ENOBUFS` when the kernel lacks memory; whether the request itself failed is in the answer.
pub fn tell(socket: impl AsFd, message: &[u8]) -> io::Result<()> {
    send(socket.as_fd().as_raw_fd(), message, MsgFlags::empty())?;
    Ok(())
}

/// What the kernel said next, in `buffer`; what other processes say is passed over.
///
/// # Errors
/// `EAGAIN` when it has said nothing; `ENOBUFS` when it said more than the socket holds, and
/// some of it is lost; `InvalidData` when `buffer` may be too small for it.
pub fn hear(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<&[u8]> {
    let length = loop {
        match recvfrom::<NetlinkAddr>(socket.as_fd().as_raw_fd(), buffer) {
            Ok((length, Some(from))) if from.pid() == 0 => break length,
            Ok(_) | Err(Errno::EINTR) => {}
            Err(err) => return Err(err.into()),
        }
    };
    // A message that did not fit is cut off without a word; a full buffer is taken for one.
    if length >= buffer.len() {
        return Err(io::ErrorKind::InvalidData.into());
    }
    Ok(&buffer[..length])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_answers_what_it_does_not_know() {
        let socket = open(0).expect("netlink");
        // nlmsghdr: length 16, type 0x7fff, NLM_F_REQUEST | NLM_F_ACK, sequence 7, port 0.
        let mut message = 16_u32.to_ne_bytes().to_vec();
        message.extend(0x7fff_u16.to_ne_bytes());
        message.extend(5_u16.to_ne_bytes());
        message.extend(7_u32.to_ne_bytes());
        message.extend(0_u32.to_ne_bytes());
        tell(&socket, &message).expect("told");
        let mut buffer = [0; 4096];
        let answer = hear(&socket, &mut buffer).expect("an answer");
        assert_eq!(answer[4..6], 2_u16.to_ne_bytes(), "NLMSG_ERROR");
        assert_eq!(answer[8..12], 7_u32.to_ne_bytes(), "the sequence of the question");
        assert_eq!(hear(&socket, &mut buffer).expect_err("no more").kind(), io::ErrorKind::WouldBlock);
        tell(&socket, &message).expect("told");
        let err = hear(&socket, &mut buffer[..20]).expect_err("too small");
        assert_eq!(err.kind(), io::ErrorKind::InvalidData);
    }
}
