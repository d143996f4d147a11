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

/// What comes before a secret: the kernel tells its command line, and virtual
/// media hand the agent's token over on it.
const SECRET: &[u8] = b"ipa-agent-token=";

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
            Ok(length) => redact(&record[..length], &mut log),
            Err(err) if err.kind() == io::ErrorKind::WouldBlock => break,
            // EPIPE: the record was overwritten while we read; the next read goes on.
            Err(err) if err.kind() == io::ErrorKind::BrokenPipe => (),
            Err(err) => return Err(err),
        }
    }
    Ok(log)
}

/// Where the kernel tells its command line, and where parts of it.
const WHOLE: &str = "ommand line: ";
const PARTS: &str = "command line parameters ";

/// Append `record` to `log` without what is secret on a command line, and without the
/// values that follow [`SECRET`] wherever they stand.
fn redact(record: &[u8], log: &mut Vec<u8>) {
    let text = String::from_utf8_lossy(record);
    if let Some((before, line)) = text.split_once(WHOLE) {
        let line = inventory::without_secrets(line);
        without_token(format!("{before}{WHOLE}{line}\n").as_bytes(), log);
    } else if let Some((before, _)) = text.split_once(PARTS) {
        // Quotes are lost there, and all of it stands in another record.
        log.extend_from_slice(format!("{before}{PARTS}******\n").as_bytes());
    } else {
        without_token(record, log);
    }
}

fn without_token(record: &[u8], log: &mut Vec<u8>) {
    let mut rest = record;
    while let Some(at) = rest.windows(SECRET.len()).position(|window| window == SECRET) {
        let (told, hidden) = rest.split_at(at + SECRET.len());
        log.extend_from_slice(told);
        log.extend_from_slice(b"******");
        let ends = |byte: &u8| byte.is_ascii_whitespace() || matches!(byte, b'"' | b'\'');
        rest = hidden.iter().position(ends).map_or(&[], |end| &hidden[end..]);
    }
    log.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_on_the_command_line_is_not_told() {
        for (record, want) in [
            (
                "6,1,0,-;Kernel command line: a=b ipa-agent-token=hunter2 c\n",
                "a=b ipa-agent-token=****** c\n",
            ),
            ("5,2,0,-;Unknown \"x ipa-agent-token=hunter2\", passed", "ipa-agent-token=******\", passed"),
            ("ipa-agent-token=one ipa-agent-token=two", "ipa-agent-token=****** ipa-agent-token=******"),
            ("6,3,0,-;nothing to hide", "nothing to hide"),
            (
                "5,4,0,-;Command line: a=b rd.iscsi.in.password=\"hun hunter2\" root=/dev/sda\n",
                "a=b rd.iscsi.in.password=****** root=/dev/sda\n",
            ),
            ("5,5,0,-;Kernel command line: ks=http://me:hunter2@host/", "ks=http://******@host/\n"),
            (
                "5,6,0,-;Unknown kernel command line parameters \"rootpw=hun hunter2\", will be passed\n",
                "command line parameters ******\n",
            ),
        ] {
            let mut log = Vec::new();
            redact(record.as_bytes(), &mut log);
            let log = String::from_utf8(log).unwrap();
            assert!(log.ends_with(want) && !log.contains("hunter2"), "{log}");
        }
    }
}
