//! Signed evidence: a JSON body that anybody can check and nobody can change.
//!
//! ```text
//! body + Key ──sign()──▶ Signed ──(travels)──▶ verify(pinned) ──▶ body
//!                                                        └─▶ VerifyError
//! ```
//!
//! A document is `{"body": {…}, "signature": {"algorithm", "certificate", "value"}}`.
//! The signature (ECDSA over P-384 with SHA-384, ASN.1 DER, base64) covers the
//! canonical form of the body ([`canonical`]) and nothing else. The certificate
//! travels along, so that a document can be checked offline; who it belongs to
//! is known only to whoever pins it. Documents about one node are kept in a
//! [`chain`], countersigned by whoever keeps it.

pub mod chain;

mod canonical;
mod key;
mod signed;

pub use canonical::{CanonicalError, DEPTH_LIMIT, SIZE_LIMIT, canonical};
pub use key::{CertificateError, CertificatePem, Key, KeyError};
pub use signed::{ALGORITHM, SignError, Signature, Signed, VerifyError, sign, verify};
