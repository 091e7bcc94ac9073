//! Bad peers: raw TCP streams that break every rule of the wire, in turn, against sockets that accept and that
//! connect.
//!
//! Each is named by a typed event with the endpoint, the peer and the rule; its connection ends and no other: a good
//! peer beside it goes on. What that costs in memory and descriptors is measured in [`alone`].

mod alone;

use std::future::Future;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use zocket::{Disconnect, Endpoint, Event, Monitor, ProtocolError, Pub, Pull, Push, Sub};

const DEADLINE: Duration = Duration::from_secs(60);
const MORE: u8 = 1;
const LONG: u8 = 2;
const COMMAND: u8 = 4;
const LIMIT: u64 = 100_000;

async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.unwrap_or_else(|_| panic!("waited {DEADLINE:?} for {what}"))
}

// ── Bytes ───────────────────────────────────────────────────────────────────────────────────────

fn greeting(mechanism: &str) -> Vec<u8> {
    let mut bytes = b"\xFF\0\0\0\0\0\0\0\x01\x7F\x03\x01".to_vec();
    bytes.extend_from_slice(mechanism.as_bytes());
    bytes.resize(64, 0);
    bytes
}

fn frame(flags: u8, body: &[u8]) -> Vec<u8> {
    [&header(flags, body.len() as u64)[..], body].concat()
}

fn header(flags: u8, size: u64) -> Vec<u8> {
    [&[flags | LONG][..], &size.to_be_bytes()].concat()
}

/// A READY with these properties, whose lengths are told as they are.
fn ready(properties: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = b"\x05READY".to_vec();
    for (name, value) in properties {
        body.push(name.len().try_into().unwrap());
        body.extend_from_slice(name.as_bytes());
        body.extend_from_slice(&u32::try_from(value.len()).unwrap().to_be_bytes());
        body.extend_from_slice(value);
    }
    frame(COMMAND, &body)
}

/// A greeting and, after it, `rest`.
fn greeted(rest: impl AsRef<[u8]>) -> Vec<u8> {
    [&greeting("NULL")[..], rest.as_ref()].concat()
}

/// A whole handshake as a socket of type `kind` and, after it, `rest`.
fn handshaken(kind: &str, rest: impl AsRef<[u8]>) -> Vec<u8> {
    greeted([&ready(&[("Socket-Type", kind.as_bytes())])[..], rest.as_ref()].concat())
}

// ── Cases ───────────────────────────────────────────────────────────────────────────────────────

/// What a bad peer does, and how its connection must end.
struct Case {
    name: &'static str,
    sends: Vec<u8>,
    /// Whether it then ends its half; else it keeps the connection and says no more.
    leaves: bool,
    was_ready: bool,
    is_right: fn(&Disconnect) -> bool,
    /// What it must have heard before the end.
    hears: &'static [u8],
}

macro_rules! case {
    ($name:literal, $sends:expr, $leaves:literal, $was_ready:literal, $reason:pat) => {
        case!($name, $sends, $leaves, $was_ready, $reason, b"")
    };
    ($name:literal, $sends:expr, $leaves:literal, $was_ready:literal, $reason:pat, $hears:expr) => {
        Case {
            name: $name,
            sends: $sends,
            leaves: $leaves,
            was_ready: $was_ready,
            is_right: |reason| matches!(reason, $reason),
            hears: $hears,
        }
    };
}

/// Peers whose fault shows at once, for a PULL with limits of [`LIMIT`] bytes and a thousand frames.
#[expect(clippy::too_many_lines, reason = "a table")]
fn faults() -> Vec<Case> {
    use Disconnect::{PeerClosed, Protocol};
    use ProtocolError as P;
    const HUGE: u64 = i64::MAX as u64;
    let push = |rest: &[u8]| handshaken("PUSH", rest);
    let kind = |name: &str| greeted(ready(&[("Socket-Type", name.as_bytes())]));
    let part = frame(MORE, &[7; 60_000]);
    vec![
        case!(
            "no ZMTP",
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            false,
            false,
            Protocol(P::NotZmtp { first: b'G' })
        ),
        case!("nothing", vec![], true, false, PeerClosed),
        case!("half a greeting", greeting("NULL")[..32].to_vec(), true, false, PeerClosed),
        case!("half a READY", kind("PUSH")[..80].to_vec(), true, false, PeerClosed),
        case!("ZMTP 1.0", b"\x01\0".to_vec(), false, false, Protocol(P::NotZmtp { first: 1 })),
        case!(
            "a long 1.0 frame",
            b"\xFF\0\0\0\0\0\0\0\x01\0".to_vec(),
            false,
            false,
            Protocol(P::OldVersion)
        ),
        case!("CURVE", greeting("CURVE"), false, false, Protocol(P::MechanismMismatch { ours: "NULL", .. })),
        case!(
            "a false length in the handshake",
            greeted(header(COMMAND, HUGE)),
            false,
            false,
            Protocol(P::HandshakeTooLarge { claimed: HUGE, .. })
        ),
        case!("a wrong type", kind("SUB"), false, false, Protocol(P::KindMismatch { .. }), b"\x05ERROR"),
        case!("no such type", kind("SHOVE"), false, false, Protocol(P::UnknownKind { .. }), b"\x05ERROR"),
        case!(
            "a 300-byte identity",
            greeted(ready(&[("Socket-Type", b"PUSH"), ("Identity", &[b'i'; 300])])),
            false,
            false,
            Protocol(P::RoutingIdTooLong { len: 300 })
        ),
        case!(
            "a property past the end",
            greeted(frame(COMMAND, b"\x05READY\x0BSocket-Type\0\0\0\x09PUSH")),
            false,
            false,
            Protocol(P::BadMetadata { .. })
        ),
        case!(
            "a command out of turn",
            greeted(frame(COMMAND, b"\x09SUBSCRIBE")),
            false,
            false,
            Protocol(P::UnexpectedCommand { .. })
        ),
        case!(
            "a refusal",
            greeted(frame(COMMAND, b"\x05ERROR\x02no")),
            false,
            false,
            Protocol(P::PeerError { .. })
        ),
        case!(
            "a false length",
            push(&header(0, HUGE)),
            false,
            true,
            Protocol(P::FrameTooLarge { limit: LIMIT, claimed: HUGE })
        ),
        case!(
            "a false length of a command",
            push(&header(COMMAND, u64::MAX)),
            false,
            true,
            Protocol(P::FrameTooLarge { limit: LIMIT, claimed: u64::MAX })
        ),
        case!(
            "a frame one byte too long",
            push(&header(0, LIMIT + 1)),
            false,
            true,
            Protocol(P::FrameTooLarge { limit: LIMIT, .. })
        ),
        case!(
            "frames that are too long together",
            push(&[&part[..], &part].concat()),
            false,
            true,
            Protocol(P::MessageTooLarge { limit: LIMIT })
        ),
        case!(
            "a million two-byte frames",
            push(&[MORE, 0].repeat(1_000_000)),
            false,
            true,
            Protocol(P::TooManyFrames { limit: 1000 })
        ),
        case!(
            "a PING without its TTL",
            push(&frame(COMMAND, b"\x04PING")),
            false,
            true,
            Protocol(P::MalformedCommand { .. })
        ),
        case!("half a message", push(&frame(MORE, b"half")), true, true, PeerClosed),
        case!("half a frame", push(&frame(0, b"whole")[..11]), true, true, PeerClosed),
    ]
}

/// Peers that stop, and hold their connection.
fn stalls() -> Vec<Case> {
    use Disconnect::Protocol;
    use ProtocolError::HandshakeTimeout;
    let silent = [vec![], greeting("NULL")[..10].to_vec(), greeting("NULL"), greeted(&ready(&[])[..12])];
    silent
        .into_iter()
        .map(|sends| case!("a stalled handshake", sends, false, false, Protocol(HandshakeTimeout { .. })))
        .collect()
}

/// Awaits the end of the connection with `peer`, and checks the event.
async fn check_end(events: &mut Monitor, case: &Case, at: &Endpoint, whom: &str) {
    let name = case.name;
    loop {
        let (ready, endpoint, peer, reason) = match within(name, events.next()).await.expect(name) {
            Event::HandshakeFailed { endpoint, peer, reason } => (false, endpoint, peer, reason),
            Event::Disconnected { endpoint, peer, reason, .. } => (true, endpoint, peer, reason),
            Event::Lagged { missed } => panic!("{name}: {missed} events missed"),
            _ => continue,
        };
        assert_eq!(peer.as_str(), whom, "{name}: another connection ended: {reason}");
        assert_eq!(endpoint, *at, "{name}");
        assert_eq!(ready, case.was_ready, "{name}: {reason}");
        assert!((case.is_right)(&reason), "{name}: {reason:?}");
        return;
    }
}

/// Plays the bad peer to the end of its connection. Returns what it heard.
async fn play(mut stream: TcpStream, case: &Case) -> Vec<u8> {
    let mut heard = Vec::new();
    let (mut from, mut to) = stream.split();
    let speak = async {
        // It may be cut off in mid-sentence.
        let whole = to.write_all(&case.sends).await.is_ok();
        if case.leaves && whole {
            to.shutdown().await.ok();
        }
    };
    // However it ends: by the end of the stream or, with bytes of ours unread, by a reset.
    let (_, ()) = within(case.name, async { tokio::join!(from.read_to_end(&mut heard), speak) }).await;
    heard
}

fn hears(case: &Case, heard: &[u8]) {
    let found = case.hears.is_empty() || heard.windows(case.hears.len()).any(|window| window == case.hears);
    assert!(found, "{}: was cut off without a word: {heard:?}", case.name);
}

fn pull(handshake_timeout: Duration) -> Pull {
    Pull::builder().handshake_timeout(handshake_timeout).max_message_bytes(LIMIT).max_frames(1000).build()
}

/// Runs the cases against one socket, on its accepting side and on its connecting side, with a good peer beside.
async fn run(pull: Pull, cases: Vec<Case>) {
    let at = pull.bind("tcp://127.0.0.1:0").await.unwrap();
    let good = Push::new();
    good.connect(&at).unwrap();
    good.send("ready?").await.unwrap();
    assert_eq!(within("the good peer", pull.recv()).await.unwrap(), "ready?");
    let mut events = pull.monitor();
    for case in cases {
        let stream = TcpStream::connect(at.address()).await.unwrap();
        let whom = format!("tcp://{}", stream.local_addr().unwrap());
        let (heard, ()) = tokio::join!(play(stream, &case), check_end(&mut events, &case, &at, &whom));
        hears(&case, &heard);

        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to: Endpoint = format!("tcp://{}", listener.local_addr().unwrap()).parse().unwrap();
        pull.connect(&to).unwrap();
        let (stream, _) = within(case.name, listener.accept()).await.unwrap();
        let (heard, ()) = tokio::join!(play(stream, &case), check_end(&mut events, &case, &to, to.as_str()));
        hears(&case, &heard);
        let next = within(case.name, events.next()).await;
        assert!(matches!(&next, Some(Event::Retrying { endpoint, .. }) if *endpoint == to), "{next:?}");
        pull.disconnect(&to).await.unwrap();

        good.send(case.name).await.unwrap();
        assert_eq!(within("the good peer", pull.recv()).await.unwrap(), case.name);
    }
    assert_eq!(pull.peers().len(), 1, "only the good peer is left");
}

#[tokio::test]
async fn whoever_breaks_a_rule_is_named_with_it_and_goes_alone() {
    run(pull(DEADLINE), faults()).await;
}

#[tokio::test]
async fn a_stalled_handshake_ends_with_its_time_out_and_alone() {
    run(pull(Duration::from_millis(250)), stalls()).await;
}

#[tokio::test]
async fn what_just_keeps_within_the_limits_is_received() {
    let pull = pull(DEADLINE);
    let at = pull.bind("tcp://127.0.0.1:0").await.unwrap();
    let whole = vec![7; usize::try_from(LIMIT).unwrap()];
    let frames = [[MORE, 0].repeat(999), vec![0, 0]].concat();
    let mut peer = TcpStream::connect(at.address()).await.unwrap();
    peer.write_all(&handshaken("PUSH", [frame(0, &whole), frames].concat())).await.unwrap();
    assert_eq!(within("a large frame", pull.recv()).await.unwrap(), whole[..]);
    assert_eq!(within("many frames", pull.recv()).await.unwrap().len(), 1000);
}

#[tokio::test]
async fn cancelling_what_was_never_subscribed_changes_nothing() {
    let publisher = Pub::new();
    let at = publisher.bind("tcp://127.0.0.1:0").await.unwrap();
    let good = Sub::new();
    good.subscribe("a").unwrap();
    good.connect(&at).unwrap();
    let mut events = publisher.monitor();
    let mut peer = TcpStream::connect(at.address()).await.unwrap();
    let cancel = frame(COMMAND, b"\x06CANCELa");
    let subscribe = frame(COMMAND, b"\x09SUBSCRIBEb");
    let again = [cancel.clone(), frame(0, b"\0a"), cancel.repeat(1000), subscribe].concat();
    peer.write_all(&handshaken("SUB", again)).await.unwrap();
    // Both subscriptions are there when both topics arrive; until then, nobody misses what is repeated.
    let publish = async {
        loop {
            publisher.send("a").await.unwrap();
            publisher.send("b").await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let hear = async {
        assert_eq!(good.recv().await.unwrap(), "a");
        let mut heard = Vec::new();
        while !heard.ends_with(b"\0\x01b") {
            assert_ne!(peer.read_buf(&mut heard).await.unwrap(), 0, "it was cut off");
        }
        let frames = &heard[heard.windows(5).position(|w| w == b"READY").unwrap()..];
        assert!(!frames.windows(3).any(|w| w == b"\0\x01a"), "it got what it never subscribed to");
    };
    within("both topics", async {
        tokio::select! { () = publish => {}, () = hear => {} }
    })
    .await;
    while let Ok(Some(event)) = tokio::time::timeout(Duration::ZERO, events.next()).await {
        assert!(!matches!(event, Event::Disconnected { .. } | Event::HandshakeFailed { .. }), "{event:?}");
    }
}

#[tokio::test]
async fn half_a_message_is_never_glued_to_the_next_connections() {
    let pull = Pull::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = format!("tcp://{}", listener.local_addr().unwrap());
    pull.connect(&*to).unwrap();
    let halves = [
        frame(MORE, b"small"),
        [MORE, 0].repeat(10),
        // So large that the engine has handed the start over already.
        frame(MORE, &[7; 300_000]),
        [frame(MORE, &[7; 100_000]), frame(MORE, &[8; 100_000])[..50_000].to_vec()].concat(),
        frame(0, &[9; 200_000])[..100_000].to_vec(),
    ];
    for (n, half) in halves.iter().enumerate() {
        let (mut stream, _) = within("the connection", listener.accept()).await.unwrap();
        let whole = format!("whole {n}");
        let sends = handshaken("PUSH", [&frame(0, whole.as_bytes())[..], half].concat());
        let case = case!("half", sends, true, true, Disconnect::PeerClosed);
        let (_, received) = tokio::join!(play(stream, &case), within("what is whole", pull.recv()));
        assert_eq!(received.unwrap(), *whole);
        (stream, _) = within("the next connection", listener.accept()).await.unwrap();
        let case = case!("end", handshaken("PUSH", frame(0, b"end")), true, true, Disconnect::PeerClosed);
        let (_, received) = tokio::join!(play(stream, &case), within("the next", pull.recv()));
        assert_eq!(received.unwrap(), "end", "after half of {n}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_that_makes_way_while_it_gets_ready_leaves_no_pipe_behind() {
    /// Half of them have a place, and the others are to have it after their fair time of a quarter of a second.
    const PEERS: usize = 256;
    let push = Push::builder().max_handshakes(PEERS / 2).build();
    let at = push.bind("tcp://127.0.0.1:0").await.unwrap();
    let says = handshaken("PULL", "");
    let peers = tokio::task::spawn_blocking(move || {
        use std::io::{Read, Write};
        for _ in 0..8 {
            let connect = |_| std::net::TcpStream::connect(at.address()).unwrap();
            let mut peers: Vec<_> = (0..PEERS).map(connect).collect();
            // They listen until the first one makes way, as the others are about to, and then speak.
            peers[0].set_read_timeout(Some(DEADLINE)).unwrap();
            while peers[0].read(&mut [0; 64]).is_ok_and(|read| read > 0) {}
            peers.iter_mut().for_each(|peer| drop(peer.write_all(&says)));
        }
    });
    within("the peers", peers).await.unwrap();
    // All have left; a pipe whose task was dropped in mid-handshake would stay for good.
    crate::stage::until(|| push.peers().is_empty()).await;
}
