//! What we ask of the kernel's routing half, and what it says about links: the few
//! messages of `<linux/rtnetlink.h>` that a ramdisk needs, written out.
//!
//! ```text
//! Message ─▶ ask ─▶ (kernel acts) ─▶ done or refused        links ─▶ every Link there is
//! News (a socket that hears of links) ─▶ Seen(Link) | Gone(index), or Lost some
//! ```

use std::{io, os::fd::OwnedFd};

use model::Mac;
use sys::netlink;
use tokio::io::unix::AsyncFd;

use crate::board::Nic;

/// The kernel sends at most 32 KiB at a time (`NLMSG_GOODSIZE` and what dumps grow to).
const BUFFER: usize = 64 << 10;
/// The most pieces one answer may come in; a machine has far fewer links than fit.
const MAX_PIECES: usize = 4096;
/// `nlmsghdr`: length, type, flags, sequence, port.
const HEADER: usize = 16;
/// `nlattr`: length, type.
const ATTRIBUTE: usize = 4;
/// Headers, bodies and attributes begin at multiples of this (`NLMSG_ALIGNTO`, `NLA_ALIGNTO`).
const ALIGN: usize = 4;
/// Every conversation is one question on a socket of its own.
const SEQUENCE: u32 = 1;

/// `NLM_F_REQUEST`, `NLM_F_ACK`, `NLM_F_DUMP`: a question; answer it; tell all there are.
const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const DUMP: u16 = 0x300;
/// `NLM_F_REPLACE | NLM_F_CREATE`: whether or not there is such a thing already.
pub(crate) const REPLACE: u16 = 0x500;

const ERROR: u16 = 2;
const DONE: u16 = 3;
const NEW_LINK: u16 = 16;
const DELETE_LINK: u16 = 17;
const GET_LINK: u16 = 18;
const SET_LINK: u16 = 19;
pub(crate) const NEW_ADDRESS: u16 = 20;
pub(crate) const DELETE_ADDRESS: u16 = 21;
pub(crate) const NEW_ROUTE: u16 = 24;

/// `AF_INET` of an address or a route.
pub(crate) const IPV4: u8 = 2;

/// `struct ifinfomsg`: family, padding, type, index, flags, mask of flags to change.
const LINK_BODY: usize = 16;
const ETHERNET: u16 = 1;
const UP: u32 = 0x1;
const LOOPBACK: u32 = 0x8;
const LOWER_UP: u32 = 0x1_0000;
const LINK_ADDRESS: u16 = 1;
const LINK_NAME: u16 = 3;
const LINK_MTU: u16 = 4;
const LINK_INFO: u16 = 18;
const INFO_KIND: u16 = 1;

/// One question: a header, a body and attributes.
pub(crate) struct Message(Vec<u8>);

impl Message {
    /// A request of type `kind` with further `flags` and the fixed part `body`.
    pub(crate) fn new(kind: u16, flags: u16, body: &[u8]) -> Self {
        let mut bytes = vec![0; ALIGN]; // the length, known at the end
        bytes.extend(kind.to_ne_bytes());
        bytes.extend((REQUEST | flags).to_ne_bytes());
        bytes.extend(SEQUENCE.to_ne_bytes());
        bytes.extend(0_u32.to_ne_bytes()); // to the kernel
        bytes.extend(body);
        Self(bytes)
    }

    /// With one more attribute.
    pub(crate) fn with(mut self, kind: u16, value: &[u8]) -> Self {
        let length = u16::try_from(ATTRIBUTE + value.len()).expect("no value of ours is longer than a path");
        self.0.extend(length.to_ne_bytes());
        self.0.extend(kind.to_ne_bytes());
        self.0.extend(value);
        self.0.resize(self.0.len().next_multiple_of(ALIGN), 0);
        self
    }

    fn bytes(mut self) -> Vec<u8> {
        let length = u32::try_from(self.0.len()).expect("a few attributes");
        self.0[..4].copy_from_slice(&length.to_ne_bytes());
        self.0
    }
}

fn link(kind: u16, flags: u16, index: u32, set: u32) -> Message {
    let mut body = [0; LINK_BODY];
    body[4..8].copy_from_slice(&index.to_ne_bytes());
    body[8..12].copy_from_slice(&set.to_ne_bytes());
    body[12..].copy_from_slice(&set.to_ne_bytes());
    Message::new(kind, flags, &body)
}

/// Bring link `index` up.
pub(crate) fn up(index: u32) -> Message {
    link(SET_LINK, 0, index, UP)
}

/// Let packets on link `index` have at most `mtu` bytes.
pub(crate) fn mtu(index: u32, mtu: u16) -> Message {
    link(SET_LINK, 0, index, 0).with(LINK_MTU, &u32::from(mtu).to_ne_bytes())
}

/// Have the kernel do what `message` says.
///
/// # Errors
/// The kernel's refusal, as it calls it.
pub(crate) fn ask(message: Message) -> io::Result<()> {
    let mut bytes = message.bytes();
    bytes[6] |= ACK.to_ne_bytes()[0];
    converse(&bytes, |_, _| {})
}

/// Every NIC there is.
///
/// # Errors
/// Whatever the kernel says about the question.
pub(crate) fn nics() -> io::Result<Vec<Nic>> {
    let mut nics = Vec::new();
    converse(&link(GET_LINK, DUMP, 0, 0).bytes(), |kind, body| {
        if kind == NEW_LINK {
            nics.extend(nic(body));
        }
    })?;
    Ok(nics)
}

/// Ask, and show what is answered until the kernel says it is done.
fn converse(question: &[u8], mut each: impl FnMut(u16, &[u8])) -> io::Result<()> {
    let socket = netlink::open(0)?;
    netlink::tell(&socket, question)?;
    let mut buffer = vec![0; BUFFER];
    for _ in 0..MAX_PIECES {
        for (kind, body) in messages(netlink::hear(&socket, &mut buffer)?) {
            match kind {
                ERROR | DONE => return outcome(body),
                _ => each(kind, body),
            }
        }
    }
    Err(io::ErrorKind::QuotaExceeded.into())
}

/// `NLMSG_ERROR` and `NLMSG_DONE` begin with an errno, negated; 0 is success.
fn outcome(body: &[u8]) -> io::Result<()> {
    match body.first_chunk().map(|errno| i32::from_ne_bytes(*errno)) {
        Some(0) | None => Ok(()),
        Some(errno) => Err(io::Error::from_raw_os_error(errno.saturating_neg())),
    }
}

/// What happened to a link.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A NIC is new or has changed.
    Seen(Nic),
    /// A link is no more.
    Gone(u32),
}

/// News about links, from when it was opened.
pub(crate) struct News {
    socket: AsyncFd<OwnedFd>,
    buffer: Vec<u8>,
}

/// Why there is no news.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NewsError {
    /// There was more than the socket holds.
    #[error("news about links was lost; look at all of them again")]
    Lost,
    #[error("the kernel tells no news about links")]
    Ended(#[source] io::Error),
}

impl News {
    #[expect(
        deprecated,
        reason = "`register` is unsafe for descriptors that others close; an OwnedFd is ours"
    )]
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self { socket: AsyncFd::new(netlink::open(netlink::LINKS)?)?, buffer: vec![0; BUFFER] })
    }

    /// Wait for what happens next. Nothing is lost when this is given up.
    pub(crate) async fn next(&mut self) -> Result<Vec<Event>, NewsError> {
        loop {
            let mut ready = self.socket.readable().await.map_err(NewsError::Ended)?;
            let Ok(heard) = ready.try_io(|socket| netlink::hear(socket, &mut self.buffer).map(events)) else {
                continue;
            };
            return heard.map_err(|err| {
                let lost = err.kind() == io::ErrorKind::InvalidData || err.raw_os_error() == Some(NO_BUFFERS);
                if lost { NewsError::Lost } else { NewsError::Ended(err) }
            });
        }
    }
}

/// `ENOBUFS`.
const NO_BUFFERS: i32 = 105;

fn events(heard: &[u8]) -> Vec<Event> {
    let event = |(kind, body): (u16, &[u8])| match kind {
        NEW_LINK => nic(body).map(Event::Seen),
        DELETE_LINK => Some(Event::Gone(u32_at(body, 4)?)),
        _ => None,
    };
    messages(heard).filter_map(event).collect()
}

/// The messages of one piece: type and body.
fn messages(mut heard: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = u32_at(heard, 0)? as usize;
        let body = heard.get(HEADER..length)?;
        let kind = u16_at(heard, 4)?;
        heard = heard.get(length.next_multiple_of(ALIGN)..).unwrap_or_default();
        Some((kind, body))
    })
}

/// The attributes of a body: type, without its flags, and value.
fn attributes(mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    const FLAGS: u16 = 0xc000; // NLA_F_NESTED, NLA_F_NET_BYTEORDER
    std::iter::from_fn(move || {
        let length = usize::from(u16_at(rest, 0)?);
        let value = rest.get(ATTRIBUTE..length)?;
        let kind = u16_at(rest, 2)? & !FLAGS;
        rest = rest.get(length.next_multiple_of(ALIGN)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The link as a NIC, if it is one: Ethernet, and neither a bridge nor another
/// thing made of software. (`veth` counts: it is the NIC of a network namespace.)
fn nic(body: &[u8]) -> Option<Nic> {
    let flags = u32_at(body, 8)?;
    if u16_at(body, 2)? != ETHERNET || flags & LOOPBACK != 0 {
        return None;
    }
    let (mut name, mut mac) = (None, None);
    for (kind, value) in attributes(body.get(LINK_BODY..)?) {
        match kind {
            LINK_NAME => name = Some(text(value)),
            LINK_ADDRESS => mac = <[u8; 6]>::try_from(value).ok().map(Mac),
            LINK_INFO if attributes(value).any(|(kind, of)| kind == INFO_KIND && text(of) != "veth") => {
                return None;
            }
            _ => {}
        }
    }
    let carrier = flags & (UP | LOWER_UP) == UP | LOWER_UP;
    Some(Nic { index: u32_at(body, 4)?, name: name?, mac: mac?, carrier })
}

/// Text of the kernel, which ends with a zero byte.
fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.strip_suffix(&[0]).unwrap_or(value)).into_owned()
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

    /// `RTM_NEWLINK` of link 7 as the kernel puts it.
    fn told(kind: u16, hardware: u16, flags: u32, more: impl Fn(Message) -> Message) -> Vec<u8> {
        let mut body = [0; LINK_BODY];
        body[2..4].copy_from_slice(&hardware.to_ne_bytes());
        body[4] = 7;
        body[8..12].copy_from_slice(&flags.to_ne_bytes());
        more(Message::new(kind, 0, &body).with(LINK_NAME, b"eth0\0").with(LINK_ADDRESS, &MAC)).bytes()
    }

    fn of_kind(kind: &[u8]) -> Vec<u8> {
        Message::new(0, 0, &[]).with(INFO_KIND, kind).0[HEADER..].to_vec()
    }

    #[test]
    fn a_link_is_a_nic_unless_it_is_made_of_software() {
        let plain = |message| message;
        for (said, nic, told) in [
            ("a NIC", true, told(NEW_LINK, ETHERNET, UP, plain)),
            ("loopback", false, told(NEW_LINK, ETHERNET, LOOPBACK, plain)),
            ("InfiniBand", false, told(NEW_LINK, 32, UP, plain)),
            ("a veth", true, told(NEW_LINK, ETHERNET, UP, |to| to.with(LINK_INFO, &of_kind(b"veth\0")))),
            ("a bridge", false, told(NEW_LINK, ETHERNET, UP, |to| to.with(LINK_INFO, &of_kind(b"bridge\0")))),
            (
                "one with a long address",
                false,
                told(NEW_LINK, ETHERNET, UP, |to| to.with(LINK_ADDRESS, &[0; 20])),
            ),
        ] {
            assert_eq!(!events(&told).is_empty(), nic, "{said}");
        }
    }

    #[test]
    fn several_messages_come_in_one_piece() {
        let mut heard = told(NEW_LINK, ETHERNET, UP | LOWER_UP, |message| message);
        heard.extend(told(DELETE_LINK, ETHERNET, 0, |message| message));
        let nic = Nic { index: 7, name: "eth0".to_owned(), mac: Mac(MAC), carrier: true };
        assert_eq!(events(&heard), [Event::Seen(nic), Event::Gone(7)]);
    }

    #[test]
    fn a_message_cut_anywhere_is_no_news_and_no_panic() {
        let whole = told(NEW_LINK, ETHERNET, UP, |message| message);
        for length in 0..whole.len() {
            assert_eq!(events(&whole[..length]), [], "{length}");
        }
        for at in 0..whole.len() {
            for value in [0, 1, 3, 255] {
                let mut bent = whole.clone();
                bent[at] = value;
                assert!(events(&bent).len() <= 1);
            }
        }
    }

    #[test]
    fn the_kernel_refuses_by_name() {
        let err = ask(up(u32::MAX >> 1)).expect_err("there is no such link");
        assert_eq!(err.raw_os_error(), Some(19), "ENODEV: {err}");
    }

    #[test]
    fn the_links_are_told_to_the_end() {
        // Every network namespace has a loopback, which is no NIC.
        assert!(nics().expect("told").iter().all(|nic| nic.name != "lo"));
    }
}
