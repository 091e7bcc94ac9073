//! READY: its bytes for every kind of socket, and which READYs of a peer are taken (wire.md 1.7, 1.8).

use interop::libzmq::Kind;

use super::{MOMENT, Peer, REST_31, bytes};
use crate::content::text;
use crate::ours::Ours;
use crate::side::Side;
use crate::within::blocking;

/// Kind, its name on the wire, and whether READY carries an Identity.
const KINDS: [(Kind, &str, bool); 11] = [
    (Kind::Pair, "PAIR", false),
    (Kind::Pub, "PUB", false),
    (Kind::Sub, "SUB", false),
    (Kind::Req, "REQ", true),
    (Kind::Rep, "REP", false),
    (Kind::Dealer, "DEALER", true),
    (Kind::Router, "ROUTER", true),
    (Kind::Pull, "PULL", false),
    (Kind::Push, "PUSH", false),
    (Kind::XPub, "XPUB", false),
    (Kind::XSub, "XSUB", false),
];

/// A property as a transcript; an empty value would be an empty token, so it is left out.
fn property(name: &str, value: &str) -> String {
    let text = if value.is_empty() { String::new() } else { format!("'{value}'") };
    format!("{:02X} '{name}' 00 00 00 {:02X} {text}", name.len(), value.len())
}

/// Checks a READY's bytes: command frame, name, known properties in order, then at most `X-` properties.
fn expect_ready(peer: &mut Peer, kind: &str, identity: Option<&str>) {
    let identity = identity.map(|id| property("Identity", id)).unwrap_or_default();
    let wanted = bytes(&format!("05 'READY' {} {identity}", property("Socket-Type", kind)));
    let frame = peer.frame();
    assert_eq!(frame.flags, 4, "a short command frame");
    let Some(mut rest) = frame.body.strip_prefix(&wanted[..]) else {
        panic!("READY of {kind}: got {:02X?}\nnot {wanted:02X?}", frame.body);
    };
    while let [len, after @ ..] = rest {
        let (name, after) = after.split_at(usize::from(*len));
        assert!(name.starts_with(b"X-"), "READY of {kind} has {}", name.escape_ascii());
        let (len, after) = after.split_first_chunk().expect("a length of four bytes");
        rest = &after[u32::from_be_bytes(*len) as usize..];
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ready_names_the_kind_and_only_kinds_with_an_id_say_it() {
    for (kind, name, has_identity) in KINDS {
        let ours = Ours::new(kind, "");
        let mut peer = Peer::dialled_by(&ours).await;
        blocking(move || {
            peer.greet(REST_31);
            expect_ready(&mut peer, name, has_identity.then_some(""));
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ready_carries_the_routing_id() {
    for (kind, name) in [(Kind::Req, "REQ"), (Kind::Dealer, "DEALER"), (Kind::Router, "ROUTER")] {
        let ours = Ours::new(kind, "me");
        let mut peer = Peer::dials(&ours).await;
        blocking(move || {
            peer.greet(REST_31);
            expect_ready(&mut peer, name, Some("me"));
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_readable_ready_is_taken_whatever_its_dress() {
    let readies = [
        // Not marked as a command.
        "00 1A 05 'READY' 0B 'Socket-Type' 00 00 00 04 'PUSH'",
        // A long header for a short body.
        "06 00*7 1A 05 'READY' 0B 'Socket-Type' 00 00 00 04 'PUSH'",
        // Names in any case, a property nobody knows, an Identity nobody needs.
        "04 1A 05 'READY' 0B 'socket-type' 00 00 00 04 'PUSH'",
        "04 27 05 'READY' 0B 'Socket-Type' 00 00 00 04 'PUSH' 05 'X-Foo' 00 00 00 03 'bar'",
        "04 29 05 'READY' 08 'Identity' 00 00 00 02 'me' 0B 'Socket-Type' 00 00 00 04 'PUSH'",
        // No properties at all.
        "04 06 05 'READY'",
    ];
    for ready in readies {
        let pull = Ours::new(Kind::Pull, "");
        let mut peer = Peer::dials(&pull).await;
        let talking = blocking(move || {
            peer.greet(REST_31);
            peer.send(&format!("{ready} 00 02 'hi'"));
            peer
        });
        let (_peer, got) = tokio::join!(talking, pull.recv());
        assert_eq!(got, text(["hi"]), "{ready}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_does_not_fit_or_lies_about_lengths_is_closed() {
    let readies = [
        // The wrong kind; a kind that does not exist; the right one in the wrong case.
        "04 19 05 'READY' 0B 'Socket-Type' 00 00 00 03 'PUB'",
        "04 19 05 'READY' 0B 'Socket-Type' 00 00 00 03 'FOO'",
        "04 1A 05 'READY' 0B 'Socket-Type' 00 00 00 04 'push'",
        // A value longer than the command, a trailing byte, a name longer than the command.
        "04 1A 05 'READY' 0B 'Socket-Type' 00 00 00 05 'PUSH'",
        "04 1B 05 'READY' 0B 'Socket-Type' 00 00 00 04 'PUSH' 00",
        "04 08 05 'READY' FF 'S'",
        // Another command, an error, a command that claims 128 KiB.
        "04 08 07 'WELCOME'",
        "04 0A 05 'ERROR' 03 '400'",
        "06 00*5 02 00 00 05 'READY'",
    ];
    let pull = Ours::new(Kind::Pull, "");
    let at = pull.bind("tcp://127.0.0.1:0").await;
    for ready in readies {
        let mut peer = Peer::at(&at);
        blocking(move || {
            peer.greet(REST_31);
            peer.send(ready);
            peer.expect_close(ready);
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_but_ready_is_sent_before_the_peers_ready() {
    // libzmq drops a peer whose message or command comes before its own READY has left.
    let sub = Ours::new(Kind::Sub, "");
    let push = Ours::new(Kind::Push, "");
    let (mut to_sub, mut to_push) = (Peer::dialled_by(&sub).await, Peer::dialled_by(&push).await);
    let waiting = blocking(move || {
        for (peer, kind, ready, traffic) in [
            (&mut to_sub, "SUB", "PUB", "04 0A 09 'SUBSCRIBE'"),
            (&mut to_push, "PUSH", "PULL", "00 02 'hi'"),
        ] {
            peer.greet(REST_31);
            expect_ready(peer, kind, None);
            peer.expect_silence(MOMENT);
            peer.send(&super::ready(ready));
            peer.expect(traffic);
        }
    });
    tokio::join!(waiting, push.send(text(["hi"])));
}
