//! `clean_uefi_nvram`: boot entries of earlier tenants go out of the firmware's
//! menu, those that network boot needs stay.

use efi::BootEntry;
use serde_json::{Map, Value, json};
use wire::ipa::ErrorClass;

use super::{Machine, pattern::Pattern};
use crate::command::{Failure, Reporter};

/// What goes when the step is given no patterns: Ironic's own three.
const DEFAULT: [&str; 3] = [r"^HD\(", r"shim.*\.efi", r"grub.*\.efi"];
/// The most patterns taken.
const MOST_PATTERNS: usize = 64;

/// Remove each entry whose device path one of `match_patterns` finds, and look
/// whether they are gone. Names what went and what stayed.
pub(super) fn clean(
    machine: &mut Machine,
    args: &Map<String, Value>,
    _: &Reporter,
) -> Result<Value, Failure> {
    let patterns = patterns(args)?;
    if !machine.efivars.is_dir() {
        return Ok(json!({"removed": [], "kept": [], "note": "this machine did not boot by UEFI"}));
    }
    let matches = |entry: &BootEntry| {
        let path = entry.option.device_path();
        patterns.iter().any(|pattern| pattern.is_in(&path))
    };
    let removed: Vec<_> = entries(machine)?.into_iter().filter(matches).collect();
    for entry in &removed {
        efi::remove_boot_entry(&machine.efivars, entry.number)
            .map_err(|err| Failure::of(ErrorClass::CommandExecution, &err))?;
        tracing::info!(entry = shown(entry), "removed from the boot menu");
    }
    let (back, kept) = entries(machine)?.into_iter().partition::<Vec<_>, _>(matches);
    if !back.is_empty() {
        let text = format!("the firmware kept {}; clear its boot menu in its setup", list(&back).join(", "));
        return Err(Failure::new(ErrorClass::CommandExecution, text));
    }
    Ok(json!({"removed": list(&removed), "kept": list(&kept)}))
}

fn entries(machine: &Machine) -> Result<Vec<BootEntry>, Failure> {
    efi::boot_entries(&machine.efivars).map_err(|err| Failure::of(ErrorClass::CommandExecution, &err))
}

fn list(entries: &[BootEntry]) -> Vec<String> {
    entries.iter().map(shown).collect()
}

/// As `efibootmgr -v`: `Boot0003 debian HD(…)/File(…)`.
fn shown(entry: &BootEntry) -> String {
    let label = entry.option.label.replace(char::is_control, "?");
    format!("Boot{:04X} {label} {}", entry.number, entry.option.device_path())
}

fn patterns(args: &Map<String, Value>) -> Result<Vec<Pattern>, Failure> {
    let refused = |text: String| Failure::new(ErrorClass::InvalidCommandParams, text);
    let given: Vec<&str> = match args.get("match_patterns") {
        None | Some(Value::Null) => DEFAULT.to_vec(),
        Some(Value::Array(list)) if list.len() <= MOST_PATTERNS && list.iter().all(Value::is_string) => {
            list.iter().filter_map(Value::as_str).collect()
        }
        Some(_) => {
            return Err(refused(format!("match_patterns is a list of at most {MOST_PATTERNS} strings")));
        }
    };
    let parse = |text: &str| {
        Pattern::parse(text).map_err(|err| refused(format!("the pattern {text:?} of match_patterns: {err}")))
    };
    given.into_iter().map(parse).collect()
}
