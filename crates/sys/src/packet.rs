//! Frames of one kind as an interface receives them: `<linux/if_packet.h>`.

#![allow(unsafe_code)]

use std::{
    io,
    os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
    time::Duration,
};

use nix::libc;

/// A socket that gets every frame of type `ethertype` that the interface `index` receives,
/// and those sent to the `groups` though nobody asked for them. Reading it never blocks.
///
/// # Errors
/// `EPERM` without `CAP_NET_RAW`, `EAFNOSUPPORT` when the kernel has no packet sockets,
/// `ENODEV` when there is no such interface.
pub fn listen(index: u32, ethertype: u16, groups: &[[u8; 6]]) -> io::Result<OwnedFd> {
    let index = i32::try_from(index).map_err(|_| io::ErrorKind::InvalidInput)?;
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // Protocol 0: nothing is heard before the socket is bound to the one interface.
    // SAFETY: no pointers; a descriptor or an error comes back.
    let fd = checked(unsafe { libc::socket(libc::AF_PACKET, kind, 0) })?;
    // SAFETY: the kernel has just made it, and nobody else has it.
    let socket = unsafe { OwnedFd::from_raw_fd(fd) };
    for group in groups {
        join(&socket, index, group)?;
    }
    // SAFETY: sockaddr_ll is plain integers and an array; all zeros is a valid one.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as u16; // 17
    address.sll_protocol = ethertype.to_be();
    address.sll_ifindex = index;
    let length = size_of::<libc::sockaddr_ll>() as u32; // 20
    // SAFETY: the kernel reads `length` bytes of the address, which outlives the call.
    checked(unsafe { libc::bind(fd, (&raw const address).cast(), length) })?;
    Ok(socket)
}

/// `PACKET_ADD_MEMBERSHIP`: the hardware lets frames to `group` pass.
fn join(socket: &OwnedFd, index: i32, group: &[u8; 6]) -> io::Result<()> {
    let mut address = [0; 8];
    address[..6].copy_from_slice(group);
    let request = libc::packet_mreq {
        mr_ifindex: index,
        mr_type: libc::PACKET_MR_MULTICAST as u16, // 0
        mr_alen: 6,
        mr_address: address,
    };
    let length = size_of::<libc::packet_mreq>() as u32; // 16
    // SAFETY: the kernel reads `length` bytes of the request, which outlives the call.
    checked(unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_ADD_MEMBERSHIP,
            (&raw const request).cast(),
            length,
        )
    })?;
    Ok(())
}

/// The next frame, with its Ethernet header: how long it was, of which `buffer` has the
/// beginning. What the machine itself sends is not among them: the kernel shows that to
/// sockets for frames of all types only.
///
/// # Errors
/// `EAGAIN` when there is none; `ENETDOWN` once after the interface went down.
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<usize> {
    let socket = socket.as_fd().as_raw_fd();
    // SAFETY: the kernel writes at most `buffer.len()` bytes to the buffer, whatever length
    // MSG_TRUNC makes it return.
    let length = unsafe { libc::recv(socket, buffer.as_mut_ptr().cast(), buffer.len(), libc::MSG_TRUNC) };
    usize::try_from(length).map_err(|_| io::Error::last_os_error())
}

/// Wait until some of `sockets` have something to say, at most `patience`: their places in
/// the list, none when time is up.
///
/// # Errors
/// `ENOMEM`. An interruption by a signal is no error: nobody had anything to say.
pub fn wait(sockets: &[BorrowedFd<'_>], patience: Duration) -> io::Result<Vec<usize>> {
    let entry =
        |socket: &BorrowedFd<'_>| libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    let mut entries: Vec<_> = sockets.iter().map(entry).collect();
    // Rounded up: waiting for less than a millisecond is no waiting.
    let milliseconds = i32::try_from(patience.as_micros().div_ceil(1000)).unwrap_or(i32::MAX);
    // SAFETY: the kernel reads and writes so many entries, which outlive the call.
    let answer = unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, milliseconds) };
    match checked(answer) {
        Ok(_) => Ok((0..entries.len()).filter(|at| entries[*at].revents != 0).collect()),
        Err(err) if err.kind() == io::ErrorKind::Interrupted => Ok(Vec::new()),
        Err(err) => Err(err),
    }
}

fn checked(answer: i32) -> io::Result<i32> {
    if answer < 0 { Err(io::Error::last_os_error()) } else { Ok(answer) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_on_loopback_hears_frames_once() {
        const EXPERIMENT: u16 = 0x88b5; // IEEE 802 local experimental
        let socket = match listen(1, EXPERIMENT, &[[1, 0x80, 0xc2, 0, 0, 0x0e]]) {
            Ok(socket) => socket,
            Err(err) if err.kind() == io::ErrorKind::PermissionDenied => {
                eprintln!("SKIPPED: packet sockets need root");
                return;
            }
            Err(err) => panic!("{err}"),
        };
        let mut buffer = [0; 64];
        let err = receive(&socket, &mut buffer).expect_err("nothing was sent");
        assert!([io::ErrorKind::WouldBlock, io::ErrorKind::NetworkDown].contains(&err.kind()), "{err}");
        let frame = [[0xff_u8; 12].as_slice(), &EXPERIMENT.to_be_bytes(), b"hello, world"].concat();
        match nix::unistd::write(&socket, &frame) {
            // Loopback has it sent and received: one of the two is ours.
            Ok(_) => {
                assert_eq!(receive(&socket, &mut buffer).expect("a frame"), frame.len());
                assert_eq!(buffer[..frame.len()], frame);
                assert!(receive(&socket, &mut buffer).is_err());
                let short = &mut buffer[..20];
                nix::unistd::write(&socket, &frame).expect("sent");
                assert_eq!(wait(&[socket.as_fd()], Duration::from_secs(5)).expect("poll"), [0]);
                assert_eq!(receive(&socket, short).expect("a frame"), frame.len(), "longer than the buffer");
            }
            Err(err) => assert_eq!(err, nix::errno::Errno::ENETDOWN, "loopback of a bare namespace"),
        }
    }

    #[test]
    fn a_card_lets_frames_to_the_groups_pass_while_somebody_listens() {
        const GROUP: &str = "0180c2abcdef";
        let passes = || {
            let groups = std::fs::read_to_string("/proc/self/net/dev_mcast").expect("procfs");
            groups.contains(GROUP)
        };
        let socket = match listen(1, 0x88b6, &[[1, 0x80, 0xc2, 0xab, 0xcd, 0xef]]) {
            Err(err) if err.kind() == io::ErrorKind::PermissionDenied => {
                return eprintln!("SKIPPED: packet sockets need root");
            }
            socket => socket.expect("a socket"),
        };
        assert!(passes());
        drop(socket);
        assert!(!passes());
    }

    #[test]
    fn an_interface_that_is_not_there_is_refused() {
        assert!(listen(0x7fff_fffe, 0x88cc, &[]).is_err());
    }
}
