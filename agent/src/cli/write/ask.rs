//! The question before a disk is destroyed.

use std::io::{self, BufRead, IsTerminal, Write};

use disk::{Device, Target as _};

/// Show what the disk is and ask.
///
/// # Errors
/// Why it was not allowed.
pub(super) fn permission(device: &Device) -> Result<(), &'static str> {
    if !io::stdin().is_terminal() {
        return Err("nobody to ask; say --yes");
    }
    let mut stderr = io::stderr();
    let question = format!("Everything on {} will be destroyed. Write? [yes/no] ", describe(device));
    let asked = stderr.write_all(question.as_bytes()).and_then(|()| stderr.flush());
    let mut answer = String::new();
    asked.and_then(|()| io::stdin().lock().read_line(&mut answer)).map_err(|_| "the question failed")?;
    if answer.trim() == "yes" { Ok(()) } else { Err("the answer was not yes") }
}

/// `/dev/sda (931.5 GiB, SAMSUNG MZ7, serial S123)`.
fn describe(device: &Device) -> String {
    let name = std::fs::canonicalize(device.path()).unwrap_or_else(|_| device.path().to_owned());
    let sysfs =
        std::path::Path::new("/sys/class/block").join(name.file_name().unwrap_or_default()).join("device");
    let attribute = |file: &str| {
        let text = std::fs::read_to_string(sysfs.join(file)).ok()?;
        Some(text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let mut facts = vec![device.size().to_string()];
    facts.extend(attribute("model"));
    facts.extend(attribute("serial").map(|serial| format!("serial {serial}")));
    format!("{} ({})", name.display(), facts.join(", "))
}
