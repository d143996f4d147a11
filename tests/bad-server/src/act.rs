//! What a server does with one request: data, good by default.

use std::time::Duration;

/// One answer. [`Act::default`] is what a good server gives.
#[derive(Clone, Debug, Default)]
pub struct Act {
    /// Which of the file's versions is given; the first is 0.
    pub version: usize,
    /// The status line and the headers.
    pub head: Head,
    /// What is made of `Range`.
    pub ranges: Ranges,
    /// What is said of the length, and how the body is framed.
    pub length: Length,
    /// By what a version of the file can be told from another.
    pub validator: Validator,
    /// How the body comes.
    pub body: Body,
    /// How the connection ends.
    pub end: End,
    /// More headers, such as `Content-Encoding`.
    pub headers: Vec<(String, String)>,
}

/// The status line and the headers.
#[derive(Clone, Debug, Default)]
pub enum Head {
    /// 200 or 206.
    #[default]
    Good,
    /// This status, and a page that says so.
    Status(u16),
    /// A redirection there.
    Redirect(String),
    /// Nothing: the connection ends at once.
    Silence,
    /// One byte, and another one after each of these times: a slow-loris.
    Drip(Duration),
    /// Headers without end; stops after 64 MiB.
    Endless,
    /// Bytes that are no HTTP.
    Garbage,
}

/// What is made of a `Range` header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ranges {
    /// What RFC 9110 says: 206, 416, and 200 when `If-Range` names another version.
    #[default]
    Good,
    /// As if it were not there; and no `Accept-Ranges`.
    Ignored,
    /// 200 and everything, although `Accept-Ranges` was said.
    Forgotten,
    /// A range that begins this many bytes later, and says so.
    Other(u64),
    /// The range that was asked for by name, and the bytes from this much later
    /// (before it, when there are none later).
    Mislabelled(u64),
    /// The right range of a file that is longer by this.
    WrongTotal(u64),
    /// 206 without `Content-Range`.
    Unlabelled,
    /// `multipart/byteranges` with one part.
    Multipart,
    /// 416, whatever was asked.
    Unsatisfiable,
    /// 206 with this version of the file, whatever `If-Range` says.
    IfRangeIgnored,
}

/// What is said of the length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Length {
    /// The truth.
    #[default]
    True,
    /// This many bytes more than there are; the body ends early.
    Longer(u64),
    /// This many bytes fewer than are sent.
    Shorter(u64),
    /// Nothing: the body ends with the connection.
    Unsaid,
    /// Two different `Content-Length`.
    Twice,
    /// A `Content-Length` that is no number.
    NoNumber,
    /// Chunked, as it should be.
    Chunked,
    /// Chunked, and without the last chunk.
    ChunkedOpen,
    /// Chunked, and after so many bytes the sizes are garbage.
    ChunkedGarbage(u64),
}

/// By what a version can be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Validator {
    /// A strong `ETag`, and `Last-Modified`.
    #[default]
    Strong,
    /// A weak `ETag` only.
    Weak,
    /// `Last-Modified` only.
    Date,
    /// The same strong `ETag` for all versions: a lie.
    Same,
    /// Nothing.
    Nothing,
}

/// How the body comes. Numbers count the bytes of this body.
#[derive(Clone, Copy, Debug, Default)]
pub struct Body {
    /// It ends after so many bytes.
    pub cut: Option<u64>,
    /// It waits after so many bytes until [`Server::release`](crate::Server::release).
    pub stall: Option<u64>,
    /// After so many bytes it comes byte by byte, each after this time.
    pub drip: Option<(u64, Duration)>,
    /// The byte at this place *of the file* has a bit flipped.
    pub flip: Option<u64>,
}

/// How the connection ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// FIN.
    #[default]
    Closed,
    /// RST.
    Reset,
    /// Not at all, until the server ends or [`Server::release`](crate::Server::release).
    Open,
}

impl Act {
    /// As it should be.
    #[must_use]
    pub fn good() -> Self {
        Self::default()
    }

    /// The connection is closed after `bytes` of the body.
    #[must_use]
    pub fn cut(bytes: u64) -> Self {
        Self { body: Body { cut: Some(bytes), ..Body::default() }, ..Self::default() }
    }

    /// The connection is reset after `bytes` of the body.
    #[must_use]
    pub fn reset(bytes: u64) -> Self {
        Self { end: End::Reset, ..Self::cut(bytes) }
    }

    /// Nothing comes any more after `bytes` of the body.
    #[must_use]
    pub fn stall(bytes: u64) -> Self {
        Self { body: Body { stall: Some(bytes), ..Body::default() }, ..Self::default() }
    }

    /// This status, and a page that says so.
    #[must_use]
    pub fn status(status: u16) -> Self {
        Self::head(Head::Status(status))
    }

    /// A redirection to `location`.
    #[must_use]
    pub fn redirect(location: &str) -> Self {
        Self::head(Head::Redirect(location.to_owned()))
    }

    /// This instead of a good head.
    #[must_use]
    pub fn head(head: Head) -> Self {
        Self { head, ..Self::default() }
    }

    /// This is made of a range.
    #[must_use]
    pub fn ranges(ranges: Ranges) -> Self {
        Self { ranges, ..Self::default() }
    }

    /// This is said of the length.
    #[must_use]
    pub fn length(length: Length) -> Self {
        Self { length, ..Self::default() }
    }

    /// This version of the file.
    #[must_use]
    pub fn version(version: usize) -> Self {
        Self { version, ..Self::default() }
    }

    /// With another header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}
