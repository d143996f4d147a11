//! A server's serial console: kept whole in a file, its last lines in memory, waited on by marker.
//!
//! QEMU's standard output is the serial line, so a byte wakes the waiter; nobody polls a file.

use std::{
    collections::VecDeque,
    fs::File,
    io::Write as _,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _},
    sync::Notify,
    time::timeout_at,
};

/// Lines kept in memory: ten boots of a talkative system.
const LINES_KEPT: usize = 20_000;
/// A line longer than this is cut: a guest may print without ever ending a line.
const LINE_LIMIT: usize = 4096;
/// Lines quoted when a marker does not come.
const LINES_QUOTED: usize = 8;

/// One line of the console.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its number since the console was opened.
    pub number: u64,
    /// When its last byte came.
    pub at: Instant,
    /// The text, without control sequences' line ends; undecodable bytes replaced.
    pub text: String,
}

/// A serial console.
pub struct Console {
    path: PathBuf,
    kept: Mutex<Kept>,
    grew: Notify,
}

struct Kept {
    file: File,
    lines: VecDeque<Line>,
    next: u64,
    open: Vec<u8>,
}

impl Console {
    /// Start a new log at `path`, replacing an older one.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("create {}", path.display()))?;
        let kept = Kept { file, lines: VecDeque::new(), next: 0, open: Vec::new() };
        Ok(Console { path: path.to_owned(), kept: Mutex::new(kept), grew: Notify::new() })
    }

    /// The number the next line will have: the place to wait from.
    pub fn position(&self) -> u64 {
        self.with(|kept| kept.next)
    }

    /// Write a line of the lab's own into the log, such as "power on".
    pub fn note(&self, text: &str) {
        self.append(format!("\r\n--- billet-lab: {text} ---\r\n").as_bytes());
    }

    /// Copy `serial` to the log until it ends.
    pub async fn follow(&self, mut serial: impl AsyncRead + Unpin) {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            match serial.read(&mut buffer).await {
                Ok(0) | Err(_) => return,
                Ok(count) => self.append(buffer.get(..count).unwrap_or_default()),
            }
        }
    }

    /// Wait for a line, at or after number `from`, that contains `marker`.
    ///
    /// # Errors
    /// When `limit` passes first; the last lines are quoted.
    pub async fn wait_for(&self, marker: &str, from: u64, limit: Duration) -> Result<Line> {
        let deadline = tokio::time::Instant::now() + limit;
        loop {
            let grew = self.grew.notified();
            tokio::pin!(grew);
            grew.as_mut().enable(); // before looking, or a line between look and wait is missed
            if let Some(line) = self.find(marker, from) {
                return Ok(line);
            }
            if timeout_at(deadline, grew).await.is_err() {
                bail!(
                    "no \"{marker}\" on the serial console within {limit:?}; {} ends:\n{}",
                    self.path.display(),
                    self.tail()
                );
            }
        }
    }

    /// The first line, at or after number `from`, that contains `marker`.
    pub fn find(&self, marker: &str, from: u64) -> Option<Line> {
        self.with(|kept| kept.lines.iter().find(|l| l.number >= from && l.text.contains(marker)).cloned())
    }

    /// The last lines, for an error message.
    pub fn tail(&self) -> String {
        self.with(|kept| {
            let skip = kept.lines.len().saturating_sub(LINES_QUOTED);
            kept.lines.iter().skip(skip).map(|l| format!("  | {}\n", l.text)).collect()
        })
    }

    fn append(&self, bytes: &[u8]) {
        self.with(|kept| {
            // A full disk must not stop the guest; the markers are still seen.
            let _ = kept.file.write_all(bytes);
            for &byte in bytes {
                match byte {
                    b'\n' => kept.end_line(),
                    b'\r' => {}
                    _ if kept.open.len() == LINE_LIMIT => {}
                    _ => kept.open.push(byte),
                }
            }
        });
        self.grew.notify_waiters();
    }

    fn with<T>(&self, use_it: impl FnOnce(&mut Kept) -> T) -> T {
        use_it(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Kept {
    fn end_line(&mut self) {
        let text = String::from_utf8_lossy(&self.open).into_owned();
        self.open.clear();
        if self.lines.len() == LINES_KEPT {
            self.lines.pop_front();
        }
        self.lines.push_back(Line { number: self.next, at: Instant::now(), text });
        self.next += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_marker_split_over_two_reads_is_found_and_an_old_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let console = Console::create(&folder.path().join("serial.log")).unwrap();
        console.append(b"BILLET-OS-BO");
        console.append(b"OTED\r\n");
        let from = console.position();
        console.wait_for("BILLET-OS-BOOTED", 0, Duration::from_millis(1)).await.unwrap();
        let error = console.wait_for("BILLET-OS-BOOTED", from, Duration::from_millis(1)).await.unwrap_err();
        assert!(error.to_string().contains("| BILLET-OS-BOOTED"), "{error}");
    }

    #[tokio::test]
    async fn a_waiter_wakes_when_the_line_comes() {
        let folder = tempfile::tempdir().unwrap();
        let console = Console::create(&folder.path().join("serial.log")).unwrap();
        let (found, ()) = tokio::join!(console.wait_for("iPXE", 0, Duration::from_secs(5)), async {
            console.follow(&b"SeaBIOS\r\niPXE 1.21.1\r\n"[..]).await;
        });
        assert_eq!(found.unwrap().number, 1);
    }
}
