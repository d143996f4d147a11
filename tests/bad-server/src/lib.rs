//! HTTP servers that misbehave as told, for the tests of whoever fetches.
//!
//! ```text
//! Server ── serves ──▶ File (path) ── has ──▶ versions: Content, Content, …
//!    │                    └── and a script: one Act a request, then the same for ever
//!    └── keeps ──▶ Seen: every request with its headers, and how much of an answer was sent
//! ```
//! An [`Act`] is one answer, good unless told otherwise: each of its fields is
//! one thing that a server may get wrong, and they can be combined. Requests for
//! a closed range (`bytes=5-9`) have a script of their own, because whoever
//! fetches tables reads them beside the stream.
//!
//! Threads and blocking sockets, nothing else. Nothing here sleeps: what stalls,
//! stalls until [`Server::release`] or the end of the server; what drips waits for
//! that with a time limit.
//!
//! ```
//! use bad_server::{Act, File, Server};
//!
//! let image = vec![7; 100_000];
//! let file = File::new(image).acts([Act::cut(1000), Act::status(503)]);
//! let server = Server::start([("/image.raw", file)]);
//! // fetch server.url("/image.raw") …
//! assert!(server.seen().is_empty(), "nobody asked yet");
//! ```

mod act;
mod answer;
mod content;
mod latch;
mod request;
mod server;

pub use act::{Act, Body, End, Head, Length, Ranges, Validator};
pub use content::{Content, File};
pub use request::Seen;
pub use server::{Server, Wire};
