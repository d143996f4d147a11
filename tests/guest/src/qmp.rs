//! QEMU's control socket: enough to pull a drive out of a running guest.

use std::{
    io::{BufRead as _, BufReader, Write as _},
    os::unix::net::UnixStream,
    path::Path,
    time::Duration,
};

use serde_json::{Value, json};

/// QEMU answers in milliseconds; a hang is longer.
const LIMIT: Duration = Duration::from_secs(30);

/// A session with QEMU.
pub struct Qmp {
    lines: BufReader<UnixStream>,
}

impl Qmp {
    /// Connect to the socket at `path`, on which QEMU listens.
    ///
    /// # Panics
    /// When QEMU does not answer.
    #[must_use]
    pub fn connect(path: &Path) -> Self {
        let stream = UnixStream::connect(path).expect("QEMU's control socket");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        let mut qmp = Self { lines: BufReader::new(stream) };
        qmp.execute("qmp_capabilities", &json!({}));
        qmp
    }

    /// Run `command` and return its answer.
    ///
    /// # Panics
    /// When QEMU refuses, or does not answer.
    pub fn execute(&mut self, command: &str, arguments: &Value) -> Value {
        let line = json!({"execute": command, "arguments": arguments});
        let stream = self.lines.get_mut();
        stream.write_all(format!("{line}\n").as_bytes()).expect("QEMU listens");
        loop {
            let message = self.message();
            assert!(message.get("error").is_none(), "QEMU refused {line}: {message}");
            if let Some(answer) = message.get("return") {
                return answer.clone();
            }
        }
    }

    /// Pull out the device with this `id`, as a hand would: the guest is told afterwards.
    ///
    /// # Panics
    /// As [`Self::execute`].
    pub fn unplug(&mut self, id: &str) {
        self.execute("device_del", &json!({"id": id}));
    }

    fn message(&mut self) -> Value {
        let mut line = String::new();
        let length = self.lines.read_line(&mut line).expect("QEMU answers");
        assert!(length > 0, "QEMU has ended");
        serde_json::from_str(&line).expect("QEMU speaks JSON")
    }
}
