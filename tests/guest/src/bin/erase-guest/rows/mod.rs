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

use crate::bench::Bench;

/// A row of this program.
pub(crate) type Named = guest::inside::Named<Bench>;

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
