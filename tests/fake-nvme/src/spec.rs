//! What a drive is, and what is wrong with it.

use std::ops::Range;

/// The sanitize actions of the specification, by their numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Every block is erased; it reads as zeros.
    Block = 2,
    /// A pattern is written.
    Overwrite = 3,
    /// The key is changed; it reads as noise.
    Crypto = 4,
}

impl Action {
    /// The action of this number, where it erases.
    pub(crate) fn of(number: u32) -> Option<Self> {
        [Action::Block, Action::Overwrite, Action::Crypto].into_iter().find(|action| *action as u32 == number)
    }

    /// Its bit in SANICAP.
    pub(crate) fn bit(self) -> u32 {
        match self {
            Action::Crypto => 1 << 0,
            Action::Block => 1 << 1,
            Action::Overwrite => 1 << 2,
        }
    }
}

/// A namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Namespace {
    /// Its number; namespaces need not be numbered in a row.
    pub id: u32,
    /// Its size, whole blocks.
    pub bytes: u64,
    /// Its block size.
    pub block: u64,
    /// False for one that is allocated and that no host sees.
    pub attached: bool,
}

impl Namespace {
    /// An attached namespace of so many MiB in blocks of 512.
    #[must_use]
    pub fn of_mib(id: u32, mib: u64) -> Self {
        Self { id, bytes: mib << 20, block: 512, attached: true }
    }

    /// In blocks of 4096.
    #[must_use]
    pub fn in_4k(self) -> Self {
        Self { block: 4096, ..self }
    }

    /// That no host sees.
    #[must_use]
    pub fn unattached(self) -> Self {
        Self { attached: false, ..self }
    }
}

/// A drive; [`Spec::default`] is a good one with one namespace of 16 MiB.
#[derive(Clone, Debug)]
pub struct Spec {
    /// What it says it is called.
    pub serial: String,
    /// Its namespaces.
    pub namespaces: Vec<Namespace>,
    /// The sanitize actions it says it has. It has no others.
    pub sanitizes: Vec<Action>,
    /// Whether it has Format NVM.
    pub formats: bool,
    /// Format NVM Attributes: bit 0 formats all, bit 1 erases all, bit 2 crypto.
    pub fna: u8,
    /// Whether it manages namespaces, and so lists the allocated ones.
    pub manages: bool,
    /// How often the log page is read before a sanitize is done.
    pub polls: u32,
    /// How long it says that a sanitize takes, in seconds.
    pub estimate: u32,
    /// What is wrong with it.
    pub faults: Faults,
}

impl Default for Spec {
    fn default() -> Self {
        Self {
            serial: "FAKE0001".to_owned(),
            namespaces: vec![Namespace::of_mib(1, 16)],
            sanitizes: vec![Action::Crypto, Action::Block, Action::Overwrite],
            formats: true,
            fna: 0b100,
            manages: true,
            polls: 4,
            estimate: 30,
            faults: Faults::default(),
        }
    }
}

/// What is wrong with a drive. By default, nothing.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// So many sanitizes end in failure.
    pub failing_sanitizes: u32,
    /// Sanitize is refused though SANICAP has it.
    pub refuses_sanitize: bool,
    /// So many formats fail.
    pub failing_formats: u32,
    /// Sanitize and format say they are done and change nothing.
    pub lies: bool,
    /// SES 2 is taken without FNA bit 2, and does nothing.
    pub takes_any_ses: bool,
    /// A sanitize stands still from this poll on.
    pub stalls_at_poll: Option<u32>,
    /// The power fails at this poll, once, and comes back at once.
    pub loses_power_at_poll: Option<u32>,
    /// The power fails at this poll and stays away until [`Drive::power_on`](crate::Drive::power_on).
    pub dies_at_poll: Option<u32>,
    /// Bytes of every namespace that cannot be written.
    pub unwritable: Range<u64>,
    /// Bytes of every namespace that cannot be read.
    pub unreadable: Range<u64>,
}
