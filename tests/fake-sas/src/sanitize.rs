//! Sanitize as both kinds of drive do it: in the background, and on through power cycles.

use crate::{Faults, Media};

/// A whole, in the unit of progress.
const WHOLE: u32 = 65_536;

/// What a sanitize does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Overwrite,
    Block,
    Crypto,
}

/// Where a sanitize is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sanitizing {
    /// There was none since the drive was made.
    #[default]
    Never,
    /// It goes on.
    Running {
        /// In 65,536ths.
        progress: u32,
    },
    /// It ended well.
    Done,
    /// It ended badly: nothing but a new one, or leaving the failure mode, is taken.
    Failed,
}

/// The background task.
#[derive(Clone, Debug)]
pub(crate) struct Sanitizer {
    pub(crate) state: Sanitizing,
    action: Action,
    /// Whether the failure mode may be left without a successful sanitize.
    leaves: bool,
    /// How often it is asked until it is done.
    pub(crate) polls: u32,
}

impl Sanitizer {
    pub(crate) fn new() -> Self {
        Self { state: Sanitizing::Never, action: Action::Block, leaves: false, polls: 2 }
    }

    pub(crate) fn begin(&mut self, action: Action, leaves: bool) {
        (self.action, self.leaves) = (action, leaves);
        self.state = Sanitizing::Running { progress: 0 };
    }

    /// Time passes: somebody asks. Returns what there is now.
    pub(crate) fn ask(&mut self, media: &mut Media, faults: &mut Faults) -> Sanitizing {
        let Sanitizing::Running { progress } = self.state else { return self.state };
        let next = progress + WHOLE / self.polls.max(1);
        self.state = match faults.stall_at {
            Some(stall) if next >= u32::from(stall) => Sanitizing::Running { progress: stall.into() },
            Some(_) | None if next < WHOLE => Sanitizing::Running { progress: next },
            Some(_) | None => self.end(media, faults),
        };
        self.state
    }

    fn end(&self, media: &mut Media, faults: &mut Faults) -> Sanitizing {
        if faults.failures > 0 {
            faults.failures -= 1;
            return Sanitizing::Failed;
        }
        match self.action {
            _ if faults.lie => {}
            Action::Crypto => media.scramble(),
            Action::Overwrite | Action::Block => media.zero(WHOLE),
        }
        Sanitizing::Done
    }

    /// Leave the failure mode, if this sanitize was begun so that it may be left.
    pub(crate) fn leave(&mut self) -> bool {
        let left = self.state != Sanitizing::Failed || self.leaves;
        if self.state == Sanitizing::Failed && self.leaves {
            self.state = Sanitizing::Never;
        }
        left
    }
}
