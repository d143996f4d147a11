//! The Sanitize Status log page (81h). Offsets: NVM Express Base Specification
//! 2.0, figure 265.

use std::time::Duration;

use crate::{Answer, Fraction, Sanitize};

/// How the last sanitize operation of the drive is (SSTAT bits 2:0).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    /// There was none.
    Never,
    /// It went well.
    Done,
    /// It runs.
    Running,
    /// It failed, or is in a state newer than this program.
    Failed,
}

/// What the page says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SanitizeLog {
    pub(super) status: Status,
    /// How far a running one is.
    pub(super) progress: Fraction,
    /// SSTAT as it is.
    pub(super) sstat: u16,
    /// Dword 10 of the command that began it.
    pub(super) cdw10: u32,
    /// How long one of its kind takes by the drive's own word.
    pub(super) estimate: Option<Duration>,
}

impl SanitizeLog {
    /// From the page's bytes; what is missing of them reads as zeros.
    pub(super) fn parse(page: &[u8]) -> Self {
        let byte = |at: usize| page.get(at).copied().unwrap_or(0);
        let half = |at: usize| u16::from_le_bytes([byte(at), byte(at + 1)]);
        let word = |at: usize| u32::from(half(at)) | u32::from(half(at + 2)) << 16;
        let (sstat, cdw10) = (half(2), word(4));
        let status = match sstat & 0b111 {
            0 => Status::Never,
            // 4: without having deallocated everything, as it was asked to.
            1 | 4 => Status::Done,
            2 => Status::Running,
            _ => Status::Failed,
        };
        // For an overwrite, a block erase and a crypto erase; all ones when the drive does not say.
        let estimate = match action(cdw10) {
            Some(Sanitize::Overwrite) => word(8),
            Some(Sanitize::Block) => word(12),
            Some(Sanitize::Crypto) => word(16),
            None => u32::MAX,
        };
        let estimate = (estimate != u32::MAX).then(|| Duration::from_secs(estimate.into()));
        Self { status, progress: Fraction(half(0)), sstat, cdw10, estimate }
    }

    /// What the last operation did; `None` when that is unknown to this program.
    pub(super) fn action(self) -> Option<Sanitize> {
        action(self.cdw10)
    }

    /// For the record.
    pub(super) fn answer(self) -> Answer {
        Answer::default()
            .with("sstat_after", format_args!("{:#x}", self.sstat))
            .with("scdw10", format_args!("{:#x}", self.cdw10))
    }
}

/// The sanitize action (SANACT) of a command's dword 10.
fn action(cdw10: u32) -> Option<Sanitize> {
    [Sanitize::Crypto, Sanitize::Block, Sanitize::Overwrite]
        .into_iter()
        .find(|sanitize| super::sanitize::number(*sanitize) == cdw10 & 0b111)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(progress: u16, sstat: u16, cdw10: u32, estimates: [u32; 3]) -> Vec<u8> {
        let mut page = [progress.to_le_bytes(), sstat.to_le_bytes()].concat();
        page.extend(cdw10.to_le_bytes());
        estimates.iter().for_each(|seconds| page.extend(seconds.to_le_bytes()));
        page.resize(512, 0xff);
        page
    }

    #[test]
    fn the_page_tells_what_is_done_how_far_it_is_and_how_long_it_takes() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        for (sstat, cdw10, status, action, estimate) in [
            (0x000, 0x0, Status::Never, None, None),
            (0x101, 0xa, Status::Done, Some(Sanitize::Block), seconds(20)),
            (0x104, 0xa, Status::Done, Some(Sanitize::Block), seconds(20)),
            (0x002, 0xc, Status::Running, Some(Sanitize::Crypto), seconds(30)),
            (0x01a, 0x1b, Status::Running, Some(Sanitize::Overwrite), seconds(10)),
            (0x003, 0xc, Status::Failed, Some(Sanitize::Crypto), seconds(30)),
            (0x007, 0x5, Status::Failed, None, None),
        ] {
            let log = SanitizeLog::parse(&page(0x8000, sstat, cdw10, [10, 20, 30]));
            assert_eq!((log.status, log.action(), log.estimate), (status, action, estimate), "{sstat:#x}");
            assert_eq!((log.progress, log.sstat, log.cdw10), (Fraction(0x8000), sstat, cdw10));
        }
    }

    #[test]
    fn a_drive_that_does_not_know_how_long_says_so_and_a_short_page_says_nothing() {
        let unknown = SanitizeLog::parse(&page(0, 2, 0xa, [u32::MAX; 3]));
        assert_eq!((unknown.status, unknown.estimate), (Status::Running, None));
        assert_eq!(SanitizeLog::parse(&[]).status, Status::Never);
    }
}
