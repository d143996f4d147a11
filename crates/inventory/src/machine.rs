//! Maker, firmware, boot mode and name.

use model::inventory::{BootMode, Firmware, SystemVendor};

use crate::reader::Reader;

/// What vendors leave in SMBIOS when they fill in nothing.
const PLACEHOLDERS: [&str; 14] = [
    "default string",
    "empty",
    "n/a",
    "na",
    "none",
    "not applicable",
    "not available",
    "not specified",
    "oem",
    "system manufacturer",
    "system product name",
    "system serial number",
    "to be filled by o.e.m.",
    "unknown",
];

/// What the kernel calls a machine that nobody named.
const NAMELESS: &str = "(none)";

pub(crate) fn hostname(reader: &Reader<'_>) -> String {
    reader.text("proc/sys/kernel/hostname").unwrap_or_else(|| NAMELESS.to_owned())
}

pub(crate) fn system_vendor(reader: &Reader<'_>) -> SystemVendor {
    let dmi =
        |name: &str| reader.text(format!("sys/class/dmi/id/{name}")).filter(|text| !is_placeholder(text));
    SystemVendor {
        manufacturer: dmi("sys_vendor"),
        product_name: dmi("product_name"),
        serial_number: dmi("product_serial"),
        firmware: Firmware {
            vendor: dmi("bios_vendor"),
            version: dmi("bios_version"),
            build_date: dmi("bios_date"),
            ..Firmware::default()
        },
        ..SystemVendor::default()
    }
}

/// True for a text that says nothing.
pub(crate) fn is_placeholder(text: &str) -> bool {
    let text = text.trim().to_ascii_lowercase();
    text.chars().all(|c| matches!(c, '0' | '.' | '-' | 'x' | ' ')) || PLACEHOLDERS.contains(&text.as_str())
}

pub(crate) fn boot_mode(reader: &Reader<'_>) -> BootMode {
    if reader.exists("sys/firmware/efi") { BootMode::Uefi } else { BootMode::Bios }
}

pub(crate) const COMMAND_LINE: &str = "proc/cmdline";

/// `BOOTIF=` of the kernel command line, as given.
pub(crate) fn boot_interface(reader: &Reader<'_>) -> Option<String> {
    let command_line = reader.text(COMMAND_LINE)?;
    let value = boot_interface_word(&command_line)?.strip_prefix(BOOT_INTERFACE)?;
    Some(value.to_owned()).filter(|value| !value.is_empty())
}

const BOOT_INTERFACE: &str = "BOOTIF=";

fn boot_interface_word(command_line: &str) -> Option<&str> {
    command_line.split_whitespace().find(|word| word.starts_with(BOOT_INTERFACE))
}

/// The part of a command line that [`boot_interface`] reads.
pub(crate) fn recorded_part(command_line: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(command_line).unwrap_or_default();
    boot_interface_word(text).unwrap_or_default().into()
}

#[cfg(test)]
mod tests {
    use super::is_placeholder;

    #[test]
    fn a_vendor_who_filled_in_nothing_said_nothing() {
        for text in ["To be filled by O.E.M.", "Default string", "00000000", "Not Specified", " ", "0123-x"] {
            assert_eq!(is_placeholder(text), text != "0123-x", "{text:?}");
        }
        assert!(!is_placeholder("7XK2P3Z"));
    }
}
