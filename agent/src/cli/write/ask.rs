//! The question before a disk is destroyed.

use std::io::{self, BufRead, IsTerminal, Write};

use super::disk::Facts;

/// Show what the disk is and what is on it, and ask.
///
/// # Errors
/// Why it was not allowed.
pub(super) fn permission(facts: &Facts) -> Result<(), &'static str> {
    if !io::stdin().is_terminal() {
        return Err("nobody to ask; say --yes");
    }
    let mut stderr = io::stderr();
    let holds: String = facts.holds.iter().map(|line| format!("  {line}\n")).collect();
    let question = format!("{}\n{holds}All of it will be destroyed. Write? [yes/no] ", facts.title());
    let asked = stderr.write_all(question.as_bytes()).and_then(|()| stderr.flush());
    let mut answer = String::new();
    asked.and_then(|()| io::stdin().lock().read_line(&mut answer)).map_err(|_| "the question failed")?;
    if answer.trim() == "yes" { Ok(()) } else { Err("the answer was not yes") }
}
