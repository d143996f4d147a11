//! PID 1 of a guest that tests erasing: drivers, then the rows that the kernel
//! parameter `guest-rows` names, each reported as one line of JSON; then off.
//!
//! A row is a function that panics when something is not as it should be. Rows
//! of one kind of drive are one module of [`rows`].

mod bench;
mod modules;
mod programs;
mod rows;

use std::{
    fs::File,
    io::{Read as _, Write as _},
    panic::{AssertUnwindSafe, catch_unwind, set_hook},
    path::Path,
    process::Command,
    sync::{Mutex, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use guest::report::{Message, PORT, ROWS_PARAMETER, Row};
use init::Params;
use serde_json::Value;

use crate::{bench::Bench, rows::ROWS};

/// Drives are quiet when nothing new was announced for so long.
const QUIET: Duration = Duration::from_millis(300);
/// The longest wait for drives.
const SETTLE_LIMIT: Duration = Duration::from_secs(30);

/// Where and why the last row panicked.
static PANICKED: Mutex<String> = Mutex::new(String::new());

/// The argument of the process that runs the rows.
const RUN_ROWS: &str = "rows";

fn main() {
    if std::env::args().nth(1).as_deref() == Some(RUN_ROWS) {
        return rows();
    }
    if !init::is_pid_1() {
        eprintln!(
            "erase-guest is PID 1 of a guest that tests/guest starts; it destroys every drive it finds"
        );
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
        Err(err) => eprintln!("erase-guest: no second process: {err}"),
    }
    init::power::power_off();
}

/// Run the rows that were asked for.
fn rows() {
    set_hook(Box::new(|panic| {
        eprintln!("{panic}");
        *PANICKED.lock().unwrap_or_else(PoisonError::into_inner) = panic.to_string();
    }));
    let bench = Bench::new(Params::load(Path::new("/proc/cmdline")));
    for name in bench.params().list(ROWS_PARAMETER) {
        eprintln!("erase-guest: {name}");
        tell(&Message::Row(run(name, &bench)));
    }
    tell(&Message::End);
}

fn run(name: &str, bench: &Bench) -> Row {
    let start = Instant::now();
    let ended = match ROWS.iter().flat_map(|rows| rows.iter()).find(|(known, _)| *known == name) {
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
fn tell(message: &Message) {
    let line = serde_json::to_string(message).expect("a message is JSON");
    if let Err(err) = port().write_all(format!("{line}\n").as_bytes()) {
        eprintln!("erase-guest: {PORT}: {err}: {line}");
    }
}

/// Wait until the test on the host says to go on.
fn wait_for_the_host() {
    let length = port().read(&mut [0]).unwrap_or_else(|err| panic!("{PORT}: {err}"));
    assert_eq!(length, 1, "the host hung up");
}
