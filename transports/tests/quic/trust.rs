//! Who is trusted, who is refused, and what both sides are told of it.

use std::io;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tokio::io::AsyncReadExt;
use zocket_transport::quic::{CredentialError, Identity, Quic, Trust};
use zocket_transport::{EndpointError, Link, PeerProof, Purpose, Transport, TrustError};

use super::{Authority, accept, bind, connect, endpoint, pair, soon, stream};

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

/// The system's authorities are told by an environment, which is a process's: this test runs once more in one of its own.
#[tokio::test]
async fn the_authorities_of_the_system_are_trusted_and_no_others() {
    const ITSELF: &str = "quic::trust::the_authorities_of_the_system_are_trusted_and_no_others";
    const WITHIN: &str = "ZOCKET_TEST_AUTHORITY";
    if let Some(signed) = std::env::var_os(WITHIN) {
        let Ok(trust) = Trust::system_roots() else {
            println!("there are none");
            return;
        };
        let pem = std::fs::read_to_string(signed).unwrap();
        let server = Quic::server(Identity::from_pem(&pem, &pem).unwrap());
        pair(&Quic::client(trust.clone()), &mut *bind(&server).await).await;
        let other = Quic::server(Authority::new("another").sign("127.0.0.1", |_| {}));
        let (ours, _) = refused(&Quic::client(trust), &other, "127.0.0.1").await;
        assert_eq!(ours, TrustError::UnknownAuthority);
        println!("there are some");
        return;
    }
    let folder = std::env::temp_dir().join(format!("zocket-test-roots-{}", std::process::id()));
    std::fs::create_dir(&folder).unwrap();
    let (roots, none, signed) =
        (folder.join("roots.pem"), folder.join("none.pem"), folder.join("signed.pem"));
    let authority = Authority::new("the system's");
    let key = KeyPair::generate().unwrap();
    let certificate =
        CertificateParams::new(["127.0.0.1".into()]).unwrap().signed_by(&key, &authority.0).unwrap();
    std::fs::write(&roots, authority.0.pem()).unwrap();
    std::fs::write(&none, "").unwrap();
    std::fs::write(&signed, certificate.pem() + &key.serialize_pem()).unwrap();
    for (file, expected) in [(&roots, "there are some"), (&none, "there are none")] {
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", ITSELF, "--nocapture"])
            .env(WITHIN, &signed)
            .env("SSL_CERT_FILE", file)
            .env_remove("SSL_CERT_DIR")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains(expected), "{said}");
    }
    std::fs::remove_dir_all(&folder).unwrap();
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
