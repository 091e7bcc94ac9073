use super::*;
use crate::pattern::fake::{FakeLanes, FakeOutlets, peer, pipe, receive};

struct Bench {
    ask: Ask,
    answer: Answer,
    outlets: FakeOutlets,
    lanes: FakeLanes,
}

impl Bench {
    fn new(correlate: bool, peers: &[SocketKind]) -> Self {
        let mut bench = Self {
            ask: Ask::new(correlate),
            answer: Answer::new(),
            outlets: FakeOutlets::default(),
            lanes: FakeLanes::default(),
        };
        bench.ask.next_id = 7;
        for (n, &kind) in (0..).zip(peers) {
            bench.outlets.open(pipe(n), 9);
            bench.ask.attach(pipe(n));
            bench.identify(n, kind);
        }
        bench
    }

    fn identify(&mut self, n: u32, kind: SocketKind) {
        self.ask.identify(pipe(n), &peer(kind, ""), &mut self.outlets);
    }

    fn ask(&mut self) -> Asked {
        self.answer.drain(&mut self.lanes);
        let routed = self.ask.ask(&mut Outgoing::Bytes(b"question"), &mut self.outlets);
        assert_eq!(routed, Ok(Routed::Sent));
        let asked = self.ask.asked().unwrap();
        self.answer.expect(asked);
        asked
    }

    fn arrive<const N: usize>(&mut self, n: u32, frames: [&[u8]; N]) {
        if self.lanes.arrive(pipe(n), frames) {
            self.answer.ready(pipe(n));
        }
    }

    fn read(&mut self) -> Option<String> {
        let (_, message) = receive(&mut self.answer, &mut self.lanes)?;
        self.ask.answered();
        Some(message.to_text())
    }
}

#[test]
fn a_rep_gets_an_id_and_others_only_with_correlate() {
    let mut bench = Bench::new(false, &[SocketKind::Rep, SocketKind::Router]);
    assert_eq!(bench.ask(), Asked { pipe: pipe(0), id: Some(7) });
    bench.ask.answered();
    assert_eq!(bench.ask(), Asked { pipe: pipe(1), id: None });
    let sent: Vec<_> = bench.outlets.log.iter().map(|(_, message)| message.clone()).collect();
    let with_id: [&[u8]; 3] = [&[0, 0, 0, 7], b"", b"question"];
    assert_eq!(sent, [Message::from(with_id), Message::from(["", "question"])]);
    let mut bench = Bench::new(true, &[SocketKind::Router]);
    assert_eq!(bench.ask().id, Some(7));
}

#[test]
fn only_the_reply_that_fits_is_read() {
    let mut bench = Bench::new(false, &[SocketKind::Rep, SocketKind::Rep]);
    bench.ask();
    bench.arrive(1, [&[0, 0, 0, 7], b"", b"from another peer"]);
    bench.arrive(0, [&[0, 0, 0, 6], b"", b"to another question"]);
    bench.arrive(0, [b"", b"without id"]);
    bench.arrive(0, [&[0, 0, 0, 7], b"no delimiter", b"x"]);
    bench.arrive(0, [&[0, 0, 0, 7], b""]);
    bench.arrive(0, [&[0, 0, 0, 7]]);
    assert_eq!(bench.read(), None);
    assert_eq!(bench.answer.dropped(), 6);
    bench.arrive(0, [&[0, 0, 0, 7], b"", b"yes", b"and no"]);
    bench.arrive(0, [&[0, 0, 0, 7], b"", b"again"]);
    assert_eq!(bench.read().as_deref(), Some("yes and no"));
    assert_eq!(bench.read(), None, "one reply for each request");
    bench.ask();
    assert_eq!(bench.answer.dropped(), 7);
}

#[test]
fn without_an_id_the_pipe_and_the_delimiter_tell() {
    let mut bench = Bench::new(false, &[SocketKind::Router]);
    bench.ask();
    bench.arrive(0, [b"id", b"", b"x"]);
    bench.arrive(0, [b"", b""]);
    assert_eq!(bench.read().as_deref(), Some(""));
    assert_eq!(bench.answer.dropped(), 1);
}

#[test]
fn out_of_turn_nothing_happens() {
    let mut bench = Bench::new(false, &[SocketKind::Rep]);
    assert_eq!(bench.ask.abandon(), None);
    bench.ask();
    let mut message = Message::from("too early");
    assert_eq!(bench.ask.ask(&mut (&mut message).into(), &mut bench.outlets), Err(OutOfTurn));
    assert_eq!(bench.ask.route(&mut (&mut message).into(), &mut bench.outlets), Routed::Unroutable);
    assert_eq!((message, bench.outlets.log.len()), (Message::from("too early"), 1));
}

#[test]
fn a_request_that_finds_nobody_may_be_tried_again() {
    let mut bench = Bench::new(false, &[]);
    bench.outlets.open(pipe(0), 0);
    bench.ask.attach(pipe(0));
    let mut message = Message::from("question");
    assert_eq!(
        bench.ask.ask(&mut (&mut message).into(), &mut bench.outlets),
        Ok(Routed::NoPeer),
        "it has no link"
    );
    bench.identify(0, SocketKind::Rep);
    assert_eq!(bench.ask.ask(&mut (&mut message).into(), &mut bench.outlets), Ok(Routed::Blocked));
    assert_eq!((bench.ask.asked(), message), (None, Message::from("question")));
}

#[test]
fn an_abandoned_request_with_an_id_leaves_the_connection_and_its_late_reply_is_dropped() {
    let mut bench = Bench::new(false, &[SocketKind::Rep]);
    bench.ask();
    assert_eq!(bench.ask.abandon(), None);
    bench.answer.abandon();
    bench.ask();
    bench.arrive(0, [&[0, 0, 0, 7], b"", b"late"]);
    bench.arrive(0, [&[0, 0, 0, 8], b"", b"in time"]);
    assert_eq!(bench.read().as_deref(), Some("in time"));
}

#[test]
fn an_abandoned_request_without_an_id_needs_a_fresh_connection() {
    let mut bench = Bench::new(false, &[SocketKind::Router]);
    bench.ask();
    assert_eq!(bench.ask.abandon(), Some(pipe(0)));
    bench.answer.abandon();
    bench.arrive(0, [b"", b"late"]);
    bench.ask.lost(pipe(0));
    bench.answer.lost(pipe(0), 0);
    bench.identify(0, SocketKind::Router);
    bench.ask();
    bench.arrive(0, [b"", b"in time"]);
    assert_eq!(bench.read().as_deref(), Some("in time"));
    bench.ask();
    bench.ask.lost(pipe(0));
    assert_eq!(bench.ask.abandon(), None, "it is fresh already");
}

#[test]
fn a_lost_peer_ends_the_wait_once_what_it_sent_is_read() {
    let leaves: [fn(&mut Answer, PipeId); 2] = [|answer, pipe| answer.lost(pipe, 0), Inbound::detach];
    for leave in leaves {
        let mut bench = Bench::new(false, &[SocketKind::Rep, SocketKind::Rep]);
        let asked = bench.ask();
        leave(&mut bench.answer, pipe(1));
        assert!(!bench.answer.take_peer_lost(), "somebody else");
        bench.arrive(0, [&[0, 0, 0, 7], b"", b"just in time"]);
        leave(&mut bench.answer, asked.pipe);
        assert_eq!(bench.read().as_deref(), Some("just in time"));
        assert!(!bench.answer.take_peer_lost());
        let asked = bench.ask();
        leave(&mut bench.answer, asked.pipe);
        assert_eq!((bench.read(), bench.answer.expected()), (None, Some(asked)));
        assert!(bench.answer.take_peer_lost());
        assert_eq!(bench.answer.expected(), None);
        assert!(!bench.answer.take_peer_lost());
    }
}
