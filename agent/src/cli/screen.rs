//! Progress on a terminal: lines that are drawn again where they stand.
//!
//! Own, because it is little: a crate for it weighed 45 KB that every server downloads.

use std::io::Write as _;

/// Letters of a bar.
const BAR: usize = 30;
/// The terminal cuts what is wider than it is, so a line stays one line; and no longer.
const CUT: &str = "\x1b[?7l";
const WRAP: &str = "\x1b[?7h";

/// Lines on standard error.
pub(super) struct Screen {
    terminal: bool,
    drawn: usize,
}

impl Screen {
    /// Draws nothing unless standard error is a `terminal`.
    pub(super) fn new(terminal: bool) -> Self {
        Self { terminal, drawn: 0 }
    }

    /// Show `lines` in the place of those before.
    pub(super) fn draw(&mut self, lines: &[String]) {
        if self.terminal && (self.drawn > 0 || !lines.is_empty()) {
            // A terminal that is gone does not stop the work.
            std::io::stderr().write_all(frame(self.drawn, lines).as_bytes()).ok();
            self.drawn = lines.len();
        }
    }

    /// Leave no line, so that something else can be said.
    pub(super) fn clear(&mut self) {
        self.draw(&[]);
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.clear();
    }
}

/// What goes to the terminal: up over the lines `drawn`, each line anew, nothing below.
fn frame(drawn: usize, lines: &[String]) -> String {
    let mut text = String::from(CUT);
    if drawn > 0 {
        text += &format!("\x1b[{drawn}A");
    }
    text += "\r\x1b[J";
    for line in lines {
        text += line;
        text.push('\n');
    }
    text + WRAP
}

/// `███████░░░░░░░░░░░░░░░░░░░░░░░` for a quarter.
pub(super) fn bar(done: u64, total: u64) -> String {
    let share = u128::from(done.min(total)) * BAR as u128 / u128::from(total.max(1));
    let full = usize::try_from(share).unwrap_or(BAR);
    format!("{}{}", "█".repeat(full), "░".repeat(BAR - full))
}

/// Of `total`, 0 to 100.
pub(super) fn percent(done: u64, total: u64) -> u128 {
    u128::from(done.min(total)) * 100 / u128::from(total.max(1))
}

/// `42s`, `3m 07s`, `2h 05m`.
pub(super) fn duration(seconds: u64) -> String {
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, seconds) => format!("{seconds}s"),
        (0, minutes, seconds) => format!("{minutes}m {seconds:02}s"),
        (hours, minutes, _) => format!("{hours}h {minutes:02}m"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_drawn_over_those_before() {
        let lines = ["one".to_owned(), "two".to_owned()];
        assert_eq!(frame(0, &lines), "\x1b[?7l\r\x1b[Jone\ntwo\n\x1b[?7h");
        assert_eq!(frame(2, &lines[..1]), "\x1b[?7l\x1b[2A\r\x1b[Jone\n\x1b[?7h");
        assert_eq!(frame(1, &[]), "\x1b[?7l\x1b[1A\r\x1b[J\x1b[?7h", "and nothing is left");
    }

    #[test]
    fn a_bar_is_as_long_whatever_the_numbers() {
        for (done, total, full) in
            [(0, 100, 0), (50, 100, 15), (100, 100, 30), (200, 100, 30), (0, 0, 0), (u64::MAX, u64::MAX, 30)]
        {
            let bar = bar(done, total);
            assert_eq!((bar.chars().count(), bar.matches('█').count()), (30, full), "{done} of {total}");
        }
        assert_eq!((percent(1, 3), percent(9, 3), percent(1, 0)), (33, 100, 0));
    }

    #[test]
    fn times_are_short() {
        for (seconds, want) in
            [(0, "0s"), (59, "59s"), (187, "3m 07s"), (7500, "2h 05m"), (360_000, "100h 00m")]
        {
            assert_eq!(duration(seconds), want);
        }
    }
}
