//! PID 1 of a guest that tests erasing: drivers, then the rows that the kernel
//! parameter `guest-rows` names, each reported as one line of JSON; then off.
//!
//! A row is a function that panics when something is not as it should be. Rows
//! of one kind of drive are one module of [`rows`].

mod bench;
mod modules;
mod rows;

use std::{
    fs::File,
    io::Write as _,
    panic::{AssertUnwindSafe, catch_unwind, set_hook},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use guest::report::{Message, PORT, ROWS_PARAMETER, Row};
use serde_json::Value;

use crate::{bench::Bench, rows::ROWS};

/// Drives are quiet when nothing new was announced for so long.
const QUIET: Duration = Duration::from_millis(300);
/// The longest wait for drives.
const SETTLE_LIMIT: Duration = Duration::from_secs(30);

/// Where and why the last row panicked.
static PANICKED: Mutex<String> = Mutex::new(String::new());

fn main() {
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
    set_hook(Box::new(|panic| {
        eprintln!("{panic}");
        *PANICKED.lock().unwrap_or_else(PoisonError::into_inner) = panic.to_string();
    }));
    started.drivers.settle(QUIET, SETTLE_LIMIT);
    let bench = Bench::new(started);
    for name in bench.params().list(ROWS_PARAMETER) {
        eprintln!("erase-guest: {name}");
        tell(&Message::Row(run(name, &bench)));
    }
    tell(&Message::End);
    init::power::power_off();
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

/// Say it to the test on the host.
fn tell(message: &Message) {
    let line = serde_json::to_string(message).expect("a message is JSON");
    let sent = File::options()
        .write(true)
        .open(PORT)
        .and_then(|mut port| port.write_all(format!("{line}\n").as_bytes()));
    if let Err(err) = sent {
        eprintln!("erase-guest: {PORT}: {err}: {line}");
    }
}
