//! One boot of a guest: QEMU started, listened to, and killed when dropped.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    boot::Boot,
    drive::Drive,
    place::Place,
    qmp::Qmp,
    report::{Message, ROWS_PARAMETER, Row},
};

/// A boot takes some seconds and its rows less than a minute; a hang is longer.
const LIMIT: Duration = Duration::from_secs(240);
/// Lines of the console that are quoted when a guest fails.
const LINES_QUOTED: usize = 40;
/// On a busy host an emulated timer is late, and the kernel would take it for broken.
const PARAMETERS: &str =
    "console=ttyS0 quiet panic=-1 no_timer_check nowatchdog rcupdate.rcu_cpu_stall_suppress=1";
/// When set, the end of the console is shown of guests that succeed too.
const SHOW: &str = "BILLET_SHOW_GUESTS";
/// When set, only these rows are run: names separated by commas.
const ONLY_ROWS: &str = "BILLET_GUEST_ROWS";
/// Enough for an initramfs that is not compressed, and for what a row holds in memory.
const MEMORY_MIB: u32 = 384;

/// A guest to be started.
pub struct Machine {
    memory_mib: u32,
    arguments: Vec<String>,
    parameters: String,
    limit: Duration,
}

impl Default for Machine {
    fn default() -> Self {
        Self { memory_mib: MEMORY_MIB, arguments: Vec::new(), parameters: String::new(), limit: LIMIT }
    }
}

impl Machine {
    /// A guest without drives.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Give it `mib` MiB of memory.
    #[must_use]
    pub fn memory_mib(mut self, mib: u32) -> Self {
        self.memory_mib = mib;
        self
    }

    /// Give up on it after `limit`.
    #[must_use]
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Further arguments of QEMU.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments.extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// Further kernel parameters: options of modules (`scsi_debug.dev_size_mb=16`), what a row wants to know.
    #[must_use]
    pub fn parameters(mut self, parameters: &str) -> Self {
        self.parameters.push(' ');
        self.parameters.push_str(parameters);
        self
    }

    /// Attach `drive` to QEMU's `device`: `nvme`, `virtio-blk-pci`, `scsi-hd,bus=scsi.0`. Its serial
    /// number is the drive's name.
    #[must_use]
    pub fn drive(self, drive: &Drive, device: &str) -> Self {
        let name = drive.name();
        self.backing(drive).arguments(&["-device", &format!("{device},drive={name},serial={name}")])
    }

    /// As [`Self::drive`], of a drive that writes no more than `mib` MiB in a second.
    #[must_use]
    pub fn slow_drive(self, drive: &Drive, mib: u64, device: &str) -> Self {
        let name = drive.name();
        let limit = format!("throttle-group,id=limit-{name},x-bps-write={}", mib << 20);
        let slow = format!("driver=throttle,node-name=slow-{name},throttle-group=limit-{name},file={name}");
        self.arguments(&["-object", &limit])
            .backing(drive)
            .arguments(&["-blockdev", &slow])
            .arguments(&["-device", &format!("{device},drive=slow-{name},serial={name}")])
    }

    /// Have QEMU open `drive`, for a device that [`Self::arguments`] names.
    #[must_use]
    pub fn backing(self, drive: &Drive) -> Self {
        self.arguments(&["-blockdev", &drive.blockdev()])
    }

    /// A network card that reaches this machine at 10.0.2.2.
    #[must_use]
    pub fn network(self) -> Self {
        self.arguments(&["-netdev", "user,id=net", "-device", "virtio-net-pci,netdev=net,romfile="])
    }

    /// Boot it and run `rows`, when fewer than two guests of this process run.
    ///
    /// # Panics
    /// When QEMU does not start.
    #[must_use]
    pub fn start(self, boot: &Boot, rows: &[&str]) -> Guest {
        let place = Place::take();
        let folder = tempfile::tempdir().expect("a temporary folder");
        let errors = File::create(folder.path().join("qemu.log")).expect("a log");
        let wanted = chosen(rows);
        let parameters = format!("{PARAMETERS} {ROWS_PARAMETER}={} {}", wanted.join(","), self.parameters);
        // A test that is killed takes its guests along.
        let mut command = Command::new("setpriv");
        command
            .args(["--pdeathsig", "KILL", "qemu-system-x86_64"])
            .args(["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"])
            .args(["-machine", "q35,accel=tcg,graphics=off", "-cpu", "max,la57=off"])
            .args(["-m", &self.memory_mib.to_string(), "-append", &parameters])
            .arg("-kernel")
            .arg(&boot.kernel)
            .arg("-initrd")
            .arg(&boot.initramfs)
            .args(["-serial", &format!("file:{}", folder.path().join("console.log").display())])
            .args(["-chardev", "stdio,id=rows,signal=off", "-serial", "chardev:rows"])
            .args(["-qmp", &format!("unix:{},server=on,wait=off", folder.path().join("qmp").display())])
            .args(&self.arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors);
        let mut child = command.spawn().unwrap_or_else(|err| panic!("{command:?}: {err}"));
        let line = child.stdin.take().expect("piped");
        let messages = listen(child.stdout.take().expect("piped"));
        let deadline = Instant::now() + self.limit;
        Guest { child, line, messages, folder, deadline, wanted, rows: Vec::new(), _place: place }
    }

    /// Boot it, run `rows`, and wait until it is off. Every row has succeeded then.
    ///
    /// # Panics
    /// When a row failed, or was not run.
    #[must_use]
    pub fn run(self, boot: &Boot, rows: &[&str]) -> Vec<Row> {
        self.start(boot, rows).end()
    }
}

/// All of `rows`, or those that somebody at work on them chose.
fn chosen(rows: &[&str]) -> Vec<String> {
    let chosen = std::env::var(ONLY_ROWS).unwrap_or_default();
    let is_chosen = |row: &&&str| chosen.is_empty() || chosen.split(',').any(|name| name == **row);
    rows.iter().filter(is_chosen).map(|row| (*row).to_owned()).collect()
}

fn listen(port: ChildStdout) -> Receiver<Message> {
    let (send, messages) = channel();
    thread::spawn(move || {
        for line in BufReader::new(port).lines().map_while(Result::ok) {
            // UEFI talks on every port that it finds, and ends no line.
            let message = serde_json::from_str(&line[line.find('{').unwrap_or(0)..]);
            // Nobody listens any more: the test has ended.
            if message.is_ok_and(|message| send.send(message).is_err()) {
                return;
            }
        }
    });
    messages
}

/// A running guest.
pub struct Guest {
    child: Child,
    line: ChildStdin,
    messages: Receiver<Message>,
    folder: TempDir,
    deadline: Instant,
    wanted: Vec<String>,
    rows: Vec<Row>,
    _place: Place,
}

impl Guest {
    /// Wait until a row has come to the place called `mark`.
    ///
    /// # Panics
    /// When the guest ends first, or a row fails.
    pub fn wait_for(&mut self, mark: &str) {
        while let Some(message) = self.next() {
            match message {
                Message::Mark(name) if name == mark => return,
                Message::Mark(_) => {}
                Message::Row(row) => self.keep(row),
                Message::End => break,
            }
        }
        panic!("the guest never said {mark:?}\n{}", self.said());
    }

    /// Let a row go on that waits at its mark.
    ///
    /// # Panics
    /// When the guest has ended.
    pub fn go_on(&mut self) {
        self.line.write_all(b"\n").expect("a guest that listens");
    }

    /// Wait until all rows were run and the guest is off.
    ///
    /// # Panics
    /// When a row failed, or was not run.
    #[must_use]
    pub fn end(mut self) -> Vec<Row> {
        let mut ended = false;
        while let Some(message) = self.next() {
            match message {
                Message::Mark(_) => {}
                Message::Row(row) => self.keep(row),
                Message::End => ended = true,
            }
        }
        assert!(ended, "the guest died\n{}", self.said());
        let names: Vec<&String> = self.rows.iter().map(|row| &row.name).collect();
        assert_eq!(names, self.wanted.iter().collect::<Vec<_>>(), "not every row was run\n{}", self.said());
        if std::env::var_os(SHOW).is_some() {
            eprintln!("{}", self.said());
        }
        std::mem::take(&mut self.rows)
    }

    /// A session on QEMU's control socket, which is there when the guest has said something.
    #[must_use]
    pub fn qmp(&self) -> Qmp {
        Qmp::connect(&self.folder.path().join("qmp"))
    }

    /// Cut its power.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// The end of its console, and what QEMU said.
    #[must_use]
    pub fn said(&self) -> String {
        let tail = |name: &str| {
            let text = fs::read(self.folder.path().join(name)).unwrap_or_default();
            let text = String::from_utf8_lossy(&text).into_owned();
            let lines: Vec<&str> = text.lines().collect();
            lines[lines.len().saturating_sub(LINES_QUOTED)..].join("\n")
        };
        format!("{}\n{}", tail("console.log"), tail("qemu.log"))
    }

    fn keep(&mut self, row: Row) {
        if let Some(error) = &row.error {
            panic!("{}: {error}\n{}", row.name, self.said());
        }
        eprintln!("{} took {} ms: {}", row.name, row.took_ms, row.found);
        self.rows.push(row);
    }

    /// The next message; `None` when QEMU has ended.
    fn next(&mut self) -> Option<Message> {
        match self.messages.recv_timeout(self.deadline.saturating_duration_since(Instant::now())) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("the guest hangs\n{}", self.said()),
        }
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        self.kill();
    }
}
