//! What a SCSI drive offers, by its own list of commands.

use disk::drive::scsi::{ANSWER, ask_for, has};
use sys::sg::Transfer;

use crate::{
    CommandError, Sanitize, SelfErase,
    scsi::{ASK_TIMEOUT_MS, Outcome, Wire, run},
};

/// What a SCSI drive can do by itself; nothing, for another disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScsiAbilities {
    /// The ways of SANITIZE that it lists, best first.
    pub sanitize: Vec<Sanitize>,
}

impl ScsiAbilities {
    /// Ask it with REPORT SUPPORTED OPERATION CODES. A drive without that
    /// command is older than SANITIZE.
    pub(crate) fn read(wire: &mut dyn Wire) -> Result<Self, CommandError> {
        let mut sanitize = Vec::new();
        for how in [Sanitize::Crypto, Sanitize::Block, Sanitize::Overwrite] {
            if supports(wire, how)? {
                sanitize.push(how);
            }
        }
        Ok(Self { sanitize })
    }

    /// Its ways to erase itself, best first.
    pub(crate) fn erases(&self) -> impl Iterator<Item = SelfErase> {
        self.sanitize.iter().copied().map(SelfErase::ScsiSanitize)
    }
}

/// Whether the drive has SANITIZE with this service action, as the standard defines it.
fn supports(wire: &mut dyn Wire, how: Sanitize) -> Result<bool, CommandError> {
    let mut data = [0; ANSWER];
    let cdb = ask_for(how);
    let mut transfer = Transfer::In(&mut data);
    let outcome = run(wire, "REPORT SUPPORTED OPERATION CODES", &cdb, &mut transfer, ASK_TIMEOUT_MS)?;
    Ok(match outcome {
        Outcome::Good => has(&data),
        Outcome::Sense(_) | Outcome::Status(_) => false,
    })
}
