//! The kernel's announcements of devices (`NETLINK_KOBJECT_UEVENT`), and the
//! devices that were there before we listened.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    os::fd::{AsFd, AsRawFd as _, OwnedFd},
    path::Path,
    time::Duration,
};

use nix::{
    errno::Errno,
    poll::{PollFd, PollFlags, PollTimeout, poll},
    sys::socket::{
        AddressFamily, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, setsockopt, socket,
        sockopt,
    },
};

/// The kernel's own multicast group; group 2 is udevd's.
const KERNEL_GROUP: u32 = 1;
/// Room for some thousand announcements while we are busy loading a module.
const SOCKET_BYTES: usize = 8 << 20;
/// The kernel's own limit for one announcement is 2 KiB and a path (`UEVENT_BUFFER_SIZE`).
const MAX_EVENT_BYTES: usize = 16 << 10;
/// How deep `/sys/devices` is searched; a PCI tree with disks is about 15 deep.
const MAX_DEPTH: usize = 40;
/// The most directories searched; a large server has about 20 000.
const MAX_DIRECTORIES: usize = 500_000;

/// One announcement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Uevent {
    /// `add`, `remove`, `change`, `bind`, …
    pub(crate) action: String,
    /// The device's directory below `/sys`.
    pub(crate) path: String,
    /// Everything else, such as `SUBSYSTEM`, `DEVNAME`, `MODALIAS`.
    pub(crate) keys: BTreeMap<String, String>,
}

impl Uevent {
    /// Read one datagram: `action@path`, then `KEY=value`, each ended by a zero byte.
    pub(crate) fn parse(bytes: &[u8]) -> Option<Self> {
        let text = str::from_utf8(bytes).ok()?;
        let mut parts = text.split('\0').filter(|part| !part.is_empty());
        let (action, path) = parts.next()?.split_once('@')?;
        let keys = parts.filter_map(|part| part.split_once('='));
        let keys = keys.map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
        Some(Self { action: action.to_owned(), path: path.to_owned(), keys })
    }

    /// What a new device asks a driver for.
    pub(crate) fn new_modalias(&self) -> Option<&str> {
        if self.action == "add" { self.keys.get("MODALIAS").map(String::as_str) } else { None }
    }
}

/// What listening brought.
#[derive(Debug)]
pub(crate) enum Heard {
    /// An announcement.
    Event(Uevent),
    /// The kernel had more to say than the socket holds; look for devices again.
    Lost,
    /// Nothing for as long as we were to wait.
    Quiet,
}

/// An ear for announcements.
pub(crate) struct Listener {
    socket: OwnedFd,
}

impl Listener {
    /// Listen from now on.
    pub(crate) fn open() -> io::Result<Self> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let protocol = SockProtocol::NetlinkKObjectUEvent;
        let socket = socket(AddressFamily::Netlink, SockType::Datagram, flags, protocol)?;
        // Without the privilege the default room remains, and `Lost` says when it was too small.
        let _ = setsockopt(&socket, sockopt::RcvBufForce, &SOCKET_BYTES);
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, KERNEL_GROUP))?;
        Ok(Self { socket })
    }

    /// The next announcement, waiting for it at most `limit`, or forever.
    pub(crate) fn next(&self, limit: Option<Duration>) -> io::Result<Heard> {
        let timeout = match limit {
            None => PollTimeout::NONE,
            Some(limit) => PollTimeout::try_from(limit).unwrap_or(PollTimeout::MAX),
        };
        match poll(&mut [PollFd::new(self.socket.as_fd(), PollFlags::POLLIN)], timeout) {
            Ok(0) | Err(Errno::EINTR) => return Ok(Heard::Quiet),
            Ok(_) => {}
            Err(err) => return Err(err.into()),
        }
        let mut bytes = vec![0; MAX_EVENT_BYTES];
        match recvfrom::<NetlinkAddr>(self.socket.as_raw_fd(), &mut bytes) {
            // Port 0 is the kernel; anybody else is lying.
            Ok((length, Some(from))) if from.pid() == 0 => {
                Ok(Uevent::parse(&bytes[..length]).map_or(Heard::Lost, Heard::Event))
            }
            Err(Errno::ENOBUFS) => Ok(Heard::Lost),
            Ok(_) | Err(Errno::EAGAIN) => Ok(Heard::Quiet),
            Err(err) => Err(err.into()),
        }
    }
}

/// The modaliases of all devices below `devices`, usually `/sys/devices`: each once.
pub(crate) fn modaliases(devices: &Path) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut open = vec![(devices.to_owned(), 0)];
    let mut searched = 0;
    while let Some((directory, depth)) = open.pop() {
        searched += 1;
        if depth > MAX_DEPTH || searched > MAX_DIRECTORIES {
            tracing::warn!(directory = %directory.display(), "devices below are not searched for drivers");
            continue;
        }
        // A directory that is gone belongs to a device that is gone.
        for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                open.push((entry.path(), depth + 1));
            } else if entry.file_name() == "modalias"
                && let Ok(text) = fs::read_to_string(entry.path())
            {
                found.insert(text.trim_end().to_owned());
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADD: &[u8] = b"add@/devices/pci0000:00/0000:00:03.0/virtio0\0ACTION=add\0\
        DEVPATH=/devices/pci0000:00/0000:00:03.0/virtio0\0SUBSYSTEM=virtio\0\
        MODALIAS=virtio:d00000002v00001AF4\0SEQNUM=42\0";

    #[test]
    fn an_announcement_names_device_and_modalias() {
        let event = Uevent::parse(ADD).expect("an announcement");
        assert_eq!(event.path, "/devices/pci0000:00/0000:00:03.0/virtio0");
        assert_eq!(event.keys["SUBSYSTEM"], "virtio");
        assert_eq!(event.new_modalias(), Some("virtio:d00000002v00001AF4"));
        let removed = Uevent { action: "remove".to_owned(), ..event };
        assert_eq!(removed.new_modalias(), None);
    }

    #[test]
    fn no_bytes_break_the_parser() {
        for bad in [b"".as_slice(), b"libudev\0\xfe\xed", b"\0\0\0", b"add", b"\xff@x"] {
            assert_eq!(Uevent::parse(bad), None);
        }
        for length in 0..ADD.len() {
            let _ = Uevent::parse(&ADD[..length]);
        }
    }

    #[test]
    fn modaliases_are_found_at_any_depth_and_once() {
        let root = tempfile::tempdir().expect("a directory");
        for (device, modalias) in [("a", "pci:1\n"), ("a/b/c", "virtio:2"), ("a/b", "pci:1\n")] {
            let device = root.path().join(device);
            fs::create_dir_all(&device).expect("a device");
            fs::write(device.join("modalias"), modalias).expect("a modalias");
        }
        std::os::unix::fs::symlink(root.path(), root.path().join("a/loop")).expect("a link");
        let expected = BTreeSet::from(["pci:1".to_owned(), "virtio:2".to_owned()]);
        assert_eq!(modaliases(root.path()), expected);
    }
}
