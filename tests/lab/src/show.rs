//! What a person sees while the servers work: one live line a server on a terminal, plain lines in a log.

use std::{
    io::{IsTerminal as _, Write as _, stderr},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use model::Bytes;
use serde_json::Value;

/// How often a live line moves although nothing new is known.
const TICK: Duration = Duration::from_millis(120);
/// The width of the bar of done bytes.
const BAR_CELLS: usize = 24;

/// All lines.
pub struct Board {
    live: Option<MultiProgress>,
    started: Instant,
}

/// One server's line.
pub struct Line {
    name: String,
    bar: Option<ProgressBar>,
    started: Instant,
    said: Mutex<String>,
}

impl Board {
    /// Live when standard error is a terminal.
    #[must_use]
    pub fn new() -> Self {
        let live = stderr().is_terminal().then(MultiProgress::new);
        Board { live, started: Instant::now() }
    }

    /// A line for the server called `name`.
    #[must_use]
    pub fn line(&self, name: &str) -> Line {
        let bar = self.live.as_ref().map(|live| {
            let bar = live.add(ProgressBar::new_spinner());
            bar.set_style(style());
            bar.set_prefix(name.to_owned());
            bar.enable_steady_tick(TICK);
            bar
        });
        Line { name: name.to_owned(), bar, started: self.started, said: Mutex::default() }
    }
}

impl Default for Board {
    fn default() -> Self {
        Board::new()
    }
}

fn style() -> ProgressStyle {
    let style =
        ProgressStyle::with_template("{spinner:.cyan} {prefix:10.bold} {elapsed_precise:.dim} {wide_msg}");
    style.unwrap_or_else(|_| ProgressStyle::default_spinner())
}

/// What an agent's running command says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Progress<'a> {
    /// The step's name.
    pub step: Option<&'a str>,
    /// Bytes done.
    pub bytes: Option<u64>,
    /// Bytes in all, when known.
    pub total: Option<u64>,
    /// Bytes a second.
    pub rate: Option<u64>,
}

impl<'a> Progress<'a> {
    /// Of `GET /v1/nodes/{id}/progress`.
    #[must_use]
    pub fn of(answer: &'a Value) -> Self {
        let inner = answer.get("progress").unwrap_or(answer);
        let number = |key: &str| inner.get(key).and_then(Value::as_u64);
        Progress {
            step: inner.get("step").and_then(Value::as_str),
            bytes: number("bytes"),
            total: number("total").filter(|total| *total > 0),
            rate: number("bytes_per_s"),
        }
    }

    fn percent(&self) -> Option<u64> {
        Some(self.bytes?.saturating_mul(100).checked_div(self.total?)?.min(100))
    }
}

impl Line {
    /// Show where the server is: Ironic's state, and what happens there.
    pub fn show(&self, state: &str, doing: &str, progress: Progress<'_>) {
        let what = progress.step.unwrap_or(doing);
        match &self.bar {
            Some(bar) => bar.set_message(live_text(state, what, progress)),
            None => self.print_new(&plain_text(state, what, progress)),
        }
    }

    /// The line's last word.
    pub fn end(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.finish_with_message(text.to_owned()),
            None => self.print_new(text),
        }
    }

    fn print_new(&self, text: &str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if *said != text {
            // Nobody reading is no reason to stop.
            let _ =
                writeln!(stderr(), "{:7.1} s  {:10} {text}", self.started.elapsed().as_secs_f64(), self.name);
            text.clone_into(&mut said);
        }
    }
}

fn live_text(state: &str, what: &str, progress: Progress<'_>) -> String {
    let mut text = format!("{state:15} {what:24}");
    if let Some(percent) = progress.percent() {
        let full = usize::try_from(percent).unwrap_or(0) * BAR_CELLS / 100;
        text.push_str(&format!(" {}{} {percent:3} %", "█".repeat(full), "░".repeat(BAR_CELLS - full)));
    } else if let Some(bytes) = progress.bytes {
        text.push_str(&format!(" {:>10}", Bytes(bytes).to_string()));
    }
    if let Some(rate) = progress.rate {
        text.push_str(&format!("  {}/s", Bytes(rate)));
    }
    text
}

/// Tenths are enough for a log.
fn plain_text(state: &str, what: &str, progress: Progress<'_>) -> String {
    match progress.percent() {
        Some(percent) => format!("{state}: {what} {} %", percent / 10 * 10),
        None => format!("{state}: {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn progress_is_read_with_and_without_its_wrapping() {
        let inner = json!({"step": "write_image", "bytes": 50, "total": 200, "bytes_per_s": 1048576});
        for answer in [inner.clone(), json!({"progress": inner})] {
            let progress = Progress::of(&answer);
            assert_eq!(progress.percent(), Some(25));
            assert_eq!(plain_text("deploying", "", progress), "deploying:  20 %");
            assert!(live_text("wait call-back", "write_image", progress).ends_with("25 %  1.0 MiB/s"));
        }
    }

    #[test]
    fn nothing_known_is_nothing_shown() {
        for answer in [
            json!({}),
            Value::Null,
            json!({"step": "x", "bytes": 5, "total": null}),
            json!({"total": 0, "bytes": 1}),
        ] {
            assert_eq!(Progress::of(&answer).percent(), None, "{answer}");
        }
    }
}
