use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use sha2::Digest as _;

/// A digest algorithm that Ironic knows (`os_hash_algo`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    /// 128 bits; broken, and accepted only where Ironic says so.
    Md5,
    /// 256 bits.
    Sha256,
    /// 512 bits.
    Sha512,
}

impl Algorithm {
    const ALL: [Algorithm; 3] = [Algorithm::Md5, Algorithm::Sha256, Algorithm::Sha512];

    /// The name used by Ironic and by coreutils: `sha256`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Md5 => "md5",
            Algorithm::Sha256 => "sha256",
            Algorithm::Sha512 => "sha512",
        }
    }

    /// The algorithm whose digests have `digits` hex digits.
    #[must_use]
    pub fn of_hex_digits(digits: usize) -> Option<Algorithm> {
        Self::ALL.into_iter().find(|algorithm| algorithm.length() * 2 == digits)
    }

    /// Length of a digest, in bytes.
    fn length(self) -> usize {
        match self {
            Algorithm::Md5 => 16,
            Algorithm::Sha256 => 32,
            Algorithm::Sha512 => 64,
        }
    }
}

/// A digest with its algorithm, written `sha256:` and lowercase hex.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    bytes: Vec<u8>,
}

impl Digest {
    /// The algorithm it was made with.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The bare lowercase hex digits, as Ironic writes them.
    #[must_use]
    pub fn hex(&self) -> String {
        self.bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// A digest of `algorithm` from its hex digits, in either case.
    ///
    /// # Errors
    /// When `hex` is not exactly that algorithm's number of hex digits.
    pub fn from_hex(algorithm: Algorithm, hex: &str) -> Result<Self, ParseDigestError> {
        let fail = || ParseDigestError { text: hex.to_owned() };
        if hex.len() != algorithm.length() * 2 || !hex.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(fail());
        }
        let bytes = (0..hex.len())
            .step_by(2)
            .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).map_err(|_| fail()))
            .collect::<Result<_, _>>()?;
        Ok(Self { algorithm, bytes })
    }
}

/// Why a text is not a digest.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a digest: want sha256:HEX, sha512:HEX or md5:HEX")]
pub struct ParseDigestError {
    /// What was given.
    pub text: String,
}

impl FromStr for Digest {
    type Err = ParseDigestError;

    /// `sha256:HEX`, or bare hex whose length tells the algorithm.
    fn from_str(text: &str) -> Result<Self, ParseDigestError> {
        let fail = || ParseDigestError { text: text.to_owned() };
        let (algorithm, hex) = match text.split_once(':') {
            Some((name, hex)) => (Algorithm::ALL.into_iter().find(|known| known.name() == name), hex),
            None => (Algorithm::of_hex_digits(text.len()), text),
        };
        Self::from_hex(algorithm.ok_or_else(fail)?, hex).map_err(|_| fail())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// A digest in the making.
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Md5(md5::Md5),
    Sha256(sha2::Sha256),
    Sha512(sha2::Sha512),
}

impl Hasher {
    /// An empty digest of `algorithm`.
    #[must_use]
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Md5 => State::Md5(md5::Md5::new()),
            Algorithm::Sha256 => State::Sha256(sha2::Sha256::new()),
            Algorithm::Sha512 => State::Sha512(sha2::Sha512::new()),
        })
    }

    /// Take in `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Md5(state) => state.update(bytes),
            State::Sha256(state) => state.update(bytes),
            State::Sha512(state) => state.update(bytes),
        }
    }

    /// The digest of everything taken in.
    #[must_use]
    pub fn finish(self) -> Digest {
        let (algorithm, bytes) = match self.0 {
            State::Md5(state) => (Algorithm::Md5, state.finalize().to_vec()),
            State::Sha256(state) => (Algorithm::Sha256, state.finalize().to_vec()),
            State::Sha512(state) => (Algorithm::Sha512, state.finalize().to_vec()),
        };
        Digest { algorithm, bytes }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn text_round_trips() {
        let digest: Digest = EMPTY.parse().expect("bare sha256");
        assert_eq!(digest.to_string(), format!("sha256:{EMPTY}"));
        assert_eq!(digest.to_string().parse::<Digest>(), Ok(digest.clone()));
        assert_eq!(format!("sha256:{}", EMPTY.to_uppercase()).parse(), Ok(digest));
        for bad in ["", "e3b0", "sha1:e3b0", "sha512:e3b0", &"é".repeat(32), &format!("md5:{EMPTY}")] {
            assert!(bad.parse::<Digest>().is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_has_the_known_digests() {
        assert_eq!(Hasher::new(Algorithm::Sha256).finish().hex(), EMPTY);
        assert_eq!(Hasher::new(Algorithm::Md5).finish().hex(), "d41d8cd98f00b204e9800998ecf8427e");
        assert!(Hasher::new(Algorithm::Sha512).finish().hex().starts_with("cf83e1357eefb8bd"));
    }
}
