//! The kernel's log, from `/dev/kmsg`.

use std::{
    fs::OpenOptions,
    io::{self, Read},
    os::unix::fs::OpenOptionsExt,
};

/// `O_NONBLOCK`: at the end the kernel answers `EAGAIN` instead of waiting.
const O_NONBLOCK: i32 = 0o4000;

/// The longest record the kernel hands out (`CONSOLE_EXT_LOG_MAX`).
const MAX_RECORD: usize = 8192;

/// How much is read.
const MAX_BYTES: usize = 2 << 20;

/// The kernel's log, or why there is none.
pub(super) fn log() -> Vec<u8> {
    read().unwrap_or_else(|err| format!("/dev/kmsg cannot be read: {err}\n").into_bytes())
}

fn read() -> io::Result<Vec<u8>> {
    let mut kmsg = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open("/dev/kmsg")?;
    let mut log = Vec::new();
    let mut record = vec![0; MAX_RECORD];
    while log.len() < MAX_BYTES {
        match kmsg.read(&mut record) {
            Ok(0) => break,
            Ok(length) => log.extend_from_slice(&record[..length]),
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => break,
            // EPIPE: the record was overwritten while we read; the next read goes on.
            Err(err) if err.kind() == io::ErrorKind::BrokenPipe => (),
            Err(err) => return Err(err),
        }
    }
    Ok(log)
}
