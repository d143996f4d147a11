//! A chain of countersigned documents: nothing can be taken out or put in.
//!
//! ```text
//! link 1 ◀─previous─ link 2 ◀─previous─ link 3 ◀─head─ signed head (length, digest)
//! ```
//!
//! A link is a signed document whose body says `kind: link`, of which `node` it
//! is, its `sequence` from 1, and in `previous` the [`digest`] of the whole link
//! before it. What else is in it is its maker's business. A head says how long
//! the chain is, without which its end could be cut off.

use ring::digest::SHA256;
use serde_json::{Map, Value};

use crate::{CanonicalError, Signed, canonical};

/// The version of links and heads that this program makes and reads.
const VERSION: u64 = 1;

/// One link, as far as the chain needs to know it. Made of a document whose
/// signature was checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Whose chain it is in.
    pub node: String,
    /// Its number in it, from 1.
    pub sequence: u64,
    /// [`digest`] of the link before; `None` for the first only.
    pub previous: Option<String>,
    /// Its own.
    pub digest: String,
    /// Who signed it, PEM.
    pub signer: String,
}

/// How long a chain is, by whoever keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// Whose chain it is.
    pub node: String,
    /// How many links it has.
    pub length: u64,
    /// [`digest`] of the last; `None` when there is none.
    pub digest: Option<String>,
}

/// Why documents are no chain.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChainError {
    /// Not a link or head, or not of this version.
    #[error("this is no {kind} of a chain: {reason}")]
    Malformed {
        /// `link` or `head`.
        kind: &'static str,
        /// What is wrong.
        reason: &'static str,
    },
    /// It has no digest.
    #[error("the link has no digest")]
    Canonical(#[from] CanonicalError),
    /// Two links claim one place.
    #[error("there are two different links {sequence} of node {node}: one of them is not of its history")]
    Fork {
        /// Whose chain.
        node: String,
        /// The place.
        sequence: u64,
    },
    /// Links are left out.
    #[error("the chain of node {node} is broken: links {first} to {last} are missing")]
    Missing {
        /// Whose chain.
        node: String,
        /// The first that is missing.
        first: u64,
        /// The last.
        last: u64,
    },
    /// A link was made after another one than that before it.
    #[error("the chain of node {node} is broken: link {sequence} does not follow link {} as it is here", sequence - 1)]
    Broken {
        /// Whose chain.
        node: String,
        /// The link that does not follow.
        sequence: u64,
    },
    /// Somebody else goes on.
    #[error(
        "link {sequence} of node {node} is signed with another key than the one before; pin both keys if the keeper of the chain changed its own"
    )]
    OtherSigner {
        /// Whose chain.
        node: String,
        /// The first link of the other.
        sequence: u64,
    },
    /// The last link is not the one the head names.
    #[error("link {length} of node {node} is not the one that the signed head of its chain names")]
    OtherHead {
        /// Whose chain.
        node: String,
        /// Its length.
        length: u64,
    },
}

/// Whether the links of a chain may be signed with several keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signers {
    /// One key signed all of them.
    One,
    /// Each signature was checked against keys that are known otherwise.
    Pinned,
}

/// SHA-256 of the canonical form of the whole document, in hex.
///
/// # Errors
/// [`CanonicalError`] when it has none.
pub fn digest(document: &Signed) -> Result<String, CanonicalError> {
    let text = canonical(&document.to_value())?;
    Ok(ring::digest::digest(&SHA256, &text).as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The body of the link after `last` in the chain of `node`; `content` says what it is about.
#[must_use]
pub fn link(node: &str, last: Option<&Link>, mut content: Map<String, Value>) -> Value {
    content.insert("v".to_owned(), VERSION.into());
    content.insert("kind".to_owned(), "link".into());
    content.insert("node".to_owned(), node.into());
    content.insert("sequence".to_owned(), last.map_or(1, |last| last.sequence.saturating_add(1)).into());
    content.insert("previous".to_owned(), last.map(|last| last.digest.clone()).into());
    Value::Object(content)
}

/// The body of the head of the chain of `node` that ends in `last`.
#[must_use]
pub fn head(node: &str, last: Option<&Link>, at: &str) -> Value {
    serde_json::json!({
        "v": VERSION, "kind": "head", "node": node, "at": at,
        "length": last.map_or(0, |last| last.sequence),
        "digest": last.map(|last| &last.digest),
    })
}

/// True when `body` says that it is a `kind`.
fn is(body: &Value, kind: &str) -> bool {
    body.get("kind").and_then(Value::as_str) == Some(kind)
}

fn text(body: &Value, key: &str) -> Option<String> {
    body.get(key).and_then(Value::as_str).map(str::to_owned)
}

impl Link {
    /// True when `body` claims to be a link.
    #[must_use]
    pub fn claimed(body: &Value) -> bool {
        is(body, "link")
    }

    /// Read a link out of `document`, whose signature the caller checked.
    ///
    /// # Errors
    /// [`ChainError::Malformed`], [`ChainError::Canonical`].
    pub fn of(document: &Signed) -> Result<Self, ChainError> {
        let body = &document.body;
        let bad = |reason| ChainError::Malformed { kind: "link", reason };
        if !is(body, "link") || body.get("v").and_then(Value::as_u64) != Some(VERSION) {
            return Err(bad("it is of another kind or version"));
        }
        let sequence = body.get("sequence").and_then(Value::as_u64).filter(|sequence| *sequence > 0);
        let sequence = sequence.ok_or_else(|| bad("it has no sequence number"))?;
        let previous = text(body, "previous");
        if previous.is_none() != (sequence == 1) {
            return Err(bad("the first link, and no other, follows none"));
        }
        Ok(Self {
            node: text(body, "node").ok_or_else(|| bad("it names no node"))?,
            sequence,
            previous,
            digest: digest(document)?,
            signer: document.signature.certificate.clone(),
        })
    }
}

impl Head {
    /// True when `body` claims to be a head.
    #[must_use]
    pub fn claimed(body: &Value) -> bool {
        is(body, "head")
    }

    /// Read a head out of a body whose signature the caller checked.
    ///
    /// # Errors
    /// [`ChainError::Malformed`].
    pub fn of(body: &Value) -> Result<Self, ChainError> {
        let bad = |reason| ChainError::Malformed { kind: "head", reason };
        if !is(body, "head") || body.get("v").and_then(Value::as_u64) != Some(VERSION) {
            return Err(bad("it is of another kind or version"));
        }
        Ok(Self {
            node: text(body, "node").ok_or_else(|| bad("it names no node"))?,
            length: body.get("length").and_then(Value::as_u64).ok_or_else(|| bad("it has no length"))?,
            digest: text(body, "digest"),
        })
    }
}

/// Check that `links`, all of one node, in any order, are one piece of one chain,
/// and with `head` the whole of it. They come back in order, each once.
///
/// # Errors
/// [`ChainError`]: something was taken out, put in or changed.
pub fn check(mut links: Vec<Link>, head: Option<&Head>, signers: Signers) -> Result<Vec<Link>, ChainError> {
    links.sort_by(|a, b| (a.sequence, &a.digest).cmp(&(b.sequence, &b.digest)));
    links.dedup_by(|a, b| a.digest == b.digest);
    for pair in links.windows(2) {
        if let [before, after] = pair {
            follows(before, after, signers)?;
        }
    }
    if let Some(head) = head {
        ends_in(&links, head)?;
    }
    Ok(links)
}

fn follows(before: &Link, after: &Link, signers: Signers) -> Result<(), ChainError> {
    let (node, sequence) = (after.node.clone(), after.sequence);
    if before.sequence == after.sequence {
        return Err(ChainError::Fork { node, sequence });
    }
    let next = before.sequence.saturating_add(1);
    if next != after.sequence {
        return Err(ChainError::Missing { node, first: next, last: after.sequence - 1 });
    }
    if after.previous.as_ref() != Some(&before.digest) {
        return Err(ChainError::Broken { node, sequence });
    }
    if signers == Signers::One && before.signer != after.signer {
        return Err(ChainError::OtherSigner { node, sequence });
    }
    Ok(())
}

/// `links` are in order and without gaps.
fn ends_in(links: &[Link], head: &Head) -> Result<(), ChainError> {
    let node = || head.node.clone();
    let missing = |first, last| Err(ChainError::Missing { node: node(), first, last });
    let (Some(first), Some(last)) = (links.first(), links.last()) else {
        return if head.length == 0 { Ok(()) } else { missing(1, head.length) };
    };
    if first.sequence > 1 {
        return missing(1, first.sequence - 1);
    }
    if last.sequence < head.length {
        return missing(last.sequence + 1, head.length);
    }
    // An older head than the links: it names one of them.
    let named = links.iter().find(|link| link.sequence == head.length).map(|link| &link.digest);
    if named == head.digest.as_ref() {
        Ok(())
    } else {
        Err(ChainError::OtherHead { node: node(), length: head.length })
    }
}
