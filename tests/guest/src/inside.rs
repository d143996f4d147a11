//! The program inside a guest: PID 1 starts the drivers, then a process of its own
//! runs the rows that the kernel parameter `guest-rows` names, each reported as one
//! line of JSON; then the guest powers off.
//!
//! A row is a function that panics when something is not as it should be.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    panic::{AssertUnwindSafe, catch_unwind, set_hook},
    path::Path,
    process::Command,
    sync::{Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use init::Params;
use serde_json::Value;

use crate::report::{Message, PORT, ROWS_PARAMETER, Row};

/// A row: its name, and what it does. It returns what is worth telling, and
/// panics when something is not as it should be.
pub type Named<B> = (&'static str, fn(&B) -> Value);

/// Drives are quiet when nothing new was announced for so long.
const QUIET: Duration = Duration::from_millis(300);
/// The longest wait for drives.
const SETTLE_LIMIT: Duration = Duration::from_secs(30);

/// Where and why the last row panicked.
static PANICKED: Mutex<String> = Mutex::new(String::new());

/// The argument of the process that runs the rows.
const RUN_ROWS: &str = "rows";

/// All of the program called `name`: its `rows` work with what `open` makes of the
/// kernel's command line.
pub fn main<B>(name: &str, open: impl FnOnce(Params) -> B, rows: &[&[Named<B>]]) {
    if std::env::args().nth(1).as_deref() == Some(RUN_ROWS) {
        return run_rows(name, open, rows);
    }
    if !init::is_pid_1() {
        eprintln!("{name} is PID 1 of a guest that tests/guest starts; it may destroy every drive it finds");
        std::process::exit(2);
    }
    let started = match init::start() {
        Ok(started) => started,
        Err(error) => init::fatal(&init::chain(&error), init::RESTART_DELAY),
    };
    started.drivers.settle(QUIET, SETTLE_LIMIT);
    // A process of its own: PID 1 reaps every child, so it cannot learn how a program ended.
    match Command::new("/init").arg(RUN_ROWS).spawn() {
        Ok(mut rows) => _ = rows.wait(), // reaped by this thread or by another: it has ended
        Err(err) => eprintln!("{name}: no second process: {err}"),
    }
    init::power::power_off();
}

/// Run the rows that were asked for.
fn run_rows<B>(name: &str, open: impl FnOnce(Params) -> B, rows: &[&[Named<B>]]) {
    set_hook(Box::new(|panic| {
        eprintln!("{panic}");
        *PANICKED.lock().unwrap_or_else(PoisonError::into_inner) = panic.to_string();
    }));
    let params = Params::load(Path::new("/proc/cmdline"));
    let wanted: Vec<String> = params.list(ROWS_PARAMETER).into_iter().map(str::to_owned).collect();
    let bench = open(params);
    for row in wanted {
        eprintln!("{name}: {row}");
        tell(&Message::Row(run(&row, &bench, rows)));
    }
    tell(&Message::End);
}

fn run<B>(name: &str, bench: &B, rows: &[&[Named<B>]]) -> Row {
    let start = Instant::now();
    let ended = match rows.iter().flat_map(|rows| rows.iter()).find(|(known, _)| *known == name) {
        Some((_, row)) => catch_unwind(AssertUnwindSafe(|| row(bench))).map_err(|_| panicked()),
        None => Err("there is no such row".to_owned()),
    };
    let (found, error) = match ended {
        Ok(found) => (found, None),
        Err(error) => (Value::Null, Some(error)),
    };
    let took_ms = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
    Row { name: name.to_owned(), found, error, took_ms }
}

fn panicked() -> String {
    std::mem::take(&mut *PANICKED.lock().unwrap_or_else(PoisonError::into_inner))
}

/// The line to the test on the host. Held open: what comes in while nobody has it open is lost.
fn port() -> &'static File {
    static LINE: OnceLock<File> = OnceLock::new();
    LINE.get_or_init(|| {
        File::options().read(true).write(true).open(PORT).unwrap_or_else(|err| panic!("{PORT}: {err}"))
    })
}

/// Say it to the test on the host.
pub fn tell(message: &Message) {
    let line = serde_json::to_string(message).expect("a message is JSON");
    if let Err(err) = port().write_all(format!("{line}\n").as_bytes()) {
        eprintln!("guest: {PORT}: {err}: {line}");
    }
}

/// Wait until the test on the host says to go on.
///
/// # Panics
/// When the host hung up.
pub fn wait_for_the_host() {
    let length = port().read(&mut [0]).unwrap_or_else(|err| panic!("{PORT}: {err}"));
    assert_eq!(length, 1, "the host hung up");
}
