//! The sectors that a drive hides: a host protected area (ACS-2, clause 4.11),
//! an accessible maximum address (ACS-4, clause 4.5), an overlay (ACS-2, clause 4.8).

use super::{
    command::{Registers, SECTOR, Task},
    identify::{self, Identify},
};
use crate::{Answer, CommandError, scsi::Wire};

const READ_NATIVE_MAX: (&str, u8) = ("READ NATIVE MAX ADDRESS EXT", 0x27);
const SET_MAX: (&str, u8) = ("SET MAX ADDRESS EXT", 0x37);
const ACCESSIBLE_MAX: (&str, u8) = ("ACCESSIBLE MAX ADDRESS CONFIGURATION", 0x78);
/// The feature of [`ACCESSIBLE_MAX`] that sets; 0 asks.
const SET_ACCESSIBLE_MAX: u16 = 1;

/// Sectors, as the drive counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Capacity {
    pub(crate) shown: u64,
    pub(crate) native: u64,
}

/// The command that asks for the true end, if the drive has one.
fn question(identify: &Identify) -> Option<(&'static str, u8)> {
    if identify.has_accessible_max() {
        Some(ACCESSIBLE_MAX)
    } else {
        identify.has_protected_area().then_some(READ_NATIVE_MAX)
    }
}

impl Capacity {
    /// Ask the drive. `None` when it has no way of hiding sectors.
    pub(crate) fn read(wire: &mut dyn Wire, identify: &Identify) -> Result<Option<Self>, CommandError> {
        let Some((name, code)) = question(identify) else { return Ok(None) };
        match Task::extended(name, code).run(wire)? {
            (Some(Registers { lba, .. }), _) => {
                Ok(Some(Self { shown: identify.sectors(), native: lba.saturating_add(1) }))
            }
            (None, _) => Err(CommandError::Unsupported { command: "the registers after READ NATIVE MAX" }),
        }
    }

    /// Sectors that are there and not shown.
    pub(crate) fn hidden(self) -> u64 {
        self.native.saturating_sub(self.shown)
    }
}

/// Show every sector; a host protected area is back after the next power cycle.
/// Does nothing for a drive that hides none.
pub(crate) fn show_all(wire: &mut dyn Wire) -> Result<Option<Answer>, CommandError> {
    let identify = identify::read(wire)?;
    let Some((_, code)) = question(&identify) else { return Ok(None) };
    // The question has to come right before the change.
    let Some(capacity) = Capacity::read(wire, &identify)?.filter(|capacity| capacity.hidden() > 0) else {
        return Ok(None);
    };
    let lba = capacity.native - 1;
    let task = if code == ACCESSIBLE_MAX.1 {
        Task { feature: SET_ACCESSIBLE_MAX, lba, ..Task::extended(ACCESSIBLE_MAX.0, ACCESSIBLE_MAX.1) }
    } else {
        Task { lba, ..Task::extended(SET_MAX.0, SET_MAX.1) }
    };
    let (_, answer) = task.run(wire)?;
    Ok(Some(answer.with("sectors_shown", capacity.shown).with("sectors_native", capacity.native)))
}

/// How many sectors the drive was made with, by its DEVICE CONFIGURATION
/// OVERLAY; `None` where it has none or does not tell.
pub(crate) fn made_with(wire: &mut dyn Wire, identify: &Identify) -> Option<u64> {
    const IDENTIFY_OVERLAY: u16 = 0xc2;
    if !identify.has_overlay() {
        return None;
    }
    let task = Task { feature: IDENTIFY_OVERLAY, ..Task::new("DEVICE CONFIGURATION IDENTIFY", 0xb1) };
    sectors_of_overlay(&task.read(wire).ok()?)
}

/// Words 3 to 6, in data with a right checksum: a drive that aborts may leave anything.
fn sectors_of_overlay(data: &[u8]) -> Option<u64> {
    let sum = data.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    if data.len() != SECTOR || data[510] != 0xa5 || sum != 0 {
        return None;
    }
    let last = u64::from_le_bytes(data[6..14].try_into().ok()?);
    (last > 0 && last < 1 << 48).then(|| last + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_overlay_counts_only_with_its_checksum() {
        let mut data = [0; SECTOR];
        data[6..14].copy_from_slice(&0x1234_5678_u64.to_le_bytes());
        assert_eq!(sectors_of_overlay(&data), None);
        data[510] = 0xa5;
        data[511] = data.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte)).wrapping_neg();
        assert_eq!(sectors_of_overlay(&data), Some(0x1234_5679));
        // What hdparm prints as "DCO Checksum verified" after an aborted command.
        assert_eq!(sectors_of_overlay(&[0; SECTOR]), None);
        assert_eq!(sectors_of_overlay(&[]), None);
    }
}
