//! What a machine tells of itself: recordings, SMBIOS tables, frames of switches.

use inventory::{Depth, Identifiers, Options, Root, lldp, record_archive, scan, smbios};
use model::inventory::{Inventory, Warning};

/// A whole machine as one listing: every leaf parser is behind it, from masks of
/// processors to answers of drives, of a BMC and of a TPM.
pub(crate) fn recording(data: &[u8]) -> String {
    let text = String::from_utf8_lossy(data);
    let root: Root = match text.parse() {
        Ok(root) => root,
        // Its words are the line.
        Err(_) => return "no listing".to_owned(),
    };
    let options = whole();
    let told = scan(&root, &options);
    assert!(told.warnings.len() <= inventory::limits::WARNINGS, "warnings are bounded");
    let written = serde_json::to_vec(&told).expect("every value has a JSON form");
    let again: Inventory = serde_json::from_slice(&written).expect("it was written by us");
    assert_eq!(again, told, "an inventory survives being sent");
    let _ = inventory::left_out(&root, &options, &told);
    // Reasons quote what was found; their first words are enough.
    let kind = |warning: &Warning| {
        warning.reason.split(|c: char| !c.is_alphabetic() && c != ' ').next().unwrap_or_default().to_owned()
    };
    let kinds = model::order::set(told.warnings.iter().map(kind));
    let counts = [told.disks.len(), told.nics.len(), told.pci.len(), told.usb.len()]
        .map(|count| count.checked_ilog2());
    format!("{counts:?} {} warnings {kinds:?}", told.warnings.len())
}

fn whole() -> Options {
    Options { depth: Depth::Whole, ..Options::default() }
}

/// The same machine recorded, with its identifiers and without, and read again.
pub(crate) fn recorded(data: &[u8]) -> String {
    let text = String::from_utf8_lossy(data);
    let Ok(root) = text.parse::<Root>() else { return "no listing".to_owned() };
    let outcome = |identifiers| match record_archive(&root, &whole(), identifiers) {
        Ok(archive) => replayed(&archive),
        Err(err) => err.to_string(),
    };
    format!("{} | {}", outcome(Identifiers::Replace), outcome(Identifiers::Keep))
}

fn replayed(archive: &[u8]) -> String {
    let tar = zstd::decode_all(archive).expect("packed by us");
    let root = Root::unpack(&mut tar.as_slice()).expect("packed by us");
    let told = scan(&root, &whole());
    format!("{:?} disks", told.disks.len().checked_ilog2())
}

/// The archive of a recording, decompressed.
pub(crate) fn archive(mut data: &[u8]) -> String {
    match Root::unpack(&mut data) {
        Ok(root) => {
            let _ = scan(&root, &Options::default());
            "a machine".to_owned()
        }
        // Names quote the archive's.
        Err(err) => {
            format!("{err:?}").split(|c: char| !c.is_alphanumeric()).take(3).collect::<Vec<_>>().join(" ")
        }
    }
}

/// An SMBIOS table, as of a firmware of today and of 2.0.
pub(crate) fn table(data: &[u8]) -> String {
    const OLD: &[u8] = b"_SM_\0\x1f\x02\0\0\0\0\0\0\0\0\0_DMI_";
    let _ = smbios::decode(data, OLD);
    let told = smbios::decode(data, b"");
    let memory = &told.memory;
    format!(
        "{} boards, {} modules, {} slots, {:?}",
        told.hardware.boards.len().min(3),
        memory.modules.len().min(8),
        told.hardware.slots.len().min(3),
        told.flaws
    )
}

/// A frame that a stranger sent.
pub(crate) fn frame(data: &[u8]) -> String {
    let Some(told) = lldp::parse(data) else { return "no frame of LLDP".to_owned() };
    let hex: usize = told.tlvs.iter().map(|tlv| tlv.value.len() / 2 + 2).sum();
    assert!(hex <= data.len(), "no more TLVs than bytes");
    let said = [
        told.chassis_id.is_some(),
        told.port_id.is_some(),
        told.system_name.is_some(),
        told.system_description.is_some(),
        !told.management_addresses.is_empty(),
    ];
    format!("{said:?} {:?}", told.flaw)
}
