//! What only `quic://` does: who is trusted, who is refused and why, and that links survive what UDP does.

#![expect(clippy::unwrap_used, clippy::panic, reason = "whatever goes wrong fails the test that met it")]

use std::io;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;
use zocket_transport::quic::{Identity, Quic, Trust};
use zocket_transport::{
    CloseReason, Endpoint, Link, LinkOptions, Listener, Stream, Transport, Wire, contract,
};

mod impostors;
mod links;
mod strangers;
mod trust;

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
async fn a_listener_that_is_dropped_outside_any_runtime_leaves_a_port_that_turns_peers_away() {
    let quic = pinned();
    let mut listener = bind(&quic).await;
    let bound = listener.endpoint().clone();
    let links = pair(&quic, &mut *listener).await;
    std::thread::spawn(move || drop(listener)).join().unwrap();
    let error = connect(&quic, &bound).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused, "{error}");
    drop(links);
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

#[tokio::test]
async fn a_port_that_is_leaving_is_waited_for_though_another_was_bound_meanwhile() {
    let quic = pinned();
    let mut listener = bind(&quic).await;
    let bound = listener.endpoint().clone();
    let (mut ours, theirs) = pair(&quic, &mut *listener).await;
    ours.closer.take().unwrap().close(CloseReason::TryLater);
    // What follows is done by the time that the peer's connection has died away.
    let mut theirs = stream(theirs);
    soon(theirs.read_u8()).await.unwrap_err();
    drop((listener, theirs));
    let _another = bind(&quic).await;
    let again = soon(quic.bind(&bound, &LinkOptions::default())).await.unwrap();
    assert_eq!(*again.endpoint(), bound);
}
