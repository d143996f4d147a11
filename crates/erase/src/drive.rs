//! The port to a disk that can erase itself.

use std::{collections::BTreeMap, io, time::Duration};

use disk::{Device, FakeDisk, Target};
use model::Bytes;
use serde::Serialize;

use crate::{OpalKeys, SelfErase, ata, nvme, opal, scsi};

/// What a drive answered, for the record: the command's dwords, status, sense,
/// the drive's own state before and after. Never a secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Answer(pub BTreeMap<&'static str, String>);

impl Answer {
    /// With one more fact; a later one of the same name wins.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.0.insert(name, value.to_string());
        self
    }

    /// In one line: `sstat_after 0x101, status 0x0`.
    #[must_use]
    pub fn words(&self) -> String {
        self.0.iter().map(|(name, value)| format!("{name} {value}")).collect::<Vec<_>>().join(", ")
    }

    /// With all the facts of `later`.
    #[must_use]
    pub fn and(mut self, later: Answer) -> Self {
        self.0.extend(later.0);
        self
    }
}

/// A part of a whole, in 65,536ths: how NVMe and SCSI tell progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Fraction(pub u16);

impl Fraction {
    /// This part of `whole`.
    #[must_use]
    pub fn of(self, whole: u64) -> u64 {
        u64::try_from(u128::from(whole) * u128::from(self.0) / 65_536).unwrap_or(whole)
    }
}

/// What a drive says it is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It reads and writes; nothing else is known.
    Ready,
    /// It erases itself. Reads and writes may be refused meanwhile.
    Erasing {
        /// In which way.
        erase: SelfErase,
        /// How far it is, where it tells.
        done: Option<Fraction>,
        /// How long the whole takes by its own word.
        estimate: Option<Duration>,
    },
    /// It says that its last erase went well, whenever that was.
    Done {
        /// The drive's words.
        answer: Answer,
    },
    /// Its last erase failed; it may refuse reads and writes until it is recovered.
    Failed {
        /// The drive's words.
        answer: Answer,
    },
    /// Somebody's password locks it.
    Locked {
        /// The drive's words.
        answer: Answer,
    },
}

/// Why a command to a drive did not do what it says.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The drive has no such command.
    #[error("this disk has no {command}")]
    Unsupported {
        /// As the standard names it.
        command: &'static str,
    },
    /// The drive said no.
    #[error("the drive refused {command}: {reason}")]
    Refused {
        /// As the standard names it.
        command: &'static str,
        /// What its answer means, and what to do.
        reason: String,
        /// The drive's words.
        answer: Answer,
    },
    /// The kernel got no answer, or did not ask.
    #[error("{command} got no answer from the drive")]
    Kernel {
        /// As the standard names it.
        command: &'static str,
        /// What the kernel said.
        #[source]
        err: io::Error,
    },
}

impl CommandError {
    /// The drive's words, where it had any.
    #[must_use]
    pub fn answer(&self) -> Answer {
        match self {
            CommandError::Refused { answer, .. } => answer.clone(),
            CommandError::Unsupported { .. } | CommandError::Kernel { .. } => Answer::default(),
        }
    }
}

/// A disk that is written, read back, and asked to erase itself.
pub trait Drive: Target {
    /// What it is doing. A drive that erased itself goes on doing so over a
    /// reset, a power loss and a change of agents.
    ///
    /// # Errors
    /// [`CommandError`]; what it does is then unknown.
    fn state(&mut self) -> Result<State, CommandError>;

    /// Begin `erase`. Some return at once and go on in the background, which
    /// [`Drive::state`] tells; the others return when the drive says it is done.
    /// Either proves nothing.
    ///
    /// # Errors
    /// [`CommandError`]; the content is undefined then.
    fn begin(&mut self, erase: SelfErase) -> Result<Answer, CommandError>;

    /// Out of a failed erase or a lock, so that the disk reads and writes again.
    ///
    /// # Errors
    /// [`CommandError`]; it still refuses.
    fn recover(&mut self) -> Result<Answer, CommandError>;

    /// Give a drive that somebody owns (TCG Opal) back to the factory, its media keys
    /// with it, with whatever of `keys` fits.
    ///
    /// # Errors
    /// [`CommandError`]; it is still owned, or that is not known.
    fn revert_opal(&mut self, keys: &OpalKeys) -> Result<Answer, CommandError> {
        let _ = keys;
        Err(CommandError::Unsupported { command: SelfErase::OpalRevert.name() })
    }

    /// Show the blocks that the drive hides from the kernel (a host protected area, an
    /// accessible maximum address); the disk is larger then. `None` when it hides none.
    ///
    /// # Errors
    /// [`CommandError`]; something stays hidden.
    fn restore_size(&mut self) -> Result<Option<Answer>, CommandError> {
        Ok(None)
    }

    /// How large the kernel says the disk is now; `None` when it is gone.
    ///
    /// # Errors
    /// Whatever the kernel reports.
    fn size_now(&mut self) -> io::Result<Option<Bytes>> {
        Ok(Some(self.size()))
    }

    /// Have the kernel forget the partitions that are gone.
    ///
    /// # Errors
    /// Whatever the kernel reports.
    fn reread_partitions(&mut self) -> io::Result<()>;
}

impl Drive for Device {
    fn state(&mut self) -> Result<State, CommandError> {
        match nvme::state(self)? {
            Some(state) => Ok(state),
            None => scsi::state_of_any(self),
        }
    }

    fn begin(&mut self, erase: SelfErase) -> Result<Answer, CommandError> {
        // The descriptor that is held, not the name: a name may pass to another drive.
        match erase {
            SelfErase::NvmeSanitize(how) => nvme::sanitize(self, how),
            SelfErase::NvmeFormat(setting) => nvme::format(self, setting),
            SelfErase::AtaSanitize(how) => ata::sanitize(self, how),
            SelfErase::AtaSecurity(how) => ata::security_erase(self, how),
            SelfErase::ScsiSanitize(how) => scsi::sanitize(self, how),
            SelfErase::OpalRevert => Err(CommandError::Unsupported { command: erase.name() }),
        }
    }

    fn recover(&mut self) -> Result<Answer, CommandError> {
        match nvme::recover(self)? {
            Some(answer) => Ok(answer),
            None => scsi::recover_any(self),
        }
    }

    fn revert_opal(&mut self, keys: &OpalKeys) -> Result<Answer, CommandError> {
        opal::revert(&mut opal::Node(self), keys)
    }

    fn restore_size(&mut self) -> Result<Option<Answer>, CommandError> {
        ata::restore_size(self)
    }

    fn size_now(&mut self) -> io::Result<Option<Bytes>> {
        Device::size_now(self)
    }

    fn reread_partitions(&mut self) -> io::Result<()> {
        Device::reread_partitions(self)
    }
}

impl Drive for FakeDisk {
    fn state(&mut self) -> Result<State, CommandError> {
        Ok(State::Ready)
    }

    fn begin(&mut self, erase: SelfErase) -> Result<Answer, CommandError> {
        Err(CommandError::Unsupported { command: erase.name() })
    }

    fn recover(&mut self) -> Result<Answer, CommandError> {
        Err(CommandError::Unsupported { command: "recovery from a failed erase" })
    }

    fn reread_partitions(&mut self) -> io::Result<()> {
        Ok(())
    }
}
