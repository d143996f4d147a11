//! The loud end: say what is wrong on every console, wait so that a person can
//! read it, restart.

use std::{error::Error, panic, thread, time::Duration};

use crate::{console::say, power};

/// How long a fatal message stays on the consoles before the machine restarts.
pub const RESTART_DELAY: Duration = Duration::from_secs(30);

/// Say `message` on every console, wait for `delay`, restart the machine.
///
/// Only for PID 1: anybody else should exit with an error.
pub fn fatal(message: &str, delay: Duration) -> ! {
    say(&format!("FATAL: {message}"));
    say(&format!("this machine restarts in {} s", delay.as_secs()));
    thread::sleep(delay);
    power::reboot()
}

/// `err` and all its causes in one line, for [`fatal`] and for logs.
#[must_use]
pub fn chain(err: &dyn Error) -> String {
    let mut text = err.to_string();
    let mut source = err.source();
    while let Some(err) = source {
        text = format!("{text}: {err}");
        source = err.source();
    }
    text
}

/// From now on a panic in any thread ends as [`fatal`] does: the death of PID 1
/// would take the message with it.
pub fn install_panic_hook(delay: Duration) {
    panic::set_hook(Box::new(move |panic| {
        let text = panic.to_string().replace('\n', " ");
        fatal(&format!("billet-agent has a bug: {text}"), delay)
    }));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("outer")]
    struct Outer(#[source] std::num::ParseIntError);

    #[test]
    fn a_chain_names_every_cause() {
        let err = "x".parse::<u8>().map_err(Outer).expect_err("x is no number");
        assert_eq!(chain(&err), "outer: invalid digit found in string");
    }
}
