//! What conflating sockets promise over quic: what is stale is not sent to its end, and the last always arrives.

use std::future::poll_fn;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use zocket::transport::quic::{Identity, Quic, Trust};
use zocket::transport::{Link, Oneways, Transport, Wire};
use zocket::{
    Context, Dealer, Disconnect, Endpoint, HighWater, LinkOptions, ProtocolError, Pub, Pull, Push, Router,
    Sub,
};

use crate::stage::{
    Order, Place, STILL, Scheme, Staged, disconnected, meet, number_of, numbered, ready, soon, until,
};

const QUIC: (Scheme, Order) = (Scheme::Quic, Order::BindFirst);

#[tokio::test]
async fn however_fast_values_change_the_subscriber_gets_newer_and_newer_ones_and_the_last() {
    const COUNT: u32 = 300;
    let publisher = Pub::set_up().conflate(true).build();
    let subscriber = Sub::set_up().receive_buffer(64 * 1024).build();
    subscriber.subscribe("").unwrap();
    let _place = meet(&publisher, &subscriber, QUIC).await;
    until(|| publisher.topics() == 1).await;
    let sending = async {
        for number in 0..COUNT {
            soon(publisher.send(numbered(number, 300_000))).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let receiving = async {
        let (mut next, mut received) = (0, 0);
        while next < COUNT {
            let message = soon(subscriber.recv()).await.unwrap();
            assert_eq!(message.first().len(), 300_000);
            let number = number_of(&message);
            assert!(number >= next, "{number} came after {next}");
            (next, received) = (number + 1, received + 1);
        }
        received
    };
    let ((), received) = tokio::join!(sending, receiving);
    assert!(received > 1, "{received}");
}

#[tokio::test]
async fn closing_delivers_the_last_value() {
    let push = Push::set_up().conflate(true).build();
    let pull = Pull::set_up().receive_buffer(64 * 1024).build();
    let _place = meet(&pull, &push, QUIC).await;
    for number in 0..3 {
        soon(push.send(numbered(number, 4 << 20))).await.unwrap();
    }
    let closing = async { soon(push.close()).await.messages };
    let receiving = async { while number_of(&soon(pull.recv()).await.unwrap()) != 2 {} };
    let (unsent, ()) = tokio::join!(closing, receiving);
    assert_eq!(unsent, 0);
}

#[tokio::test]
async fn without_a_link_the_last_value_waits_for_the_next() {
    let dealer = Dealer::set_up().conflate(true).build();
    let mut events = dealer.monitor();
    let place = Place::new(Scheme::Quic);
    dealer.connect(&place.endpoint).unwrap();
    for round in 0..3 {
        for number in [7, 8, 9] {
            soon(dealer.send(numbered(round * 10 + number, 10))).await.unwrap();
        }
        let router = Router::staged();
        soon(router.bind(&place.endpoint)).await.unwrap();
        ready(&mut events).await;
        let mut message = soon(router.recv()).await.unwrap();
        message.pop_front();
        assert_eq!(number_of(&message), round * 10 + 9);
        assert!(router.try_recv().is_err());
        soon(router.close()).await;
        disconnected(&mut events).await;
    }
}

// ── Peers by hand ───────────────────────────────────────────────────────────────────────────────

/// What a peer says first that takes such messages, and sends them too.
fn opening(kind: &str) -> Vec<u8> {
    opening_with(kind, b"\x08X-Latest\0\0\0\x01\x03")
}

fn opening_with(kind: &str, properties: &[u8]) -> Vec<u8> {
    let length = u32::try_from(kind.len()).unwrap().to_be_bytes();
    let ready = [&b"\x05READY\x0bSocket-Type"[..], &length, kind.as_bytes(), properties].concat();
    let greeting = [&b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01NULL"[..], &[0; 48]].concat();
    [greeting, vec![4, u8::try_from(ready.len()).unwrap()], ready].concat()
}

fn contexts() -> (Context, Quic) {
    let identity = Identity::generate().unwrap();
    let client = Quic::client(Trust::keys([identity.fingerprint()]));
    (Context::builder().transport(Quic::server(identity)).build().unwrap(), client)
}

async fn call(client: &Quic, at: &Endpoint, says: &[u8]) -> Link {
    let mut options = LinkOptions::default();
    options.oneways = true;
    options.receive_buffer = Some(64 * 1024);
    let mut link = soon(client.connect(at, &options)).await.unwrap();
    let Wire::Stream(wire) = &mut link.wire else { panic!("quic is a stream") };
    soon(wire.write_all(says)).await.unwrap();
    oneways(&mut link).welcome();
    link
}

/// A conflating PUB, and a peer that has subscribed to everything.
async fn conflating() -> (Pub, Link) {
    let (context, client) = contexts();
    let publisher = Pub::builder().context(&context).conflate(true).build();
    let at = soon(publisher.bind("quic://127.0.0.1:0")).await.unwrap();
    let says = [opening("SUB"), b"\x04\x0a\x09SUBSCRIBE".to_vec()].concat();
    let link = call(&client, &at, &says).await;
    until(|| publisher.topics() == 1).await;
    (publisher, link)
}

fn oneways(link: &mut Link) -> &mut dyn Oneways {
    link.oneways.as_deref_mut().expect("it was asked for")
}

#[tokio::test]
async fn what_is_partly_sent_is_cut_off_for_something_newer_but_never_two_in_a_row() {
    const LARGE: usize = 64 << 20;
    let (publisher, mut link) = conflating().await;

    let mut buffer = vec![0; 1000];
    soon(publisher.send(vec![1; LARGE])).await.unwrap();
    let mut first = soon(poll_fn(|cx| oneways(&mut link).poll_accept(cx))).await.unwrap().unwrap();
    soon(first.read_exact(&mut buffer)).await.unwrap();
    assert_eq!(buffer[..10], [1, 0, 0, 0, 0, 0, 0, 0, 1, 2]);

    soon(publisher.send(vec![2; LARGE])).await.unwrap();
    let mut second = soon(poll_fn(|cx| oneways(&mut link).poll_accept(cx))).await.unwrap().unwrap();
    soon(second.read_exact(&mut buffer)).await.unwrap();
    assert_eq!((buffer[8], buffer[999]), (2, 2));
    // Of the first there is no more than was on its way.
    let mut stale = Vec::new();
    let cut = soon(first.read_to_end(&mut stale)).await.unwrap_err();
    assert_eq!(cut.kind(), std::io::ErrorKind::ConnectionReset);
    assert!(stale.len() < LARGE / 8, "{} bytes", stale.len());

    soon(publisher.send("third")).await.unwrap();
    soon(publisher.send("fourth")).await.unwrap();
    let mut whole = Vec::new();
    soon(second.read_to_end(&mut whole)).await.unwrap();
    assert_eq!(1000 + whole.len(), 9 + 9 + LARGE, "it is not cut off in its turn");
    let mut last = soon(poll_fn(|cx| oneways(&mut link).poll_accept(cx))).await.unwrap().unwrap();
    let mut whole = Vec::new();
    soon(last.read_to_end(&mut whole)).await.unwrap();
    assert_eq!(whole, b"\x01\0\0\0\0\0\0\0\x03\x00\x06fourth");
}

#[tokio::test]
async fn a_peer_that_wants_no_more_of_a_message_gets_the_newer_one() {
    let (publisher, mut link) = conflating().await;
    for round in 1..=4 {
        soon(publisher.send(vec![round; 64 << 20])).await.unwrap();
        let mut stream = soon(poll_fn(|cx| oneways(&mut link).poll_accept(cx))).await.unwrap().unwrap();
        let mut start = [0; 19];
        soon(stream.read_exact(&mut start)).await.unwrap();
        assert_eq!(start[18], round);
    }
}

#[tokio::test]
async fn what_breaks_the_rules_of_messages_ends_the_connection() {
    let (context, client) = contexts();
    for (version, bytes, is_told) in [
        (1, &b"\x00\x0bhello world"[..], |why: &ProtocolError| {
            matches!(why, ProtocolError::FrameTooLarge { .. })
        }),
        (1, b"\x04\x07\x04PING\0\0", |why| matches!(why, ProtocolError::CommandOnLane)),
        (1, b"\x00\x01a\x00\x01b", |why| matches!(why, ProtocolError::BadOneway)),
        (2, b"", |why| matches!(why, ProtocolError::BadOneway)),
    ] as [(u8, _, fn(&ProtocolError) -> bool); 4]
    {
        let sub = Sub::builder().context(&context).max_message_bytes(10).build();
        let mut events = sub.monitor();
        let at = soon(sub.bind("quic://127.0.0.1:0")).await.unwrap();
        let mut link = call(&client, &at, &opening("PUB")).await;
        ready(&mut events).await;
        let mut stream = soon(poll_fn(|cx| oneways(&mut link).poll_open(cx))).await.unwrap();
        soon(stream.write_all(&[&[version], &b"\0\0\0\0\0\0\0\x01"[..], bytes].concat())).await.unwrap();
        let why = disconnected(&mut events).await;
        assert!(matches!(&why, Disconnect::Protocol(why) if is_told(why)), "{why:?}");
    }
}

#[tokio::test]
async fn what_comes_late_or_is_cut_off_is_not_delivered() {
    let (context, client) = contexts();
    let sub = Sub::builder().context(&context).build();
    sub.subscribe("").unwrap();
    let at = soon(sub.bind("quic://127.0.0.1:0")).await.unwrap();
    let mut link = call(&client, &at, &opening("PUB")).await;
    let mut late = soon(poll_fn(|cx| oneways(&mut link).poll_open(cx))).await.unwrap();
    soon(late.write_all(b"\x01\0\0\0\0\0\0\0\x01\x00\x04la")).await.unwrap();
    for (number, text, is_whole) in [(2, b"cut1", false), (3, b"new1", true), (4, b"new2", true)] {
        let mut stream = soon(poll_fn(|cx| oneways(&mut link).poll_open(cx))).await.unwrap();
        soon(stream.write_all(&[1, 0, 0, 0, 0, 0, 0, 0, number, 0, 4])).await.unwrap();
        soon(stream.write_all(&text[..if is_whole { 4 } else { 2 }])).await.unwrap();
        if is_whole {
            soon(stream.shutdown()).await.unwrap();
            assert_eq!(**soon(sub.recv()).await.unwrap().first(), text[..]);
        }
    }
    // Fails if the other side has said that it wants no more of it.
    late.write_all(b"te").await.ok();
    late.shutdown().await.ok();
    let mut stream = soon(poll_fn(|cx| oneways(&mut link).poll_open(cx))).await.unwrap();
    soon(stream.write_all(b"\x01\0\0\0\0\0\0\0\x05\x00\x03end")).await.unwrap();
    assert_eq!(soon(sub.recv()).await.unwrap(), "end");
}

#[tokio::test]
async fn a_peer_may_open_no_stream_that_was_not_agreed_on() {
    let (context, client) = contexts();
    let sub = Sub::builder().context(&context).build();
    let mut events = sub.monitor();
    let at = soon(sub.bind("quic://127.0.0.1:0")).await.unwrap();
    let mut link = call(&client, &at, &opening_with("PUB", b"")).await;
    ready(&mut events).await;
    let opened = timeout(STILL, poll_fn(|cx| oneways(&mut link).poll_open(cx))).await;
    assert!(opened.is_err(), "{opened:?}");
}

#[tokio::test]
async fn many_small_values_may_be_under_way() {
    let (publisher, mut link) = conflating().await;
    let mut unread = Vec::new();
    for number in 0..100 {
        soon(publisher.send(vec![number])).await.unwrap();
        unread.push(soon(poll_fn(|cx| oneways(&mut link).poll_accept(cx))).await.unwrap().unwrap());
    }
    for (number, stream) in (0..).zip(&mut unread) {
        let mut value = Vec::new();
        soon(stream.read_to_end(&mut value)).await.unwrap();
        assert_eq!(value.last(), Some(&number));
    }
}

#[tokio::test]
async fn a_receiver_that_is_full_gets_the_newest_when_it_has_room() {
    const LARGE: usize = 4 << 20;
    let (context, client) = contexts();
    let sub = Sub::builder().context(&context).receive_high_water(HighWater::messages(1)).build();
    sub.subscribe("").unwrap();
    let at = soon(sub.bind("quic://127.0.0.1:0")).await.unwrap();
    let mut link = call(&client, &at, &opening("PUB")).await;
    for number in 1..=10 {
        let mut stream = soon(poll_fn(|cx| oneways(&mut link).poll_open(cx))).await.unwrap();
        // More than all windows: it is read though nobody receives.
        let header = [&[1, 0, 0, 0, 0, 0, 0, 0, number, 2], &LARGE.to_be_bytes()[..]].concat();
        soon(stream.write_all(&header)).await.unwrap();
        soon(stream.write_all(&vec![number; LARGE])).await.unwrap();
        soon(stream.shutdown()).await.unwrap();
        soon(stream.arrived()).await;
    }
    let mut last = 0;
    while last < 10 {
        let value = soon(sub.recv()).await.unwrap().first()[0];
        assert!(value > last);
        last = value;
    }
}

#[tokio::test]
async fn of_unfinished_messages_no_more_is_held_than_two_may_be() {
    const LIMIT: usize = 1 << 20;
    let (context, client) = contexts();
    let sub = Sub::builder().context(&context).max_message_bytes(LIMIT as u64).build();
    sub.subscribe("").unwrap();
    let at = soon(sub.bind("quic://127.0.0.1:0")).await.unwrap();
    let mut link = call(&client, &at, &opening("PUB")).await;
    let mut streams = Vec::new();
    for number in 1..=20 {
        let mut stream = soon(poll_fn(|cx| oneways(&mut link).poll_open(cx))).await.unwrap();
        let header = [&[1, 0, 0, 0, 0, 0, 0, 0, number, 2], &LIMIT.to_be_bytes()[..]].concat();
        soon(stream.write_all(&header)).await.unwrap();
        soon(stream.write_all(&vec![number; LIMIT - 1])).await.unwrap();
        streams.push(stream);
    }
    for stream in &streams[..15] {
        // They are unfinished, so this says that nothing more of them is wanted.
        soon(stream.arrived()).await;
    }
    soon(streams[19].write_all(&[20])).await.unwrap();
    assert_eq!(soon(sub.recv()).await.unwrap().first().len(), LIMIT);
}

#[tokio::test]
async fn closing_does_not_wait_for_what_the_peer_has_refused() {
    let (publisher, mut link) = conflating().await;
    soon(publisher.send(vec![1; 64 << 20])).await.unwrap();
    drop(soon(poll_fn(|cx| oneways(&mut link).poll_accept(cx))).await.unwrap().unwrap());
    soon(publisher.close()).await;
}
