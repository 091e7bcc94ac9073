//! Transcripts from libzmq, bad peers, virtual time, and two properties: arbitrary bytes do no harm, and valid
//! messages come out as they went in, however they are cut.

mod groups;

use bytes::BufMut;
use proptest::prelude::*;

use super::*;
use crate::message::Message;
use crate::zmtp::frame::put_header;
use crate::zmtp::scan::HOLD;

const SECOND: Duration = Duration::from_secs(1);
const ROOM: u32 = u32::MAX;
/// What libzmq says first, with an empty routing id, and then.
const OPENING: &[u8] = b"\xFF\0\0\0\0\0\0\0\x01\x7F\x03";

fn config(kind: SocketKind) -> Config {
    Config {
        kind,
        routing_id: Frame::new(),
        handshake_timeout: Some(30 * SECOND),
        heartbeat: HeartbeatConfig {
            interval: Some(10 * SECOND),
            timeout: 5 * SECOND,
            ttl: Duration::ZERO,
            zocket_only: true,
        },
        max_message_bytes: 1 << 20,
        max_frames: 1000,
        extras: Extras::default(),
    }
}

fn rest(minor: u8) -> Vec<u8> {
    [&[minor], &b"NULL"[..], &[0; 48]].concat()
}

fn greeting() -> Vec<u8> {
    [OPENING, &rest(1)].concat()
}

fn command(body: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    crate::zmtp::command::put_command(&mut out, body);
    out.to_vec()
}

/// A READY as libzmq sends it.
fn ready(kind: &str, routing_id: Option<&str>) -> Vec<u8> {
    let mut body = b"\x05READY".to_vec();
    for (name, value) in [("Socket-Type", Some(kind)), ("Identity", routing_id)] {
        if let Some(value) = value {
            body.put_u8(name.len().try_into().unwrap());
            body.put_slice(name.as_bytes());
            body.put_u32(value.len().try_into().unwrap());
            body.put_slice(value.as_bytes());
        }
    }
    command(&body)
}

fn wire(message: &Message) -> Vec<u8> {
    let mut out = BytesMut::new();
    for (left, frame) in (0..message.len()).rev().zip(message.frames()) {
        put_header(&mut out, frame.len(), left > 0, false);
        out.put_slice(frame);
    }
    out.to_vec()
}

/// An engine with its input, driven as a driver would.
struct Peer {
    engine: Engine,
    input: BytesMut,
    now: Instant,
    info: Option<PeerInfo>,
    commands: Vec<Command>,
    /// Whole messages.
    messages: Vec<Message>,
    /// The start of an unfinished message.
    held: Vec<Frame>,
}

impl Peer {
    fn with(config: Config) -> Self {
        let now = Instant::now();
        let engine = Engine::new(Arc::new(config), now);
        let (commands, messages, held) = (vec![], vec![], vec![]);
        Self { engine, input: BytesMut::new(), now, info: None, commands, messages, held }
    }

    fn new(kind: SocketKind) -> Self {
        Self::with(config(kind))
    }

    /// After a handshake with a libzmq of that kind.
    fn ready(kind: SocketKind, theirs: &str) -> Self {
        Self::ready_with(config(kind), theirs)
    }

    fn ready_with(config: Config, theirs: &str) -> Self {
        let mut peer = Self::with(config);
        peer.feed(&[greeting(), ready(theirs, None)].concat()).unwrap();
        assert!(peer.engine.is_ready());
        peer.sent();
        peer
    }

    fn sent(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        while !self.engine.control().is_empty() {
            all.extend_from_slice(&self.engine.control().split());
        }
        all
    }

    fn feed(&mut self, bytes: &[u8]) -> Result<(), ProtocolError> {
        self.input.extend_from_slice(bytes);
        self.poll(ROOM).map(drop)
    }

    /// Polls until there is nothing, with `room` each time. Returns how many messages came.
    fn poll(&mut self, room: u32) -> Result<u32, ProtocolError> {
        let mut count = 0_u32;
        let futile = self.input.len() < self.engine.wants();
        loop {
            let before = self.input.len();
            let event = self.engine.poll(&mut self.input, room, || self.now)?;
            assert!(!futile || event.is_none(), "it wanted more than this");
            let Some(event) = event else {
                let wants = self.engine.wants();
                assert!(wants == 0 || wants > self.input.len(), "{wants} of {}", self.input.len());
                assert!(room == 0 || self.input.is_empty() || wants > 0, "a driver has to know");
                assert!(
                    room == 0 || self.input.len() < HOLD.saturating_add(wants),
                    "more is held than need be"
                );
                return Ok(count);
            };
            match event {
                Event::Ready(info) => assert!(self.info.replace(info).is_none()),
                Event::Command(command) => self.commands.push(command),
                Event::Traffic { bytes, messages } => {
                    assert!(bytes > 0 && bytes <= before && messages <= room);
                    count += messages;
                    assert_eq!(self.take(bytes), messages);
                }
            }
        }
    }

    /// Takes frames off the input. Returns how many messages ended, the last one at the very end.
    fn take(&mut self, bytes: usize) -> u32 {
        let traffic = self.input.split_to(bytes);
        let (mut rest, mut messages) = (&traffic[..], 0);
        while !rest.is_empty() {
            let header = Header::decode(rest).expect("whole frames");
            assert!(!header.command);
            self.held.push(rest[header.head..header.total()].into());
            rest = &rest[header.total()..];
            if !header.more {
                messages += 1;
                self.messages.push(std::mem::take(&mut self.held).into());
            }
        }
        assert!(messages == 0 || self.held.is_empty(), "cut inside a message");
        messages
    }

    fn after(&mut self, time: Duration) -> Result<(), ProtocolError> {
        self.now += time;
        self.engine.handle_timeout(self.now)
    }
}

/// Lets two engines talk until they have nothing to say.
fn talk(a: &mut Peer, b: &mut Peer) -> Result<(), ProtocolError> {
    loop {
        let (to_b, to_a) = (a.sent(), b.sent());
        if to_a.is_empty() && to_b.is_empty() {
            return Ok(());
        }
        a.feed(&to_a)?;
        b.feed(&to_b)?;
    }
}

// ── transcripts ─────────────────────────────────────────────────────────────────────────────────

#[test]
fn req_and_rep_exchange_libzmqs_bytes_and_the_zocket_property() {
    let mut req = Peer::new(SocketKind::Req);
    assert_eq!(req.sent(), OPENING);
    req.feed(&OPENING[..10]).unwrap();
    assert_eq!(req.sent(), b"");
    req.feed(b"\x03").unwrap();
    assert_eq!(req.sent(), rest(1));
    req.feed(&rest(1)).unwrap();
    let ours = b"\x04\x34\x05READY\x0BSocket-Type\0\0\0\x03REQ\x08Identity\0\0\0\0\x08X-Zocket\0\0\0\x011";
    assert_eq!(req.sent(), ours);
    assert!(!req.engine.is_ready());
    req.feed(b"\x04\x19\x05READY\x0BSocket-Type\0\0\0\x03REP").unwrap();
    let info = req.info.as_ref().unwrap();
    assert_eq!(
        (info.kind(), info.version(), info.mechanism()),
        (Some(SocketKind::Rep), Version::V3_1, "NULL")
    );
    req.feed(b"\x01\x00\x00\x05world\x01\x00\x00\x00").unwrap();
    assert_eq!(req.messages, [["", "world"], ["", ""]]);

    let mut rep = Peer::new(SocketKind::Rep);
    rep.feed(&greeting()).unwrap();
    rep.feed(b"\x04\x26\x05READY\x0BSocket-Type\0\0\0\x03REQ\x08Identity\0\0\0\0").unwrap();
    let ours = b"\x04\x27\x05READY\x0BSocket-Type\0\0\0\x03REP\x08X-Zocket\0\0\0\x011";
    assert_eq!(rep.sent(), [greeting(), ours.to_vec()].concat());
    rep.feed(b"\x01\x00\x00\x05hello").unwrap();
    rep.feed(&[&b"\x01\x00\x01\x01a\x02\0\0\0\0\0\0\x01\x2C"[..], &[b'b'; 300]].concat()).unwrap();
    assert_eq!(rep.messages[0], ["", "hello"]);
    assert_eq!(rep.messages[1], ["", "a", &"b".repeat(300)]);
}

#[test]
fn a_prefix_of_more_than_64_kib_ends_the_connection() {
    for version in [Version::V3_1, Version::V3_0] {
        for (len, is_taken) in [(MAX_PREFIX, true), (MAX_PREFIX + 1, false)] {
            let mut publisher = Peer::ready(SocketKind::Pub, "SUB");
            let mut bytes = BytesMut::new();
            Command::Subscribe(vec![7; len].into()).put(&mut bytes, version);
            let outcome = publisher.feed(&bytes);
            assert_eq!(outcome.is_ok(), is_taken, "{version:?}, {len} bytes: {outcome:?}");
            assert_eq!(publisher.commands.len(), usize::from(is_taken));
        }
    }
}

#[test]
fn a_publisher_hears_libzmqs_subscriptions() {
    let mut publisher = Peer::new(SocketKind::Pub);
    // Pipelined in one segment, which libzmq accepts too.
    publisher.feed(&[greeting(), ready("SUB", None), b"\x04\x0B\x09SUBSCRIBEA".to_vec()].concat()).unwrap();
    publisher.feed(b"\x04\x08\x06CANCELA\x04\x0A\x09SUBSCRIBE").unwrap();
    let expected =
        [Command::Subscribe("A".into()), Command::Cancel("A".into()), Command::Subscribe("".into())];
    assert_eq!(publisher.commands, expected);

    let mut sub = Peer::ready(SocketKind::Sub, "PUB");
    sub.engine.send_command(&Command::Subscribe("A".into()));
    assert_eq!(sub.sent(), b"\x04\x0B\x09SUBSCRIBEA");
    sub.feed(b"\x00\x03ABC\x01\x01A\x00\x01x").unwrap();
    assert_eq!(sub.messages, [Message::from("ABC"), Message::from(["A", "x"])]);
    sub.engine.send_command(&Command::Cancel("A".into()));
    sub.engine.send_command(&Command::Subscribe("".into()));
    assert_eq!(sub.sent(), b"\x04\x08\x06CANCELA\x04\x0A\x09SUBSCRIBE");
}

#[test]
fn a_2_0_peer_is_answered_with_our_number_and_routing_id() {
    let routing_id = Frame::from("xyz");
    let mut router = Peer::with(Config { routing_id, ..config(SocketKind::Router) });
    assert_eq!(router.sent(), b"\xFF\0\0\0\0\0\0\0\x04\x7F\x03");
    router.feed(b"\xFF\0\0\0\0\0\0\0\x01\x7F\x01\x05").unwrap();
    assert_eq!(router.sent(), b"\x06\x00\x03xyz");
    router.feed(b"\x00\x03v2d\x00\x02hi").unwrap();
    let info = router.info.as_ref().unwrap();
    assert_eq!((info.kind(), info.version()), (Some(SocketKind::Dealer), Version::V2_0));
    assert_eq!(*info.routing_id(), "v2d");
    assert_eq!(router.messages, [Message::from("hi")]);
    assert_eq!(router.engine.poll_timeout(), None, "2.0 has no heartbeats");
    router.feed(b"\x04\x07\x04PING\x00\x14").unwrap();
    assert_eq!((router.sent(), router.engine.poll_timeout()), (vec![], None));
}

#[test]
fn a_2_0_peer_may_have_a_type_we_do_not_know_but_not_a_wrong_one() {
    let old = |number: u8| {
        let mut pull = Peer::new(SocketKind::Pull);
        pull.feed(&[&OPENING[..10], &[1, number, 0, 0]].concat()).map(|()| pull.info.unwrap().kind())
    };
    assert_eq!(old(8), Ok(Some(SocketKind::Push)));
    assert_eq!(old(77), Ok(None));
    let error = ProtocolError::KindMismatch { ours: SocketKind::Pull, theirs: SocketKind::Sub };
    assert_eq!(old(2), Err(error));
    let mut pull = Peer::new(SocketKind::Pull);
    let long = pull.feed(&[&OPENING[..10], &[1, 8, 2, 0, 0, 0, 0, 0, 0, 1, 0]].concat());
    assert_eq!(long, Err(ProtocolError::RoutingIdTooLong { len: 256 }));
}

#[test]
fn old_subscribers_get_and_send_messages_for_subscriptions() {
    let mut sub = Peer::new(SocketKind::Sub);
    sub.feed(&[OPENING, &rest(0), &ready("XPUB", None)].concat()).unwrap();
    assert_eq!(sub.info.as_ref().unwrap().version(), Version::V3_0);
    sub.sent();
    sub.engine.send_command(&Command::Subscribe("A".into()));
    sub.engine.send_command(&Command::Cancel("A".into()));
    assert_eq!(sub.sent(), b"\x00\x02\x01A\x00\x02\x00A");
    // A 3.0 peer is sent PINGs all the same, and its own are answered.
    sub.feed(b"\x04\x07\x04PING\x00\x00").unwrap();
    assert_eq!(sub.sent(), b"\x04\x05\x04PONG");
}

#[test]
fn publishers_take_both_forms_from_anybody_and_pass_on_other_messages() {
    for kind in [SocketKind::Pub, SocketKind::XPub] {
        let mut publisher = Peer::ready(kind, "XSUB");
        publisher
            .feed(b"\x00\x02\x01A\x00\x01x\x04\x08\x06CANCELA\x00\x01\x00\x00\x00\x01\x01\x01\x00\x01y")
            .unwrap();
        let expected =
            [Command::Subscribe("A".into()), Command::Cancel("A".into()), Command::Cancel("".into())];
        assert_eq!(publisher.commands, expected);
        let messages = ["x".into(), "".into(), Message::from([&[1_u8][..], b"y"])];
        assert_eq!(publisher.messages, messages);
    }
    let mut pull = Peer::ready(SocketKind::Pull, "PUSH");
    pull.feed(b"\x00\x02\x01A\x04\x0B\x09SUBSCRIBEA").unwrap();
    assert_eq!((pull.messages, pull.commands), (vec![Message::from("\x01A")], vec![]));
}

#[test]
fn a_cancel_of_what_was_never_subscribed_is_an_event_like_any_other() {
    let mut publisher = Peer::ready(SocketKind::Pub, "SUB");
    publisher.feed(b"\x04\x0B\x06CANCELnews").unwrap();
    assert_eq!(publisher.commands, [Command::Cancel("news".into())]);
}

#[test]
fn a_ready_without_the_command_flag_is_accepted() {
    let mut pull = Peer::new(SocketKind::Pull);
    let mut bytes = [greeting(), ready("PUSH", None)].concat();
    bytes[64] = 0;
    pull.feed(&bytes).unwrap();
    assert!(pull.engine.is_ready());
}

#[test]
fn a_ready_may_come_byte_by_byte_or_after_any_cut() {
    let bytes = [greeting(), ready("PUSH", Some("me")), wire(&"hi".into())].concat();
    let mut pull = Peer::new(SocketKind::Pull);
    for byte in &bytes {
        pull.feed(&[*byte]).unwrap();
    }
    assert_eq!(pull.messages, [Message::from("hi")]);
    for cut in 0..bytes.len() {
        let mut pull = Peer::new(SocketKind::Pull);
        pull.feed(&bytes[..cut]).unwrap();
        pull.feed(&bytes[cut..]).unwrap();
        assert_eq!(pull.messages, [Message::from("hi")]);
        assert_eq!(*pull.info.unwrap().routing_id(), "me");
    }
}

#[test]
fn two_engines_of_every_matching_pair_get_ready() {
    for ours in SocketKind::ALL {
        for theirs in SocketKind::ALL {
            let mut a = Peer::with(Config { routing_id: "a".into(), ..config(ours) });
            let mut b = Peer::new(theirs);
            let talked = talk(&mut a, &mut b);
            if crate::zmtp::peers::may_talk(ours, theirs) {
                talked.unwrap();
                let (at_a, at_b) = (a.info.unwrap(), b.info.unwrap());
                assert_eq!((at_a.kind(), at_b.kind()), (Some(theirs), Some(ours)));
                assert!(at_a.is_zocket() && at_b.is_zocket());
                assert_eq!(at_b.routing_id().is_empty(), !ours.tells_routing_id());
            } else {
                assert!(matches!(talked, Err(ProtocolError::KindMismatch { .. })), "{talked:?}");
            }
        }
    }
}

// ── bad peers ───────────────────────────────────────────────────────────────────────────────────

fn refuses(bytes: &[u8]) -> ProtocolError {
    let mut pull = Peer::new(SocketKind::Pull);
    pull.feed(bytes).unwrap_err()
}

#[test]
fn who_does_not_speak_zmtp_3_or_2_is_closed_at_the_first_byte_that_tells() {
    assert_eq!(refuses(b"G"), ProtocolError::NotZmtp { first: b'G' });
    assert_eq!(refuses(b"\x04\x00v1d"), ProtocolError::NotZmtp { first: 4 });
    assert_eq!(refuses(b"\xFF\0\0\0\0\0\0\0\x04\x00"), ProtocolError::OldVersion);
    assert_eq!(refuses(b"\xFF\0\0\0\0\0\0\0\x04\x7F\x00"), ProtocolError::OldVersion);
    let curve = [OPENING, b"\x01CURVE", &[0; 47]].concat();
    let mismatch = ProtocolError::MechanismMismatch { ours: "NULL", theirs: "CURVE".into() };
    assert_eq!(refuses(&curve), mismatch);
}

#[test]
fn a_stalled_handshake_is_given_up_wherever_it_stalls() {
    let whole = [greeting(), ready("PUSH", None)].concat();
    for len in 0..whole.len() {
        let mut pull = Peer::new(SocketKind::Pull);
        pull.feed(&whole[..len]).unwrap();
        assert_eq!(pull.engine.poll_timeout(), Some(pull.now + 30 * SECOND));
        pull.after(29 * SECOND).unwrap();
        let error = ProtocolError::HandshakeTimeout { after: 30 * SECOND };
        assert_eq!(pull.after(SECOND), Err(error));
    }
    let mut pull = Peer::ready(SocketKind::Pull, "PUSH");
    assert_eq!(pull.engine.poll_timeout(), None);
    pull.after(1000 * SECOND).unwrap();
    let endless = Peer::with(Config { handshake_timeout: None, ..config(SocketKind::Pull) });
    assert_eq!(endless.engine.poll_timeout(), None);
}

#[test]
fn handshake_commands_are_refused_as_the_mechanism_says() {
    let after_greeting = |body: &[u8]| refuses(&[greeting(), body.to_vec()].concat());
    let error = ProtocolError::KindMismatch { ours: SocketKind::Pull, theirs: SocketKind::Sub };
    assert_eq!(after_greeting(&ready("SUB", None)), error);
    let error = ProtocolError::RoutingIdTooLong { len: 300 };
    assert_eq!(after_greeting(&ready("PUSH", Some(&"x".repeat(300)))), error);
    let error = ProtocolError::PeerError { reason: "400".into() };
    assert_eq!(after_greeting(&command(b"\x05ERROR\x03400")), error);
    let error = ProtocolError::UnexpectedCommand { name: "PING".into() };
    assert_eq!(after_greeting(&command(b"\x04PING\0\0")), error);
    let error = ProtocolError::HandshakeTooLarge { limit: 65_536, claimed: (1 << 63) - 1 };
    assert_eq!(after_greeting(b"\x06\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF"), error);
    assert!(matches!(after_greeting(&command(b"\x05READY\x01")), ProtocolError::BadMetadata { .. }));
}

#[test]
fn a_peer_of_the_wrong_type_is_told_why() {
    let mut pull = Peer::new(SocketKind::Pull);
    pull.feed(&greeting()).unwrap();
    pull.sent();
    pull.feed(&ready("SUB", None)).unwrap_err();
    assert_eq!(pull.sent(), command(b"\x05ERROR\x19socket types do not match"));
    let mut sub = Peer::new(SocketKind::Push);
    let error = sub.feed(&[greeting(), command(b"\x05ERROR\x19socket types do not match")].concat());
    assert_eq!(error, Err(ProtocolError::PeerError { reason: "socket types do not match".into() }));
}

#[test]
fn a_false_length_is_refused_on_the_header() {
    let mut pull = Peer::ready(SocketKind::Pull, "PUSH");
    let error = ProtocolError::FrameTooLarge { limit: 1 << 20, claimed: (1 << 63) - 1 };
    assert_eq!(pull.feed(b"\x02\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF"), Err(error));
    let mut pull = Peer::ready(SocketKind::Pull, "PUSH");
    let error = ProtocolError::FrameTooLarge { limit: 1 << 20, claimed: (1 << 20) + 1 };
    assert_eq!(pull.feed(b"\x06\0\0\0\0\0\x10\0\x01"), Err(error));
    let unlimited = Config { max_message_bytes: u64::MAX, ..config(SocketKind::Pull) };
    let mut pull = Peer::ready_with(unlimited, "PUSH");
    pull.feed(b"\x02\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF").unwrap();
    assert_eq!(pull.engine.wants(), usize::MAX);
}

#[test]
fn the_frames_of_a_message_count_together_even_when_handed_over_in_pieces() {
    let config = Config { max_message_bytes: 1000, ..config(SocketKind::Pull) };
    let mut pull = Peer::ready_with(config, "PUSH");
    let frames = |last| Message::from([vec![b'x'; 600], vec![b'x'; last]].map(Frame::from));
    pull.feed(&wire(&frames(400))).unwrap();
    assert_eq!(pull.messages.len(), 1);
    let bytes = wire(&frames(401));
    pull.feed(&bytes[..609]).unwrap();
    pull.feed(&command(b"\x04PING\0\0")).unwrap();
    assert_eq!(pull.held.len(), 1);
    assert_eq!(pull.feed(&bytes[609..]), Err(ProtocolError::MessageTooLarge { limit: 1000 }));
}

#[test]
fn what_came_before_a_bad_frame_is_handed_over_first() {
    let mut pull = Peer::ready(SocketKind::Pull, "PUSH");
    let error = pull.feed(b"\x00\x02hi\x02\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF").unwrap_err();
    assert!(matches!(error, ProtocolError::FrameTooLarge { .. }));
    assert_eq!(pull.messages, [Message::from("hi")]);
}

#[test]
fn a_message_has_a_limited_number_of_frames() {
    let mut pull = Peer::ready(SocketKind::Pull, "PUSH");
    let most: Message = (0..1000).map(|_| Frame::new()).collect();
    pull.feed(&wire(&most)).unwrap();
    assert_eq!(pull.messages.len(), 1);
    assert_eq!(pull.feed(&b"\x01\x00".repeat(1000)), Err(ProtocolError::TooManyFrames { limit: 1000 }));
    let mut pull = Peer::ready_with(Config { max_frames: 0, ..config(SocketKind::Pull) }, "PUSH");
    pull.feed(b"\x00\x01x").unwrap();
    assert_eq!(pull.feed(b"\x01\x01x"), Err(ProtocolError::TooManyFrames { limit: 1 }));
}

#[test]
fn a_million_tiny_frames_in_small_reads_cost_a_million_steps_and_little_memory() {
    let mut pull = Peer::ready_with(Config { max_frames: 2_000_000, ..config(SocketKind::Pull) }, "PUSH");
    // Two bytes a read: were anything scanned twice, this would take minutes.
    for _ in 0..1_000_000 {
        pull.feed(b"\x01\x00").unwrap();
        assert!(pull.input.len() <= HOLD);
    }
    pull.feed(b"\x00\x00").unwrap();
    assert_eq!(pull.messages[0].len(), 1_000_001);
}

#[test]
fn unknown_and_malformed_commands_are_dropped_but_not_a_broken_ping() {
    let mut pull = Peer::ready(SocketKind::Pull, "PUSH");
    for body in [&b""[..], b"\xFFx", b"\x05READY", b"\x05ERROR\x03400", b"\x04PONGx", b"\x03NEW"] {
        pull.feed(&command(body)).unwrap();
    }
    pull.feed(b"\x00\x02hi").unwrap();
    assert_eq!(pull.messages, [Message::from("hi")]);
    let error = ProtocolError::MalformedCommand { name: "PING".into() };
    assert_eq!(pull.feed(&command(b"\x04PING\0")), Err(error));
}

// ── traffic ─────────────────────────────────────────────────────────────────────────────────────

#[test]
fn exactly_room_messages_come_at_a_time() {
    let mut pull = Peer::ready(SocketKind::Pull, "PUSH");
    pull.input.extend_from_slice(&b"\x00\x01x".repeat(10));
    pull.input.extend_from_slice(b"\x01\x01y");
    let mut take = |room| match pull.engine.poll(&mut pull.input, room, || pull.now) {
        Ok(Some(Event::Traffic { bytes, messages })) => {
            drop(pull.input.split_to(bytes));
            messages
        }
        other => panic!("{other:?}"),
    };
    assert_eq!((take(1), take(3), take(100)), (1, 3, 6));
    assert_eq!(pull.poll(ROOM), Ok(0));
    pull.feed(b"\x00\x01z").unwrap();
    assert_eq!(pull.messages, [["y", "z"]]);
}

#[test]
fn without_room_commands_at_the_front_are_heard_and_everything_else_waits() {
    let mut publisher = Peer::ready(SocketKind::XPub, "XSUB");
    let subscribe = b"\x04\x0B\x09SUBSCRIBEA\x00\x02\x01B";
    publisher.input.extend_from_slice(&[&subscribe[..], b"\x00\x01x", subscribe].concat());
    assert_eq!(publisher.poll(0), Ok(0));
    assert_eq!(publisher.commands.len(), 2);
    assert_eq!(publisher.input.len(), 3 + subscribe.len());
    assert_eq!(publisher.poll(1), Ok(1));
    assert_eq!(publisher.commands.len(), 4);
    assert!(publisher.input.is_empty());
}

#[test]
fn a_command_between_the_frames_of_a_message_does_not_disturb_it() {
    let mut pull = Peer::ready(SocketKind::Pull, "PUSH");
    pull.feed(b"\x01\x01a\x04\x07\x04PING\x00\x00\x01\x01b\x04\x05\x04PONG\x00\x01c").unwrap();
    assert_eq!(pull.messages, [["a", "b", "c"]]);
    assert_eq!(pull.sent(), b"\x04\x05\x04PONG");
    // Nor does a subscription that is none, inside a message to a publisher.
    let mut publisher = Peer::ready(SocketKind::XPub, "XSUB");
    publisher.feed(b"\x01\x01a\x04\x07\x04PING\x00\x00").unwrap();
    publisher.feed(b"\x00\x02\x01A").unwrap();
    assert_eq!((publisher.messages.len(), publisher.commands.len()), (1, 0));
}

#[test]
fn a_large_frame_comes_to_the_front_and_its_whole_length_is_told() {
    let mut pull = Peer::ready(SocketKind::Pull, "PUSH");
    let body = vec![b'x'; 100_000];
    let bytes = [&b"\x00\x01a\x01\x01b"[..], &wire(&body.clone().into())].concat();
    pull.feed(&bytes[..50]).unwrap();
    assert_eq!((pull.messages.len(), pull.held.len()), (1, 1));
    assert_eq!((pull.input.len(), pull.engine.wants()), (44, 100_009));
    pull.feed(&bytes[50..bytes.len() - 1]).unwrap();
    assert_eq!(pull.engine.wants(), 100_009);
    pull.feed(b"x").unwrap();
    assert_eq!(pull.messages[1].last(), &body);
    assert_eq!(pull.engine.wants(), 0);
}

#[test]
fn an_unfinished_message_is_handed_over_before_it_fills_the_buffer() {
    let mut pull = Peer::ready(SocketKind::Pull, "PUSH");
    let frame = wire(&vec![b'x'; 40_000].into());
    let more = [&[3][..], &frame[1..]].concat();
    pull.feed(&more).unwrap();
    assert!(pull.held.is_empty());
    pull.feed(&more).unwrap();
    assert_eq!((pull.held.len(), pull.input.len()), (2, 0));
    pull.feed(&frame).unwrap();
    assert_eq!(pull.messages[0].byte_len(), 120_000);
}

// ── heartbeats ──────────────────────────────────────────────────────────────────────────────────

fn zockets() -> (Peer, Peer) {
    let (mut push, mut pull) = (Peer::new(SocketKind::Push), Peer::new(SocketKind::Pull));
    talk(&mut push, &mut pull).unwrap();
    (push, pull)
}

#[test]
fn zockets_keep_each_other_alive() {
    let (mut push, mut pull) = zockets();
    for _ in 0..5 {
        push.after(10 * SECOND).unwrap();
        push.after(Duration::ZERO).unwrap();
        let ping = push.sent();
        assert_eq!(ping, b"\x04\x07\x04PING\x00\x00");
        pull.feed(&ping).unwrap();
        let pong = pull.sent();
        assert_eq!(pong, b"\x04\x05\x04PONG");
        push.feed(&pong).unwrap();
    }
}

#[test]
fn a_zocket_that_says_nothing_is_given_up_and_a_busy_one_is_not() {
    let (mut push, _) = zockets();
    push.after(10 * SECOND).unwrap();
    assert_eq!(push.engine.poll_timeout(), Some(push.now + 5 * SECOND));
    // Half a frame is enough.
    push.feed(b"\x00").unwrap();
    push.after(10 * SECOND).unwrap();
    push.poll(ROOM).unwrap();
    let error = ProtocolError::HeartbeatTimeout { after: 5 * SECOND };
    assert_eq!(push.after(5 * SECOND), Err(error));
}

#[test]
fn polling_again_without_new_bytes_proves_nothing() {
    let (_, mut pull) = zockets();
    pull.after(10 * SECOND).unwrap();
    pull.feed(b"\x00\x01a\x01\x01b").unwrap();
    pull.after(10 * SECOND).unwrap();
    pull.poll(ROOM).unwrap();
    pull.after(5 * SECOND).unwrap_err();
}

#[test]
fn while_we_do_not_read_the_peer_is_not_late_and_pings_do_not_pile_up() {
    let (_, mut pull) = zockets();
    pull.engine.set_reading(false, pull.now);
    for _ in 0..1000 {
        pull.after(10 * SECOND).unwrap();
    }
    assert_eq!(pull.sent(), b"\x04\x07\x04PING\x00\x00");
    pull.engine.set_reading(true, pull.now);
    pull.after(4 * SECOND).unwrap();
    pull.after(SECOND).unwrap_err();
}

#[test]
fn a_libzmq_peer_is_watched_only_on_demand_but_its_own_ttl_holds() {
    let mut pull = Peer::ready(SocketKind::Pull, "PUSH");
    assert_eq!(pull.engine.poll_timeout(), None);
    pull.feed(b"\x04\x07\x04PING\x00\x14").unwrap();
    assert_eq!(pull.sent(), b"\x04\x05\x04PONG");
    assert_eq!(pull.engine.poll_timeout(), Some(pull.now + 2 * SECOND));
    let error = ProtocolError::HeartbeatTimeout { after: 2 * SECOND };
    assert_eq!(pull.after(2 * SECOND), Err(error));

    let mut config = config(SocketKind::Pull);
    config.heartbeat.zocket_only = false;
    config.heartbeat.ttl = 2 * SECOND;
    let mut pull = Peer::ready_with(config, "PUSH");
    pull.after(10 * SECOND).unwrap();
    assert_eq!(pull.sent(), b"\x04\x07\x04PING\x00\x14");
}

#[test]
fn a_flood_of_pings_is_answered_once_with_the_last_context() {
    let mut pull = Peer::ready(SocketKind::Pull, "PUSH");
    let mut flood = command(b"\x04PING\0\0first").repeat(100_000);
    flood.extend(command(b"\x04PING\0\0last, and cut to sixteen"));
    pull.feed(&flood).unwrap();
    assert_eq!(pull.sent(), command(b"\x04PONGlast, and cut to"));
}

// ── properties ──────────────────────────────────────────────────────────────────────────────────

fn message() -> impl Strategy<Value = Message> {
    let len = prop_oneof![8 => 0..40_usize, 2 => 250..260_usize, 1 => 60_000..70_000_usize];
    let frame = (any::<u8>(), len).prop_map(|(byte, len)| Frame::from(vec![byte; len]));
    prop::collection::vec(frame, 1..4).prop_map(Message::from)
}

/// Bytes that are mostly nearly right, so that they get past the first check.
fn junk() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        prop::collection::vec(0..8_u8, 0..40),
        Just(OPENING.to_vec()),
        Just(rest(1)),
        Just(ready("SUB", None)),
        Just(command(b"\x04PING\0\x0Ahello")),
        Just(command(b"\x09SUBSCRIBEtopic")),
        Just(b"\x02\x7F\xFF\xFF\xFF\xFF\xFF\xFF\xFF".to_vec()),
        message().prop_map(|message| wire(&message)),
    ];
    prop::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn arbitrary_bytes_in_arbitrary_pieces_do_no_harm(
        begun in 0..3_usize,
        junk in junk(),
        pieces in prop::collection::vec((1..200_usize, 0..4_u32), 1..40),
        kind in prop::sample::select(&SocketKind::ALL[..]),
    ) {
        let mut peer = Peer::new(kind);
        let starts = [vec![], greeting(), [greeting(), ready("SUB", None)].concat()];
        let bytes = [&starts[begun][..], &junk].concat();
        let mut rest = &bytes[..];
        for (len, room) in pieces.into_iter().cycle() {
            let (piece, behind) = rest.split_at(len.min(rest.len()));
            peer.input.extend_from_slice(piece);
            rest = behind;
            // `poll` asserts that no more is claimed than is there.
            if peer.poll(room).is_err() || rest.is_empty() {
                break;
            }
            prop_assert!(peer.engine.control().len() <= 64 + 300);
        }
        drop(peer.engine.handle_timeout(peer.now + 1000 * SECOND));
        prop_assert!(peer.sent().len() <= 64 + 600);
    }

    #[test]
    fn messages_come_out_as_they_went_in_however_they_are_cut(
        messages in prop::collection::vec((message(), any::<bool>()), 0..12),
        pieces in prop::collection::vec((1..70_000_usize, 0..4_u32), 1..20),
        publisher in any::<bool>(),
    ) {
        let (kind, theirs) = if publisher { (SocketKind::XPub, "SUB") } else { (SocketKind::Pull, "PUSH") };
        let mut peer = Peer::ready(kind, theirs);
        let mut bytes = Vec::new();
        let (mut sent, mut subscriptions) = (vec![], vec![]);
        for (message, ping) in messages {
            let alone = publisher && message.len() == 1;
            let told = Command::from_message(message.first()).filter(|_| alone);
            if told.as_ref().and_then(Command::prefix).is_some_and(|prefix| prefix.len() > MAX_PREFIX) {
                // An error, with a test of its own.
                continue;
            }
            for (left, frame) in (0..message.len()).rev().zip(message.frames()) {
                let mut out = BytesMut::new();
                put_header(&mut out, frame.len(), left > 0, false);
                out.put_slice(frame);
                bytes.extend_from_slice(&out);
                if ping {
                    bytes.extend(command(b"\x04PING\0\x0Ahello"));
                }
            }
            match told {
                Some(command) => subscriptions.push(command),
                None => sent.push(message),
            }
        }
        let mut rest = &bytes[..];
        for (len, room) in pieces.into_iter().cycle() {
            let (piece, behind) = rest.split_at(len.min(rest.len()));
            peer.input.extend_from_slice(piece);
            rest = behind;
            peer.poll(room).unwrap();
            if rest.is_empty() {
                break;
            }
        }
        peer.poll(ROOM).unwrap();
        prop_assert!(peer.input.is_empty() && peer.held.is_empty());
        prop_assert_eq!(peer.messages, sent);
        prop_assert_eq!(peer.commands, subscriptions);
    }
}
