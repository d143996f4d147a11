//! The agent's own certificate: made at every boot, carried to the control
//! plane by the heartbeat, and the key that signs evidence.

use std::{net::IpAddr, sync::Arc};

use rcgen::{CertificateParams, DnType, KeyPair, PKCS_ECDSA_P384_SHA384, SanType};
use rustls::{ServerConfig, version};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};

/// How far into the past the certificate reaches: server clocks are often kept
/// in local time, half a day off.
const BACKDATE: std::time::Duration = std::time::Duration::from_secs(24 * 3600);

/// How long it lasts; Ironic's agent takes 30 days too.
const LIFETIME: std::time::Duration = std::time::Duration::from_secs(30 * 24 * 3600);

/// A self-made certificate and its key.
pub(crate) struct Identity {
    /// What travels as `agent_verify_ca`.
    pub(crate) certificate_pem: String,
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

/// Why the agent has no certificate.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    /// Making it failed.
    #[error("cannot make a certificate for {addresses:?}")]
    Make {
        /// The addresses it should name.
        addresses: Vec<IpAddr>,
        /// What the library says.
        #[source]
        err: rcgen::Error,
    },
    /// Serving with it failed.
    #[error("cannot serve TLS with the certificate just made")]
    Serve(#[source] rustls::Error),
}

/// The oldest TLS version served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MinimumTls {
    /// Only when the lookup asks for it.
    V1_2,
    /// Ironic's default.
    V1_3,
}

impl Identity {
    /// Make one for these addresses: EC P-384, as Ironic's agent does.
    ///
    /// # Errors
    /// [`IdentityError::Make`].
    pub(crate) fn make(hostname: &str, addresses: &[IpAddr]) -> Result<Self, IdentityError> {
        let fail = |err| IdentityError::Make { addresses: addresses.to_vec(), err };
        let key = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).map_err(fail)?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, hostname);
        params.subject_alt_names = addresses.iter().copied().map(SanType::IpAddress).collect();
        let now = std::time::SystemTime::now();
        params.not_before = (now - BACKDATE).into();
        params.not_after = (now + LIFETIME).into();
        let certificate = params.self_signed(&key).map_err(fail)?;
        Ok(Self {
            certificate_pem: certificate.pem(),
            certificate: certificate.der().clone(),
            key: key.serialize_der(),
        })
    }

    /// The private key, PKCS#8 DER.
    pub(crate) fn key_der(&self) -> &[u8] {
        &self.key
    }

    /// How to serve with it: HTTP/1.1 only, no client certificates.
    ///
    /// # Errors
    /// [`IdentityError::Serve`].
    pub(crate) fn server(&self, minimum: MinimumTls) -> Result<Arc<ServerConfig>, IdentityError> {
        let versions = match minimum {
            MinimumTls::V1_3 => &[&version::TLS13][..],
            MinimumTls::V1_2 => &[&version::TLS13, &version::TLS12][..],
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let key = PrivatePkcs8KeyDer::from(self.key.clone());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .map_err(IdentityError::Serve)?
            .with_no_client_auth()
            .with_single_cert(vec![self.certificate.clone()], key.into())
            .map_err(IdentityError::Serve)?;
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Arc::new(config))
    }
}
