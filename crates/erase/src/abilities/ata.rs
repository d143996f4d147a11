//! What an ATA drive offers, from its IDENTIFY data.

use crate::{
    CommandError, Sanitize, SecurityErase, SelfErase,
    ata::{Bridge, Capacity, Identify, made_with},
    scsi::Wire,
};

/// What an ATA drive can do by itself; nothing, for another disk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AtaAbilities {
    /// The ways of SANITIZE DEVICE that it has, best first.
    pub sanitize: Vec<Sanitize>,
    /// SECURITY ERASE UNIT, where the drive has the feature set.
    pub security: Option<SecurityAbilities>,
    /// Sectors that it has and does not show.
    pub hidden: Option<Hidden>,
}

/// The security feature set as it is now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SecurityAbilities {
    /// The enhanced erase is there too.
    pub enhanced: bool,
    /// Frozen until the next power cycle.
    pub frozen: bool,
    /// Too many wrong passwords until the next power cycle.
    pub expired: bool,
    /// Why such a long command may not be sent to this drive.
    pub bridge: Option<String>,
}

/// Sectors behind a host protected area, an accessible maximum address, or an overlay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hidden {
    /// Sectors that the drive shows.
    pub shown: u64,
    /// Sectors that it can show; those are erased.
    pub native: u64,
    /// Sectors that it was made with, if an overlay tells of more; those stay hidden.
    pub made_with: Option<u64>,
}

impl AtaAbilities {
    /// Ask the drive behind `bridge`. A disk that is not ATA has none.
    pub(crate) fn read(wire: &mut dyn Wire, bridge: &Bridge) -> Result<Self, CommandError> {
        let Some(identify) = crate::ata::identify(wire)? else { return Ok(Self::default()) };
        let security = identify.security().map(|security| SecurityAbilities {
            enhanced: security.enhanced,
            frozen: security.frozen,
            expired: security.expired,
            bridge: bridge.objection(),
        });
        let hidden = hidden(wire, &identify)?;
        Ok(Self { sanitize: identify.sanitize(), security, hidden })
    }

    /// Its ways to erase itself, best first, and in `notes` why one that it has is not among them.
    pub(crate) fn erases(&self, notes: &mut Vec<String>) -> Vec<SelfErase> {
        let mut erases: Vec<_> = self.sanitize.iter().copied().map(SelfErase::AtaSanitize).collect();
        let Some(security) = &self.security else { return erases };
        if security.frozen {
            notes.push(
                "ATA security is frozen; power-cycle the drive to have it erased by SECURITY ERASE UNIT"
                    .to_owned(),
            );
        } else if security.expired {
            notes.push(
                "ATA security takes no password after too many wrong ones; power-cycle the drive".to_owned(),
            );
        } else if let Some(bridge) = &security.bridge {
            notes.push(format!("ATA SECURITY ERASE UNIT is not sent: {bridge}"));
        } else {
            let enhanced = security.enhanced.then_some(SecurityErase::Enhanced);
            erases.extend(enhanced.into_iter().chain([SecurityErase::Normal]).map(SelfErase::AtaSecurity));
        }
        erases
    }
}

/// A drive that does not answer these questions is taken at its word.
fn hidden(wire: &mut dyn Wire, identify: &Identify) -> Result<Option<Hidden>, CommandError> {
    let shown = identify.sectors();
    let native = match Capacity::read(wire, identify) {
        Ok(capacity) => capacity.map_or(shown, |capacity| capacity.native),
        Err(CommandError::Unsupported { .. } | CommandError::Refused { .. }) => shown,
        Err(error) => return Err(error),
    };
    let made_with = made_with(wire, identify).filter(|made_with| *made_with > native);
    Ok((native > shown || made_with.is_some()).then_some(Hidden { shown, native, made_with }))
}
