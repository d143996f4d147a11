//! QEMU's control socket (QMP): enough to press the power button and to learn why a guest ended.

use std::{io, path::Path, time::Duration};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines},
    net::{UnixStream, unix},
    time::{Instant, sleep, timeout},
};

/// Between two attempts to connect to a socket that QEMU has yet to make.
const RETRY: Duration = Duration::from_millis(20);

/// Why a QEMU process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The guest reset itself; a server would start again.
    Reset,
    /// The guest powered off.
    Shutdown,
    /// The BMC pulled the plug.
    Killed,
    /// QEMU ended without saying why.
    Died,
}

/// Run one command without arguments.
///
/// # Errors
/// When QEMU is not there, refuses, or does not answer within `limit`.
pub(crate) async fn execute(socket: &Path, command: &str, limit: Duration) -> Result<()> {
    timeout(limit, async {
        let mut session = Session::open(socket).await?;
        session.command(command).await
    })
    .await
    .with_context(|| format!("QEMU did not answer {command} within {limit:?}"))?
}

/// Wait for the event that says why the guest ended. `limit` is for connecting; the wait has none,
/// because a server may run for ever: the caller stops it.
pub(crate) async fn wait_for_shutdown(socket: &Path, limit: Duration) -> Ended {
    let deadline = Instant::now() + limit;
    let mut session = loop {
        match Session::open(socket).await {
            Ok(session) => break session,
            Err(_) if Instant::now() < deadline => sleep(RETRY).await,
            Err(_) => std::future::pending().await, // the process itself is watched too
        }
    };
    loop {
        match session.next().await {
            Ok(Some(message)) => {
                if let Some(ended) = shutdown_reason(&message) {
                    return ended;
                }
            }
            Ok(None) | Err(_) => return Ended::Died,
        }
    }
}

fn shutdown_reason(message: &Value) -> Option<Ended> {
    if message.get("event")?.as_str()? != "SHUTDOWN" {
        return None;
    }
    match message.pointer("/data/reason").and_then(Value::as_str) {
        Some("guest-reset") => Some(Ended::Reset),
        Some("guest-shutdown") => Some(Ended::Shutdown),
        _ => Some(Ended::Died),
    }
}

struct Session {
    lines: Lines<BufReader<unix::OwnedReadHalf>>,
    write: unix::OwnedWriteHalf,
}

impl Session {
    /// Connect and leave negotiation mode, before which QEMU sends no events.
    async fn open(socket: &Path) -> Result<Self> {
        let stream =
            UnixStream::connect(socket).await.with_context(|| format!("connect to {}", socket.display()))?;
        let (read, write) = stream.into_split();
        let mut session = Session { lines: BufReader::new(read).lines(), write };
        session.command("qmp_capabilities").await?;
        Ok(session)
    }

    async fn command(&mut self, command: &str) -> Result<()> {
        let line = format!("{{\"execute\":\"{command}\"}}\n");
        self.write.write_all(line.as_bytes()).await.with_context(|| format!("send {command} to QEMU"))?;
        while let Some(message) = self.next().await? {
            if message.get("return").is_some() {
                return Ok(());
            }
            if let Some(error) = message.get("error") {
                bail!("QEMU refused {command}: {error}");
            }
        }
        bail!("QEMU closed its control socket at {command}")
    }

    async fn next(&mut self) -> io::Result<Option<Value>> {
        let line = self.lines.next_line().await?;
        Ok(line.map(|line| serde_json::from_str(&line).unwrap_or(Value::Null)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_is_told_from_a_power_off() {
        let table = [
            (r#"{"event":"SHUTDOWN","data":{"guest":true,"reason":"guest-reset"}}"#, Some(Ended::Reset)),
            (
                r#"{"event":"SHUTDOWN","data":{"guest":true,"reason":"guest-shutdown"}}"#,
                Some(Ended::Shutdown),
            ),
            (r#"{"event":"SHUTDOWN","data":{"guest":false,"reason":"host-signal"}}"#, Some(Ended::Died)),
            (r#"{"event":"RTC_CHANGE"}"#, None),
            (r#"{"return":{}}"#, None),
        ];
        for (line, want) in table {
            assert_eq!(shutdown_reason(&serde_json::from_str(line).unwrap()), want, "{line}");
        }
    }
}
