//! Peers over quic that do not finish their handshake hear that they may come again, and not merely an end.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use zocket::transport::quic::{Identity, Quic, Trust};
use zocket::transport::{Link, Transport, Wire};
use zocket::{CloseReason, Context, Endpoint, Event, LinkOptions, Monitor, Pull, SocketBuilder, kind};

use crate::stage::{event, soon};

/// A server with few places for handshakes, and a client that trusts it.
async fn bound(
    tune: impl FnOnce(SocketBuilder<kind::Pull>) -> SocketBuilder<kind::Pull>,
) -> (Pull, Monitor, Endpoint, Quic) {
    let identity = Identity::generate().unwrap();
    let client = Quic::client(Trust::keys([identity.fingerprint()]));
    let context = Context::builder().transport(Quic::server(identity)).build().unwrap();
    let pull = tune(Pull::builder().context(&context)).build();
    let events = pull.monitor();
    let at = soon(pull.bind("quic://127.0.0.1:0")).await.unwrap();
    (pull, events, at, client)
}

/// A link that speaks quic, and says nothing of ZMTP. It is there on both sides.
async fn mute(client: &Quic, at: &Endpoint, events: &mut Monitor) -> Link {
    let link = soon(client.connect(at, &LinkOptions::default())).await.unwrap();
    event(events, |event| matches!(event, Event::Accepted { .. }).then_some(())).await;
    link
}

/// What a link is told at its end, behind the greeting.
async fn told(link: Link) -> Option<CloseReason> {
    let Wire::Stream(mut stream) = link.wire else { panic!("a stream") };
    let end = soon(stream.read_to_end(&mut Vec::new())).await;
    end.err().as_ref().and_then(CloseReason::of)
}

#[tokio::test]
async fn a_peer_that_makes_way_for_others_is_told_to_come_again() {
    let (_pull, mut events, at, client) = bound(|builder| builder.max_handshakes(1)).await;
    let mut links = Vec::new();
    for _ in 0..3 {
        links.push(mute(&client, &at, &mut events).await);
    }
    let youngest = links.pop();
    for link in links {
        assert_eq!(told(link).await, Some(CloseReason::TryLater));
    }
    drop(youngest);
}

#[tokio::test]
async fn a_peer_that_is_too_slow_is_told_to_come_again() {
    let limit = Duration::from_millis(100);
    let (_pull, mut events, at, client) = bound(|builder| builder.handshake_timeout(limit)).await;
    let link = mute(&client, &at, &mut events).await;
    assert_eq!(told(link).await, Some(CloseReason::TryLater));
}
