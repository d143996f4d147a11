use std::fmt;

use serde::{Deserialize, Serialize};

/// A text that must never reach a log, an error or a `Debug`: an agent token, a
/// BMC password, an `Authorization` header.
///
/// It serialises as itself, because the wire needs it; [`expose`](Self::expose)
/// is the only other way to read it, so its uses can be found by name.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// Keep `text` secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret, for the one place that must send or compare it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(******)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        assert_eq!(format!("{:?}", Secret::new("hunter2")), "Secret(******)");
    }
}
