//! Maker, firmware, boot mode and name.

use std::path::Path;

use model::inventory::{BootMode, Firmware, SystemVendor};

use crate::{
    limits,
    placeholder::is_placeholder,
    reader::Reader,
    smbios::{self, Smbios},
};

/// What the kernel calls a machine that nobody named.
const NAMELESS: &str = "(none)";

pub(crate) fn hostname(reader: &Reader<'_>) -> String {
    reader.text("proc/sys/kernel/hostname").unwrap_or_else(|| NAMELESS.to_owned())
}

/// What SMBIOS tells; where there is no table, what the kernel kept of one; and
/// where there never was one, the device tree.
pub(crate) fn system_vendor(reader: &Reader<'_>, smbios: &mut Smbios) -> SystemVendor {
    let kept = |name: &str| {
        let text = reader.text(format!("sys/class/dmi/id/{name}"))?;
        Some(smbios::readable(text.as_bytes())).filter(|text| !is_placeholder(text))
    };
    let system = smbios.system.take().unwrap_or_else(|| SystemVendor {
        manufacturer: kept("sys_vendor"),
        product_name: kept("product_name"),
        serial_number: kept("product_serial"),
        version: kept("product_version"),
        sku: kept("product_sku"),
        family: kept("product_family"),
        uuid: kept("product_uuid").filter(|uuid| !smbios::is_nobodys_uuid(uuid)),
        ..SystemVendor::default()
    });
    let firmware = smbios.firmware.take().unwrap_or_else(|| Firmware {
        vendor: kept("bios_vendor"),
        version: kept("bios_version"),
        build_date: kept("bios_date"),
        release: kept("bios_release"),
        controller_release: kept("ec_firmware_release"),
        rom_size: None,
    });
    let vendor = SystemVendor { firmware, ..system };
    if vendor == SystemVendor::default() { device_tree(reader) } else { vendor }
}

/// Where the kernel shows the device tree: ARM, POWER, RISC-V.
const DEVICE_TREE: &str = "sys/firmware/devicetree/base";

/// The maker is the part before the comma of the first `compatible`.
fn device_tree(reader: &Reader<'_>) -> SystemVendor {
    let told = |name: &str| {
        let bytes = reader.bytes(Path::new(&format!("{DEVICE_TREE}/{name}")), limits::FILE_BYTES)?;
        let first = bytes.split(|byte| *byte == 0).next()?;
        Some(smbios::readable(first)).filter(|text| !is_placeholder(text))
    };
    SystemVendor {
        manufacturer: told("compatible").and_then(|name| Some(name.split_once(',')?.0.to_owned())),
        product_name: told("model"),
        serial_number: told("serial-number").or_else(|| told("system-id")),
        ..SystemVendor::default()
    }
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
