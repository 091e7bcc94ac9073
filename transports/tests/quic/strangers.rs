//! What else may come over UDP: other protocols, other lanes, handshakes that stall, garbage.

use std::future::poll_fn;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;

use quinn::crypto::rustls::QuicClientConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zocket_transport::quic::Quic;
use zocket_transport::{Listener, TrustError};

use super::{Authority, accept, bind, pair, pinned, soon, stream};

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

pub(super) fn address(listener: &dyn Listener) -> SocketAddr {
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
async fn a_peer_without_a_stream_that_nobody_waits_for_is_told_to_come_again() {
    let (mut listener, _client, connecting) = rogue("zmtp-q1").await;
    let mut incoming = soon(listener.accept()).await.unwrap();
    let connection = soon(async {
        tokio::select! {
            link = &mut incoming => panic!("there is no stream yet: {link:?}"),
            connection = connecting => connection.unwrap(),
        }
    })
    .await;
    soon(async {
        // Our side has done its part when it says so, and then waits for the stream.
        let mut is_confirmed = false;
        while !is_confirmed {
            tokio::task::yield_now().await;
            is_confirmed = connection.stats().frame_rx.handshake_done > 0;
            let polled = poll_fn(|cx| Poll::Ready(Pin::new(&mut incoming).poll(cx))).await;
            assert!(polled.is_pending(), "there is no stream yet");
        }
    })
    .await;
    drop(incoming);
    let told = soon(connection.closed()).await;
    let quinn::ConnectionError::ApplicationClosed(close) = told else { panic!("{told}") };
    assert_eq!(close.error_code, 4_u32.into());
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
