//! ATA Security: a password, and what it locks. ACS-4, clause 4.18.

/// Bytes of a password.
pub const PASSWORD_LENGTH: usize = 32;
/// Wrong passwords until the next power cycle.
const ATTEMPTS: u8 = 5;

/// The state of the feature set.
#[derive(Clone, Debug)]
pub struct Security {
    /// Whether the drive has it.
    pub supported: bool,
    /// Whether it has the enhanced erase too.
    pub enhanced: bool,
    /// The user password, once set.
    pub password: Option<[u8; PASSWORD_LENGTH]>,
    /// Whether data is refused until the password is given.
    pub locked: bool,
    /// Whether every change is refused until the next power cycle.
    pub frozen: bool,
    /// How many wrong passwords are still taken.
    pub attempts: u8,
    /// Whether ERASE PREPARE was the last command.
    pub prepared: bool,
}

impl Default for Security {
    fn default() -> Self {
        Self {
            supported: true,
            enhanced: true,
            password: None,
            locked: false,
            frozen: false,
            attempts: ATTEMPTS,
            prepared: false,
        }
    }
}

/// The parameters of the commands with a password: 512 bytes.
pub(crate) struct Parameters {
    pub(crate) master: bool,
    pub(crate) enhanced: bool,
    pub(crate) password: [u8; PASSWORD_LENGTH],
}

impl Parameters {
    pub(crate) fn parse(data: &[u8]) -> Option<Self> {
        let password = data.get(2..2 + PASSWORD_LENGTH)?.try_into().ok()?;
        Some(Self { master: data[0] & 1 != 0, enhanced: data[0] & 2 != 0, password })
    }
}

impl Security {
    /// As if it was set before and the power has been off since.
    #[must_use]
    pub fn locked_with(password: &[u8]) -> Self {
        let mut bytes = [0; PASSWORD_LENGTH];
        bytes[..password.len()].copy_from_slice(password);
        Self { password: Some(bytes), locked: true, ..Self::default() }
    }

    /// IDENTIFY word 128.
    pub(crate) fn word(&self) -> u16 {
        let bits = [
            self.supported,
            self.password.is_some(),
            self.locked,
            self.frozen,
            self.attempts == 0,
            self.supported && self.enhanced,
        ];
        bits.iter().enumerate().map(|(bit, set)| u16::from(*set) << bit).sum()
    }

    pub(crate) fn power_on(&mut self) {
        self.locked = self.password.is_some();
        self.frozen = false;
        self.attempts = ATTEMPTS;
        self.prepared = false;
    }

    pub(crate) fn set_password(&mut self, parameters: &Parameters) -> bool {
        if !self.supported || self.frozen || self.locked || parameters.master {
            return false;
        }
        self.password = Some(parameters.password);
        true
    }

    /// UNLOCK and DISABLE PASSWORD, which differ in what they take away.
    pub(crate) fn open(&mut self, parameters: &Parameters, disable: bool) -> bool {
        // DISABLE is not taken while locked; UNLOCK is what comes before.
        if !self.supported || self.frozen || (disable && self.locked) || !self.knows(parameters) {
            return false;
        }
        self.locked = false;
        if disable {
            self.password = None;
        }
        true
    }

    /// Whether ERASE UNIT may begin. ERASE PREPARE must have come right before.
    pub(crate) fn may_erase(&mut self, parameters: &Parameters) -> bool {
        let prepared = std::mem::take(&mut self.prepared);
        self.supported
            && !self.frozen
            && prepared
            && self.password.is_some()
            && (self.enhanced || !parameters.enhanced)
            && self.knows(parameters)
    }

    /// A wrong password costs an attempt; none are left after five.
    fn knows(&mut self, parameters: &Parameters) -> bool {
        if self.attempts == 0 || parameters.master {
            return false;
        }
        let right = self.password.is_none_or(|password| password == parameters.password);
        if !right {
            self.attempts -= 1;
        }
        right
    }
}
