//! qcow2, versions 2 and 3 (QEMU's `docs/interop/qcow2.txt`), read in one
//! forward pass: every table and cluster is used as it streams past.
//!
//! header ─▶ L1 ─▶ L2 tables ─▶ [`Map`]: pieces by host offset ─▶ [`forward`]
//!
//! Where the source can be read out of order the tables come first, so that an
//! image that lies is refused before a byte is written; what streams past then
//! must be the same tables. Where it cannot, tables are used as they pass and a
//! bounded window reaches back for data that came before its table.

mod claims;
mod cluster;
mod forward;
mod header;
mod map;
mod window;

use std::sync::mpsc::SyncSender;

use model::Bytes;

pub(crate) use map::Map;

use super::{DecodeError, Decoded, Reader, send};

/// Why a qcow2 file is refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Qcow2Error {
    /// Its content is elsewhere.
    #[error("the qcow2 image has {what}; flatten it with `qemu-img convert`")]
    NotAlone {
        /// `a backing file`, `an external data file`.
        what: &'static str,
    },
    /// It is encrypted.
    #[error("the qcow2 image is encrypted; convert it to a plain one")]
    Encrypted,
    /// It uses what this reader does not know.
    #[error(
        "the qcow2 image uses {what}, which this version does not read; convert it with `qemu-img convert`"
    )]
    Unknown {
        /// What that is.
        what: String,
    },
    /// It says itself that it is damaged.
    #[error("the qcow2 image is marked corrupt; repair it with `qemu-img check -r all`")]
    Corrupt,
    /// A header field or a table says what cannot be.
    #[error("the qcow2 image is damaged or hostile: {what} at byte {at}")]
    Lie {
        /// What is wrong.
        what: &'static str,
        /// Where in the file it was found.
        at: u64,
    },
    /// It points past its own end.
    #[error("the qcow2 image is cut off: {what} at byte {at} lies past its end; upload it again")]
    Truncated {
        /// What is missing.
        what: &'static str,
        /// Where in the file it should be.
        at: u64,
    },
    /// A compressed cluster does not decompress to one cluster.
    #[error("the qcow2 image has a damaged compressed cluster at byte {at}; upload it again")]
    Cluster {
        /// Where in the file.
        at: u64,
    },
    /// Data came before its table, farther back than is kept.
    #[error(
        "the qcow2 image keeps data at byte {at} more than {window} before its table; serve it from \
         a server that supports Range requests, or convert it with `qemu-img convert`"
    )]
    TooFarBack {
        /// Where in the file.
        at: u64,
        /// How much is kept.
        window: Bytes,
    },
    /// More pieces than are kept in memory.
    #[error("the qcow2 image is in more than {limit} pieces; convert it with `qemu-img convert`")]
    TooFragmented {
        /// The limit.
        limit: usize,
    },
    /// The tables that streamed past are not those that were read before.
    #[error("the qcow2 image changed while it was read (its tables at byte {at}); try again")]
    Changed {
        /// Where in the file.
        at: u64,
    },
}

/// Send the disk in `content` to the writer.
pub(super) fn decode(
    content: &mut Reader,
    map: Option<Map>,
    length: Option<Bytes>,
    to: &SyncSender<Decoded>,
    begin: impl Fn(Option<Bytes>) -> Decoded,
) -> Result<(), DecodeError> {
    let map = match map {
        Some(map) => map,
        None => Map::new(header::Header::parse(content.peek()?, length)?, length)?,
    };
    let size = map.size();
    send(to, begin(Some(size)))?;
    forward::run(content, map, to)?;
    send(to, Decoded::End { size })
}
