//! How the machine booted, and how it would: UEFI's variables, specification
//! 2.10 section 3.3, as efivarfs shows them.

use efi::LoadOption;
use model::inventory::{Boot, BootEntry, BootMode};

use crate::{Depth, Options, limits, machine, reader::Reader};

const VARIABLES: &str = "sys/firmware/efi/efivars";
/// The vendor of the variables that the specification itself defines.
const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
/// Bytes of a variable's attributes, which efivarfs puts first.
const ATTRIBUTES: usize = 4;
/// `LOAD_OPTION_ACTIVE`.
const ACTIVE: u32 = 1;

pub(crate) fn read(reader: &Reader<'_>, options: &Options) -> Boot {
    let boot = Boot {
        mode: machine::boot_mode(reader),
        interface: options.boot_interface.clone().or_else(|| machine::boot_interface(reader)),
        ..Boot::default()
    };
    // Each variable is a call into the firmware, which stops all processors for milliseconds.
    match (boot.mode, options.depth) {
        (BootMode::Uefi, Depth::Whole) => with_variables(reader, boot),
        (BootMode::Uefi, Depth::Quick) | (BootMode::Bios, _) => boot,
    }
}

fn with_variables(reader: &Reader<'_>, boot: Boot) -> Boot {
    let order = numbers(&variable(reader, "BootOrder").unwrap_or_default());
    let first = |name: &str| numbers(&variable(reader, name).unwrap_or_default()).first().copied();
    let (current, next) = (first("BootCurrent"), first("BootNext"));
    let boot = Boot {
        secure_boot: switch(reader, "SecureBoot"),
        setup_mode: switch(reader, "SetupMode"),
        entries: entries(reader, &order, [current, next]),
        current,
        next,
        firmware_bits: reader.number("sys/firmware/efi/fw_platform_size"),
        ..boot
    };
    if boot.secure_boot.is_none() && boot.current.is_none() && order.is_empty() {
        reader.warn(VARIABLES, "has no boot variables; is efivarfs mounted?");
    }
    boot
}

/// The entries of the menu in its order, then those of `others` that are not in it.
fn entries(reader: &Reader<'_>, order: &[u16], others: [Option<u16>; 2]) -> Vec<BootEntry> {
    let mut wanted: Vec<(u16, Option<u32>)> = Vec::new();
    let in_order = order.iter().zip(0..).map(|(number, place)| (*number, Some(place)));
    for (number, place) in in_order.chain(others.into_iter().flatten().map(|number| (number, None))) {
        // A hostile order may name one entry thousands of times.
        if wanted.len() < limits::BOOT_ENTRIES && wanted.iter().all(|(known, _)| *known != number) {
            wanted.push((number, place));
        }
    }
    wanted.into_iter().filter_map(|(number, place)| entry(reader, number, place)).collect()
}

/// Entry `number`; an order may name entries that are gone.
fn entry(reader: &Reader<'_>, number: u16, order: Option<u32>) -> Option<BootEntry> {
    let name = format!("Boot{number:04X}");
    let Ok(option) = LoadOption::decode(&variable(reader, &name)?) else {
        reader.warn(path(&name), "is no load option");
        return None;
    };
    Some(BootEntry {
        number,
        label: option.label.replace(char::is_control, "?"),
        active: option.attributes & ACTIVE != 0,
        order,
        path: Some(option.device_path()).filter(|path| !path.is_empty()),
    })
}

/// A variable of one byte, 0 or 1.
fn switch(reader: &Reader<'_>, name: &str) -> Option<bool> {
    match variable(reader, name)?.as_slice() {
        [0] => Some(false),
        [1] => Some(true),
        _ => {
            reader.warn(path(name), "is neither 0 nor 1");
            None
        }
    }
}

fn numbers(value: &[u8]) -> Vec<u16> {
    value.as_chunks::<2>().0.iter().map(|number| u16::from_le_bytes(*number)).collect()
}

/// A variable's value. Empty ones were listed by somebody and not read.
fn variable(reader: &Reader<'_>, name: &str) -> Option<Vec<u8>> {
    let path = path(name);
    let mut content = reader.bytes(path.as_ref(), limits::FILE_BYTES)?;
    if content.len() <= ATTRIBUTES {
        if !content.is_empty() {
            reader.warn(path, "is shorter than a variable");
        }
        return None;
    }
    Some(content.split_off(ATTRIBUTES))
}

fn path(name: &str) -> String {
    format!("{VARIABLES}/{name}-{GLOBAL}")
}
