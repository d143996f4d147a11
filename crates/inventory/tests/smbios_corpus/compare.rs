//! Ours against `dmidecode`'s, field by field.

use std::collections::BTreeMap;

use inventory::smbios::Smbios;

use crate::{
    dmidecode::{Block, number},
    ours::{self, TEXTS},
};

/// Types that `dmidecode` prints and we read.
pub(crate) const KINDS: [u8; 9] = [0, 1, 2, 3, 4, 9, 17, 38, 41];

/// What a vendor left there without meaning anything: read by eye, once, for every
/// text of the corpus.
const SAYS_NOTHING: &str = include_str!("says_nothing.txt");

/// Fields that agreed, and texts that we took for nothing.
#[derive(Debug, Default)]
pub(crate) struct Agreement {
    pub(crate) fields: usize,
    pub(crate) nothing: BTreeMap<String, usize>,
    pub(crate) differing: Vec<String>,
}

impl Agreement {
    pub(crate) fn add(&mut self, machine: &str, kinds: &[u8], blocks: &[Block], smbios: &Smbios) {
        for &kind in kinds {
            let theirs = theirs(blocks, kind);
            let ours = ours::of(smbios, kind);
            if theirs.len() != ours.len() {
                self.differing.push(format!(
                    "{machine}: {} of type {kind}, want {}",
                    ours.len(),
                    theirs.len()
                ));
            }
            for (theirs, ours) in theirs.iter().zip(&ours) {
                self.add_structure(machine, theirs, ours);
            }
        }
    }

    fn add_structure(&mut self, machine: &str, theirs: &Block, ours: &ours::Fields) {
        for (key, ours) in ours {
            let Some(value) = theirs.value(key) else { continue };
            self.fields += 1;
            let meant = meant(theirs.kind, key, value);
            if meant != *ours
                && !(ours.is_none() && meant.as_deref().is_some_and(|meant| self.is_nothing(key, meant)))
            {
                let place = format!("{machine}, type {}, {:#06x}, {key}", theirs.kind, theirs.handle);
                self.differing.push(format!("{place}: {ours:?}, want {meant:?}"));
            }
        }
    }

    fn is_nothing(&mut self, key: &str, text: &str) -> bool {
        let known = TEXTS.contains(&key) && SAYS_NOTHING.lines().any(|line| line == text);
        if known {
            *self.nothing.entry(text.to_owned()).or_default() += 1;
        }
        known
    }
}

/// The blocks of one type, of which we have a counterpart.
fn theirs(blocks: &[Block], kind: u8) -> Vec<Block> {
    let is = |block: &Block, key: &str, value: &str| block.value(key) == Some(value);
    let mut found: Vec<Block> = blocks.iter().filter(|block| block.kind == kind).cloned().collect();
    match kind {
        0 | 1 => found.truncate(1),
        2 => found.sort_by_key(|block| !is(block, "Type", "Motherboard")),
        4 => found.retain(|block| is(block, "Type", "Central Processor")),
        17 => found.retain(|block| !is(block, "Size", "No Module Installed") && !is_elsewhere(block, blocks)),
        38 => found.retain(|block| block.value("Interface Type").is_some_and(|kind| kind != "Unknown")),
        _ => {}
    }
    found
}

/// Whether a memory device is in an array that is not the machine's memory. VMware
/// names one that is not there.
pub(crate) fn is_elsewhere(device: &Block, blocks: &[Block]) -> bool {
    let of = |array: &Block| {
        array.kind == 16 && device.value("Array Handle") == Some(&format!("0x{:04X}", array.handle))
    };
    blocks.iter().any(|block| of(block) && block.value("Use") != Some("System Memory"))
}

/// A value as we tell it.
fn meant(kind: u8, key: &str, value: &str) -> Option<String> {
    let value = value.trim();
    let said = match value {
        "" | "Not Specified" | "<BAD INDEX>" | "<OUT OF SPEC>" | "Not Settable" | "Not Present" => None,
        value => Some(value.to_owned()),
    };
    if key == "UUID" {
        return said.map(|uuid| uuid.to_ascii_lowercase());
    }
    if TEXTS.contains(&key) {
        return said;
    }
    match (kind, key, said?.as_str()) {
        (9, "Current Usage", usage @ ("In Use" | "Available")) => Some(usage.to_owned()),
        (9, "Current Usage", _)
        | (_, _, "Unknown" | "Other" | "None" | "Unspecified" | "No Module Installed") => None,
        (_, "Bus Address", "0000:00:00.0" | "00ff:ff:1f.7") => None,
        (4, "Status", status) => meant_status(status),
        (9, "Type", slot) => meant_slot(slot),
        (38, "Interface Type", interface) => interface.split(' ').next().map(str::to_owned),
        (41, "Type Instance", "0") => None,
        (
            _,
            "BIOS Revision" | "Firmware Revision" | "Bus Address" | "Status" | "Type" | "Wake-up Type"
            | "Form Factor" | "Memory Technology",
            name,
        ) => Some(name.to_owned()),
        (_, _, counted) => Some(number(counted).unwrap_or_else(|| counted.to_owned())),
    }
}

fn meant_status(status: &str) -> Option<String> {
    Some(match status.strip_prefix("Populated, ")? {
        "Enabled" | "Idle" => "on".to_owned(),
        "Disabled By User" | "Disabled By BIOS" => "off".to_owned(),
        _ => "unknown".to_owned(),
    })
}

/// Widths in bits are left out.
fn meant_slot(slot: &str) -> Option<String> {
    let without = slot.split_once("-bit ").map_or(slot, |(_, kind)| kind);
    let kind =
        without.split_once(' ').filter(|(lanes, _)| lanes.starts_with('x')).map_or(without, |(_, kind)| kind);
    (!matches!(kind, "Other" | "Unknown" | "<OUT OF SPEC>")).then(|| without.to_owned())
}
