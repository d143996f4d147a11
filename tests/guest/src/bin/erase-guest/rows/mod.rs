//! The rows, one module for each kind of drive.

mod broken;
mod cut;
mod held;
mod mapped;
mod nvme;
mod pulled;
mod qemu;
mod refused;
mod sas;
mod scsi_debug;

use serde_json::Value;

use crate::bench::Bench;

/// A row: its name, and what it does. It returns what is worth telling, and
/// panics when something is not as it should be.
pub(crate) type Named = (&'static str, fn(&Bench) -> Value);

/// All of them.
pub(crate) const ROWS: &[&[Named]] = &[
    qemu::ROWS,
    sas::ROWS,
    scsi_debug::ROWS,
    broken::ROWS,
    refused::ROWS,
    cut::ROWS,
    held::ROWS,
    pulled::ROWS,
    nvme::ROWS,
];
