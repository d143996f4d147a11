//! Messages to the management controller of this machine, `<linux/ipmi.h>`. A
//! request is sent, and its answer is waited for and fetched: three calls.

#![allow(unsafe_code)]

use std::{
    io,
    os::fd::{AsFd, AsRawFd},
    time::{Duration, Instant},
};

use nix::{
    errno::Errno,
    libc::c_long,
    poll::{PollFd, PollFlags, PollTimeout, poll},
};

/// The longest message, in bytes (`IPMI_MAX_MSG_LENGTH`).
pub const MESSAGE_LENGTH: usize = 272;

/// `IPMI_SYSTEM_INTERFACE_ADDR_TYPE`: the controller at the other end of the wire.
const SYSTEM_INTERFACE: i32 = 0x0c;
/// `IPMI_BMC_CHANNEL`.
const BMC_CHANNEL: i16 = 0x0f;
/// `IPMI_RESPONSE_RECV_TYPE`: what came is an answer.
const ANSWER: i32 = 1;

/// `struct ipmi_addr`, which has room for every kind of address.
#[repr(C)]
#[derive(Debug)]
struct Address {
    kind: i32,
    channel: i16,
    data: [u8; 32],
}

/// `struct ipmi_system_interface_addr` begins as [`Address`] and has this length.
const SYSTEM_INTERFACE_LENGTH: u32 = 8;

/// `struct ipmi_msg`.
#[repr(C)]
#[derive(Debug)]
struct Payload {
    netfn: u8,
    command: u8,
    length: u16,
    data: *mut u8,
}

/// `struct ipmi_req`.
#[repr(C)]
#[derive(Debug)]
struct Request {
    address: *const Address,
    address_length: u32,
    id: c_long,
    payload: Payload,
}

/// `struct ipmi_recv`.
#[repr(C)]
#[derive(Debug)]
struct Received {
    kind: i32,
    address: *mut Address,
    address_length: u32,
    id: c_long,
    payload: Payload,
}

mod raw {
    use nix::{ioctl_readwrite, ioctl_write_ptr_bad, request_code_read};

    // The header calls it a read; the kernel reads from it.
    ioctl_write_ptr_bad!(send, request_code_read!(b'i', 13, size_of::<super::Request>()), super::Request);
    ioctl_readwrite!(receive, b'i', 11, super::Received);
}

/// One message from the controller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// True for an answer, false for an event or somebody's command.
    pub is_answer: bool,
    /// The number that [`send`] was given.
    pub id: c_long,
    /// Network function; an answer's is the request's and one.
    pub netfn: u8,
    /// Command.
    pub command: u8,
    /// What it says; an answer's first byte is its completion code.
    pub data: Vec<u8>,
}

/// Send a command to the controller behind `/dev/ipmiN` (`IPMICTL_SEND_COMMAND`). Its answer
/// will have the number `id`. The kernel queues it and returns.
///
/// # Errors
/// `ENOTTY` when `fd` is something else; `EMSGSIZE` when `data` is too long; `ENODEV` when the
/// interface is gone.
pub fn send(fd: impl AsFd, id: c_long, netfn: u8, command: u8, data: &[u8]) -> io::Result<()> {
    let length = u16::try_from(data.len()).map_err(io::Error::other)?;
    let address = Address { kind: SYSTEM_INTERFACE, channel: BMC_CHANNEL, data: [0; 32] };
    let request = Request {
        address: &raw const address,
        address_length: SYSTEM_INTERFACE_LENGTH,
        id,
        payload: Payload { netfn, command, length, data: data.as_ptr().cast_mut() },
    };
    // SAFETY: the kernel copies the request, `address_length` bytes of the address and `length`
    // bytes of the data before it returns, and writes nothing; all three outlive the call.
    unsafe { raw::send(fd.as_fd().as_raw_fd(), &raw const request) }?;
    Ok(())
}

/// Fetch the next message (`IPMICTL_RECEIVE_MSG_TRUNC`); `None` when there is none yet.
///
/// # Errors
/// `ENOTTY` when `fd` is something else; `EMSGSIZE` when the message was longer than
/// [`MESSAGE_LENGTH`] and is lost.
pub fn receive(fd: impl AsFd) -> io::Result<Option<Message>> {
    let mut data = [0; MESSAGE_LENGTH];
    let mut address = Address { kind: 0, channel: 0, data: [0; 32] };
    let mut received = Received {
        kind: 0,
        address: &raw mut address,
        address_length: size_of::<Address>() as u32,
        id: 0,
        payload: Payload { netfn: 0, command: 0, length: MESSAGE_LENGTH as u16, data: data.as_mut_ptr() },
    };
    // SAFETY: the kernel writes one ipmi_recv, at most `address_length` bytes of the address and
    // at most `length` bytes of the data; all three are ours, that long, and outlive the call.
    match unsafe { raw::receive(fd.as_fd().as_raw_fd(), &raw mut received) } {
        Ok(_) => {}
        Err(Errno::EAGAIN) => return Ok(None),
        Err(err) => return Err(err.into()),
    }
    let length = usize::from(received.payload.length).min(MESSAGE_LENGTH);
    Ok(Some(Message {
        is_answer: received.kind == ANSWER,
        id: received.id,
        netfn: received.payload.netfn,
        command: received.payload.command,
        data: data[..length].to_vec(),
    }))
}

/// Wait until there is a message, and at most `limit`; false when there is none then.
///
/// # Errors
/// Whatever `poll` reports.
pub fn wait(fd: impl AsFd, limit: Duration) -> io::Result<bool> {
    let deadline = Instant::now() + limit;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::EINTR) => {} // a signal: what is left of the time
            Err(err) => return Err(err.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::mem::offset_of;

    #[test]
    fn the_messages_are_laid_out_as_the_kernel_s() {
        assert_eq!(
            (size_of::<Address>(), offset_of!(Address, channel), offset_of!(Address, data)),
            (40, 4, 6)
        );
        assert_eq!(
            (size_of::<Payload>(), offset_of!(Payload, length), offset_of!(Payload, data)),
            (16, 2, 8)
        );
        assert_eq!(
            (size_of::<Request>(), offset_of!(Request, id), offset_of!(Request, payload)),
            (40, 16, 24)
        );
        assert_eq!(
            (size_of::<Received>(), offset_of!(Received, id), offset_of!(Received, payload)),
            (48, 24, 32)
        );
    }

    #[test]
    fn a_regular_file_is_no_controller() {
        let file = std::fs::File::open("/proc/self/exe").expect("the test binary");
        let enotty = Some(25);
        assert_eq!(send(&file, 1, 6, 1, &[]).expect_err("no controller").raw_os_error(), enotty);
        assert_eq!(receive(&file).expect_err("no controller").raw_os_error(), enotty);
    }

    #[test]
    fn a_wait_for_nothing_ends() {
        let (quiet, _other) = std::os::unix::net::UnixStream::pair().expect("a pair");
        assert!(!wait(&quiet, Duration::from_millis(20)).expect("poll"));
    }
}
