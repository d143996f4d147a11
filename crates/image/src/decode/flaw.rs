//! What can be wrong with a file that keeps its disk behind tables.

use model::Bytes;

/// Why such a file is refused. Read after "the qcow2 image".
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// Its content is elsewhere.
    #[error("has {what}; flatten it with `qemu-img convert`")]
    NotAlone {
        /// `a backing file`, `an external data file`.
        what: &'static str,
    },
    /// It is encrypted.
    #[error("is encrypted; convert it to a plain one")]
    Encrypted,
    /// It uses what this reader does not know.
    #[error("uses {what}, which this version does not read; convert it with `qemu-img convert`")]
    Unknown {
        /// What that is.
        what: String,
    },
    /// It says itself that it is damaged.
    #[error("is marked corrupt; repair it with `qemu-img check -r all`")]
    Corrupt,
    /// A header field or a table says what cannot be.
    #[error("is damaged or hostile: {what} at byte {at}")]
    Lie {
        /// What is wrong.
        what: &'static str,
        /// Where in the file it was found.
        at: u64,
    },
    /// It points past its own end.
    #[error("is cut off: {what} at byte {at} lies past its end; upload it again")]
    Truncated {
        /// What is missing.
        what: &'static str,
        /// Where in the file it should be.
        at: u64,
    },
    /// A compressed cluster does not decompress to one cluster.
    #[error("has a damaged compressed cluster at byte {at}; upload it again")]
    Cluster {
        /// Where in the file.
        at: u64,
    },
    /// Data came before its table, farther back than is kept.
    #[error(
        "keeps data at byte {at} before the table that maps it, and no more than {kept} of such data is kept \
         here; serve it from a server that supports Range requests, or convert it with `qemu-img convert`"
    )]
    TooFarBack {
        /// Where in the file.
        at: u64,
        /// How much is kept: the window in memory, or the limit of the spill.
        kept: Bytes,
    },
    /// Its layout takes more memory than there is for it.
    #[error(
        "is in so many pieces that knowing them takes more than {limit}; convert it with `qemu-img convert`"
    )]
    TooFragmented {
        /// The limit.
        limit: Bytes,
    },
    /// The tables that streamed past are not those that were read before.
    #[error("changed while it was read (its tables at byte {at}); try again")]
    Changed {
        /// Where in the file.
        at: u64,
    },
}
