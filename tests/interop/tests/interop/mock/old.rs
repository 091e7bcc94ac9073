//! ZMTP 2.0: the downgrade after eleven bytes, and plain frames without a handshake (wire.md 1.3).
//!
//! Subscriptions of 2.0 and 3.0 peers are in `subscribing.rs`; their PINGs in `traffic.rs`.

use interop::libzmq::Kind;

use super::{Peer, SIGNATURE};
use crate::content::text;
use crate::ours::{Ours, until_ready};
use crate::side::Side;
use crate::within::blocking;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_router_serves_a_2_0_dealer_with_the_bytes_of_the_transcript() {
    let router = Ours::new(Kind::Router, "xyz");
    let mut peer = Peer::dials(&router).await;
    let asking = blocking(move || {
        peer.send(&format!("{SIGNATURE} 01 05 | 00 03 'v2d' | 00 02 'hi'"));
        peer.expect("FF 00*7 04 7F | 03 | 06 | 00 03 'xyz'");
        peer.expect("00 05 'reply'");
    });
    let answering = async {
        assert_eq!(router.recv().await, text(["v2d", "hi"]));
        router.send(text(["v2d", "reply"])).await;
    };
    tokio::join!(asking, answering);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dealer_dials_a_2_0_router() {
    let dealer = Ours::new(Kind::Dealer, "me");
    let mut peer = Peer::dialled_by(&dealer).await;
    let answering = blocking(move || {
        peer.expect("FF 00*7 03 7F 03");
        peer.send(&format!("{SIGNATURE} 01"));
        // The kind follows as soon as the version is known; the id is a frame like any other.
        peer.expect("05");
        peer.send("06 00 00");
        peer.expect("00 02 'me'");
        peer.expect("01 01 'a' 02 00*6 01 2C 62*300");
        peer.send("00 02 'ok'");
    });
    let asking = async {
        let body = String::from_utf8(vec![b'b'; 300]).unwrap();
        dealer.ask(text(["a", &body])).await
    };
    assert_eq!(tokio::join!(answering, asking).1, text(["ok"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_2_0_peer_counts_as_ready() {
    let pull = Ours::new(Kind::Pull, "");
    let mut monitor = pull.monitor();
    let mut peer = Peer::dials(&pull).await;
    peer.send(&format!("{SIGNATURE} 01 08 | 00 00 | 01 01 'a' 00 01 'b'"));
    until_ready(&mut monitor).await;
    assert_eq!(pull.recv().await, text(["a", "b"]));
}
