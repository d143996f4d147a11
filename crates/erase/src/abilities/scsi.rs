//! What a SCSI drive offers, by its own list of commands.

use sys::sg::Transfer;

use crate::{
    CommandError, Sanitize, SelfErase,
    scsi::{ASK_TIMEOUT_MS, Outcome, Wire, run, service_action},
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
    /// One command with its service action.
    const ONE_ACTION: u8 = 0b010;
    const AS_STANDARD: u8 = 0b011;
    let mut data = [0; 64];
    let cdb = [0xa3, 0x0c, ONE_ACTION, 0x48, 0, service_action(how), 0, 0, 0, 64, 0, 0];
    let mut transfer = Transfer::In(&mut data);
    let outcome = run(wire, "REPORT SUPPORTED OPERATION CODES", &cdb, &mut transfer, ASK_TIMEOUT_MS)?;
    Ok(match outcome {
        Outcome::Good => data[1] & 0b111 == AS_STANDARD,
        Outcome::Sense(_) | Outcome::Status(_) => false,
    })
}
