//! What becomes of each file in a recording that is given away.
//!
//! A file whose identifiers are known by name or by form is walked through. An answer
//! of the kernel, a variable of the firmware or a file of bytes that no rule knows is
//! left out: a recording may be poorer than the machine, never more telling.

use std::path::Path;

use super::{
    Identifiers, frames,
    identifier::{Identifier, Swap},
    walks::{self, Walk},
};
use crate::{machine, platform, smbios};

/// What becomes of a file.
pub(super) enum Rule {
    /// Its identifiers are replaced where this finds them, and then everywhere.
    Walk(Walk),
    /// It is not recorded; only that it is there.
    LeaveOut,
}

const KEEP: Rule = Rule::Walk(walks::telling);

/// Files that hold one identifier and nothing else.
const WHOLE: [&str; 35] = [
    "backing_file",
    "board_asset_tag",
    "board_serial",
    "chassis_asset_tag",
    "chassis_serial",
    "cid",
    "eui",
    "fabric_name",
    "hostid",
    "hostnqn",
    "initiatorname",
    "nguid",
    "node_guid",
    "node_name",
    "perm_hwaddr",
    "permanent_mac",
    "persistent_address",
    "phys_port_id",
    "phys_switch_id",
    "port_guid",
    "port_name",
    "product_serial",
    "product_uuid",
    "sas_address",
    "serial",
    "serial-number",
    "serial_number",
    "serialnumber",
    "subsysnqn",
    "sys_image_guid",
    "targetname",
    "unique_id",
    "uuid",
    "wwid",
    "wwn",
];

/// The rule for the file at `path` with this content.
pub(super) fn of(path: &Path, content: &[u8]) -> Rule {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let folder = path.parent().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
    let grand = path.components().rev().nth(2).and_then(|part| part.as_os_str().to_str()).unwrap_or_default();
    match name {
        _ if path == Path::new(smbios::TABLE) => Rule::Walk(board),
        _ if path == Path::new(machine::COMMAND_LINE) => Rule::Walk(command_line),
        "cpuinfo" => Rule::Walk(walks::processors),
        "hostname" => Rule::Walk(host),
        "uevent" => Rule::Walk(walks::event),
        "vpd_pg80" => Rule::Walk(walks::serial_page),
        "vpd_pg83" => Rule::Walk(walks::designation_page),
        "vpd_pg89" => Rule::Walk(walks::ata_page),
        "smbios_entry_point" => Rule::Walk(nothing),
        "address" if grand == "net" => Rule::Walk(walks::whole),
        "id" if folder == "nfit" => Rule::Walk(walks::whole),
        _ if path.starts_with("kernel") => answer(path, name),
        _ if folder == "efivars" => variable(name),
        _ if WHOLE.contains(&name) => Rule::Walk(walks::whole),
        _ if std::str::from_utf8(content).is_err() => Rule::LeaveOut,
        _ => KEEP,
    }
}

/// An answer of the kernel or of a device.
fn answer(path: &Path, name: &str) -> Rule {
    let kind = path.components().nth(1).and_then(|part| part.as_os_str().to_str()).unwrap_or_default();
    let begins = |marks: &[&str]| marks.iter().any(|mark| name.starts_with(mark));
    match (kind, name) {
        ("architecture", _) => KEEP,
        ("signatures", _) => Rule::Walk(nothing), // names of what was found, not what stands there
        ("net", "addresses" | "permanent_mac") => Rule::Walk(walks::whole),
        ("net", "vlan" | "driver" | "link") => Rule::Walk(nothing),
        ("net", "lldp") => Rule::Walk(frames::lldp),
        ("block", "identify_controller") => Rule::Walk(walks::nvme_controller),
        ("block", "identify" | "identify_device") => Rule::Walk(walks::ata_identify),
        ("block", "opal" | "health_log") => Rule::Walk(nothing),
        ("block", _) if begins(&["smart_", "sanitize_", "log_", "statistics", "vpd_pgb"]) => {
            Rule::Walk(nothing)
        }
        ("ipmi", "mac") => Rule::Walk(walks::ipmi_mac),
        ("ipmi", "ip" | "gateway") => Rule::Walk(walks::ipmi_ipv4),
        ("ipmi", "netmask" | "device" | "info" | "watchdog" | "ip_source" | "vlan") => Rule::Walk(nothing),
        ("ipmi", "ipv6_enables" | "ipv6_status") => Rule::Walk(nothing),
        ("ipmi", _) if begins(&["ipv6_static", "ipv6_dynamic"]) => Rule::Walk(walks::ipmi_ipv6),
        ("tpm", "properties") => Rule::Walk(nothing),
        ("tpm", _) if path.parent().is_some_and(|folder| folder.ends_with("endorsement")) => {
            Rule::Walk(walks::whole)
        }
        _ => Rule::LeaveOut,
    }
}

/// A variable of UEFI.
fn variable(name: &str) -> Rule {
    let plain = ["BootCurrent-", "BootNext-", "BootOrder-", "SecureBoot-", "SetupMode-"];
    if plain.iter().any(|plain| name.starts_with(plain)) {
        Rule::Walk(nothing)
    } else if name
        .strip_prefix("Boot")
        .is_some_and(|rest| rest.starts_with(|digit: char| digit.is_ascii_hexdigit()))
    {
        Rule::Walk(walks::boot_entry)
    } else {
        Rule::LeaveOut
    }
}

/// Numbers and flags.
fn nothing(_: &mut Vec<u8>, _: Swap<'_>) {}

/// What a recorded machine is called.
const HOSTNAME: &str = "recorded-machine";
/// What machines are called that nobody named.
const NAMELESS: [&str; 2] = ["(none)", "localhost"];

fn host(content: &mut Vec<u8>, swap: Swap<'_>) {
    let name = String::from_utf8_lossy(content).trim().to_owned();
    if !name.is_empty() && !NAMELESS.contains(&name.as_str()) {
        swap(Identifier::Text(name)); // it may stand elsewhere too
        *content = HOSTNAME.into();
    }
}

fn board(table: &mut Vec<u8>, swap: Swap<'_>) {
    // Lengths stay, and the UUID comes as 32 digits.
    *table = smbios::recorded_part(table, |text| walks::whole_text(text, &mut *swap));
}

fn command_line(content: &mut Vec<u8>, swap: Swap<'_>) {
    let told = platform::recorded_command_line(content, Identifiers::Replace);
    let text = String::from_utf8_lossy(&told);
    let word = |word: &str| match word.split_once('=') {
        Some(("BOOTIF", mac)) => format!("BOOTIF={}", walks::whole_text(mac, &mut *swap)),
        Some(_) | None => word.to_owned(),
    };
    let words: Vec<String> = text.split_whitespace().map(word).collect();
    *content = words.join(" ").into_bytes();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_no_rule_knows_is_left_out() {
        const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
        let left_out = |path: &str, content: &[u8]| matches!(of(Path::new(path), content), Rule::LeaveOut);
        assert!(left_out("sys/devices/pci0000:00/a_page_of_bytes", b"S\xff\xfe"));
        assert!(left_out("kernel/block/sda/an_answer_of_tomorrow", b"text"));
        assert!(left_out(&format!("sys/firmware/efi/efivars/PlatformKey-{GLOBAL}"), b"text"));
        assert!(!left_out("sys/devices/pci0000:00/a_text", b"text"));
    }
}
