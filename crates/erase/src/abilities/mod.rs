//! What a drive's firmware offers. Each bus has its part: what it can do, and
//! in which order that is tried.

mod ata;
mod nvme;
mod opal;
mod scsi;

use std::{fs::File, io, path::Path};

use sys::nvme::AdminError;

pub use disk::drive::nvme::{Format, Sanitizes};

pub use self::{
    ata::{AtaAbilities, Hidden, SecurityAbilities},
    nvme::{Namespaces, NvmeAbilities, in_turns},
    opal::OpalAbilities,
    scsi::ScsiAbilities,
};
use crate::{
    CommandError, Method, SelfErase,
    ata::Bridge,
    scsi::{Wire, is_no_answer},
};

/// What a drive can do by itself; nothing, for a virtual disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Abilities {
    /// Of an NVMe namespace and its controller.
    pub nvme: NvmeAbilities,
    /// Of an ATA drive, behind whatever hands ATA commands on.
    pub ata: AtaAbilities,
    /// Of a SCSI drive.
    pub scsi: ScsiAbilities,
    /// Of a drive that can be locked.
    pub opal: OpalAbilities,
}

/// Why it is not known what a drive can do.
#[derive(Debug, thiserror::Error)]
pub enum AbilitiesError {
    /// It cannot be opened.
    #[error("it cannot be opened; take the inventory again")]
    Open(#[source] io::Error),
    /// It is an NVMe drive, and does not answer as one.
    #[error("the NVMe controller does not say what it can do; power-cycle it")]
    Nvme(#[from] AdminError),
    /// It takes SCSI commands, and does not answer.
    #[error("the drive does not say what it can do; power-cycle it")]
    Command(#[from] CommandError),
    /// The kernel knows it as an Opal drive, and it does not answer as one.
    #[error("the drive does not say whether somebody owns it (Opal); power-cycle it")]
    Opal(#[source] io::Error),
}

impl Abilities {
    /// Ask the drive at `path`.
    ///
    /// # Errors
    /// What the kernel or the drive answered; its abilities are unknown then,
    /// which is not the same as none.
    pub fn read(path: &Path) -> Result<Self, AbilitiesError> {
        let nvme = NvmeAbilities::read(path)?;
        let mut node = File::open(path).map_err(AbilitiesError::Open)?;
        let bridge = Bridge::of(&node).unwrap_or(Bridge::Unknown(String::new()));
        let (ata, scsi) = of_scsi(&mut node, &bridge)?;
        let opal = OpalAbilities::read(&node).map_err(AbilitiesError::Opal)?;
        Ok(Self { nvme, ata, scsi, opal })
    }

    /// The drive's own erases, best first, and in `notes` why one that it has is not among them.
    pub(crate) fn erases(&self, notes: &mut Vec<String>) -> Vec<SelfErase> {
        let mut erases = self.nvme.erases(notes);
        erases.extend(self.ata.erases(notes));
        erases.extend(self.scsi.erases());
        // The order within a bus is its own; between them the level decides.
        model::order::sort_by_key(&mut erases, |erase| std::cmp::Reverse(Method::ByDrive(*erase).level().0));
        erases
    }
}

/// A disk whose driver takes no SCSI commands has no such abilities, and
/// neither has one whose adapter fails on them.
fn of_scsi(wire: &mut dyn Wire, bridge: &Bridge) -> Result<(AtaAbilities, ScsiAbilities), CommandError> {
    match AtaAbilities::read(wire, bridge) {
        Ok(ata) if ata != AtaAbilities::default() => Ok((ata, ScsiAbilities::default())),
        Err(error) if !is_no_answer(&error) => Err(error),
        Ok(_) | Err(_) => match ScsiAbilities::read(wire) {
            Err(error) if is_no_answer(&error) => Ok(<_>::default()),
            scsi => Ok((AtaAbilities::default(), scsi?)),
        },
    }
}
