//! What only `quic://` does: who is trusted, who is refused and why, and that links survive what UDP does.

#![expect(clippy::unwrap_used, clippy::panic, reason = "whatever goes wrong fails the test that met it")]

use std::io::{self, IoSlice};
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::QuicClientConfig;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use zocket_transport::quic::{CredentialError, Identity, Quic, Trust};
use zocket_transport::{
    CloseReason, Endpoint, EndpointError, Link, LinkOptions, Listener, Liveness, PeerProof, Purpose, Stream,
    Transport, TrustError, Wire, contract,
};

/// Only a failure takes so long.
const PATIENCE: Duration = Duration::from_secs(20);

async fn soon<T>(work: impl Future<Output = T>) -> T {
    timeout(PATIENCE, work).await.expect("it hangs")
}

fn endpoint(text: &str) -> Endpoint {
    text.parse().expect(text)
}

/// Both ends know each other's keys.
fn pinned() -> Quic {
    let identity = Identity::generate().unwrap();
    let trust = Trust::keys([identity.fingerprint()]);
    Quic::server(identity).trust(trust.clone()).admit(trust)
}

async fn bind(quic: &Quic) -> Box<dyn Listener> {
    quic.bind(&endpoint("quic://127.0.0.1:*"), &LinkOptions::default()).await.unwrap()
}

async fn connect(quic: &Quic, to: &Endpoint) -> io::Result<Link> {
    soon(quic.connect(to, &LinkOptions::default())).await
}

async fn accept(listener: &mut dyn Listener) -> io::Result<Link> {
    soon(async { listener.accept().await?.await }).await
}

async fn pair(client: &Quic, listener: &mut dyn Listener) -> (Link, Link) {
    let to = listener.endpoint().clone();
    let (ours, theirs) = tokio::join!(connect(client, &to), accept(listener));
    (ours.unwrap(), theirs.unwrap())
}

fn stream(link: Link) -> Box<dyn Stream> {
    let Wire::Stream(stream) = link.wire else { panic!("a stream") };
    stream
}

fn proven(link: &Link) -> Option<String> {
    link.proof.as_ref().map(|proof| match proof {
        PeerProof::Key { fingerprint } => fingerprint.to_string(),
        other => panic!("{other:?}"),
    })
}

/// Why each side says that there is no link: the connecting one first. A client that is refused hears of it at the
/// latest when it reads.
async fn refused(client: &Quic, server: &Quic, host: &str) -> (TrustError, TrustError) {
    let mut listener = bind(server).await;
    let to = endpoint(&listener.endpoint().as_str().replace("127.0.0.1", host));
    let connecting = async {
        match connect(client, &to).await {
            Ok(link) => soon(stream(link).read_u8()).await.expect_err("a link came about"),
            Err(error) => error,
        }
    };
    let (ours, theirs) = tokio::join!(connecting, accept(&mut *listener));
    let theirs = theirs.expect_err("a link came about");
    for error in [&ours, &theirs] {
        assert_eq!(error.kind(), io::ErrorKind::PermissionDenied, "{error}");
    }
    let reason = |error| TrustError::of(error).cloned().unwrap();
    (reason(&ours), reason(&theirs))
}

fn refused_by_peer(alert: &str) -> TrustError {
    TrustError::RefusedByPeer { reason: alert.into() }
}

/// An authority, to sign certificates with.
struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new(name: &str) -> Self {
        let mut parameters = CertificateParams::default();
        parameters.distinguished_name.push(DnType::OrganizationName, name);
        parameters.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(parameters, KeyPair::generate().unwrap()).unwrap())
    }

    fn trust(&self) -> Trust {
        Trust::roots(self.0.pem()).unwrap()
    }

    /// Signs for a name, with changes.
    fn sign(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let mut parameters = CertificateParams::new([name.to_owned()]).unwrap();
        change(&mut parameters);
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.signed_by(&key, &self.0).unwrap();
        Identity::from_pem(certificate.pem(), key.serialize_pem()).unwrap()
    }
}

// ── The contract ────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn keeps_the_contract_over_ipv4() {
    contract::all(&pinned(), &endpoint("quic://127.0.0.1:*")).await;
}

#[tokio::test]
async fn keeps_the_contract_over_ipv6() {
    contract::all(&pinned(), &endpoint("quic://[::1]:*")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_the_contract_on_all_addresses_and_many_threads() {
    contract::all(&pinned(), &endpoint("quic://*:0")).await;
}

#[tokio::test]
async fn a_port_can_be_bound_again_while_its_links_live() {
    let quic = pinned();
    let mut listener = bind(&quic).await;
    let bound = listener.endpoint().clone();
    let (ours, theirs) = pair(&quic, &mut *listener).await;
    drop(listener);
    let mut again = quic.bind(&bound, &LinkOptions::default()).await.unwrap();
    assert_eq!(*again.endpoint(), bound);
    pair(&quic, &mut *again).await;
    drop((ours, theirs));
}

#[tokio::test]
async fn a_port_without_links_is_free_for_others_soon() {
    let quic = pinned();
    let mut listener = bind(&quic).await;
    let bound = listener.endpoint().clone();
    drop(pair(&quic, &mut *listener).await);
    drop(listener);
    let other = pinned();
    soon(async {
        while other.bind(&bound, &LinkOptions::default()).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

// ── Trust ───────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn pinned_keys_are_proven_to_both_sides() {
    let (server, client) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    let (server_key, client_key) = (server.fingerprint(), client.fingerprint());
    let server = Quic::server(server).admit(Trust::keys([client_key]));
    let client = Quic::client(Trust::keys([server_key])).identity(client);
    let (ours, theirs) = pair(&client, &mut *bind(&server).await).await;
    assert_eq!(proven(&ours), Some(server_key.to_string()));
    assert_eq!(proven(&theirs), Some(client_key.to_string()));
}

#[tokio::test]
async fn a_client_that_is_not_asked_shows_no_key() {
    let identity = Identity::generate().unwrap();
    let client = Quic::client(Trust::keys([identity.fingerprint()])).identity(Identity::generate().unwrap());
    let (_, theirs) = pair(&client, &mut *bind(&Quic::server(identity)).await).await;
    assert_eq!(theirs.proof, None);
}

#[tokio::test]
async fn an_unknown_key_is_refused_by_its_name_on_either_side() {
    let (known, unknown) = (Identity::generate().unwrap(), Identity::generate().unwrap());
    let fingerprint = unknown.fingerprint();
    let client = Quic::client(Trust::keys([known.fingerprint()]));
    let (ours, theirs) = refused(&client, &Quic::server(unknown.clone()), "127.0.0.1").await;
    assert_eq!(ours, TrustError::UnknownKey { fingerprint });
    assert_eq!(theirs, refused_by_peer("AccessDenied"));

    let server = Quic::server(known.clone()).admit(Trust::keys([known.fingerprint()]));
    let (ours, theirs) = refused(&client.identity(unknown), &server, "127.0.0.1").await;
    assert_eq!(ours, refused_by_peer("AccessDenied"));
    assert_eq!(theirs, TrustError::UnknownKey { fingerprint });
}

#[tokio::test]
async fn a_client_without_a_key_is_refused_where_one_is_asked_for() {
    let identity = Identity::generate().unwrap();
    let client = Quic::client(Trust::keys([identity.fingerprint()]));
    let server = Quic::server(identity).admit(Trust::dangerous_trust_anyone());
    let (ours, theirs) = refused(&client, &server, "127.0.0.1").await;
    assert_eq!(ours, refused_by_peer("CertificateRequired"));
    assert_eq!(theirs, TrustError::NoCertificate);
}

#[tokio::test]
async fn a_certificate_of_an_authority_is_trusted_for_its_name_and_for_clients() {
    let authority = Authority::new("ours");
    for (name, host) in [("localhost", "localhost"), ("127.0.0.1", "127.0.0.1")] {
        let server = Quic::server(authority.sign(name, |_| {})).admit(authority.trust());
        let client = Quic::client(authority.trust()).identity(authority.sign("some client", |_| {}));
        let mut listener = bind(&server).await;
        let to = endpoint(&listener.endpoint().as_str().replace("127.0.0.1", host));
        let (ours, theirs) = tokio::join!(connect(&client, &to), accept(&mut *listener));
        assert!(ours.unwrap().proof.is_some() && theirs.unwrap().proof.is_some());
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_named() {
    let (authority, stranger) = (Authority::new("ours"), Authority::new("another"));
    let with_dates = |from, to| {
        authority.sign("127.0.0.1", move |parameters| {
            parameters.not_before = date_time_ymd(from, 1, 1);
            parameters.not_after = date_time_ymd(to, 1, 1);
        })
    };
    for (shown, reason, alert) in [
        (
            authority.sign("elsewhere.example", |_| {}),
            TrustError::WrongName { wanted: "127.0.0.1".into() },
            "BadCertificate",
        ),
        (stranger.sign("127.0.0.1", |_| {}), TrustError::UnknownAuthority, "UnknownCA"),
        (Identity::generate().unwrap(), TrustError::UnknownAuthority, "UnknownCA"),
        (with_dates(2000, 2001), TrustError::Expired, "CertificateExpired"),
        (with_dates(4000, 4001), TrustError::NotYetValid, "CertificateExpired"),
    ] {
        let client = Quic::client(authority.trust());
        let (ours, theirs) = refused(&client, &Quic::server(shown), "127.0.0.1").await;
        assert_eq!(ours, reason);
        assert_eq!(theirs, refused_by_peer(alert));
    }
}

#[tokio::test]
async fn trusting_anyone_still_tells_the_key() {
    let identity = Identity::generate().unwrap();
    let fingerprint = identity.fingerprint();
    let client = Quic::client(Trust::dangerous_trust_anyone());
    let (ours, _) = pair(&client, &mut *bind(&Quic::server(identity)).await).await;
    assert_eq!(proven(&ours), Some(fingerprint.to_string()));
}

#[test]
fn without_identity_nobody_binds_and_without_trust_nobody_connects() {
    let identity = Identity::generate().unwrap();
    let (server, client) = (Quic::server(identity), Quic::client(Trust::keys([])));
    let at = endpoint("quic://127.0.0.1:5555");
    for (quic, purpose, text) in
        [(&client, Purpose::Bind, "identity"), (&server, Purpose::Connect, "trusted")]
    {
        let error = quic.check(&at, purpose).unwrap_err();
        assert!(matches!(error, EndpointError::NotSetUp { .. }), "{error:?}");
        assert!(error.to_string().contains(text), "{error}");
    }
    assert_eq!(server.check(&at, Purpose::Bind), Ok(()));
    assert_eq!(client.check(&at, Purpose::Connect), Ok(()));
    let error = client.check(&endpoint("quic://127.0.0.1:0;127.0.0.1:1"), Purpose::Connect).unwrap_err();
    assert!(error.to_string().contains("source"), "{error}");
}

#[test]
fn a_saved_key_is_the_same_and_is_never_written_over() {
    let path = std::env::temp_dir().join(format!("zocket-test-{}.pem", std::process::id()));
    let identity = Identity::generate().unwrap();
    identity.save(&path).unwrap();
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let loaded = Identity::load(&path).unwrap();
    let again = identity.save(&path).unwrap_err();
    std::fs::remove_file(&path).unwrap();
    assert_eq!(loaded.fingerprint(), identity.fingerprint());
    assert!(
        matches!(again, CredentialError::File { source, .. } if source.kind() == io::ErrorKind::AlreadyExists)
    );
}

#[test]
fn credentials_that_are_none_are_named() {
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let chain = CertificateParams::default().self_signed(&key).unwrap().pem();
    let broken = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    for (chain, key, text) in [
        ("", key.serialize_pem(), "no certificate"),
        (&*chain, String::new(), "no private key"),
        (&*chain, other.serialize_pem(), "does not belong"),
        (broken, key.serialize_pem(), "certificate cannot be used"),
    ] {
        let error = Identity::from_pem(chain, key).unwrap_err();
        assert!(error.to_string().contains(text), "{error}");
    }
    assert!(Trust::roots("").is_err());
    assert!(Trust::roots(broken).is_err());
}

// ── What else may come over UDP ─────────────────────────────────────────────────────────────────

/// A listener, and a client that trusts it and need not keep to anything else.
async fn rogue(protocol: &str) -> (Box<dyn Listener>, quinn::Endpoint, quinn::Connecting) {
    let authority = Authority::new("ours");
    let listener = bind(&Quic::server(authority.sign("localhost", |_| {}))).await;
    let mut roots = rustls::RootCertStore::empty();
    roots.add(authority.0.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![protocol.into()];
    let mut client = quinn::Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
    client.set_default_client_config(quinn::ClientConfig::new(Arc::new(
        QuicClientConfig::try_from(tls).unwrap(),
    )));
    let connecting = client.connect(address(&*listener), "localhost").unwrap();
    (listener, client, connecting)
}

fn address(listener: &dyn Listener) -> SocketAddr {
    listener.endpoint().address().parse().unwrap()
}

#[tokio::test]
async fn a_peer_with_another_protocol_is_refused() {
    let (mut listener, _client, connecting) = rogue("h3").await;
    let (theirs, ours) = tokio::join!(connecting, accept(&mut *listener));
    assert!(theirs.is_err());
    assert_eq!(TrustError::of(&ours.unwrap_err()), Some(&TrustError::OtherProtocol));
}

#[tokio::test]
async fn a_peer_that_begins_with_another_lane_is_told_that_it_broke_a_rule() {
    let (mut listener, _client, connecting) = rogue("zmtp-q1").await;
    let playing = async {
        let connection = connecting.await.unwrap();
        let (mut send, _recv) = connection.open_bi().await.unwrap();
        send.write_all(&[9]).await.unwrap();
        soon(connection.closed()).await
    };
    let (told, ours) = tokio::join!(playing, accept(&mut *listener));
    assert_eq!(ours.unwrap_err().kind(), io::ErrorKind::InvalidData);
    let quinn::ConnectionError::ApplicationClosed(close) = told else { panic!("{told}") };
    assert_eq!(close.error_code, 1_u32.into());
}

#[tokio::test]
async fn stalled_handshakes_delay_nobody_however_many() {
    let (mut listener, client, first) = rogue("zmtp-q1").await;
    let to = address(&*listener);
    let (links, mut linked) = tokio::sync::mpsc::channel(1);
    tokio::spawn(async move {
        while let Ok(incoming) = listener.accept().await {
            let links = links.clone();
            tokio::spawn(async move { links.send(incoming.await).await });
        }
    });
    let mut stalled = vec![soon(first).await.unwrap()];
    // More than are let in without showing that they can be answered.
    for _ in 0..70 {
        stalled.push(soon(client.connect(to, "localhost").unwrap()).await.unwrap());
    }
    assert!(linked.try_recv().is_err(), "there is no stream yet");
    let connection = soon(client.connect(to, "localhost").unwrap()).await.unwrap();
    let (mut send, _recv) = connection.open_bi().await.unwrap();
    send.write_all(b"\0hello").await.unwrap();
    let link = soon(linked.recv()).await.unwrap().unwrap();
    let mut hello = [0; 5];
    soon(stream(link).read_exact(&mut hello)).await.unwrap();
    assert_eq!(&hello, b"hello");
}

#[tokio::test]
async fn garbage_harms_nobody() {
    let quic = pinned();
    let mut listener = bind(&quic).await;
    let (ours, theirs) = pair(&quic, &mut *listener).await;
    let (junk, to) = (UdpSocket::bind("127.0.0.1:0").unwrap(), address(&*listener));
    let mut random = 1_u32;
    for len in (0..1400).chain(0..1400) {
        let bytes = std::iter::repeat_with(|| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            random.to_be_bytes()[0]
        });
        let bytes: Vec<_> = bytes.take(len).collect();
        junk.send_to(&bytes, to).unwrap();
        // The start of a connection, in the version that is spoken, cut off anywhere.
        junk.send_to(&[&[0xc3, 0, 0, 0, 1, 8], &*bytes].concat(), to).unwrap();
    }
    let (mut ours, mut theirs) = (stream(ours), stream(theirs));
    soon(ours.write_all(b"still here")).await.unwrap();
    soon(theirs.read_exact(&mut [0; 10])).await.unwrap();
    pair(&quic, &mut *listener).await;
}

// ── Links ───────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_client_may_change_its_address_under_way() {
    const CHUNKS: u32 = 500;
    const CHUNK: usize = 16 * 1024;
    let quic = pinned();
    let (ours, theirs) = pair(&quic, &mut *bind(&quic).await).await;
    let (mut ours, mut theirs) = (stream(ours), stream(theirs));
    let sending = async {
        for number in 0..CHUNKS {
            if number % 100 == 50 {
                quic.rebind().unwrap();
            }
            soon(ours.write_all(&number.to_be_bytes().repeat(CHUNK / 4))).await.unwrap();
        }
        soon(ours.shutdown()).await.unwrap();
    };
    let receiving = async {
        let mut chunk = vec![0; CHUNK];
        for number in 0..CHUNKS {
            soon(theirs.read_exact(&mut chunk)).await.unwrap();
            assert!(chunk == number.to_be_bytes().repeat(CHUNK / 4), "chunk {number} is another");
        }
        assert_eq!(soon(theirs.read(&mut chunk)).await.unwrap(), 0);
    };
    tokio::join!(sending, receiving);
}

#[tokio::test]
async fn a_peer_that_does_not_read_holds_the_sender_up() {
    const WINDOW: usize = 64 * 1024;
    let quic = pinned();
    let mut options = LinkOptions::default();
    (options.send_buffer, options.receive_buffer) = (Some(WINDOW), Some(WINDOW));
    let at = endpoint("quic://127.0.0.1:*");
    let mut listener = quic.bind(&at, &options).await.unwrap();
    let to = listener.endpoint().clone();
    let (ours, theirs) = tokio::join!(quic.connect(&to, &options), accept(&mut *listener));
    let (mut ours, mut theirs) = (stream(ours.unwrap()), stream(theirs.unwrap()));
    let mut written = 0;
    while let Ok(bytes) = timeout(Duration::from_millis(300), ours.write(&[7; 4096])).await {
        written += bytes.unwrap();
        assert!(written <= 2 * WINDOW, "more is under way than both windows hold");
    }
    // The first byte of the stream is the lane.
    assert!(written + 1 >= WINDOW, "{written}");
    soon(theirs.read_exact(&mut vec![0; written])).await.unwrap();
    soon(ours.write_all(&[7; WINDOW])).await.unwrap();
}

/// On threads, for room has to be made between two slices of one call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slices_that_do_not_fit_the_window_are_written_in_order() {
    const TOTAL: usize = 32 << 20;
    let quic = pinned();
    let mut options = LinkOptions::default();
    (options.send_buffer, options.receive_buffer) = (Some(10_000), Some(10_000));
    let mut listener = quic.bind(&endpoint("quic://127.0.0.1:*"), &options).await.unwrap();
    let to = listener.endpoint().clone();
    let (ours, theirs) = tokio::join!(quic.connect(&to, &options), accept(&mut *listener));
    let (mut ours, mut theirs) = (stream(ours.unwrap()), stream(theirs.unwrap()));
    // 251 divides no slice and no window.
    let bytes: Vec<_> = (0..=250).cycle().take(TOTAL).collect();
    let writing = async {
        let mut slices: Vec<_> = bytes.chunks(3001).map(IoSlice::new).collect();
        let mut left = &mut *slices;
        while !left.is_empty() {
            let written = soon(ours.write_vectored(left)).await.unwrap();
            IoSlice::advance_slices(&mut left, written);
        }
    };
    let mut received = vec![0; TOTAL];
    let (_, read) = tokio::join!(writing, soon(theirs.read_exact(&mut received)));
    read.unwrap();
    assert!(received == bytes, "bytes are missing or misplaced");
}

#[tokio::test]
async fn what_was_acknowledged_outlives_the_connection() {
    let quic = pinned();
    let (ours, theirs) = pair(&quic, &mut *bind(&quic).await).await;
    let (mut ours, mut theirs) = (stream(ours), stream(theirs));
    soon(ours.write_all(&[7; 100_000])).await.unwrap();
    soon(ours.shutdown()).await.unwrap();
    drop(ours);
    // Nothing has been read so far.
    soon(async {
        while theirs.write_all(b"anybody there?").await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let mut all = Vec::new();
    soon(theirs.read_to_end(&mut all)).await.unwrap();
    assert_eq!(all.len(), 100_000);
}

#[tokio::test]
async fn a_reason_for_closing_reaches_the_peer() {
    for why in [
        CloseReason::Protocol,
        CloseReason::SocketType,
        CloseReason::NotAllowed,
        CloseReason::TryLater,
        CloseReason::Internal,
        CloseReason::TooLarge,
    ] {
        let quic = pinned();
        let (mut ours, theirs) = pair(&quic, &mut *bind(&quic).await).await;
        ours.closer.take().unwrap().close(why);
        let told = soon(stream(theirs).read_u8()).await.unwrap_err();
        assert_eq!(CloseReason::of(&told), Some(why));
        assert_eq!(told.kind(), io::ErrorKind::ConnectionAborted);
    }
}

#[tokio::test]
async fn a_peer_that_vanishes_is_missed_in_time() {
    let (quic, beat) = (pinned(), Duration::from_millis(100));
    let mut options = LinkOptions::default();
    options.liveness = Some(Liveness { interval: beat, timeout: beat });
    let mut listener = bind(&quic).await;
    let to = listener.endpoint().clone();
    // The peer's runtime is its own, and ends without a word.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let connecting = runtime.spawn(quic.connect(&to, &options));
    let link = accept(&mut *listener).await.unwrap();
    let vanished = soon(connecting).await.unwrap().unwrap();
    runtime.shutdown_background();
    let end = soon(stream(link).read_u8()).await.unwrap_err();
    assert_eq!(end.kind(), io::ErrorKind::TimedOut);
    drop(vanished);
}
