//! Saying something on every console, whatever state the machine is in.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read, Write},
    os::{fd::AsFd as _, unix::fs::OpenOptionsExt as _},
    path::PathBuf,
    sync::mpsc,
    thread,
};

use nix::fcntl::OFlag;

/// More consoles than a kernel is ever given.
const MAX_CONSOLES: usize = 16;

/// How much is read from standard error at once.
const PIECE: usize = 4096;
/// Pieces that wait for a slow console; what comes after them is lost: 1 MiB.
const WAITING: usize = 256;

/// From now on whoever writes to standard error never waits for the console.
///
/// Ctrl-S on a serial line stops it until Ctrl-Q. A log written to it directly
/// would stop with it, and the agent at its next line.
///
/// # Errors
/// When the kernel refuses a pipe or a thread; standard error is as it was then.
pub(crate) fn never_blocks() -> io::Result<()> {
    let console = File::from(io::stderr().as_fd().try_clone_to_owned()?);
    let (reader, writer) = io::pipe()?;
    relay(reader, console)?;
    Ok(nix::unistd::dup2_stderr(&writer)?)
}

/// Pass on what `from` brings to `to`, and keep `from` empty whatever `to` does.
fn relay(mut from: impl Read + Send + 'static, mut to: impl Write + Send + 'static) -> io::Result<()> {
    let (pass, passed) = mpsc::sync_channel::<Vec<u8>>(WAITING);
    thread::Builder::new().name("console".into()).spawn(move || {
        for text in passed {
            // A console that fails shows nothing; there is nobody to tell.
            let _ = to.write_all(&text);
        }
    })?;
    thread::Builder::new().name("stderr".into()).spawn(move || {
        let mut piece = [0; PIECE];
        loop {
            match from.read(&mut piece) {
                Ok(0) => return,
                // Full: the console stands still, and its text is lost.
                Ok(length) => drop(pass.try_send(piece[..length].to_vec())),
                Err(err) if err.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return,
            }
        }
    })?;
    Ok(())
}

/// Write `line` to every console and to the kernel's log.
///
/// Never blocks and never fails: a serial line held by flow control loses the
/// text, and the others still show it.
pub fn say(line: &str) {
    let text = format!("billet: {line}\n");
    let mut shown = false;
    for path in consoles() {
        shown |= write(&path, &text).is_ok();
    }
    // Consoles show kernel messages too. At level 7 (debug) this one stays in the
    // log only; at 0 (emergency) it is the last way to reach a person.
    let level = if shown { 7 } else { 0 };
    let _ = write(&PathBuf::from("/dev/kmsg"), &format!("<{level}>{text}"));
}

fn write(path: &PathBuf, text: &str) -> io::Result<()> {
    let flags = OFlag::O_NONBLOCK | OFlag::O_NOCTTY;
    OpenOptions::new().write(true).custom_flags(flags.bits()).open(path)?.write_all(text.as_bytes())
}

/// The devices of all consoles; `/dev/console` when the kernel does not say.
fn consoles() -> Vec<PathBuf> {
    let names = parse(&fs::read_to_string("/proc/consoles").unwrap_or_default());
    let mut paths: Vec<PathBuf> = names.into_iter().map(|name| PathBuf::from("/dev").join(name)).collect();
    paths.retain(|path| path.exists());
    if paths.is_empty() {
        paths.push("/dev/console".into());
    }
    paths
}

/// The names in `/proc/consoles`: `ttyS0                -W- (EC p a)    4:64`.
fn parse(text: &str) -> Vec<String> {
    let names = text.lines().filter_map(|line| line.split_whitespace().next());
    let plain = |name: &&str| !name.contains('/') && !name.starts_with('.');
    names.filter(plain).take(MAX_CONSOLES).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A console that shows nothing until it is let go.
    struct Stopped {
        let_go: mpsc::Receiver<()>,
        shown: mpsc::Sender<Vec<u8>>,
    }

    impl Write for Stopped {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.let_go.recv(); // once; after that the other end is gone
            self.shown.send(bytes.to_vec()).map_err(io::Error::other)?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_console_that_stands_still_stops_nobody() {
        let (reader, mut writer) = io::pipe().expect("a pipe");
        let ((release, let_go), (shown, seen)) = (mpsc::channel(), mpsc::channel());
        relay(reader, Stopped { let_go, shown }).expect("threads");
        let text = vec![b'x'; 1 << 16];
        for _ in 0..64 {
            writer.write_all(&text).expect("4 MiB are taken, and mostly lost");
        }
        drop((release, writer));
        let shown: usize = seen.iter().map(|bytes| bytes.len()).sum();
        // What the pipe itself still held may follow once it moves again.
        assert!((PIECE..=2 * WAITING * PIECE).contains(&shown), "{shown}");
    }

    #[test]
    fn consoles_are_read_from_proc() {
        let text =
            "tty0                 -WU (ECp  )    4:1\nttyS0                -W- (E  p a)    4:64\n\n../x y\n";
        assert_eq!(parse(text), ["tty0", "ttyS0"]);
    }
}
