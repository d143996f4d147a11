//! A switch at the other end of the guest's cable, which says who it is.

use std::{
    net::UdpSocket,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Real switches speak every thirty seconds.
const PAUSE: Duration = Duration::from_millis(500);

/// What it calls itself.
pub(crate) const SYSTEM: &str = "leaf1.rack7.example";
/// What it calls the port.
pub(crate) const PORT: &str = "Ethernet1/7";

/// Sends its frame again and again until dropped.
pub(crate) struct Switch {
    ended: Arc<AtomicBool>,
    sender: Option<JoinHandle<()>>,
    /// QEMU's network that leads to it.
    pub(crate) netdev: String,
}

impl Switch {
    /// Plug it in. QEMU carries each frame in a datagram.
    pub(crate) fn start() -> Self {
        let bind = || UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let address = |socket: &UdpSocket| socket.local_addr().expect("an address");
        let here = bind();
        let there = address(&bind()); // free again, for QEMU
        let netdev = format!("-netdev socket,id=cable,udp={},localaddr={there}", address(&here));
        let ended = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&ended);
        let sender = thread::spawn(move || {
            while !told.load(Ordering::Relaxed) {
                // Nobody listens until QEMU runs.
                let _ = here.send_to(&frame(), there);
                thread::park_timeout(PAUSE);
            }
        });
        Self { ended, sender: Some(sender), netdev }
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(sender) = self.sender.take() {
            sender.thread().unpark();
            let _ = sender.join();
        }
    }
}

/// IEEE 802.1AB: chassis, port, time to live, system name, end.
fn frame() -> Vec<u8> {
    let mut frame = vec![0x01, 0x80, 0xc2, 0, 0, 0x0e, 0x02, 0, 0, 0x77, 0x01, 0x07, 0x88, 0xcc];
    let port = [&[5], PORT.as_bytes()].concat();
    let parts: [(u8, &[u8]); 5] = [
        (1, &[4, 0x02, 0, 0, 0x77, 0x01, 0x07]),
        (2, &port),
        (3, &[0, 120]),
        (5, SYSTEM.as_bytes()),
        (0, &[]),
    ];
    for (kind, value) in parts {
        frame.extend([kind << 1, u8::try_from(value.len()).expect("short")]);
        frame.extend(value);
    }
    frame.resize(frame.len().max(60), 0);
    frame
}
