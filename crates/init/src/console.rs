//! Saying something on every console, whatever state the machine is in.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
};

use nix::fcntl::OFlag;

/// More consoles than a kernel is ever given.
const MAX_CONSOLES: usize = 16;

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

    #[test]
    fn consoles_are_read_from_proc() {
        let text =
            "tty0                 -WU (ECp  )    4:1\nttyS0                -W- (E  p a)    4:64\n\n../x y\n";
        assert_eq!(parse(text), ["tty0", "ttyS0"]);
    }
}
