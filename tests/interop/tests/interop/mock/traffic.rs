//! After the handshake: the request and reply transcript, PING and PONG, and what a peer may do between frames
//! (wire.md 1.4, 1.5, 1.10).

use std::time::{Duration, Instant};

use interop::libzmq::Kind;
use zocket::{Dealer, Heartbeat};

use super::{Peer, REST_30, REST_31};
use crate::content::{Frames, text};
use crate::ours::Ours;
use crate::side::Side;
use crate::within::{blocking, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rep_answers_with_the_bytes_of_the_transcript() {
    let rep = Ours::new(Kind::Rep, "");
    let mut peer = Peer::dials(&rep).await;
    let asking = blocking(move || {
        peer.shake_hands(REST_31, "REQ");
        peer.send("01 00 | 00 05 'hello'");
        peer.expect("01 00 | 00 05 'hello'");
        peer.send("01 00 | 01 01 'a' | 02 00*6 01 2C 62*300");
        peer.expect("01 00 | 01 01 'a' | 02 00*6 01 2C 62*300");
        // An id frame in front of the delimiter, as a correlating REQ sends it, comes back with the reply.
        peer.send("01 04 DE AD BE EF | 01 00 | 00 00");
        peer.expect("01 04 DE AD BE EF | 01 00 | 00 00");
    });
    let answering = async {
        let body = String::from_utf8(vec![b'b'; 300]).unwrap();
        for wanted in [text(["hello"]), text(["a", &body]), text([""])] {
            rep.answer(|got| assert_eq!(got, wanted)).await;
        }
    };
    tokio::join!(asking, answering);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn req_asks_a_router_with_the_bytes_of_the_transcript() {
    let req = Ours::new(Kind::Req, "");
    let mut peer = Peer::dialled_by(&req).await;
    let answering = blocking(move || {
        peer.shake_hands(REST_31, "ROUTER");
        // A program behind a ROUTER may not expect an id frame, so there is none.
        peer.expect("01 00 | 00 05 'hello'");
        peer.send("01 00 | 00 05 'world'");
        peer.expect("01 00 | 01 01 'a' | 00 01 'b'");
        peer.send("01 00 | 00 00");
    });
    let asking = async {
        assert_eq!(req.ask(text(["hello"])).await, text(["world"]));
        assert_eq!(req.ask(text(["a", "b"])).await, text([""]));
    };
    tokio::join!(asking, answering);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn req_asks_a_rep_with_at_most_an_id_of_four_bytes_before_the_delimiter() {
    let req = Ours::new(Kind::Req, "");
    let mut peer = Peer::dialled_by(&req).await;
    let answering = blocking(move || {
        peer.shake_hands(REST_31, "REP");
        let mut envelope = Vec::new();
        while envelope.last().is_none_or(|frame: &super::WireFrame| !frame.body.is_empty()) {
            envelope.push(peer.frame());
        }
        let lens: Vec<_> = envelope.iter().map(|frame| (frame.flags, frame.body.len())).collect();
        assert!(lens == [(1, 0)] || lens == [(1, 4), (1, 0)], "{envelope:02X?}");
        peer.expect("00 05 'hello'");
        for frame in envelope {
            let body: String = frame.body.iter().map(|byte| format!(" {byte:02X}")).collect();
            peer.send(&format!("01 {:02X}{body}", frame.body.len()));
        }
        peer.send("00 05 'world'");
    });
    let (answer, ()) = tokio::join!(req.ask(text(["hello"])), answering);
    assert_eq!(answer, text(["world"]));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ping_is_answered_with_its_context_and_no_more_than_sixteen_bytes_of_it() {
    let pings = [
        ("04 07 04 'PING' 00 00", "04 05 04 'PONG'"),
        ("04 07 04 'PING' 00 14", "04 05 04 'PONG'"),
        ("04 0A 04 'PING' 00 00 'ctx'", "04 08 04 'PONG' 'ctx'"),
        ("04 17 04 'PING' 00 00 61*16", "04 15 04 'PONG' 61*16"),
        ("04 41 04 'PING' 00 00 62*58", "04 15 04 'PONG' 62*16"),
    ];
    for rest in [REST_31, REST_30] {
        let dealer = Ours::new(Kind::Dealer, "");
        let mut peer = Peer::dials(&dealer).await;
        blocking(move || {
            peer.shake_hands(rest, "DEALER");
            for (ping, pong) in pings {
                peer.send(ping);
                peer.expect(pong);
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ping_of_ours_tells_the_time_to_live_in_tenths_of_a_second() {
    let heartbeat = Heartbeat::every(Duration::from_millis(50)).time_to_live(Duration::from_secs(2));
    let dealer = Ours::Dealer(Dealer::builder().heartbeat(heartbeat).build());
    let mut peer = Peer::dials(&dealer).await;
    blocking(move || {
        peer.shake_hands(REST_31, "DEALER");
        let ping = peer.frame();
        assert!(ping.flags == 4 && ping.body.starts_with(b"\x04PING\x00\x14"), "{ping:02X?}");
    })
    .await;
}

/// How long after this PING zocket gives a silent peer up; `None` if it did not within a second.
async fn given_up_after(ping: &'static str) -> Option<Duration> {
    let dealer = Ours::new(Kind::Dealer, "");
    let mut peer = Peer::dials(&dealer).await;
    blocking(move || {
        peer.shake_hands(REST_31, "DEALER");
        peer.send(ping);
        peer.expect("04 05 04 'PONG'");
        let start = Instant::now();
        if ping.ends_with("00 03") {
            peer.expect_close(ping);
            return Some(start.elapsed());
        }
        peer.expect_silence(Duration::from_secs(1));
        None
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_peer_is_given_up_when_the_time_to_live_it_asked_for_is_over() {
    // 660 tenths are 66 s, not 464 ms, which they would be in sixteen bits.
    let (short, long) =
        tokio::join!(given_up_after("04 07 04 'PING' 00 03"), given_up_after("04 07 04 'PING' 02 94"));
    assert!(short.is_some_and(|after| after > Duration::from_millis(250)), "{short:?}");
    assert_eq!(long, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_and_odd_headers_between_frames_do_not_disturb_messages() {
    let traffic: [(&str, Frames); 8] = [
        ("00 02 'hi'", text(["hi"])),
        // A long size for a short frame; reserved flag bits.
        ("02 00*7 02 'hi'", text(["hi"])),
        ("F8 02 'hi'", text(["hi"])),
        // Empty frames everywhere.
        ("01 00 01 00 00 00", text(["", "", ""])),
        // A PING between the frames of a message.
        ("01 01 'a' 04 07 04 'PING' 00 00 00 01 'b'", text(["a", "b"])),
        // Commands that nobody knows, or that are late, or malformed.
        ("04 06 05 'HELLO' 00 02 'hi'", text(["hi"])),
        ("04 06 05 'READY' 00 02 'hi'", text(["hi"])),
        ("04 00 04 02 09 'S' 00 02 'hi'", text(["hi"])),
    ];
    let pull = Ours::new(Kind::Pull, "");
    let mut peer = Peer::dials(&pull).await;
    let mut peer = blocking(move || {
        peer.shake_hands(REST_31, "PUSH");
        peer
    })
    .await;
    for (bytes, wanted) in traffic {
        peer.send(bytes);
        assert_eq!(pull.recv().await, wanted, "{bytes}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_message_of_a_lost_connection_is_not_glued_to_the_next_one() {
    let pull = Ours::new(Kind::Pull, "");
    let at = pull.bind("tcp://127.0.0.1:0").await;
    for last in [false, true] {
        let mut peer = Peer::at(&at);
        blocking(move || {
            peer.shake_hands(REST_31, "PUSH");
            if last {
                peer.send("00 05 'whole'");
            } else {
                peer.send("01 04 'half' 00 05 'a'");
            }
        })
        .await;
    }
    let got = within("the whole message", pull.recv()).await;
    assert_eq!(got, text(["whole"]));
}
