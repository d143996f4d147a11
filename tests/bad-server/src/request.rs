//! A request: as it comes, and as it is remembered.

use std::io::{self, Read};

/// The longest head of a request that is read.
const LONGEST_HEAD: usize = 64 << 10;

/// A request that was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// `GET`.
    pub method: String,
    /// `/image.raw`, with the query.
    pub target: String,
    /// All headers; names in lower case.
    pub headers: Vec<(String, String)>,
    /// Bytes of the file that were sent so far.
    pub sent: u64,
    /// How often the answer stalled so far.
    pub stalls: u32,
}

impl Seen {
    /// The value of the header `name` (lower case).
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The range that was asked for: its first byte, and its last when it is closed.
    #[must_use]
    pub fn range(&self) -> Option<(u64, Option<u64>)> {
        let (first, last) = self.header("range")?.strip_prefix("bytes=")?.split_once('-')?;
        let last = if last.is_empty() { None } else { Some(last.parse().ok()?) };
        Some((first.parse().ok()?, last))
    }

    /// True for a range with both ends.
    pub(crate) fn is_part(&self) -> bool {
        self.range().is_some_and(|(_, last)| last.is_some())
    }

    /// The target without its query.
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// Read the head of a request; `None` when there is none, or none of HTTP/1.
    pub(crate) fn read(from: &mut impl Read) -> io::Result<Option<Self>> {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            if head.len() > LONGEST_HEAD || from.read(&mut byte)? == 0 {
                return Ok(None);
            }
            head.push(byte[0]);
        }
        Ok(Self::parse(&String::from_utf8_lossy(&head)))
    }

    fn parse(head: &str) -> Option<Self> {
        let mut lines = head.split("\r\n");
        let mut words = lines.next()?.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
        let header = |line: &str| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_ascii_lowercase(), value.trim().to_owned()))
        };
        Some(Self { method, target, headers: lines.filter_map(header).collect(), sent: 0, stalls: 0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_remembered_with_its_range() {
        for (range, want) in [
            ("bytes=5-9", Some((5, Some(9)))),
            ("bytes=5-", Some((5, None))),
            ("bytes=-5", None),
            ("items=1-2", None),
        ] {
            let head = format!("GET /a?b HTTP/1.1\r\nHost: h\r\nRange: {range}\r\n\r\n");
            let seen = Seen::read(&mut head.as_bytes()).expect("in memory").expect("a request");
            assert_eq!((seen.path(), seen.range(), seen.header("host")), ("/a", want, Some("h")), "{range}");
        }
        assert_eq!(Seen::read(&mut &b"GET / HTTP/1.1\r\nHo"[..]).expect("in memory"), None);
    }
}
