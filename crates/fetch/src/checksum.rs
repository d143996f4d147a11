//! Which digest an image must have, from a text: the digest itself, or the
//! file of digests that the text names.
//!
//! ```text
//! "sha256:HEX", "HEX" ──────────────────────▶ Expected::Digest
//! "https://h/SHA256SUMS" ─▶ Expected::File ──(fetched)──▶ find() ─▶ Digest
//! ```
//!
//! Pure: fetching is [`crate::document`]'s.

use model::{Algorithm, Digest};

/// The longest checksum file: thousands of images.
pub const MAX_FILE: u64 = 1 << 20;
/// How much of a wrong text an error repeats, in characters: a digest and a bit.
const SHOWN: usize = 160;

/// The digest, or where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expected {
    /// Known.
    Digest(Digest),
    /// In a checksum file, whose algorithm may be known.
    File {
        /// Where the file is.
        url: String,
        /// What it is said to hold digests of.
        algorithm: Option<Algorithm>,
    },
}

/// Whether MD5, which is broken, may vouch for an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Md5 {
    /// Ironic's lookup says so.
    Accepted,
    /// Ironic's default of late, and everybody else's.
    Refused,
}

/// Why nobody can say whether the image is right.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChecksumError {
    /// Not hex digits of a known length.
    #[error(
        "{text:?} is no checksum; want 64 (sha256) or 128 (sha512) hex digits, or the URL of a checksum file"
    )]
    Malformed {
        /// As given.
        text: String,
    },
    /// MD5 is refused here.
    #[error("an MD5 checksum is not accepted here; use sha256 or sha512, or enable MD5 in the control plane")]
    Md5Refused,
    /// The file does not speak of the image.
    #[error(
        "the checksum file at {url} has no checksum for {name:?}; check the names of the image and of the file"
    )]
    NotListed {
        /// Where the file is.
        url: String,
        /// Name of the image.
        name: String,
    },
    /// The file says two things of the image.
    #[error("the checksum file at {url} lists {name:?} with different checksums; make it say one thing")]
    Contradictory {
        /// Where the file is.
        url: String,
        /// Name of the image.
        name: String,
    },
    /// The file is something else.
    #[error("the checksum file at {url} is {what}; want the output of sha256sum or sha512sum")]
    NotAChecksumFile {
        /// Where the file is.
        url: String,
        /// What it is.
        what: &'static str,
    },
}

/// What `text` expects: `sha256:HEX`, bare hex digits, or a URL of a file. The
/// algorithm may be told apart, as Ironic's `os_hash_algo`.
///
/// # Errors
/// [`ChecksumError::Malformed`], [`ChecksumError::Md5Refused`].
pub fn expected(text: &str, algorithm: Option<Algorithm>, md5: Md5) -> Result<Expected, ChecksumError> {
    let text = text.trim();
    if text.starts_with("http://") || text.starts_with("https://") {
        return Ok(Expected::File { url: text.to_owned(), algorithm });
    }
    digest(text, algorithm, md5).map(Expected::Digest)
}

/// `text` as an error repeats it: a URL of a kind that is not fetched may hold a password too.
fn shown(text: &str) -> String {
    let text = if text.contains("://") { crate::without_secrets(text) } else { text.to_owned() };
    text.chars().take(SHOWN).collect()
}

/// The digest in `text`: hex digits in either case, perhaps after `sha256:`.
///
/// # Errors
/// [`ChecksumError::Malformed`], [`ChecksumError::Md5Refused`].
pub fn digest(text: &str, told: Option<Algorithm>, md5: Md5) -> Result<Digest, ChecksumError> {
    let malformed = || ChecksumError::Malformed { text: shown(text) };
    let digest: Digest = text.parse().map_err(|_| malformed())?;
    if told.is_some_and(|told| told != digest.algorithm()) {
        return Err(malformed());
    }
    match (digest.algorithm(), md5) {
        (Algorithm::Md5, Md5::Refused) => Err(ChecksumError::Md5Refused),
        (Algorithm::Md5, Md5::Accepted) | (Algorithm::Sha256 | Algorithm::Sha512, _) => Ok(digest),
    }
}

/// The digest of `name` in the checksum file `bytes` from `url`: coreutils'
/// `HEX  name` (with `\` before lines whose name is escaped), BSD's
/// `SHA256 (name) = HEX`, or nothing but a digest. `name` may be as URLs have it. Of several algorithms the
/// one told, else the strongest.
///
/// # Errors
/// [`ChecksumError`]; a file that contradicts itself is no help.
pub fn find(
    bytes: &[u8],
    url: &str,
    name: &str,
    algorithm: Option<Algorithm>,
    md5: Md5,
) -> Result<Digest, ChecksumError> {
    let text = text(bytes).map_err(|what| ChecksumError::NotAChecksumFile { url: url.to_owned(), what })?;
    let lines = || text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut all = lines();
    if let (Some(only), None) = (all.next(), all.next())
        && !only.contains([' ', '\t'])
    {
        return digest(only, algorithm, md5);
    }
    let decoded = decoded(name);
    let speaks = |listed: &str| speaks_of(listed, name) || speaks_of(listed, &decoded);
    let listed = lines().filter_map(entry).filter(|entry| speaks(&entry.name));
    let wanted = listed.filter(|entry| algorithm.is_none_or(|told| entry.algorithm() == Some(told)));
    strongest(wanted, url, name, md5)
}

/// The file as text, unless it is plainly something else.
fn text(bytes: &[u8]) -> Result<&str, &'static str> {
    if bytes.len() as u64 > MAX_FILE {
        return Err("longer than 1 MiB");
    }
    let text = std::str::from_utf8(bytes).map_err(|_| "not text")?;
    let text = text.trim_start_matches('\u{feff}');
    let first = text.trim_start();
    if first.starts_with("-----BEGIN PGP") {
        return Err(
            "wrapped in a PGP signature, which nobody here checks; give the plain file or the digest",
        );
    }
    if first.starts_with('<') {
        return Err("a web page or XML");
    }
    Ok(text)
}

/// What one line says.
struct Entry<'a> {
    name: String,
    hex: &'a str,
    /// BSD's lines name it; otherwise the number of digits tells.
    tag: Option<&'a str>,
}

impl Entry<'_> {
    fn algorithm(&self) -> Option<Algorithm> {
        let known = Algorithm::of_hex_digits(self.hex.len())?;
        self.tag.is_none_or(|tag| tag.eq_ignore_ascii_case(known.name())).then_some(known)
    }
}

/// A line of either form; `None` when it is of neither.
fn entry(line: &str) -> Option<Entry<'_>> {
    let (escaped, line) = line.strip_prefix('\\').map_or((false, line), |line| (true, line));
    let (name, hex, tag) = bsd(line).or_else(|| coreutils(line))?;
    let name = if escaped { unescaped(name)? } else { name.to_owned() };
    Some(Entry { name, hex, tag })
}

/// `SHA256 (name) = HEX`; the name may contain parentheses.
fn bsd(line: &str) -> Option<(&str, &str, Option<&str>)> {
    let (tag, rest) = line.split_once('(')?;
    let (name, hex) = rest.rsplit_once(')')?;
    let (tag, hex) = (tag.trim_end(), hex.trim_start().strip_prefix('=')?.trim_start());
    let plain = !tag.is_empty() && tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    plain.then_some((name, hex, Some(tag)))
}

/// `HEX  name`, or `HEX *name` for a file read as binary.
fn coreutils(line: &str) -> Option<(&str, &str, Option<&str>)> {
    let (hex, rest) = line.split_once([' ', '\t'])?;
    let name = rest.trim_start_matches([' ', '\t']);
    let name = name.strip_prefix('*').unwrap_or(name);
    (!name.is_empty()).then_some((name, hex, None))
}

/// A name as coreutils escapes it: `\\`, `\n` and `\r`.
fn unescaped(name: &str) -> Option<String> {
    let mut plain = String::new();
    let mut characters = name.chars();
    while let Some(character) = characters.next() {
        plain.push(match character {
            '\\' => match characters.next()? {
                '\\' => '\\',
                'n' => '\n',
                'r' => '\r',
                _ => return None,
            },
            other => other,
        });
    }
    Some(plain)
}

/// Lists name files from where they were made: `./x.raw` is `x.raw`.
fn speaks_of(listed: &str, name: &str) -> bool {
    !name.is_empty() && listed.strip_prefix("./").unwrap_or(listed) == name
}

/// A name out of a URL as the file is named: `%20` is a space.
fn decoded(name: &str) -> String {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let [first, after @ ..] = rest {
        let digit = |at: usize| after.get(at).and_then(|digit| char::from(*digit).to_digit(16));
        let (byte, left) = match (first, digit(0), digit(1)) {
            (b'%', Some(high), Some(low)) => (u8::try_from(high * 16 + low).unwrap_or(*first), &after[2..]),
            (_, _, _) => (*first, after),
        };
        bytes.push(byte);
        rest = left;
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn strongest<'a>(
    entries: impl Iterator<Item = Entry<'a>>,
    url: &str,
    name: &str,
    md5: Md5,
) -> Result<Digest, ChecksumError> {
    let mut found: Option<Digest> = None;
    let mut refused = None;
    for entry in entries {
        let next = match entry.algorithm().map_or_else(
            || Err(ChecksumError::Malformed { text: shown(entry.hex) }),
            |algorithm| digest(entry.hex, Some(algorithm), md5),
        ) {
            Ok(next) => next,
            Err(err) => {
                refused = refused.or(Some(err));
                continue;
            }
        };
        match &found {
            Some(known) if known.algorithm() == next.algorithm() && *known != next => {
                return Err(ChecksumError::Contradictory { url: url.to_owned(), name: name.to_owned() });
            }
            Some(known) if known.hex().len() >= next.hex().len() => (),
            Some(_) | None => found = Some(next),
        }
    }
    let unlisted = || ChecksumError::NotListed { url: url.to_owned(), name: name.to_owned() };
    found.ok_or_else(|| refused.unwrap_or_else(unlisted))
}

#[cfg(test)]
#[path = "checksum_tests.rs"]
mod tests;
