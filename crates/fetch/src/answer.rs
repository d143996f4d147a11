//! What the head of an answer says, whoever gave it.

use std::time::Duration;

use reqwest::{
    Response,
    header::{self, HeaderMap, HeaderName},
};

use crate::{mirrors::Validator, ranges::ContentRange};

/// What web pages begin with, in lower case.
const PAGES: [&[u8]; 2] = [b"<!doctype html", b"<html"];

/// What is known of an image once a mirror has answered.
#[derive(Clone, Debug)]
pub(crate) struct Opened {
    /// Its length, unless the server does not say.
    pub(crate) length: Option<u64>,
    /// Whether parts can be asked for.
    pub(crate) ranges: bool,
}

impl Opened {
    pub(crate) fn of(answer: &Response) -> Self {
        Self {
            length: answer.content_length(),
            ranges: text(answer.headers(), header::ACCEPT_RANGES) == Some("bytes"),
        }
    }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// What tells this version of the file from another. A weak `ETag` promises no
/// equal bytes, RFC 9110 §8.8.1.
pub(crate) fn validator(headers: &HeaderMap) -> Validator {
    let tag = text(headers, header::ETAG).filter(|tag| tag.starts_with('"'));
    match tag.or(text(headers, header::LAST_MODIFIED)) {
        Some(known) => Validator::Known(known.to_owned()),
        None => Validator::Absent,
    }
}

/// The part of the file that the body is.
pub(crate) fn range(headers: &HeaderMap) -> Option<ContentRange> {
    text(headers, header::CONTENT_RANGE).and_then(ContentRange::parse)
}

/// Whether the body is the file as it is stored.
pub(crate) fn is_plain(headers: &HeaderMap) -> bool {
    text(headers, header::CONTENT_ENCODING)
        .is_none_or(|encoding| encoding.is_empty() || encoding == "identity")
}

/// When to ask again. Dates are no help: clocks of new machines are wrong.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    text(headers, header::RETRY_AFTER)?.parse().ok().map(Duration::from_secs)
}

/// Whether the body is said to be a web page.
pub(crate) fn says_page(headers: &HeaderMap) -> bool {
    text(headers, header::CONTENT_TYPE).is_some_and(|kind| {
        let kind = kind.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("text/html") || kind.eq_ignore_ascii_case("application/xhtml+xml")
    })
}

/// Whether `head` begins a web page.
pub(crate) fn is_page(head: &[u8]) -> bool {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    PAGES.iter().any(|page| head.get(..page.len()).is_some_and(|head| head.eq_ignore_ascii_case(page)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), header::HeaderValue::from_static(value))
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn strong_tags_tell_versions_apart_and_weak_ones_do_not() {
        let date = "Sun, 22 Nov 2026 10:00:00 GMT";
        let known = |text: &str| Validator::Known(text.to_owned());
        for (pairs, want) in [
            (&[("etag", "\"1\""), ("last-modified", date)][..], known("\"1\"")),
            (&[("etag", "W/\"1\""), ("last-modified", date)], known(date)),
            (&[("etag", "W/\"1\"")], Validator::Absent),
            (&[("etag", "naked")], Validator::Absent),
            (&[], Validator::Absent),
        ] {
            assert_eq!(validator(&headers(pairs)), want, "{pairs:?}");
        }
    }

    #[test]
    fn pages_are_told_from_images() {
        assert!(says_page(&headers(&[("content-type", "Text/HTML; charset=utf-8")])));
        assert!(!says_page(&headers(&[("content-type", "application/octet-stream")])));
        for (head, want) in [
            (&b"\xef\xbb\xbf \r\n<!DOCTYPE HTML PUBLIC"[..], true),
            (b"<HTML lang=en>", true),
            (b"<htm", false),
            (b"<?xml", false),
            (b"QFI\xfb", false),
            (b"", false),
        ] {
            assert_eq!(is_page(head), want);
        }
    }

    #[test]
    fn patience_is_asked_for_in_seconds() {
        for (text, want) in [
            ("7", Some(7)),
            ("-1", None),
            ("Sun, 22 Nov 2026 10:00:00 GMT", None),
            ("1000000000", Some(1_000_000_000)),
        ] {
            let after = retry_after(&headers(&[("retry-after", text)]));
            assert_eq!(after, want.map(Duration::from_secs), "{text}");
        }
        assert!(
            is_plain(&headers(&[("content-encoding", "identity")]))
                && !is_plain(&headers(&[("content-encoding", "gzip")]))
        );
    }
}
