//! Who talks to whom: every pair of socket types, over every transport, whoever starts first.

use zocket::{
    Dealer, Message, Pair, Pub, Pull, Push, Receives, Rep, Req, Router, Sends, Socket, Sub, XPub, XSub,
};

use crate::stage::{Order, Place, SCHEMES, Scheme, Staged, event, meet, soon, ways};

/// One frame, several, and empty ones where they hurt.
fn shapes() -> Vec<Message> {
    vec![
        "one".into(),
        ["a", "b", "c"].into(),
        "".into(),
        ["", "", ""].into(),
        [vec![7_u8; 300], vec![], vec![8; 70_000]].into(),
    ]
}

async fn carries<A: Sends, B: Receives>(from: &Socket<A>, to: &Socket<B>) {
    for message in shapes() {
        soon(from.send(message.clone())).await.unwrap();
        assert_eq!(soon(to.recv()).await.unwrap(), message);
    }
}

/// Goes through the transports and orders, with each side binding once.
macro_rules! each_way {
    ($left:expr, $right:expr, $play:expr) => {
        for way in ways() {
            for left_binds in [true, false] {
                let (left, right) = ($left, $right);
                let _place =
                    if left_binds { meet(&left, &right, way).await } else { meet(&right, &left, way).await };
                $play(&left, &right).await;
            }
        }
    };
}

#[tokio::test]
async fn push_talks_to_pull() {
    each_way!(Push::staged(), Pull::staged(), async |push, pull| carries(push, pull).await);
}

#[tokio::test]
async fn pair_talks_to_pair() {
    each_way!(Pair::staged(), Pair::staged(), async |left, right| {
        carries(left, right).await;
        carries(right, left).await;
    });
}

#[tokio::test]
async fn dealer_talks_to_dealer() {
    each_way!(Dealer::staged(), Dealer::staged(), async |left, right| {
        carries(left, right).await;
        carries(right, left).await;
    });
}

#[tokio::test]
async fn dealer_talks_to_router() {
    each_way!(Dealer::staged(), Router::staged(), async |dealer: &Dealer, router: &Router| {
        for message in shapes() {
            soon(dealer.send(message.clone())).await.unwrap();
            let mut got = soon(router.recv()).await.unwrap();
            soon(router.send(got.clone())).await.unwrap();
            got.pop_front().unwrap();
            assert_eq!(got, message);
            assert_eq!(soon(dealer.recv()).await.unwrap(), message);
        }
    });
}

#[tokio::test]
async fn router_talks_to_router() {
    each_way!(
        Router::set_up().routing_id("left").build(),
        Router::set_up().routing_id("right").build(),
        async |left: &Router, right: &Router| {
            for message in shapes() {
                let mut named = message.clone();
                named.push_front("right");
                soon(left.send(named)).await.unwrap();
                let mut got = soon(right.recv()).await.unwrap();
                assert_eq!(got.pop_front().unwrap(), "left");
                assert_eq!(got, message);
            }
        }
    );
}

#[tokio::test]
async fn dealer_talks_to_rep() {
    each_way!(Dealer::staged(), Rep::staged(), async |dealer: &Dealer, rep: &Rep| {
        for message in shapes() {
            let mut enveloped = message.clone();
            enveloped.push_front("");
            soon(dealer.send(enveloped.clone())).await.unwrap();
            let request = soon(rep.recv()).await.unwrap();
            assert_eq!(*request.message(), message);
            soon(request.reply(message)).await.unwrap();
            assert_eq!(soon(dealer.recv()).await.unwrap(), enveloped);
        }
    });
}

#[tokio::test]
async fn req_talks_to_rep() {
    each_way!(Req::staged(), Rep::staged(), async |req: &Req, rep: &Rep| {
        for message in shapes() {
            let answering = async {
                let request = rep.recv().await.unwrap();
                assert_eq!(*request.message(), message);
                request.reply(message.clone()).await.unwrap();
            };
            let (reply, ()) = soon(async { tokio::join!(req.request(message.clone()), answering) }).await;
            assert_eq!(reply.unwrap(), message);
        }
    });
}

#[tokio::test]
async fn req_talks_to_router() {
    each_way!(Req::staged(), Router::staged(), async |req: &Req, router: &Router| {
        for message in shapes() {
            let answering = async {
                let request = router.recv().await.unwrap();
                assert_eq!(request.frames()[1], "", "the delimiter");
                assert_eq!(request.frames()[2..], *message.frames());
                router.send(request).await.unwrap();
            };
            let (reply, ()) = soon(async { tokio::join!(req.request(message.clone()), answering) }).await;
            assert_eq!(reply.unwrap(), message);
        }
    });
}

/// Subscribes to everything, waits until the publisher knows, and carries messages down.
macro_rules! publishes {
    ($publisher:ty, $subscriber:ty) => {
        each_way!(
            <$publisher>::staged(),
            <$subscriber>::staged(),
            async |from: &$publisher, to: &$subscriber| {
                to.subscribe("").unwrap();
                open_up(from, to).await;
                carries(from, to).await;
            }
        )
    };
}

/// A PUB says nothing of its subscriptions: the first message that gets through does.
async fn open_up<A: Sends, B: Receives>(publisher: &Socket<A>, subscriber: &Socket<B>) {
    soon(async {
        while subscriber.try_recv().is_err() {
            publisher.send("knock").await.unwrap();
            tokio::task::yield_now().await;
        }
        // Whatever knocked besides arrives before this.
        publisher.send("come in").await.unwrap();
        while subscriber.recv().await.unwrap() != "come in" {}
    })
    .await;
}

#[tokio::test]
async fn pub_talks_to_sub_and_xsub() {
    publishes!(Pub, Sub);
    publishes!(Pub, XSub);
}

#[tokio::test]
async fn xpub_talks_to_sub_and_xsub() {
    publishes!(XPub, Sub);
    publishes!(XPub, XSub);
}

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
