//! Routing ids: given and generated ones, in both directions; unknown ids; probes.
//!
//! That given ids arrive and find their peer is also part of every ROUTER conversation in `bodies.rs` and
//! `restart.rs`. Here are the lengths, the generated form (5 bytes, the first 00) and what happens without a peer.

use bytes::Bytes;
use interop::libzmq::{Context, Error, EventKind, Kind, Opt, Ready};
use zocket::{Dealer, Event, Router};

use crate::content::{body, text};
use crate::ours::{Ours, frames, message, until, until_ready};
use crate::side::Side;
use crate::stage::{Over, Place};
use crate::theirs::Theirs;
use crate::within::{TICK, blocking, within};

/// One byte, two, the most there may be, and bytes that are no text.
fn ids() -> [Bytes; 4] {
    [Bytes::from_static(b"x"), Bytes::from_static(b"me"), body(255, 1), Bytes::from_static(b"\xFF\x00\x80")]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zocket_router_knows_libzmq_dealers_by_their_ids() {
    let router = Router::new();
    let at = router.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    for id in ids() {
        let (at, name) = (at.clone(), id.clone());
        let dealer = blocking(move || {
            let dealer = Theirs::plain(&Context::new(), Kind::Dealer);
            dealer.socket.set_bytes(Opt::RoutingId, &name).unwrap();
            dealer.socket.connect(&at).unwrap();
            dealer.tell(["hello"]);
            dealer
        })
        .await;
        let got = within("libzmq's greeting", router.recv()).await.unwrap();
        assert_eq!(frames(&got), [id, Bytes::from("hello")]);
        within("an answer to leave", router.send(got)).await.unwrap();
        assert_eq!(blocking(move || dealer.hear()).await, text(["hello"]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn libzmq_router_knows_zocket_dealers_by_their_ids() {
    let router = Theirs::plain(&Context::new(), Kind::Router);
    let at = router.socket.bind("tcp://127.0.0.1:0").unwrap();
    let mut router = Some(router);
    for id in ids() {
        let dealer = Dealer::builder().routing_id(&id[..]).build();
        dealer.connect(&*at).unwrap();
        within("zocket's greeting to leave", dealer.send("hello")).await.unwrap();
        let theirs = router.take().expect("put back below");
        let (theirs, got) = blocking(move || {
            let got = theirs.hear();
            theirs.tell(&got);
            (theirs, got)
        })
        .await;
        assert_eq!(got, [id, Bytes::from("hello")]);
        assert_eq!(within("libzmq's answer", dealer.recv()).await.unwrap(), "hello");
        router = Some(theirs);
    }
}

/// wire.md 4.1: 5 bytes, 00 and a counter.
fn assert_generated(id: &[u8]) {
    assert_eq!((id.len(), id[0]), (5, 0), "{id:02x?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_without_an_id_get_a_generated_one_on_either_side() {
    let (zocket, libzmq) = (Router::new(), Theirs::plain(&Context::new(), Kind::Router));
    let zocket_at = zocket.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let libzmq_at = libzmq.socket.bind("tcp://127.0.0.1:0").unwrap();

    let asking = blocking(move || {
        let dealer = Theirs::plain(&Context::new(), Kind::Dealer);
        dealer.socket.connect(&zocket_at).unwrap();
        dealer.tell(["a"]);
        dealer.hear()
    });
    let serving = async {
        let got = within("libzmq's question", zocket.recv()).await.unwrap();
        assert_generated(&got[0]);
        zocket.send(got).await.unwrap();
    };
    assert_eq!(tokio::join!(asking, serving).0, text(["a"]));

    let dealer = Ours::Dealer(Dealer::new());
    dealer.connect(&libzmq_at);
    let serving = blocking(move || {
        let got = libzmq.hear();
        assert_generated(&got[0]);
        libzmq.tell(got);
        libzmq
    });
    let (_libzmq, answer) = tokio::join!(serving, dealer.ask(text(["b"])));
    assert_eq!(answer, text(["b"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mandatory_libzmq_router_loses_a_zocket_peer_when_it_leaves() {
    let router = Theirs::new(Kind::Router, "router").with(Opt::RouterMandatory, 1);
    let at = router.socket.bind("tcp://127.0.0.1:0").unwrap();
    assert_eq!(router.socket.send_multipart(["peer", "early"]), Err(Error::HOST_UNREACHABLE));

    let dealer = Ours::new(Kind::Dealer, "peer");
    dealer.connect(&at);
    let router = blocking(move || {
        router.until_ready();
        router.tell(["peer", "now"]);
        router
    })
    .await;
    assert_eq!(dealer.recv().await, text(["now"]));

    dealer.close().await;
    blocking(move || {
        router.until(EventKind::Disconnected);
        crate::within::until("libzmq to forget the peer", || {
            router.socket.poll(Ready::IN, TICK).unwrap();
            (router.socket.send_multipart(["peer", "late"]) == Err(Error::HOST_UNREACHABLE)).then_some(())
        });
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zocket_router_tells_unknown_peers_when_mandatory_and_drops_silently_when_not() {
    let (strict, lenient) = (Router::new(), Router::builder().mandatory(false).build());
    for router in [&strict, &lenient] {
        let mut monitor = router.monitor();
        let at = router.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
        let dealer = blocking(move || {
            let dealer = Theirs::new(Kind::Dealer, "peer");
            dealer.socket.connect(&at).unwrap();
            dealer.until_ready();
            dealer
        })
        .await;
        until_ready(&mut monitor).await;

        let stray = within("an unroutable message", router.send(["nobody", "lost"])).await;
        assert_eq!(stray.is_err(), std::ptr::eq(router, &raw const strict), "{stray:?}");
        within("a routable message", router.send(["peer", "found"])).await.unwrap();
        assert_eq!(blocking(move || dealer.hear()).await, text(["found"]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probing_libzmq_is_known_before_it_speaks() {
    let router = Router::new();
    let at = router.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let dealer = Theirs::new(Kind::Dealer, "prober").with(Opt::ProbeRouter, 1);
    dealer.socket.connect(&at).unwrap();
    let probe = within("the probe", router.recv()).await.unwrap();
    assert_eq!(frames(&probe), text(["prober", ""]));
    within("the answer to leave", router.send(["prober", "welcome"])).await.unwrap();
    assert_eq!(blocking(move || dealer.hear()).await, text(["welcome"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probing_zocket_is_known_before_it_speaks() {
    let router = Theirs::new(Kind::Router, "router");
    let at = router.socket.bind(&Place::new(Over::Tcp).address).unwrap();
    let dealer = Dealer::builder().routing_id("prober").probe(true).build();
    dealer.connect(&*at).unwrap();
    let router = blocking(move || {
        assert_eq!(router.hear(), text(["prober", ""]));
        router.tell(["prober", "welcome"]);
        router
    })
    .await;
    assert_eq!(within("libzmq's welcome", dealer.recv()).await.unwrap(), message(text(["welcome"])));
    blocking(move || drop(router)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_libzmq_of_the_same_id_is_heard_once_the_first_has_left() {
    let router = Router::new();
    let mut monitor = router.monitor();
    let at = router.bind("tcp://127.0.0.1:0").await.unwrap().to_string();
    let dealer = |text: &'static str| {
        let at = at.clone();
        blocking(move || {
            let dealer = Theirs::new(Kind::Dealer, "twin");
            dealer.socket.connect(&at).unwrap();
            dealer.tell([text]);
            dealer
        })
    };
    let first = dealer("first").await;
    assert_eq!(frames(&within("the first", router.recv()).await.unwrap()), text(["twin", "first"]));
    let second = dealer("second").await;
    until(&mut monitor, "a muted twin", |event| matches!(event, Event::Muted { .. })).await;
    router.send(["twin", "to the first"]).await.unwrap();
    blocking(move || assert_eq!(first.hear(), text(["to the first"]))).await;
    assert_eq!(frames(&within("the second", router.recv()).await.unwrap()), text(["twin", "second"]));
    router.send(["twin", "to the second"]).await.unwrap();
    blocking(move || assert_eq!(second.hear(), text(["to the second"]))).await;
}
