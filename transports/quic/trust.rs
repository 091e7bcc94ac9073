//! Whom we trust: authorities, keys that were told beforehand, or nobody checked; and the judge who applies it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::verify_tls13_signature;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
};

use super::identity::{CredentialError, certificates, fingerprint};
use super::tls;
use crate::{Fingerprint, TrustError};

/// Whom to trust: whom we connect to, or whom we let in.
///
/// # Examples
///
/// ```
/// use zocket_transport::Fingerprint;
/// use zocket_transport::quic::{Identity, Trust};
///
/// let word = Identity::generate()?.fingerprint().to_string(); // told by other means
/// let trust = Trust::keys([word.parse::<Fingerprint>()?]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Trust(Kind);

#[derive(Clone)]
enum Kind {
    Roots { servers: Arc<WebPkiServerVerifier>, clients: Arc<dyn ClientCertVerifier> },
    Keys(Arc<BTreeSet<Fingerprint>>),
    Anyone,
}

impl Trust {
    /// Whoever holds one of these keys, whatever their certificates say: names and dates do not matter.
    pub fn keys(pinned: impl IntoIterator<Item = Fingerprint>) -> Self {
        Self(Kind::Keys(Arc::new(pinned.into_iter().collect())))
    }

    /// Whoever shows a certificate that one of these authorities (PEM) has signed, that is valid today and, of a peer
    /// we connect to, is for the host in the endpoint.
    ///
    /// # Errors
    ///
    /// There is no certificate in the text, or one is malformed.
    pub fn roots(pem: impl AsRef<[u8]>) -> Result<Self, CredentialError> {
        let mut roots = RootCertStore::empty();
        for certificate in certificates(pem.as_ref())? {
            roots.add(certificate).map_err(|error| CredentialError::malformed("certificate", error))?;
        }
        Self::authorities(roots)
    }

    /// As [`roots`](Self::roots), with the authorities that this system trusts. For whom we connect to: clients are not
    /// asked for a name, so with [`admit`](super::Quic::admit) this lets in nearly anybody.
    ///
    /// # Errors
    ///
    /// The system has none.
    pub fn system_roots() -> Result<Self, CredentialError> {
        let found = rustls_native_certs::load_native_certs();
        let mut roots = RootCertStore::empty();
        if let (0, _) = roots.add_parsable_certificates(found.certs) {
            let reason = format!("{:?}", found.errors);
            return Err(CredentialError::NoSystemRoots { reason });
        }
        Self::authorities(roots)
    }

    /// Whoever comes along and has some key. The connection is encrypted, but nobody knows to whom: whoever is in
    /// between can read and change everything. For tests, and for those who look at
    /// [`PeerProof::Key`](crate::PeerProof::Key) themselves.
    #[must_use]
    pub const fn dangerous_trust_anyone() -> Self {
        Self(Kind::Anyone)
    }

    fn authorities(roots: RootCertStore) -> Result<Self, CredentialError> {
        let unusable = |error| CredentialError::malformed("certificate", error);
        let roots = Arc::new(roots);
        let servers =
            WebPkiServerVerifier::builder_with_provider(Arc::clone(&roots), tls::provider()).build();
        let clients = WebPkiClientVerifier::builder_with_provider(roots, tls::provider()).build();
        Ok(Self(Kind::Roots { servers: servers.map_err(unusable)?, clients: clients.map_err(unusable)? }))
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Roots { .. } => f.write_str("Trust(authorities)"),
            Kind::Keys(keys) => f.debug_tuple("Trust").field(keys).finish(),
            Kind::Anyone => f.write_str("Trust(anyone)"),
        }
    }
}

/// Judges the peer of one connection, and keeps the verdict: TLS itself would pass on no more than the class of it.
#[derive(Debug)]
pub(super) struct Judge {
    pub(super) trust: Trust,
    pub(super) verdict: Arc<OnceLock<TrustError>>,
}

impl Judge {
    /// Gives the verdict, and its class to the peer.
    fn refuse(&self, error: TrustError, told: CertificateError) -> Error {
        self.verdict.get_or_init(|| error);
        told.into()
    }

    /// The verdict on what an authority's verifier has found.
    fn found<T>(&self, found: Result<T, Error>, wanted: &ServerName<'_>) -> Result<T, Error> {
        use CertificateError as Bad;
        found.map_err(|error| {
            let Error::InvalidCertificate(told) = error else {
                self.verdict.get_or_init(|| TrustError::BadCertificate { reason: error.to_string() });
                return error;
            };
            let error = match &told {
                Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
                    TrustError::WrongName { wanted: wanted.to_str().into_owned() }
                }
                Bad::Expired | Bad::ExpiredContext { .. } => TrustError::Expired,
                Bad::NotValidYet | Bad::NotValidYetContext { .. } => TrustError::NotYetValid,
                Bad::UnknownIssuer => TrustError::UnknownAuthority,
                bad => TrustError::BadCertificate { reason: bad.to_string() },
            };
            self.refuse(error, told)
        })
    }

    /// Whether the peer's key is one of those, which TLS has it prove next.
    fn is_pinned(&self, keys: &BTreeSet<Fingerprint>, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        let Some(fingerprint) = fingerprint(certificate) else {
            let error = TrustError::BadCertificate { reason: "it cannot be read".into() };
            return Err(self.refuse(error, CertificateError::BadEncoding));
        };
        if keys.contains(&fingerprint) {
            return Ok(());
        }
        let told = CertificateError::ApplicationVerificationFailure;
        Err(self.refuse(TrustError::UnknownKey { fingerprint }, told))
    }

    fn signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = tls::provider().signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, &algorithms).inspect_err(|error| {
            self.verdict.get_or_init(|| TrustError::BadCertificate { reason: error.to_string() });
        })
    }
}

fn schemes() -> Vec<SignatureScheme> {
    tls::provider().signature_verification_algorithms.supported_schemes()
}

/// Versions below 1.3 are not offered.
fn too_old() -> Error {
    rustls::PeerIncompatible::Tls12NotOfferedOrEnabled.into()
}

/// The same for servers and clients: a certificate is nothing without its key.
macro_rules! proves_its_key {
    () => {
        fn verify_tls12_signature(
            &self,
            _: &[u8],
            _: &CertificateDer<'_>,
            _: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            Err(too_old())
        }

        fn verify_tls13_signature(
            &self,
            message: &[u8],
            certificate: &CertificateDer<'_>,
            signed: &DigitallySignedStruct,
        ) -> Result<HandshakeSignatureValid, Error> {
            self.signature(message, certificate, signed)
        }

        fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
            schemes()
        }
    };
}

impl ServerCertVerifier for Judge {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        match &self.trust.0 {
            Kind::Roots { servers, .. } => {
                self.found(servers.verify_server_cert(certificate, between, name, ocsp, now), name)
            }
            Kind::Keys(keys) => self.is_pinned(keys, certificate).map(|()| ServerCertVerified::assertion()),
            Kind::Anyone => Ok(ServerCertVerified::assertion()),
        }
    }

    proves_its_key!();
}

impl ClientCertVerifier for Judge {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        match &self.trust.0 {
            Kind::Roots { clients, .. } => clients.root_hint_subjects(),
            Kind::Keys(_) | Kind::Anyone => &[],
        }
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        between: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        match &self.trust.0 {
            Kind::Roots { clients, .. } => {
                // Clients are not asked for a name.
                let nobody = ServerName::IpAddress(std::net::IpAddr::from([0; 4]).into());
                self.found(clients.verify_client_cert(certificate, between, now), &nobody)
            }
            Kind::Keys(keys) => self.is_pinned(keys, certificate).map(|()| ClientCertVerified::assertion()),
            Kind::Anyone => Ok(ClientCertVerified::assertion()),
        }
    }

    proves_its_key!();
}
