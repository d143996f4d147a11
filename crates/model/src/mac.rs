use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A MAC address, written in lowercase with colons as Ironic does.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mac(pub [u8; 6]);

/// Why a text is not a MAC address.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a MAC address: want six hex pairs")]
pub struct ParseMacError {
    /// What was given.
    pub text: String,
}

impl FromStr for Mac {
    type Err = ParseMacError;

    /// `52:54:00:aa:bb:cc`, with colons or dashes; the leading `01-` (Ethernet)
    /// of PXELINUX's `BOOTIF` is accepted and dropped.
    fn from_str(text: &str) -> Result<Self, ParseMacError> {
        let fail = || ParseMacError { text: text.to_owned() };
        let mut pairs: Vec<&str> = text.split([':', '-']).collect();
        if pairs.len() == 7 && pairs[0] == "01" {
            pairs.remove(0);
        }
        let mut mac = [0; 6];
        if pairs.len() != mac.len() {
            return Err(fail());
        }
        for (byte, pair) in mac.iter_mut().zip(pairs) {
            if pair.len() != 2 || !pair.bytes().all(|digit| digit.is_ascii_hexdigit()) {
                return Err(fail());
            }
            *byte = u8::from_str_radix(pair, 16).map_err(|_| fail())?;
        }
        Ok(Self(mac))
    }
}

impl fmt::Display for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mac({self})")
    }
}

impl TryFrom<String> for Mac {
    type Error = ParseMacError;

    fn try_from(text: String) -> Result<Self, ParseMacError> {
        text.parse()
    }
}

impl From<Mac> for String {
    fn from(mac: Mac) -> String {
        mac.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_in_the_field_is_one_address() {
        let mac = Mac([0x52, 0x54, 0, 0xaa, 0xbb, 0xcc]);
        for text in ["52:54:00:aa:bb:cc", "52:54:00:AA:BB:CC", "52-54-00-aa-bb-cc", "01-52-54-00-aa-bb-cc"] {
            assert_eq!(text.parse(), Ok(mac), "{text}");
        }
        for bad in [
            "",
            "52:54",
            "52:54:00:aa:bb:c",
            "02-52-54-00-aa-bb-cc",
            "52:54:00:aa:bb:gg",
            "+5:54:00:aa:bb:cc",
        ] {
            assert!(bad.parse::<Mac>().is_err(), "{bad}");
        }
        assert_eq!(mac.to_string(), "52:54:00:aa:bb:cc");
    }
}
