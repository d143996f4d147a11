//! IDENTIFY DEVICE: what an ATA drive says of itself.

pub(crate) use disk::drive::ata::{Identify, Security};

use super::command::Task;
use crate::{CommandError, scsi::Wire};

/// Ask the drive.
pub(crate) fn read(wire: &mut dyn Wire) -> Result<Identify, CommandError> {
    let data = Task::new("IDENTIFY DEVICE", 0xec).read(wire)?;
    Identify::parse(&data).ok_or(CommandError::Unsupported { command: "IDENTIFY DEVICE" })
}
