//! Subscriptions on the wire: commands for 3.1, messages for older peers, both understood from anybody
//! (wire.md 1.6, 1.11).

use interop::libzmq::Kind;
use zocket::{Sub, XPub, XSub};

use super::{Peer, REST_30, REST_31, SIGNATURE};
use crate::content::text;
use crate::ours::{Ours, until_ready};
use crate::side::Side;
use crate::within::blocking;

/// A version of ZMTP, by how a mock publisher or subscriber starts.
#[derive(Debug, Clone, Copy)]
enum Version {
    V31,
    V30,
    V20,
}

/// The number of a publisher in a 2.0 greeting, and of a subscriber.
const PUB: u8 = 1;
const SUB: u8 = 2;

impl Version {
    /// Greets as `kind` and checks what zocket, of the opposite `number`, greets with.
    fn start(self, peer: &mut Peer, kind: &str, number: u8, ours: u8) {
        match self {
            Self::V31 => peer.shake_hands(REST_31, kind),
            Self::V30 => peer.shake_hands(REST_30, kind),
            Self::V20 => {
                peer.send(&format!("{SIGNATURE} 01 {number:02X} 00 00"));
                peer.expect(&format!("{SIGNATURE} 03 {ours:02X} 00 00"));
            }
        }
    }
}

/// 255 bytes of topic cross the border between short and long frames in every encoding.
const LONG_TOPIC: usize = 255;

/// Version, length of a topic of `T`s, its subscription, its cancellation.
const ENCODINGS: [(Version, usize, &str, &str); 8] = [
    (Version::V31, 1, "04 0B 09 'SUBSCRIBE' 54", "04 08 06 'CANCEL' 54"),
    (Version::V31, 0, "04 0A 09 'SUBSCRIBE'", "04 07 06 'CANCEL'"),
    (Version::V31, LONG_TOPIC, "06 00*6 01 09 09 'SUBSCRIBE' 54*255", "06 00*6 01 06 06 'CANCEL' 54*255"),
    (Version::V30, 1, "00 02 01 54", "00 02 00 54"),
    (Version::V30, 254, "00 FF 01 54*254", "00 FF 00 54*254"),
    // libzmq itself gets this one wrong (wire.md 1.4): a long size under a short flag.
    (Version::V30, LONG_TOPIC, "02 00*6 01 00 01 54*255", "02 00*6 01 00 00 54*255"),
    (Version::V20, 1, "00 02 01 54", "00 02 00 54"),
    (Version::V20, LONG_TOPIC, "02 00*6 01 00 01 54*255", "02 00*6 01 00 00 54*255"),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_speaks_the_encoding_of_its_publishers_version() {
    for (version, len, subscribed, cancelled) in ENCODINGS {
        let topic = "T".repeat(len);
        let sub = Sub::new();
        // One subscription before there is a peer, one after: they take different ways through the code.
        sub.subscribe("early").unwrap();
        let ours = Ours::Sub(sub);
        let mut peer = Peer::dialled_by(&ours).await;
        let Ours::Sub(sub) = &ours else { unreachable!("made above") };
        let mut peer = blocking(move || {
            version.start(&mut peer, "PUB", PUB, SUB);
            match version {
                Version::V31 => peer.expect("04 0F 09 'SUBSCRIBE' 'early'"),
                Version::V30 | Version::V20 => peer.expect("00 06 01 'early'"),
            }
            peer
        })
        .await;
        sub.subscribe(&topic).unwrap();
        sub.unsubscribe(&topic).unwrap();
        blocking(move || {
            peer.expect(subscribed);
            peer.expect(cancelled);
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_repeated_subscription_is_cancelled_once() {
    let sub = Sub::new();
    let ours = Ours::Sub(sub);
    let mut monitor = ours.monitor();
    let mut peer = Peer::dialled_by(&ours).await;
    let Ours::Sub(sub) = &ours else { unreachable!("made above") };
    let mut peer = blocking(move || {
        peer.shake_hands(REST_31, "PUB");
        peer
    })
    .await;
    // Before that it would only tell what is left in the end.
    until_ready(&mut monitor).await;
    for _ in 0..2 {
        sub.subscribe("A").unwrap();
    }
    for _ in 0..2 {
        sub.unsubscribe("A").unwrap();
    }
    sub.subscribe("end").unwrap();
    blocking(move || {
        // The repeat may be sent or not: a publisher keeps a set.
        let mut bodies: Vec<_> = (0..3).map(|_| peer.frame().body).collect();
        if bodies[1] == b"\x09SUBSCRIBEA" {
            bodies.remove(1);
            bodies.push(peer.frame().body);
        }
        assert_eq!(bodies, [&b"\x09SUBSCRIBEA"[..], b"\x06CANCELA", b"\x09SUBSCRIBEend"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publisher_understands_commands_and_messages_of_any_version() {
    const COMMANDS: &str = "04 0B 09 'SUBSCRIBE' 41 | 04 08 06 'CANCEL' 41 | 04 0A 09 'SUBSCRIBE'";
    const MESSAGES: &str = "00 02 01 41 | 00 02 00 41 | 00 01 01";
    let rows = [
        (Version::V31, COMMANDS),
        (Version::V31, MESSAGES),
        (Version::V30, COMMANDS),
        (Version::V30, MESSAGES),
        (Version::V20, MESSAGES),
    ];
    for (version, subscriptions) in rows {
        let xpub = Ours::XPub(XPub::new());
        let mut peer = Peer::dials(&xpub).await;
        let mut peer = blocking(move || {
            version.start(&mut peer, "SUB", SUB, 9);
            peer.send(subscriptions);
            peer
        })
        .await;
        for notice in [&b"\x01A"[..], b"\x00A", b"\x01"] {
            assert_eq!(xpub.recv().await, [notice], "{version:?} {subscriptions}");
        }
        xpub.send(text(["ABC", "x"])).await;
        blocking(move || peer.expect("01 03 'ABC' 00 01 'x'")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_publishers_transcript_is_filtered_by_prefix_and_by_a_set() {
    let publisher = Ours::new(Kind::Pub, "");
    let mut peer = Peer::dials(&publisher).await;
    let mut monitor = publisher.monitor();
    let talking = blocking(move || {
        peer.shake_hands(REST_31, "SUB");
        // The repeat changes nothing; one CANCEL ends both. The PONG says that all of it was read.
        peer.send("04 0B 09 'SUBSCRIBE' 41 | 04 0B 09 'SUBSCRIBE' 43 | 04 0B 09 'SUBSCRIBE' 43 | 04 08 06 'CANCEL' 43");
        peer.send("04 07 04 'PING' 00 00");
        peer.expect("04 05 04 'PONG'");
        peer
    });
    let (mut peer, ()) = tokio::join!(talking, until_ready(&mut monitor));
    for message in [text(["ABC"]), text(["B"]), text(["C"]), text(["A", "x"])] {
        publisher.send(message).await;
    }
    blocking(move || peer.expect("00 03 'ABC' 01 01 'A' 00 01 'x'")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_publisher_hears_every_subscription_and_a_late_one_all_of_them_once() {
    let xsub = XSub::new();
    xsub.subscribe("A").unwrap();
    xsub.subscribe("A").unwrap();
    let ours = Ours::XSub(xsub);
    for _ in 0..2 {
        let mut peer = Peer::dialled_by(&ours).await;
        blocking(move || {
            peer.shake_hands(REST_31, "PUB");
            peer.expect("04 0B 09 'SUBSCRIBE' 41");
            // A PONG right behind it: there was no second SUBSCRIBE.
            peer.send("04 07 04 'PING' 00 00");
            peer.expect("04 05 04 'PONG'");
        })
        .await;
    }
}
