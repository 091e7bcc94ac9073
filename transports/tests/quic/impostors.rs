//! A certificate is nothing without its private key, whoever is trusted and whichever side shows it.
//!
//! The impostors have the whole certificate of a peer that is trusted, which is no secret, and sign with a key of their
//! own. The same certificate with its own key is let in: nothing else is wrong with it.

use std::sync::Arc;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rcgen::{CertificateParams, KeyPair};
use rustls::RootCertStore;
use rustls::crypto::ring::{default_provider, sign::any_ecdsa_type};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use zocket_transport::quic::{Identity, Quic, Trust};
use zocket_transport::{Endpoint, Link, TrustError};

use super::strangers::address;
use super::{Authority, accept, bind, connect, soon};

const PROTOCOL: &[u8] = b"zmtp-q1";

/// A peer that is known, as TLS sees it.
struct Known {
    key: KeyPair,
    certificate: CertificateDer<'static>,
    identity: Identity,
}

impl Known {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::default().self_signed(&key).unwrap();
        let identity = Identity::from_pem(certificate.pem(), key.serialize_pem()).unwrap();
        Self { key, certificate: certificate.into(), identity }
    }

    /// Every trust that asks for nothing but the key.
    fn trusted(&self) -> [Trust; 2] {
        [Trust::keys([self.identity.fingerprint()]), Trust::dangerous_trust_anyone()]
    }

    /// Its certificate, with a key that signs.
    fn shown_by(&self, key: &KeyPair) -> Arc<SingleCertAndKey> {
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let chain = vec![self.certificate.clone()];
        Arc::new(CertifiedKey::new(chain, any_ecdsa_type(&key).unwrap()).into())
    }
}

/// What becomes of a connection to a server that shows this, on the side that dials, and on the server's.
async fn dialled(
    shown: Arc<SingleCertAndKey>,
    trust: Trust,
) -> (std::io::Result<Link>, Result<quinn::Connection, quinn::ConnectionError>) {
    let mut tls = rustls::ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_no_client_auth()
        .with_cert_resolver(shown);
    tls.alpn_protocols = vec![PROTOCOL.into()];
    let tls = QuicServerConfig::try_from(tls).unwrap();
    let config = quinn::ServerConfig::with_crypto(Arc::new(tls));
    let server = quinn::Endpoint::server(config, "127.0.0.1:0".parse().unwrap()).unwrap();
    let to = Endpoint::new("quic", server.local_addr().unwrap().to_string()).unwrap();
    let client = Quic::client(trust);
    let accepting = async { server.accept().await.unwrap().await };
    tokio::join!(connect(&client, &to), soon(accepting))
}

/// What becomes of a connection to a listener that lets in whom it trusts, by a client that shows this: what the
/// listener says, and how the client's connection ended, unless it is a link.
async fn admitted(
    shown: Arc<SingleCertAndKey>,
    trust: Trust,
) -> (std::io::Result<Link>, Option<quinn::ConnectionError>) {
    let authority = Authority::new("ours");
    let mut listener = bind(&Quic::server(authority.sign("localhost", |_| {})).admit(trust)).await;
    let mut roots = RootCertStore::empty();
    roots.add(authority.0.der().clone()).unwrap();
    let mut tls = rustls::ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_client_cert_resolver(shown);
    tls.alpn_protocols = vec![PROTOCOL.into()];
    let tls = QuicClientConfig::try_from(tls).unwrap();
    let client = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    let config = quinn::ClientConfig::new(Arc::new(tls));
    let connecting = client.connect_with(config, address(&*listener), "localhost").unwrap();
    let playing = async {
        let connection = soon(connecting).await.unwrap();
        // A client is done before its certificate was looked at; a link needs a stream.
        if let Ok((mut send, _recv)) = connection.open_bi().await {
            send.write_all(&[0]).await.ok();
        }
        connection
    };
    let (connection, link) = tokio::join!(playing, accept(&mut *listener));
    let end = if link.is_ok() { None } else { Some(soon(connection.closed()).await) };
    (link, end)
}

/// Refused for the signature, and not for anything before it.
fn assert_refused(ours: std::io::Result<Link>, theirs: &quinn::ConnectionError) {
    let error = ours.expect_err("an impostor was believed");
    let Some(TrustError::BadCertificate { reason }) = TrustError::of(&error) else { panic!("{error:?}") };
    assert!(reason.contains("BadSignature") || reason.contains("signature"), "{reason}");
    let quinn::ConnectionError::ConnectionClosed(close) = theirs else { panic!("{theirs}") };
    let alert = u64::from(close.error_code);
    assert_eq!(alert, 0x100 + u64::from(u8::from(rustls::AlertDescription::DecryptError)));
}

#[tokio::test]
async fn a_server_without_the_key_of_its_certificate_is_refused() {
    let (known, stolen_by) = (Known::new(), KeyPair::generate().unwrap());
    for trust in known.trusted() {
        let (ours, theirs) = dialled(known.shown_by(&stolen_by), trust.clone()).await;
        assert_refused(ours, &theirs.unwrap_err());
        let (ours, _) = dialled(known.shown_by(&known.key), trust).await;
        assert!(ours.unwrap().proof.is_some());
    }
}

#[tokio::test]
async fn a_client_without_the_key_of_its_certificate_is_refused() {
    let (known, stolen_by) = (Known::new(), KeyPair::generate().unwrap());
    for trust in known.trusted() {
        let (ours, theirs) = admitted(known.shown_by(&stolen_by), trust.clone()).await;
        assert_refused(ours, &theirs.unwrap());
        let (ours, _) = admitted(known.shown_by(&known.key), trust).await;
        assert!(ours.unwrap().proof.is_some());
    }
}
