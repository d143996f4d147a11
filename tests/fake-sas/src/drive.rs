//! The drive: a command in, an answer out. What both kinds have in common.

use crate::{
    Faults, Media, Sanitizing, Security, ata,
    sanitize::Sanitizer,
    sas,
    sense::{self, Code},
};

/// What stands on the label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// ATA commands within SCSI ones, as libata and SAS adapters offer them.
    Sata,
    /// SCSI commands.
    Sas,
}

/// What the drive answers to one command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// The SCSI status byte: 0 good, 2 check condition.
    pub status: u8,
    /// Sense data of a check condition.
    pub sense: Vec<u8>,
    /// Data for the host.
    pub data: Vec<u8>,
}

impl Answer {
    pub(crate) fn good(data: Vec<u8>) -> Self {
        Self { data, ..Self::default() }
    }

    pub(crate) fn check(sense: Vec<u8>) -> Self {
        Self { status: 2, sense, ..Self::default() }
    }

    pub(crate) fn error(code: Code) -> Self {
        Self::check(sense::fixed(code, None))
    }
}

/// One drive.
#[derive(Clone, Debug)]
pub struct Drive {
    /// What it is.
    pub kind: Kind,
    /// What is on it.
    pub media: Media,
    /// What it does wrong.
    pub faults: Faults,
    /// Its passwords, if it is SATA.
    pub security: Security,
    /// Whether it has the sanitize commands.
    pub sanitize_supported: bool,
    /// The blocks that there really are, where some are hidden behind a host protected area.
    pub native_blocks: Option<u64>,
    /// Whether the area is hidden by ACCESSIBLE MAX ADDRESS CONFIGURATION (ACS-3) and not by SET MAX.
    pub amax: bool,
    /// The commands it was sent, reads and writes aside: the operation code, or for ATA
    /// the command, and the service action or feature.
    pub journal: Vec<(u8, u16)>,
    pub(crate) visible: u64,
    /// What it would show after a power cycle.
    pub(crate) lasting: u64,
    pub(crate) sanitizer: Sanitizer,
    /// Whether READ NATIVE MAX was the last ATA command.
    pub(crate) asked_native: bool,
    off: bool,
    /// A unit attention to be told with the next command.
    pub(crate) attention: Option<Code>,
}

impl Drive {
    /// A drive of `blocks` blocks of 512 bytes that does nothing wrong.
    #[must_use]
    pub fn new(kind: Kind, blocks: u64) -> Self {
        Self {
            kind,
            media: Media::new(blocks),
            faults: Faults::default(),
            security: Security::default(),
            sanitize_supported: true,
            native_blocks: None,
            amax: false,
            journal: Vec::new(),
            visible: blocks,
            lasting: blocks,
            sanitizer: Sanitizer::new(),
            asked_native: false,
            off: false,
            attention: None,
        }
    }

    /// The same with only the first `visible` blocks shown, by HPA.
    #[must_use]
    pub fn hiding(mut self, visible: u64) -> Self {
        self.native_blocks = Some(self.media.blocks());
        (self.visible, self.lasting) = (visible, visible);
        self
    }

    /// The same with a sanitize that is done after being asked `polls` times.
    #[must_use]
    pub fn slow(mut self, polls: u32) -> Self {
        self.sanitizer.polls = polls;
        self
    }

    /// Where its sanitize is.
    #[must_use]
    pub fn sanitizing(&self) -> Sanitizing {
        self.sanitizer.state
    }

    /// As if one had ended badly, or was going on, when the host came.
    pub fn found(&mut self, state: Sanitizing) {
        self.sanitizer.begin(crate::sanitize::Action::Block, true);
        self.sanitizer.state = state;
    }

    /// The blocks it shows.
    #[must_use]
    pub fn blocks(&self) -> u64 {
        self.visible
    }

    /// Whether the power is off. It answers nothing useful then.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.off
    }

    /// The power comes back.
    pub fn power_on(&mut self) {
        self.off = false;
        self.security.power_on();
        self.visible = self.lasting;
        self.attention = Some(sense::POWER_ON);
    }

    /// Half an erase is done and the power goes, if it was to.
    pub(crate) fn power_cut(&mut self) -> bool {
        if std::mem::take(&mut self.faults.power_cut) {
            self.media.zero(32_768);
            self.off = true;
        }
        self.off
    }

    /// One command, and the data that comes with it.
    pub fn execute(&mut self, command: &[u8], data: &[u8]) -> Answer {
        if self.off {
            return Answer::error(sense::NOT_READY);
        }
        let Some(&code) = command.first() else { return Answer::error(sense::ILLEGAL_COMMAND) };
        let asks = [0x03, 0x12, 0xa0].contains(&code);
        if let Some(attention) = self.attention.take_if(|_| !asks) {
            return Answer::error(attention);
        }
        match (self.kind, code) {
            (Kind::Sata, 0x85) => ata::pass_through(self, command, data),
            (Kind::Sata | Kind::Sas, _) => sas::execute(self, command, data),
        }
    }

    pub(crate) fn read(&mut self, (block, count): (u64, u64)) -> Answer {
        let Some(range) = self.range(block, count) else { return Answer::error(sense::OUT_OF_RANGE) };
        if self.faults.unreadable.iter().any(|bad| range.contains(bad)) {
            return Answer::error(sense::UNREADABLE);
        }
        Answer::good(self.media.at(range).to_vec())
    }

    pub(crate) fn write(&mut self, (block, count): (u64, u64), data: &[u8]) -> Answer {
        let Some(range) = self.range(block, count) else { return Answer::error(sense::OUT_OF_RANGE) };
        if self.faults.unwritable.iter().any(|bad| range.contains(bad)) {
            return Answer::error(sense::UNWRITABLE);
        }
        let to = self.media.at(range);
        if data.len() < to.len() {
            return Answer::error(sense::ABORTED);
        }
        to.copy_from_slice(&data[..to.len()]);
        Answer::default()
    }

    fn range(&self, block: u64, count: u64) -> Option<std::ops::Range<u64>> {
        let end = block.checked_add(count)?;
        (end <= self.visible).then_some(block..end)
    }
}
