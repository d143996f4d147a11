//! API versions and their discovery.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use crate::ipa::Link;

/// An API version, `1.115`. Ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Microversion {
    /// Before the dot; always 1 so far.
    pub major: u16,
    /// After the dot.
    pub minor: u16,
}

impl Microversion {
    /// The request and response header that carries one.
    pub const HEADER: &'static str = "X-OpenStack-Ironic-API-Version";

    /// Version `1.minor`.
    #[must_use]
    pub const fn v1(minor: u16) -> Self {
        Self { major: 1, minor }
    }
}

/// Why a text is not an API version.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not an API version: want MAJOR.MINOR")]
pub struct ParseMicroversionError {
    /// What was given.
    pub text: String,
}

impl FromStr for Microversion {
    type Err = ParseMicroversionError;

    fn from_str(text: &str) -> Result<Self, ParseMicroversionError> {
        let number = |digits: &str| {
            if digits.bytes().all(|digit| digit.is_ascii_digit()) { digits.parse().ok() } else { None }
        };
        text.split_once('.')
            .and_then(|(major, minor)| Some(Self { major: number(major)?, minor: number(minor)? }))
            .ok_or_else(|| ParseMicroversionError { text: text.to_owned() })
    }
}

impl fmt::Display for Microversion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

impl TryFrom<String> for Microversion {
    type Error = ParseMicroversionError;

    fn try_from(text: String) -> Result<Self, ParseMicroversionError> {
        text.parse()
    }
}

impl From<Microversion> for String {
    fn from(version: Microversion) -> String {
        version.to_string()
    }
}

/// One version in a discovery document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionDocument {
    /// `v1`.
    pub id: String,
    /// Where it is.
    #[serde(default)]
    pub links: Vec<Link>,
    /// `CURRENT`.
    #[serde(default)]
    pub status: String,
    /// The oldest version served.
    pub min_version: Microversion,
    /// The newest version served.
    pub version: Microversion,
}

/// What `GET /` of Ironic answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Root {
    /// For people.
    #[serde(default)]
    pub name: String,
    /// For people.
    #[serde(default)]
    pub description: String,
    /// The version to use.
    pub default_version: VersionDocument,
    /// All versions; there is one.
    #[serde(default)]
    pub versions: Vec<VersionDocument>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_by_number() {
        assert!(Microversion::v1(68) < Microversion::v1(115));
        assert_eq!("1.115".parse(), Ok(Microversion::v1(115)));
        for bad in ["", "1", "1.", ".1", "1.x", "1.1.1", "+1.2", "1.99999999"] {
            assert!(bad.parse::<Microversion>().is_err(), "{bad}");
        }
    }
}
