//! Sockets that find each other, or do not fit, over every transport.

use zocket::{Dealer, Message, Pub, Pull, Push, Router};

use crate::stage::{Order, Place, SCHEMES, Scheme, Staged, event, meet, soon, ways};

#[tokio::test]
async fn what_does_not_go_together_is_refused_by_both_sides() {
    use zocket::{CloseReason, Disconnect, Event, ProtocolError, SocketKind};
    for way in ways() {
        let (push, publisher) = (Push::staged(), Pub::staged());
        let place = Place::new(way.0);
        let mut events = publisher.monitor();
        if way.1 == Order::ConnectFirst {
            publisher.connect(&place.endpoint).unwrap();
        }
        push.bind(&place.endpoint).await.unwrap();
        if way.1 == Order::BindFirst {
            publisher.connect(&place.endpoint).unwrap();
        }
        let reason = event(&mut events, |event| match event {
            Event::HandshakeFailed { reason, .. } => Some(reason),
            Event::Ready { .. } => panic!("{way:?}: they do not talk"),
            _ => None,
        })
        .await;
        let mismatch = ProtocolError::KindMismatch { ours: SocketKind::Pub, theirs: SocketKind::Push };
        match &reason {
            Disconnect::Protocol(error) => assert_eq!(*error, mismatch),
            // The other side may see it first, and where closing is a message, says so in it.
            Disconnect::PeerRefused(CloseReason::SocketType) if way.0 == Scheme::Quic => {}
            other => panic!("{way:?}: {other:?}"),
        }
        assert!(reason.is_refusal());
    }
}

#[tokio::test]
async fn one_socket_binds_and_connects_many_times_over_all_transports() {
    let pull = Pull::staged();
    let mut pushes = Vec::new();
    let mut places = Vec::new();
    for scheme in SCHEMES {
        for order in [Order::BindFirst, Order::ConnectFirst] {
            let push = Push::staged();
            // Each transport once with the PULL binding, and once with it connecting.
            let place = match order {
                Order::BindFirst => meet(&pull, &push, (scheme, order)).await,
                Order::ConnectFirst => meet(&push, &pull, (scheme, order)).await,
            };
            places.push(place);
            pushes.push(push);
        }
    }
    for (n, push) in pushes.iter().enumerate() {
        soon(push.send(format!("{n}"))).await.unwrap();
    }
    let mut got = Vec::new();
    for _ in &pushes {
        got.push(soon(pull.recv()).await.unwrap().to_text());
    }
    got.sort();
    assert_eq!(got, ["0", "1", "2", "3", "4", "5", "6", "7"]);
    assert_eq!(pull.peers().len(), 2 * SCHEMES.len());
}

#[tokio::test]
async fn a_socket_may_connect_to_itself() {
    for scheme in SCHEMES {
        let dealer = Dealer::staged();
        let place = Place::new(scheme);
        dealer.bind(&place.endpoint).await.unwrap();
        dealer.connect(&place.endpoint).unwrap();
        soon(dealer.connected(&place.endpoint)).await.unwrap();
        soon(dealer.send("echo")).await.unwrap();
        assert_eq!(soon(dealer.recv()).await.unwrap(), "echo", "{scheme:?}");
    }
}

#[tokio::test]
async fn what_is_sent_before_anybody_binds_arrives_in_order() {
    for scheme in SCHEMES {
        let place = Place::new(scheme);
        let (push, pull) = (Push::staged(), Pull::staged());
        push.connect(&place.endpoint).unwrap();
        for n in 0..100_u32 {
            soon(push.send(n.to_be_bytes().to_vec())).await.unwrap();
        }
        pull.bind(&place.endpoint).await.unwrap();
        crate::stage::expect_run(&pull, 0, 100).await;
    }
}

#[tokio::test]
async fn connected_says_who_the_peer_is() {
    for scheme in SCHEMES {
        let place = Place::new(scheme);
        let (router, dealer) = (Router::set_up().routing_id("hub").build(), Dealer::staged());
        router.bind(&place.endpoint).await.unwrap();
        dealer.connect(&place.endpoint).unwrap();
        let info = soon(dealer.connected(&place.endpoint)).await.unwrap();
        assert_eq!(info.kind(), Some(zocket::SocketKind::Router), "{scheme:?}");
        assert_eq!(*info.routing_id(), "hub");
        assert!(info.is_zocket());
    }
}

#[tokio::test]
async fn sixteen_megabytes_pass_whole() {
    for way in [(Scheme::Tcp, Order::BindFirst), (Scheme::Ipc, Order::BindFirst)] {
        let (push, pull) = (Push::staged(), Pull::staged());
        let _place = meet(&pull, &push, way).await;
        let body: Vec<u8> = (0..16_u32 << 20).map(|n| n.to_le_bytes()[usize::from(n % 3 == 0)]).collect();
        let message = Message::from([body.clone(), b"and".to_vec(), body]);
        let (sent, got) = soon(async { tokio::join!(push.send(message.clone()), pull.recv()) }).await;
        sent.unwrap();
        assert!(got.unwrap() == message, "{way:?}");
    }
}
