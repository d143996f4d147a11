//! The key that signs, and the certificate that tells it.

use std::{fmt, str::FromStr};

use ring::{
    rand::SystemRandom,
    signature::{ECDSA_P384_SHA384_ASN1_SIGNING, EcdsaKeyPair},
};
use rustls_pki_types::{CertificateDer, pem::PemObject};

/// What a signing key says once, to show that it and the certificate belong together.
const PROBE: &[u8] = b"billet evidence key check";
/// The longest certificate text read, in bytes; ours are some 600.
const PEM_LIMIT: usize = 64 << 10;

/// Why a certificate cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// Not one certificate in PEM.
    #[error("want one PEM certificate: {reason}")]
    NotPem {
        /// What is wrong.
        reason: String,
    },
    /// Not an X.509 certificate this library reads.
    #[error("the certificate is not usable: {reason}")]
    NotX509 {
        /// What is wrong.
        reason: String,
    },
}

/// One certificate. Equal when the bytes of the certificate are, whatever the
/// line breaks around them.
#[derive(Clone)]
pub struct CertificatePem {
    text: String,
    der: CertificateDer<'static>,
}

impl CertificatePem {
    /// The PEM text it was made from.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// True when it is signed with its own key, so that no byte of it was changed.
    /// Every signer makes its own certificate.
    pub(crate) fn vouches_for_itself(&self) -> Result<bool, CertificateError> {
        match signed_part(&self.der) {
            Some((signed, signature)) => self.vouches_for(signed, signature),
            None => Ok(false),
        }
    }

    /// True when `signature` (ASN.1 DER) over `message` was made by this certificate's P-384 key.
    pub(crate) fn vouches_for(&self, message: &[u8], signature: &[u8]) -> Result<bool, CertificateError> {
        let parsed = webpki::EndEntityCert::try_from(&self.der)
            .map_err(|error| CertificateError::NotX509 { reason: error.to_string() })?;
        Ok(parsed.verify_signature(webpki::ring::ECDSA_P384_SHA384, message, signature).is_ok())
    }
}

/// What a DER certificate signs, and its signature (RFC 5280, 4.1).
fn signed_part(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, fields, behind) = element(der)?;
    let (signed, _, rest) = element(fields)?;
    let (_, _, rest) = element(rest)?; // the algorithm; webpki knows the only one we take
    let (_, bits, last) = element(rest)?;
    let whole_bytes = bits.strip_prefix(&[0])?;
    (behind.is_empty() && last.is_empty()).then_some((signed, whole_bytes))
}

/// The first element of `der`, whole; its content; and what follows it.
fn element(der: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let first = usize::from(*der.get(1)?);
    let more = first.saturating_sub(0x80);
    let length = match more {
        0 => first,
        1..=3 => der.get(2..2 + more)?.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)),
        _ => return None, // longer than any certificate read
    };
    let header = 2 + more;
    let (whole, rest) = der.split_at_checked(header + length)?;
    Some((whole, whole.get(header..)?, rest))
}

impl FromStr for CertificatePem {
    type Err = CertificateError;

    fn from_str(text: &str) -> Result<Self, CertificateError> {
        let bad = |reason: &str| CertificateError::NotPem { reason: reason.to_owned() };
        if text.len() > PEM_LIMIT {
            return Err(bad("the text is longer than a certificate"));
        }
        let mut found = CertificateDer::pem_slice_iter(text.as_bytes());
        let der = found.next().ok_or_else(|| bad("none found"))?.map_err(|error| bad(&error.to_string()))?;
        if found.next().is_some() {
            return Err(bad("several found"));
        }
        Ok(Self { text: text.to_owned(), der })
    }
}

impl PartialEq for CertificatePem {
    fn eq(&self, other: &Self) -> bool {
        self.der == other.der
    }
}

impl Eq for CertificatePem {}

impl fmt::Debug for CertificatePem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertificatePem({} bytes)", self.der.len())
    }
}

/// Why a key cannot sign evidence.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Not a P-384 private key in PKCS#8 DER.
    #[error("want a P-384 private key in PKCS#8: {reason}")]
    NotP384 {
        /// What is wrong.
        reason: String,
    },
    /// The certificate is unusable.
    #[error("the key's certificate cannot be used")]
    Certificate(#[from] CertificateError),
    /// The certificate belongs to another key.
    #[error("the certificate does not belong to the key; make both together")]
    Mismatch,
    /// The kernel gave no random numbers.
    #[error("no random numbers to sign with")]
    Random,
}

/// A signing key with its certificate. Made once per boot; never written down.
pub struct Key {
    pair: EcdsaKeyPair,
    random: SystemRandom,
    certificate: CertificatePem,
}

impl Key {
    /// From a P-384 private key (PKCS#8 v1 or v2, DER) and its certificate.
    ///
    /// # Errors
    /// [`KeyError`], also when the two do not belong together.
    pub fn new(pkcs8_der: &[u8], certificate_pem: &str) -> Result<Self, KeyError> {
        let random = SystemRandom::new();
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P384_SHA384_ASN1_SIGNING, pkcs8_der, &random)
            .map_err(|error| KeyError::NotP384 { reason: error.to_string() })?;
        let key = Self { pair, random, certificate: certificate_pem.parse()? };
        let signature = key.sign(PROBE).ok_or(KeyError::Random)?;
        if key.certificate.vouches_for(PROBE, &signature)? { Ok(key) } else { Err(KeyError::Mismatch) }
    }

    /// The certificate that goes into every document.
    #[must_use]
    pub fn certificate(&self) -> &CertificatePem {
        &self.certificate
    }

    /// `None` when the kernel gives no random numbers.
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        Some(self.pair.sign(&self.random, message).ok()?.as_ref().to_vec())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({:?})", self.certificate)
    }
}
