//! The commands of fabrics: connect, and a controller's properties.

use crate::command::{Answer, Command, Failure};

/// A controller's registers, as far as a host needs them to enable it.
#[derive(Debug, Default)]
pub(crate) struct Properties {
    configuration: u32,
}

const CAPABILITIES: u32 = 0x00;
const VERSION: u32 = 0x08;
const CONFIGURATION: u32 = 0x14;
const STATUS: u32 = 0x1c;
/// The version that every drive here says it speaks: 1.4.
pub(crate) const NVME_1_4: u32 = 0x0001_0400;

impl Properties {
    pub(crate) fn get(&self, command: &Command) -> Result<Answer, Failure> {
        match command.u32(44) {
            // 128 entries a queue, contiguous queues, ready within 7.5 s, the NVM command set.
            CAPABILITIES => Ok(Answer::result(127_u64 | 1 << 16 | 15 << 24 | 1 << 37)),
            VERSION => Ok(Answer::result(NVME_1_4)),
            CONFIGURATION => Ok(Answer::result(self.configuration)),
            STATUS => Ok(Answer::result(self.status())),
            _ => Err(Failure::INVALID_FIELD),
        }
    }

    pub(crate) fn set(&mut self, command: &Command) -> Result<Answer, Failure> {
        match command.u32(44) {
            CONFIGURATION => self.configuration = command.u32(48),
            _ => return Err(Failure::INVALID_FIELD),
        }
        Ok(Answer::default())
    }

    /// Ready as soon as enabled, shut down as soon as asked.
    fn status(&self) -> u32 {
        let ready = self.configuration & 1;
        let shut_down = if self.configuration >> 14 & 0b11 == 0 { 0 } else { 0b10 << 2 };
        ready | shut_down
    }
}

/// What a host says who it connects to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Connect {
    /// The subsystem's name.
    pub(crate) subsystem: String,
    /// 0 is the admin queue.
    pub(crate) queue: u16,
    /// The controller of an I/O queue.
    pub(crate) controller: u16,
}

impl Connect {
    pub(crate) fn parse(command: &Command, data: &[u8]) -> Result<Self, Failure> {
        let name = data.get(256..512).ok_or(Failure::INVALID_FIELD)?;
        let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
        Ok(Self {
            subsystem: String::from_utf8_lossy(name).into_owned(),
            queue: command.u16(42),
            controller: u16::from_le_bytes([data[16], data[17]]),
        })
    }
}
