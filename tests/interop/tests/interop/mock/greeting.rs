//! The greeting: what is sent when, and which versions are taken (wire.md 1.1, 1.2).

use interop::libzmq::Kind;

use super::{MOMENT, Peer, REST_30, REST_31, SIGNATURE, ready};
use crate::content::text;
use crate::ours::Ours;
use crate::side::Side;
use crate::within::blocking;

/// The steps of wire.md 1.2, one at a time, each after what triggers it.
fn greets_step_by_step(mut peer: Peer) {
    peer.expect(&format!("{SIGNATURE} 03"));
    // Eleven bytes are all that is safe before the peer's version is known: it may be 2.0.
    peer.expect_silence(MOMENT);
    peer.send(SIGNATURE);
    peer.expect_silence(MOMENT);
    peer.send("03");
    peer.expect(REST_31);
    peer.send(REST_31);
    let frame = peer.frame();
    assert!(frame.flags == 4 && frame.body.starts_with(b"\x05READY"), "{frame:02X?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_greeting_waits_for_the_peers_version_after_eleven_bytes() {
    let (connecting, binding) = (Ours::new(Kind::Push, ""), Ours::new(Kind::Pull, ""));
    let (accepted, dialled) = tokio::join!(Peer::dialled_by(&connecting), Peer::dials(&binding));
    tokio::join!(
        blocking(move || greets_step_by_step(accepted)),
        blocking(move || greets_step_by_step(dialled))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_signature_tells_the_length_of_the_routing_id() {
    for (id, length) in [("", 1), ("me", 3)] {
        let dealer = Ours::new(Kind::Dealer, id);
        let mut peer = Peer::dialled_by(&dealer).await;
        blocking(move || peer.expect(&format!("FF 00*7 {length:02X} 7F 03"))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_greeting_may_come_byte_by_byte() {
    let pull = Ours::new(Kind::Pull, "");
    let mut peer = Peer::dials(&pull).await;
    let dribbling = blocking(move || {
        let all = format!("{SIGNATURE} 03 {REST_31} {} 00 02 'hi'", ready("PUSH"));
        for byte in super::bytes(&all) {
            peer.send(&format!("{byte:02X}"));
        }
        peer
    });
    let (_peer, got) = tokio::join!(dribbling, pull.recv());
    assert_eq!(got, text(["hi"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn greeting_ready_and_messages_may_come_in_one_segment() {
    for rest in [REST_31, REST_30] {
        let pull = Ours::new(Kind::Pull, "");
        let mut peer = Peer::dials(&pull).await;
        peer.send(&format!("{SIGNATURE} 03 {rest} {} 01 01 'a' 00 01 'b' 00 01 'c'", ready("PUSH")));
        assert_eq!(pull.recv().await, text(["a", "b"]));
        assert_eq!(pull.recv().await, text(["c"]));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn later_versions_and_odd_signatures_are_spoken_to_in_3_1() {
    let greetings = [
        // 3.2, and 4.0.
        "FF 00*7 01 7F 03 02 'NULL' 00*16 00*32",
        "FF 00*7 01 7F 04 00 'NULL' 00*16 00*32",
        // The eight bytes of padding and the as-server byte mean nothing, of byte 9 only bit 0 counts.
        "FF AA*8 01 03 01 'NULL' 00*16 01 00*31",
    ];
    for greeting in greetings {
        let pull = Ours::new(Kind::Pull, "");
        let mut peer = Peer::dials(&pull).await;
        let talking = blocking(move || {
            peer.send(greeting);
            peer.expect(&format!("{SIGNATURE} 03 {REST_31}"));
            peer.send(&format!("{} 00 02 'hi'", ready("PUSH")));
            peer
        });
        let (_peer, got) = tokio::join!(talking, pull.recv());
        assert_eq!(got, text(["hi"]), "{greeting}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_spoken_to_is_closed() {
    let greetings = [
        // ZMTP 1.0, unversioned: the first byte is a frame's length.
        "04 00 'v1d'",
        // Something else altogether.
        "'GET' 20 '/' 20 'HTTP/1.1' 0D 0A 0D 0A",
        // A mechanism that was not asked for; one that is no NULL because of what follows the name.
        "FF 00*7 01 7F 03 01 'PLAIN' 00*15 00*32",
        "FF 00*7 01 7F 03 01 'NULL' 00*15 41 00*32",
    ];
    let pull = Ours::new(Kind::Pull, "");
    let at = pull.bind("tcp://127.0.0.1:0").await;
    for greeting in greetings {
        let mut peer = Peer::at(&at);
        blocking(move || {
            peer.send(greeting);
            peer.expect_close(greeting);
        })
        .await;
    }
}
