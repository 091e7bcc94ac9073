//! What sockets promise over quic alone: who is let in is told in events, and UDP's ways lose nothing.

use std::time::Duration;

use zocket::transport::Transport;
use zocket::transport::quic::{Identity, Quic, Trust};
use zocket::{
    BindError, ConnectError, Context, Disconnect, EndpointError, Event, Heartbeat, HighWater, Monitor, Pair,
    PeerProof, Pub, Pull, Push, Reconnect, Sub, TrustError,
};

use crate::stage::{DEADLINE, disconnected, event, expect_run, fill_up, numbered, soon};

const ANY: &str = "quic://127.0.0.1:0";

fn context(quic: Quic) -> Context {
    Context::builder().transport(quic).build().unwrap()
}

/// A server, and a client that trusts it and nobody else.
fn trusting() -> (Context, Quic) {
    let identity = Identity::generate().unwrap();
    let client = Quic::client(Trust::keys([identity.fingerprint()]));
    (context(Quic::server(identity)), client)
}

fn pull(context: &Context) -> Pull {
    Pull::builder().context(context).build()
}

fn push(context: &Context) -> Push {
    Push::builder().context(context).build()
}

async fn handshake_failed(monitor: &mut Monitor) -> Disconnect {
    event(monitor, |event| match event {
        Event::HandshakeFailed { reason, .. } => Some(reason),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn what_the_transport_was_not_told_is_an_error_of_the_call() {
    let (server, client) = trusting();
    let unready = |error: &EndpointError| matches!(error, EndpointError::NotSetUp { .. });
    let error = push(&server).connect("quic://127.0.0.1:9").unwrap_err();
    assert!(matches!(&error, ConnectError::Endpoint(error) if unready(error)));
    let error = pull(&context(client)).bind(ANY).await.unwrap_err();
    assert!(matches!(&error, BindError::Endpoint(error) if unready(error)));
}

#[tokio::test]
async fn an_unknown_key_is_told_on_both_sides_and_asked_again_no_sooner_than_any_refusal() {
    let longest = Duration::from_secs(30);
    let (server, _) = trusting();
    let (_, stranger) = trusting();
    let pull = pull(&server);
    let mut accepting = pull.monitor();
    let at = soon(pull.bind(ANY)).await.unwrap();
    let push = Push::builder()
        .context(&context(stranger))
        .reconnect(Reconnect::within(Duration::from_millis(1), longest))
        .linger(Duration::ZERO)
        .build();
    let mut dialling = push.monitor();
    push.connect(&at).unwrap();
    let (reason, after) = event(&mut dialling, |event| match event {
        Event::Retrying { reason, after, .. } => Some((reason, after)),
        _ => None,
    })
    .await;
    assert!(matches!(reason, Disconnect::Trust(TrustError::UnknownKey { .. })), "{reason:?}");
    assert!(reason.is_refusal() && after >= longest / 2, "{after:?}");

    let (peer, reason) = event(&mut accepting, |event| match event {
        Event::HandshakeFailed { peer, reason, .. } => Some((peer, reason)),
        _ => None,
    })
    .await;
    assert!(matches!(reason, Disconnect::Trust(TrustError::RefusedByPeer { .. })), "{reason:?}");
    assert!(peer != at && peer.as_str().starts_with("quic://127.0.0.1:"), "{peer}");
}

#[tokio::test]
async fn a_refused_client_hears_why_and_gives_up_if_it_was_told_to() {
    let identity = Identity::generate().unwrap();
    let client = Quic::client(Trust::keys([identity.fingerprint()]));
    let server = context(Quic::server(identity).admit(Trust::keys([])));
    let pull = pull(&server);
    let mut accepting = pull.monitor();
    let at = soon(pull.bind(ANY)).await.unwrap();
    let push = Push::builder()
        .context(&context(client.identity(Identity::generate().unwrap())))
        .reconnect(Reconnect::default().stop_on_refusal())
        .build();
    push.connect(&at).unwrap();
    let Err(ConnectError::GaveUp { reason, .. }) = soon(push.connected(&at)).await else { panic!("let in") };
    assert!(matches!(reason, Disconnect::Trust(TrustError::RefusedByPeer { .. })), "{reason:?}");
    let reason = handshake_failed(&mut accepting).await;
    assert!(matches!(reason, Disconnect::Trust(TrustError::UnknownKey { .. })), "{reason:?}");
}

#[tokio::test]
async fn the_proven_key_is_shown_with_the_peer() {
    let identity = Identity::generate().unwrap();
    let fingerprint = identity.fingerprint();
    let client = context(Quic::client(Trust::keys([fingerprint])));
    let pull = pull(&context(Quic::server(identity)));
    let push = push(&client);
    let at = soon(pull.bind(ANY)).await.unwrap();
    push.connect(&at).unwrap();
    let info = soon(push.connected(&at)).await.unwrap();
    assert_eq!(info.proof(), Some(&PeerProof::Key { fingerprint }));
}

#[tokio::test]
async fn a_thousand_messages_arrive_whole_though_the_sender_closes_at_once() {
    let (server, client) = trusting();
    let pull = Pull::builder().context(&server).receive_high_water(HighWater::messages(2)).build();
    let mut events = pull.monitor();
    let at = soon(pull.bind(ANY)).await.unwrap();
    let push = push(&context(client));
    push.connect(&at).unwrap();
    for number in 0..1000 {
        soon(push.send(numbered(number, 500))).await.unwrap();
    }
    // The receiver reads only once the sender has gone: the window holds them all.
    let unsent = soon(push.close()).await;
    assert_eq!(unsent.messages, 0);
    drop(push);
    expect_run(&pull, 0, 1000).await;
    let reason = disconnected(&mut events).await;
    assert!(matches!(reason, Disconnect::PeerClosed), "{reason:?}");
}

#[test]
fn a_peer_is_missed_at_once_though_its_runtime_ends_right_behind_its_close() {
    let (server, client) = trusting();
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let here = runtime();
    let (publisher, mut events, at) = here.block_on(async {
        let publisher = Pub::builder().context(&server).build();
        let events = publisher.monitor();
        let at = soon(publisher.bind(ANY)).await.unwrap();
        (publisher, events, at)
    });
    let there = std::thread::spawn(move || {
        runtime().block_on(async {
            let sub = Sub::builder().context(&context(client)).build();
            sub.connect(&at).unwrap();
            soon(sub.connected(&at)).await.unwrap();
            soon(sub.close()).await;
        });
    });
    // Far sooner than by its silence.
    let reason = here.block_on(disconnected(&mut events));
    assert!(matches!(reason, Disconnect::PeerClosed), "{reason:?}");
    assert!(publisher.peers().is_empty());
    there.join().unwrap();
}

#[tokio::test]
async fn a_server_that_was_killed_and_is_back_is_connected_to_again_long_before_its_silence_is_noticed() {
    let (server, client) = trusting();
    let (bound, at) = tokio::sync::oneshot::channel();
    let serving = tokio::task::spawn_blocking({
        let server = server.clone();
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let pull = runtime.block_on(async {
                let pull = pull(&server);
                bound.send(soon(pull.bind(ANY)).await.unwrap()).unwrap();
                soon(pull.recv()).await.unwrap();
                pull
            });
            // What is dropped later cannot say a word.
            drop(runtime);
            drop(pull);
        }
    });
    let at = soon(at).await.unwrap();
    // The silence would take longer than this test may.
    let push = Push::builder().context(&context(client)).heartbeat(Heartbeat::every(DEADLINE)).build();
    let mut events = push.monitor();
    push.connect(&at).unwrap();
    soon(push.send("first")).await.unwrap();
    soon(serving).await.unwrap();
    let again = pull(&server);
    soon(again.bind(&at)).await.unwrap();
    // Lost, if it is what shows that nobody is there.
    soon(push.send("perhaps")).await.unwrap();
    let reason = disconnected(&mut events).await;
    assert!(
        matches!(&reason, Disconnect::Io(error) if error.kind() == std::io::ErrorKind::ConnectionReset),
        "{reason:?}"
    );
    soon(push.connected(&at)).await.unwrap();
    soon(push.send("second")).await.unwrap();
    while soon(again.recv()).await.unwrap() != "second" {}
}

#[tokio::test]
async fn a_sender_waits_for_a_receiver_that_does_not_read() {
    let (server, client) = trusting();
    let pull = Pull::builder()
        .context(&server)
        .receive_buffer(64 * 1024)
        .receive_high_water(HighWater::messages(1))
        .build();
    let at = soon(pull.bind(ANY)).await.unwrap();
    let push = Push::builder()
        .context(&context(client))
        .send_buffer(64 * 1024)
        .send_high_water(HighWater::messages(10))
        .build();
    push.connect(&at).unwrap();
    soon(push.connected(&at)).await.unwrap();
    let sent = fill_up(&push, 4096).await;
    // The two marks, the two windows, and one read: of 4 KiB each.
    assert!((11..=10 + 1 + 16 + 16 + 32).contains(&sent), "{sent}");
    expect_run(&pull, 0, sent).await;
}

#[tokio::test]
async fn a_client_that_moves_to_another_port_under_traffic_loses_nothing() {
    const COUNT: u32 = 20_000;
    let (server, client) = trusting();
    let pull = pull(&server);
    let mut events = pull.monitor();
    let at = soon(pull.bind(ANY)).await.unwrap();
    let push = push(&context(client.clone()));
    push.connect(&at).unwrap();
    let sending = async {
        for number in 0..COUNT {
            if number % 5000 == 2500 {
                client.rebind().unwrap();
            }
            soon(push.send(numbered(number, 1000))).await.unwrap();
        }
    };
    tokio::join!(sending, expect_run(&pull, 0, COUNT));
    let (pipe, mut last) = event(&mut events, |event| match event {
        Event::Ready { pipe, peer, .. } => Some((pipe, peer)),
        _ => None,
    })
    .await;
    for _ in 0..4 {
        let (moved, before, peer) = event(&mut events, |event| match event {
            Event::PathChanged { pipe, before, peer, .. } => Some((pipe, before, peer)),
            _ => None,
        })
        .await;
        assert_eq!((moved, &before), (pipe, &last), "it is the same connection");
        assert_ne!(peer, before);
        last = peer;
    }
    assert_eq!(pull.peers().len(), 1);
    soon(push.close()).await;
    let peer = event(&mut events, |event| match event {
        Event::Disconnected { peer, .. } => Some(peer),
        Event::PathChanged { peer, .. } => panic!("told twice, or it came back: {peer}"),
        _ => None,
    })
    .await;
    assert_eq!(peer, last);
}

#[tokio::test]
async fn a_peer_that_stalls_in_its_handshake_delays_no_other() {
    let (server, client) = trusting();
    let timeout = Duration::from_millis(300);
    let pull = Pull::builder().context(&server).handshake_timeout(timeout).build();
    let mut events = pull.monitor();
    let at = soon(pull.bind(ANY)).await.unwrap();
    // Speaks quic, and says nothing of ZMTP.
    let mute = soon(client.connect(&at, &zocket::LinkOptions::default())).await.unwrap();
    let push = push(&context(client));
    push.connect(&at).unwrap();
    soon(push.send("first")).await.unwrap();
    assert_eq!(soon(pull.recv()).await.unwrap(), "first");
    let reason = handshake_failed(&mut events).await;
    assert!(matches!(reason, Disconnect::Protocol(_)), "{reason:?}");
    drop(mute);
}

#[tokio::test]
async fn what_a_peer_said_before_it_closed_is_read_though_nobody_hears_the_answers() {
    let (server, client) = trusting();
    let left = Pair::builder().context(&server).receive_high_water(HighWater::messages(1)).build();
    let mut events = left.monitor();
    let at = soon(left.bind(ANY)).await.unwrap();
    let right = Pair::builder().context(&context(client)).build();
    right.connect(&at).unwrap();
    for number in 0..200 {
        soon(right.send(numbered(number, 500))).await.unwrap();
    }
    assert_eq!(soon(right.close()).await.messages, 0);
    for number in 0..200 {
        left.try_send("answer").ok();
        expect_run(&left, number, 1).await;
    }
    let reason = disconnected(&mut events).await;
    assert!(matches!(reason, Disconnect::PeerClosed), "{reason:?}");
}
