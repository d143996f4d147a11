//! `billet-agent write` as a process.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use model::Digest;
use serde_json::Value;

use crate::programs::program;

/// How one run ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit status; `None` when it was killed.
    pub code: Option<i32>,
    /// The last line of its JSON: the report, or the error.
    pub report: Value,
    /// What it said to people.
    pub said: String,
}

impl Ended {
    /// True when the image is on the disk.
    #[must_use]
    pub fn is_written(&self) -> bool {
        self.code == Some(0) && self.report["ok"] == true
    }

    /// The error.
    #[must_use]
    pub fn error(&self) -> &str {
        self.report["error"].as_str().unwrap_or_default()
    }
}

/// A run that goes on.
pub struct Writing {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
    last: Value,
}

/// Start writing the image at `url` to `target`, without asking.
///
/// # Panics
/// When the program does not start.
#[must_use]
pub fn start(urls: &[&str], digest: &Digest, target: &Path) -> Writing {
    begin(Command::new(program("billet-agent")), urls, digest, target)
}

/// As [`start`], by a command that runs the agent, such as one in a cgroup.
///
/// # Panics
/// When the program does not start.
#[must_use]
pub fn begin(command: Command, urls: &[&str], digest: &Digest, target: &Path) -> Writing {
    begin_as("auto", command, urls, digest, target)
}

fn begin_as(format: &str, mut command: Command, urls: &[&str], digest: &Digest, target: &Path) -> Writing {
    command.args(["write", "--json", "--yes", "--format", format, "--checksum", &digest.to_string()]);
    command.arg("--target").arg(target);
    for url in urls {
        command.args(["--image", url]);
    }
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|err| panic!("{command:?}: {err}"));
    let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    Writing { child, lines, last: Value::Null }
}

/// Write it, and wait for the end.
///
/// # Panics
/// As [`start`].
#[must_use]
pub fn write(urls: &[&str], digest: &Digest, target: &Path) -> Ended {
    start(urls, digest, target).end()
}

/// As [`write`], of an image that is said to be of `format`.
///
/// # Panics
/// As [`start`].
#[must_use]
pub fn write_as(format: &str, url: &str, digest: &Digest, target: &Path) -> Ended {
    begin_as(format, Command::new(program("billet-agent")), &[url], digest, target).end()
}

impl Writing {
    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its next line; `None` when it has ended.
    ///
    /// # Panics
    /// When it is no JSON.
    pub fn next_line(&mut self) -> Option<&Value> {
        let line = self.lines.next()?.expect("a line");
        self.last = serde_json::from_str(&line).unwrap_or_else(|err| panic!("{line:?}: {err}"));
        Some(&self.last)
    }

    /// Kill it where it is, as a power cut would, and wait until it is gone.
    ///
    /// # Panics
    /// When it cannot be killed.
    pub fn kill(mut self) {
        self.child.kill().and_then(|()| self.child.wait()).expect("killed");
    }

    /// Wait for its end.
    ///
    /// # Panics
    /// When it writes no JSON.
    #[must_use]
    pub fn end(mut self) -> Ended {
        let mut errors = self.child.stderr.take().expect("piped");
        let reading = std::thread::spawn(move || {
            let mut said = Vec::new();
            errors.read_to_end(&mut said).map(|_| String::from_utf8_lossy(&said).into_owned())
        });
        while self.next_line().is_some() {}
        let status = self.child.wait().expect("it ends");
        let said = reading.join().expect("no panic").expect("what it said");
        Ended { code: status.code(), report: self.last, said }
    }
}
