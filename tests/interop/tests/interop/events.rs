//! What each side's monitor tells of the other: handshakes, farewells, and peers of the wrong kind.
//!
//! libzmq's order of events is that of wire.md 6.6, which was captured between two libzmq; with zocket on the other
//! side it must be the same.

use interop::libzmq::{EventKind, Kind};
use zocket::Event;

use crate::content::small;
use crate::ours::{self, Ours};
use crate::side::{Pairing, Role};
use crate::stage::{Over, Place, Scene, Stage, Who};
use crate::theirs::Theirs;
use crate::within::{TICK, blocking, until};

/// The kinds of events up to and with `last`.
fn story(theirs: &Theirs, last: EventKind) -> Vec<EventKind> {
    let mut kinds = Vec::new();
    until(format_args!("libzmq to tell {last:?}"), || {
        theirs.serve();
        kinds.extend(theirs.socket.next_event(TICK).unwrap().map(|event| event.kind));
        (kinds.last() == Some(&last)).then_some(())
    });
    kinds
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connecting_libzmq_sees_the_events_of_a_good_connection() {
    let ours = Ours::new(Kind::Rep, "");
    let at = ours.bind(&Place::new(Over::Tcp).address).await;
    let theirs = Theirs::new(Kind::Req, "");
    blocking(move || {
        theirs.socket.connect(&at).unwrap();
        let kinds = story(&theirs, EventKind::HandshakeSucceeded);
        assert_eq!(kinds, [EventKind::ConnectDelayed, EventKind::Connected, EventKind::HandshakeSucceeded]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_binding_libzmq_sees_zocket_come_and_go() {
    let theirs = Theirs::new(Kind::Rep, "");
    let at = theirs.socket.bind(&Place::new(Over::Tcp).address).unwrap();
    let ours = Ours::new(Kind::Req, "");
    let mut monitor = ours.monitor();
    ours.connect(&at);
    let theirs = blocking(move || {
        let kinds = story(&theirs, EventKind::HandshakeSucceeded);
        assert_eq!(kinds, [EventKind::Listening, EventKind::Accepted, EventKind::HandshakeSucceeded]);
        theirs
    })
    .await;
    ours::until_ready(&mut monitor).await;
    ours.close().await;
    blocking(move || assert_eq!(story(&theirs, EventKind::Disconnected), [EventKind::Disconnected])).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zocket_tells_when_libzmq_leaves() {
    for binds in Who::BOTH {
        let pairing = Pairing::new(Kind::Dealer, Kind::Dealer);
        let stage = Stage::set(Scene { pairing, zocket: Role::Asker, binds, over: Over::Tcp }).await;
        let Stage { ours, mut monitor, theirs, .. } = stage.converse(small(0)).await;
        blocking(move || drop(theirs)).await;
        ours::until_gone(&mut monitor).await;
        ours.close().await;
    }
}

/// Kinds that must not talk, the way they are checked on both sides (wire.md 1.8).
const MISMATCHES: [(Kind, Kind); 8] = [
    (Kind::Push, Kind::Pub),
    (Kind::Pull, Kind::Pull),
    (Kind::Req, Kind::Dealer),
    (Kind::Rep, Kind::Router),
    (Kind::Sub, Kind::Push),
    (Kind::XPub, Kind::Pub),
    (Kind::Pair, Kind::Dealer),
    (Kind::Router, Kind::XSub),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kinds_that_do_not_fit_are_refused_and_both_sides_notice() {
    for (zocket, libzmq) in MISMATCHES {
        for binds in Who::BOTH {
            let (ours, theirs) = (Ours::new(zocket, "zocket"), Theirs::new(libzmq, "libzmq"));
            let mut monitor = ours.monitor();
            let place = Place::new(Over::Tcp);
            match binds {
                Who::Zocket => theirs.socket.connect(&ours.bind(&place.address).await).unwrap(),
                Who::Libzmq => ours.connect(&theirs.socket.bind(&place.address).unwrap()),
            }
            let refused = |event: &Event| {
                let ready = matches!(event, Event::Ready { .. });
                assert!(!ready, "zocket's {zocket:?} took a {libzmq:?}: {event:?}");
                matches!(event, Event::HandshakeFailed { .. } | Event::Disconnected { .. })
            };
            let what = format!("that {zocket:?} refused {libzmq:?}");
            let noticed = blocking(move || {
                let kinds = story(&theirs, EventKind::Disconnected);
                assert!(!kinds.contains(&EventKind::HandshakeSucceeded), "{zocket:?} {libzmq:?} {kinds:?}");
            });
            tokio::join!(noticed, ours::until(&mut monitor, &what, refused));
            ours.close().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_peer_leaves_a_bound_socket_open_for_the_right_one() {
    let pairing = Pairing::new(Kind::Push, Kind::Pull);
    let scene = Scene { pairing, zocket: Role::Answerer, binds: Who::Zocket, over: Over::Tcp };
    let stage = Stage::set(scene).await;
    let at = stage.address().to_owned();
    blocking(move || {
        let wrong = Theirs::new(Kind::Pub, "");
        wrong.socket.connect(&at).unwrap();
        wrong.until(EventKind::Disconnected);
    })
    .await;
    stage.converse(small(0)).await.restart(Who::Libzmq).await.converse(small(1)).await.strike().await;
}
