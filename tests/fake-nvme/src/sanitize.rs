//! The sanitize operation of a drive: what survives a power loss.

use std::{fs, io, path::Path};

use crate::Action;

/// How the last sanitize is (SSTAT bits 2:0).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Status {
    /// There was none.
    #[default]
    Never = 0,
    /// It went well.
    Done = 1,
    /// It runs.
    Running = 2,
    /// It failed; the drive refuses reads and writes until another goes well, or
    /// until it is told to forget (exit failure mode).
    Failed = 3,
}

/// What the drive remembers of its last sanitize.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sanitize {
    pub(crate) status: Status,
    /// The failure was forgotten: reads and writes are taken again.
    pub(crate) left: bool,
    /// The command's dwords 10 and 11.
    pub(crate) cdw10: u32,
    pub(crate) pattern: u32,
    /// How often the log page was read since it began.
    pub(crate) polls: u32,
    /// Nothing was written since it went well.
    pub(crate) erased: bool,
}

impl Sanitize {
    /// As it was when the power failed; a drive out of the box when there is no such file.
    pub(crate) fn load(file: &Path) -> io::Result<Self> {
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(err) => return Err(err),
        };
        let numbers: Vec<u32> = text.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [status, left, cdw10, pattern, polls, erased] = numbers[..] else {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "no state of a drive"));
        };
        let status = match status {
            1 => Status::Done,
            2 => Status::Running,
            3 => Status::Failed,
            _ => Status::Never,
        };
        Ok(Self { status, left: left == 1, cdw10, pattern, polls, erased: erased == 1 })
    }

    pub(crate) fn store(&self, file: &Path) -> io::Result<()> {
        let Self { status, left, cdw10, pattern, polls, erased } = self;
        let (status, left, erased) = (*status as u32, u32::from(*left), u32::from(*erased));
        fs::write(file, format!("{status} {left} {cdw10} {pattern} {polls} {erased}\n"))
    }

    /// What it does.
    pub(crate) fn action(&self) -> Option<Action> {
        Action::of(self.cdw10 & 0b111)
    }

    /// Log page 81h, for an operation of `total` polls that takes `estimate` seconds.
    pub(crate) fn log(&self, total: u32, estimate: u32) -> Vec<u8> {
        let progress = match self.status {
            Status::Running => (u64::from(self.polls) << 16) / u64::from(total.max(1)),
            Status::Never | Status::Done | Status::Failed => 0xffff,
        };
        let progress = u16::try_from(progress).unwrap_or(u16::MAX);
        let status = self.status as u16 | u16::from(self.erased) << 8;
        let mut page = Vec::with_capacity(512);
        page.extend(progress.to_le_bytes());
        page.extend(status.to_le_bytes());
        page.extend(self.cdw10.to_le_bytes());
        for _ in 0..3 {
            page.extend(estimate.to_le_bytes());
        }
        // Without deallocation afterwards: not reported.
        page.resize(32, 0xff);
        page.resize(512, 0);
        page
    }
}
