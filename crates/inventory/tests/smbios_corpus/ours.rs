//! What we decoded, by `dmidecode`'s keys.

use inventory::smbios::Smbios;
use model::{
    Bytes,
    inventory::{Board, Chassis, MemoryModule, OnboardDevice, Slot, Socket},
};

pub(crate) type Fields = Vec<(&'static str, Option<String>)>;

/// Keys whose values are texts of the vendor; the others are numbers and names
/// of the standard.
pub(crate) const TEXTS: [&str; 17] = [
    "Asset Tag",
    "Bank Locator",
    "Designation",
    "Family",
    "Location In Chassis",
    "Locator",
    "Manufacturer",
    "Part Number",
    "Product Name",
    "Reference Designation",
    "Release Date",
    "SKU Number",
    "Serial Number",
    "Socket Designation",
    "UUID",
    "Vendor",
    "Version",
];

fn shown(number: Option<impl ToString>) -> Option<String> {
    number.map(|number| number.to_string())
}

fn bytes(bytes: Option<Bytes>) -> Option<String> {
    bytes.map(|bytes| bytes.0.to_string())
}

/// Everything of one type, in the order of the table.
pub(crate) fn of(smbios: &Smbios, kind: u8) -> Vec<Fields> {
    let hardware = &smbios.hardware;
    match kind {
        0 => smbios.firmware.iter().map(firmware).collect(),
        1 => smbios.system.iter().map(system).collect(),
        2 => hardware.boards.iter().map(board).collect(),
        3 => hardware.chassis.iter().map(chassis).collect(),
        4 => hardware.sockets.iter().map(socket).collect(),
        9 => hardware.slots.iter().map(slot).collect(),
        17 => smbios.memory.modules.iter().map(module).collect(),
        38 => {
            hardware.ipmi.iter().map(|interface| vec![("Interface Type", Some(interface.clone()))]).collect()
        }
        41 => hardware.onboard.iter().map(onboard).collect(),
        other => panic!("type {other} is not read"),
    }
}

fn firmware(ours: &model::inventory::Firmware) -> Fields {
    vec![
        ("Vendor", ours.vendor.clone()),
        ("Version", ours.version.clone()),
        ("Release Date", ours.build_date.clone()),
        ("BIOS Revision", ours.release.clone()),
        ("Firmware Revision", ours.controller_release.clone()),
        ("ROM Size", bytes(ours.rom_size)),
    ]
}

fn system(ours: &model::inventory::SystemVendor) -> Fields {
    vec![
        ("Manufacturer", ours.manufacturer.clone()),
        ("Product Name", ours.product_name.clone()),
        ("Version", ours.version.clone()),
        ("Serial Number", ours.serial_number.clone()),
        ("UUID", ours.uuid.clone()),
        ("Wake-up Type", ours.wake_up.clone()),
        ("SKU Number", ours.sku.clone()),
        ("Family", ours.family.clone()),
    ]
}

fn board(ours: &Board) -> Fields {
    vec![
        ("Manufacturer", ours.manufacturer.clone()),
        ("Product Name", ours.product_name.clone()),
        ("Version", ours.version.clone()),
        ("Serial Number", ours.serial_number.clone()),
        ("Asset Tag", ours.asset_tag.clone()),
        ("Location In Chassis", ours.location.clone()),
        ("Type", ours.kind.clone()),
    ]
}

fn chassis(ours: &Chassis) -> Fields {
    vec![
        ("Manufacturer", ours.manufacturer.clone()),
        ("Type", ours.kind.clone()),
        ("Version", ours.version.clone()),
        ("Serial Number", ours.serial_number.clone()),
        ("Asset Tag", ours.asset_tag.clone()),
        ("Height", shown(ours.height)),
        ("SKU Number", ours.sku.clone()),
    ]
}

fn socket(ours: &Socket) -> Fields {
    let enabled = match ours.enabled {
        _ if !ours.populated => None,
        Some(enabled) => Some(if enabled { "on" } else { "off" }.to_owned()),
        None => Some("unknown".to_owned()),
    };
    vec![
        ("Socket Designation", ours.designation.clone()),
        ("Status", enabled),
        ("Manufacturer", ours.manufacturer.clone()),
        ("Version", ours.version.clone()),
        ("Max Speed", shown(ours.maximum_speed)),
        ("Current Speed", shown(ours.current_speed)),
        ("Serial Number", ours.serial_number.clone()),
        ("Asset Tag", ours.asset_tag.clone()),
        ("Part Number", ours.part_number.clone()),
        ("Core Count", shown(ours.cores)),
        ("Core Enabled", shown(ours.enabled_cores)),
        ("Thread Count", shown(ours.threads)),
    ]
}

fn slot(ours: &Slot) -> Fields {
    let lanes = ours.lanes.map(|lanes| format!("x{lanes} ")).unwrap_or_default();
    vec![
        ("Designation", ours.designation.clone()),
        ("Type", ours.kind.as_ref().map(|kind| format!("{lanes}{kind}"))),
        ("Current Usage", ours.in_use.map(|used| if used { "In Use" } else { "Available" }.to_owned())),
        ("Bus Address", ours.pci_address.clone()),
    ]
}

fn module(ours: &MemoryModule) -> Fields {
    vec![
        ("Total Width", shown(ours.total_width)),
        ("Data Width", shown(ours.data_width)),
        ("Size", bytes(ours.size)),
        ("Form Factor", ours.form_factor.clone()),
        ("Locator", ours.locator.clone()),
        ("Bank Locator", ours.bank.clone()),
        ("Type", ours.kind.clone()),
        ("Speed", shown(ours.speed)),
        ("Manufacturer", ours.manufacturer.clone()),
        ("Serial Number", ours.serial_number.clone()),
        ("Asset Tag", ours.asset_tag.clone()),
        ("Part Number", ours.part_number.clone()),
        ("Rank", shown(ours.ranks)),
        ("Configured Memory Speed", shown(ours.configured_speed)),
        ("Configured Clock Speed", shown(ours.configured_speed)),
        ("Memory Technology", ours.technology.clone()),
        ("Non-Volatile Size", bytes(ours.persistent)),
    ]
}

fn onboard(ours: &OnboardDevice) -> Fields {
    vec![
        ("Reference Designation", ours.designation.clone()),
        ("Type", ours.kind.clone()),
        ("Status", Some(if ours.enabled { "Enabled" } else { "Disabled" }.to_owned())),
        ("Type Instance", shown(ours.instance)),
        ("Bus Address", ours.pci_address.clone()),
    ]
}
