//! Signing a body and checking a document that anybody may have made.

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{CanonicalError, CertificateError, CertificatePem, Key, SIZE_LIMIT, canonical};

/// The only algorithm there is, as documents name it.
pub const ALGORITHM: &str = "ecdsa-p384-sha384";

/// The most a document may add to its body, in bytes: certificate, signature, white space.
const ENVELOPE_LIMIT: usize = 128 << 10;

/// A body and who vouches for it. Unchecked until [`verify`] says otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    /// What is claimed.
    pub body: Value,
    /// Who claims it.
    pub signature: Signature,
}

/// The signature of a document.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signature {
    /// [`ALGORITHM`].
    pub algorithm: String,
    /// The signer's certificate, PEM.
    pub certificate: String,
    /// ASN.1 DER, base64 with padding.
    pub value: String,
}

/// Why a body was not signed.
#[derive(Debug, thiserror::Error)]
pub enum SignError {
    /// The body is not an object.
    #[error("evidence is a JSON object")]
    NotAnObject,
    /// The body has no canonical form.
    #[error("the evidence cannot be signed")]
    Canonical(#[from] CanonicalError),
    /// The kernel gave no random numbers.
    #[error("no random numbers to sign with")]
    Random,
}

/// Why a document proves nothing.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// Longer than any document.
    #[error("the document is {size} bytes, larger than evidence may be")]
    TooLarge {
        /// Its length, in bytes.
        size: usize,
    },
    /// Not JSON, or not the JSON of a document.
    #[error("this is no evidence document: {reason}")]
    Malformed {
        /// What is wrong.
        reason: String,
    },
    /// The body has no canonical form, so nothing can have signed it.
    #[error("the body cannot have been signed")]
    Canonical(#[from] CanonicalError),
    /// Signed in a way this program does not know.
    #[error("the signature's algorithm is {found:?}, want {ALGORITHM}")]
    Algorithm {
        /// What the document says, shortened.
        found: String,
    },
    /// The certificate is unusable.
    #[error("the document's certificate cannot be used")]
    Certificate(#[from] CertificateError),
    /// The certificate was changed, or somebody else made it.
    #[error("the document's certificate was changed: it is not signed with its own key")]
    NotSelfSigned,
    /// Signed by somebody else.
    #[error("the document is signed with another certificate than the pinned one")]
    NotPinned,
    /// The signature does not fit: the body was changed, or signed by another key.
    #[error("the signature does not fit: the document was changed, or signed by another key")]
    Forged,
}

/// Sign `body` with `key`.
///
/// # Errors
/// [`SignError`]; nothing is signed then.
pub fn sign(body: Value, key: &Key) -> Result<Signed, SignError> {
    if !body.is_object() {
        return Err(SignError::NotAnObject);
    }
    let signature = key.sign(&canonical(&body)?).ok_or(SignError::Random)?;
    let signature = Signature {
        algorithm: ALGORITHM.to_owned(),
        certificate: key.certificate().as_str().to_owned(),
        value: BASE64_STANDARD.encode(signature),
    };
    Ok(Signed { body, signature })
}

impl Signed {
    /// Read a document from a file or a body of any origin. Proves nothing yet.
    ///
    /// # Errors
    /// [`VerifyError::TooLarge`] or [`VerifyError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, VerifyError> {
        if bytes.len() > SIZE_LIMIT + ENVELOPE_LIMIT {
            return Err(VerifyError::TooLarge { size: bytes.len() });
        }
        // serde_json stops at 128 levels by itself.
        serde_json::from_slice(bytes).map_err(|error| VerifyError::Malformed { reason: error.to_string() })
    }

    /// The document as JSON.
    #[must_use]
    pub fn to_value(&self) -> Value {
        serde_json::json!({ "body": self.body, "signature": {
            "algorithm": self.signature.algorithm,
            "certificate": self.signature.certificate,
            "value": self.signature.value,
        }})
    }

    /// The document as stored in a file: canonical, one line.
    ///
    /// # Errors
    /// [`CanonicalError`] when the body has no canonical form.
    pub fn to_text(&self) -> Result<String, CanonicalError> {
        let mut text = String::from_utf8_lossy(&canonical(&self.to_value())?).into_owned();
        text.push('\n');
        Ok(text)
    }
}

/// Check `document` and hand out what it proves.
///
/// Without `pinned` this proves that the body is as the holder of the
/// certificate's key signed it, not who that was.
///
/// # Errors
/// [`VerifyError`]; the body then proves nothing.
pub fn verify(document: &Signed, pinned: Option<&CertificatePem>) -> Result<Value, VerifyError> {
    let Signature { algorithm, certificate, value } = &document.signature;
    if algorithm != ALGORITHM {
        return Err(VerifyError::Algorithm { found: algorithm.chars().take(40).collect() });
    }
    if !document.body.is_object() {
        return Err(VerifyError::Malformed { reason: "the body is not an object".to_owned() });
    }
    let certificate: CertificatePem = certificate.parse()?;
    if pinned.is_some_and(|pinned| *pinned != certificate) {
        return Err(VerifyError::NotPinned);
    }
    if !certificate.vouches_for_itself()? {
        return Err(VerifyError::NotSelfSigned);
    }
    let message = canonical(&document.body)?;
    let signature = BASE64_STANDARD.decode(value).map_err(|_| VerifyError::Forged)?;
    match certificate.vouches_for(&message, &signature)? {
        true => Ok(document.body.clone()),
        false => Err(VerifyError::Forged),
    }
}
