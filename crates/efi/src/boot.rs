//! `Boot####` and `BootOrder`, UEFI specification 2.10 §3.1.

use std::{io, path::Path};

use crate::{
    option::{HardDrive, LoadOption},
    variable::{self, VariableError},
};

/// Entries beyond this are not looked at: no menu is that long.
const MOST_ENTRIES: usize = 1024;

/// One entry of the firmware's boot menu.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootEntry {
    /// The number in its name: `Boot0003`.
    pub number: u16,
    /// What it is.
    pub option: LoadOption,
}

/// Why the menu has no new entry.
#[derive(Debug, thiserror::Error)]
pub enum AddEntryError {
    /// The variables cannot be listed; the machine may have booted without UEFI.
    #[error("cannot list UEFI variables; did the machine boot by UEFI?")]
    List(#[source] io::Error),
    /// One variable failed.
    #[error(transparent)]
    Variable(#[from] VariableError),
    /// All 65536 numbers are taken.
    #[error("the boot menu is full")]
    Full,
}

/// The entries of the boot menu, by number. What is no load option is left out.
///
/// # Errors
/// [`AddEntryError::List`], or a variable that cannot be read.
pub fn boot_entries(efivars: &Path) -> Result<Vec<BootEntry>, AddEntryError> {
    let mut entries = Vec::new();
    for file in std::fs::read_dir(efivars).map_err(AddEntryError::List)?.take(MOST_ENTRIES * 16) {
        let file = file.map_err(AddEntryError::List)?.file_name();
        let Some(name) = file.to_str().and_then(variable::name_of) else { continue };
        let Some(number) = number_of(name) else { continue };
        let Some(content) = variable::read(efivars, name)? else { continue };
        if let Ok(option) = LoadOption::decode(&content) {
            entries.push(BootEntry { number, option });
        }
    }
    entries.sort_by_key(|entry| entry.number);
    Ok(entries)
}

/// `Boot00a3`, but neither `BootOrder` nor `BootNext`.
fn number_of(name: &str) -> Option<u16> {
    let digits = name.strip_prefix("Boot")?;
    let hex = digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    if hex { u16::from_str_radix(digits, 16).ok() } else { None }
}

/// Put an entry called `label` first in the boot menu, for the loader at `path`
/// (with backslashes) on `drive`. Entries of the same name for any hard drive go;
/// the name may come from a tenant's image, and takes no network boot from the
/// operator. Returns the entry's number.
///
/// # Errors
/// [`AddEntryError`]; the menu is as it was, or lacks the old entries of that name.
pub fn add_boot_entry(
    efivars: &Path,
    label: &str,
    drive: &HardDrive,
    path: &str,
) -> Result<u16, AddEntryError> {
    let entries = boot_entries(efivars)?;
    let (same, others): (Vec<_>, Vec<_>) = entries.into_iter().partition(|BootEntry { option, .. }| {
        option.label.eq_ignore_ascii_case(label) && option.is_for_a_hard_drive()
    });
    let mut order = boot_order(efivars)?;
    for entry in &same {
        variable::remove(efivars, &name(entry.number))?;
        tracing::info!(number = entry.number, label, "an old boot entry was removed");
    }
    order.retain(|number| same.iter().all(|entry| entry.number != *number));
    // A number that BootOrder knows may belong to an entry we could not read.
    let taken = |number: &u16| {
        others.iter().any(|entry| entry.number == *number)
            || order.contains(number)
            || variable::path(efivars, &name(*number)).exists()
    };
    let number = (0..=u16::MAX).find(|number| !taken(number)).ok_or(AddEntryError::Full)?;
    variable::write(efivars, &name(number), &LoadOption::for_loader(label, drive, path).encode())?;
    order.insert(0, number);
    write_order(efivars, &order)?;
    Ok(number)
}

/// Take entry `number` out of the boot menu, and out of its order.
///
/// # Errors
/// [`VariableError`]; the order may lack the entry while the entry is still there.
pub fn remove_boot_entry(efivars: &Path, number: u16) -> Result<(), VariableError> {
    let mut order = boot_order(efivars)?;
    // The order first: firmware bears a number less, and some cry about one too many.
    if order.contains(&number) {
        order.retain(|other| *other != number);
        write_order(efivars, &order)?;
    }
    variable::remove(efivars, &name(number))
}

/// An order of nothing is no variable: writing nothing is what efivarfs takes for removal.
fn write_order(efivars: &Path, order: &[u16]) -> Result<(), VariableError> {
    if order.is_empty() {
        return variable::remove(efivars, "BootOrder");
    }
    let order: Vec<u8> = order.iter().copied().flat_map(u16::to_le_bytes).collect();
    variable::write(efivars, "BootOrder", &order)
}

fn name(number: u16) -> String {
    format!("Boot{number:04X}")
}

fn boot_order(efivars: &Path) -> Result<Vec<u16>, VariableError> {
    let content = variable::read(efivars, "BootOrder")?.unwrap_or_default();
    let (numbers, _) = content.as_chunks::<2>();
    Ok(numbers.iter().map(|number| u16::from_le_bytes(*number)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DRIVE: HardDrive = HardDrive { partition: 1, start_blocks: 2048, length_blocks: 4096, id: [7; 16] };

    fn labels(efivars: &Path) -> Vec<(u16, String)> {
        let entries = boot_entries(efivars).expect("listed");
        entries.into_iter().map(|entry| (entry.number, entry.option.label)).collect()
    }

    #[test]
    fn a_new_entry_is_first_and_replaces_its_namesakes() {
        let dir = tempfile::tempdir().expect("a directory");
        let efivars = dir.path();
        for label in ["old", "Debian", "other"] {
            add_boot_entry(efivars, label, &DRIVE, r"\x.efi").expect("added");
        }
        assert_eq!(boot_order(efivars).expect("order"), [2, 1, 0]);
        let number = add_boot_entry(efivars, "debian", &DRIVE, r"\EFI\BOOT\BOOTX64.EFI").expect("added");
        assert_eq!(number, 1, "its namesake's number is free again");
        assert_eq!(boot_order(efivars).expect("order"), [1, 2, 0]);
        let expected = [(0, "old".into()), (1, "debian".into()), (2, "other".into())];
        assert_eq!(labels(efivars), expected);
    }

    #[test]
    fn an_entry_that_is_removed_is_in_no_order() {
        let dir = tempfile::tempdir().expect("a directory");
        let efivars = dir.path();
        for label in ["one", "two"] {
            add_boot_entry(efivars, label, &DRIVE, r"\x.efi").expect("added");
        }
        remove_boot_entry(efivars, 0).expect("removed");
        assert_eq!(labels(efivars), [(1, "two".to_owned())]);
        assert_eq!(boot_order(efivars).expect("order"), [1]);
        remove_boot_entry(efivars, 1).expect("removed");
        remove_boot_entry(efivars, 1).expect("what is gone is gone");
        assert!(!variable::path(efivars, "BootOrder").exists(), "an order of nothing is no order");
    }

    #[test]
    fn an_image_cannot_name_the_network_boot_away() {
        let dir = tempfile::tempdir().expect("a directory");
        // Boot0000, active, "PXE": MAC(525400aabb01,1), end.
        let mut pxe =
            vec![1, 0, 0, 0, 41, 0, b'P', 0, b'X', 0, b'E', 0, 0, 0, 3, 11, 37, 0, 0x52, 0x54, 0, 0xaa];
        pxe.resize(14 + 37, 0);
        pxe.extend([0x7f, 0xff, 4, 0]);
        variable::write(dir.path(), "Boot0000", &pxe).expect("written");
        assert_eq!(add_boot_entry(dir.path(), "pxe", &DRIVE, r"\x.efi").expect("added"), 1);
        assert_eq!(labels(dir.path()), [(0, "PXE".into()), (1, "pxe".into())]);
    }

    #[test]
    fn foreign_variables_are_left_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let efivars = dir.path();
        let foreign = ["Boot0000-11111111-2222-3333-4444-555555555555", "BootNext-x", "notes"];
        for name in foreign {
            std::fs::write(efivars.join(name), "1234").expect("written");
        }
        // A number whose entry is garbage is not reused.
        variable::write(efivars, "Boot0000", &[1, 2, 3]).expect("written");
        assert_eq!(add_boot_entry(efivars, "x", &DRIVE, r"\x.efi").expect("added"), 1);
        for name in foreign {
            assert_eq!(std::fs::read(efivars.join(name)).expect("there"), b"1234");
        }
    }

    #[test]
    fn a_machine_without_uefi_says_so() {
        let error = add_boot_entry(Path::new("/nonexistent"), "x", &DRIVE, r"\x.efi").expect_err("no UEFI");
        assert!(error.to_string().contains("UEFI"), "{error}");
    }
}
