//! TLS 1.3 for QUIC (RFC 9001): one configuration for each connection, so that its verdict is its own; and what the
//! end of a connection says.
//!
//! Sessions are not resumed: every connection proves its keys anew.

use std::io;
use std::sync::{Arc, OnceLock};

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{ConnectionError, TransportErrorCode, VarInt};
use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::server::NoServerSessionStorage;
use rustls::{AlertDescription, ClientConfig, ServerConfig};

use super::identity::Identity;
use super::trust::{Judge, Trust};
use crate::{CloseReason, TrustError};

/// The name of the protocol above TLS, with its version.
const ALPN: &[u8] = b"zmtp-q1";

/// What `ring` has, whatever the process has installed.
pub(super) fn provider() -> Arc<CryptoProvider> {
    static PROVIDER: OnceLock<Arc<CryptoProvider>> = OnceLock::new();
    Arc::clone(PROVIDER.get_or_init(|| Arc::new(rustls::crypto::ring::default_provider())))
}

/// What was found wrong with the peer of one connection.
#[derive(Debug, Clone, Default)]
pub(super) struct Verdict(Arc<OnceLock<TrustError>>);

impl Verdict {
    /// Why a connection failed, by our verdict if there is one.
    pub(super) fn failed(&self, error: ConnectionError) -> io::Error {
        self.0.get().map_or_else(|| failed(error), |verdict| verdict.clone().into())
    }

    fn judge(&self, trust: &Trust) -> Arc<Judge> {
        Arc::new(Judge { trust: trust.clone(), verdict: Arc::clone(&self.0) })
    }
}

pub(super) fn client(
    trust: &Trust,
    identity: Option<&Identity>,
    verdict: &Verdict,
) -> io::Result<QuicClientConfig> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(verdict.judge(trust));
    let mut config = match identity {
        Some(identity) => config.with_client_cert_resolver(Arc::clone(&identity.certified) as _),
        None => config.with_no_client_auth(),
    };
    config.alpn_protocols = vec![ALPN.into()];
    config.resumption = Resumption::disabled();
    QuicClientConfig::try_from(config).map_err(io::Error::other)
}

pub(super) fn server(
    identity: &Identity,
    clients: Option<&Trust>,
    verdict: &Verdict,
) -> io::Result<QuicServerConfig> {
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(io::Error::other)?;
    let config = match clients {
        Some(trust) => config.with_client_cert_verifier(verdict.judge(trust)),
        None => config.with_no_client_auth(),
    };
    let mut config = config.with_cert_resolver(Arc::clone(&identity.certified) as _);
    config.alpn_protocols = vec![ALPN.into()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    QuicServerConfig::try_from(config).map_err(io::Error::other)
}

// ── Ends ────────────────────────────────────────────────────────────────────────────────────────

/// A connection that a side has no more use for.
pub(super) const DONE: VarInt = VarInt::from_u32(0);

/// The application's codes of `zmtp-q1`.
const CODES: [(u32, CloseReason); 6] = [
    (1, CloseReason::Protocol),
    (2, CloseReason::SocketType),
    (3, CloseReason::NotAllowed),
    (4, CloseReason::TryLater),
    (5, CloseReason::Internal),
    (6, CloseReason::TooLarge),
];

pub(super) fn code(reason: CloseReason) -> VarInt {
    CODES.iter().find(|(_, known)| *known == reason).map_or(DONE, |(code, _)| VarInt::from_u32(*code))
}

/// Whether the peer closed in peace.
pub(super) fn is_done(error: &ConnectionError) -> bool {
    matches!(error, ConnectionError::ApplicationClosed(close) if close.error_code == DONE)
}

/// Why a connection failed or ended.
pub(super) fn failed(error: ConnectionError) -> io::Error {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, InvalidData, TimedOut};
    let kind = match &error {
        ConnectionError::TransportError(ours) => match alert(ours.code) {
            Some(AlertDescription::NoApplicationProtocol) => return TrustError::OtherProtocol.into(),
            Some(AlertDescription::CertificateRequired) => return TrustError::NoCertificate.into(),
            Some(_) => return TrustError::NoAgreement { reason: ours.reason.clone() }.into(),
            // Its UDP socket has failed.
            None if ours.code == TransportErrorCode::INTERNAL_ERROR => ConnectionAborted,
            None => InvalidData,
        },
        ConnectionError::ConnectionClosed(theirs) => match alert(theirs.error_code) {
            Some(AlertDescription::NoApplicationProtocol) => return TrustError::OtherProtocol.into(),
            Some(alert) => return TrustError::RefusedByPeer { reason: format!("{alert:?}") }.into(),
            None if theirs.error_code == TransportErrorCode::CONNECTION_REFUSED => ConnectionRefused,
            None => ConnectionAborted,
        },
        ConnectionError::ApplicationClosed(close) => {
            let known = CODES.iter().find(|(code, _)| VarInt::from_u32(*code) == close.error_code);
            match known {
                Some((_, reason)) => return (*reason).into(),
                None => ConnectionReset,
            }
        }
        ConnectionError::TimedOut => TimedOut,
        ConnectionError::Reset => ConnectionReset,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

/// The alert of TLS within a code of QUIC (RFC 9001, section 4.8).
fn alert(code: TransportErrorCode) -> Option<AlertDescription> {
    let code = u64::from(code).checked_sub(0x100)?;
    u8::try_from(code).ok().map(AlertDescription::from)
}
