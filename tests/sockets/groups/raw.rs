//! RADIO and DISH against plain TCP: every byte of an exchange, and peers that break its rules.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use zocket::{Disconnect, Dish, Event, GroupError, Monitor, ProtocolError, Radio, Reconnect};

use super::{hears, joined};
use crate::stage::{Puppet, event, handshake, meet_tcp, only_peer, read_frame, ready, soon, until};

/// What both sides say first. The rest of 64 bytes is zero.
const GREETING: &[u8] = b"\xFF\0\0\0\0\0\0\0\x01\x7F\x03\x01NULL";

async fn say(peer: &mut TcpStream, bytes: &[u8]) {
    soon(peer.write_all(bytes)).await.unwrap();
}

/// The next bytes are exactly these.
async fn expect(peer: &mut TcpStream, bytes: &[u8]) {
    let mut heard = vec![0; bytes.len()];
    soon(peer.read_exact(&mut heard)).await.unwrap();
    assert_eq!(heard.escape_ascii().to_string(), bytes.escape_ascii().to_string());
}

fn greeting() -> Vec<u8> {
    let mut greeting = GREETING.to_vec();
    greeting.resize(64, 0);
    greeting
}

/// A connection to our radio, as a libzmq DISH makes it.
async fn raw_dish(radio: &Radio) -> TcpStream {
    let at = radio.bind("tcp://127.0.0.1:0").await.unwrap();
    let mut peer = TcpStream::connect(at.address()).await.unwrap();
    say(&mut peer, &greeting()).await;
    expect(&mut peer, &greeting()).await;
    say(&mut peer, b"\x04\x1A\x05READY\x0BSocket-Type\0\0\0\x04DISH").await;
    expect(&mut peer, b"\x04\x29\x05READY\x0BSocket-Type\0\0\0\x05RADIO\x08X-Zocket\0\0\0\x011").await;
    peer
}

#[tokio::test]
async fn a_radio_speaks_as_libzmqs_does() {
    // One member takes another way to its queue than several.
    for members in [1, 2] {
        let radio = Radio::new();
        let mut peers = Vec::new();
        for _ in 0..members {
            let mut peer = raw_dish(&radio).await;
            say(&mut peer, b"\x04\x06\x04JOINA").await;
            peers.push(peer);
        }
        // A group of each one's own says that it was heard.
        for (peer, own) in peers.iter_mut().zip([b"\x04\x06\x04JOINB", b"\x04\x06\x04JOINC"]) {
            say(peer, own).await;
        }
        until(|| radio.groups() == 1 + members).await;
        soon(radio.send("A", "hi")).await.unwrap();
        soon(radio.send("unheard", "hi")).await.unwrap();
        soon(radio.send("A", "")).await.unwrap();
        soon(radio.send("A", vec![7; 300])).await.unwrap();
        for peer in &mut peers {
            expect(peer, b"\x01\x01A\x00\x02hi").await;
            expect(peer, b"\x01\x01A\x00\x00").await;
            expect(peer, &[&b"\x01\x01A\x02\0\0\0\0\0\0\x01\x2C"[..], &[7; 300]].concat()).await;
            say(peer, b"\x04\x07\x05LEAVEA").await;
        }
        until(|| radio.groups() == members).await;
        soon(radio.send("A", "unheard")).await.unwrap();
        let nothing_more = async {
            for mut peer in peers {
                assert_eq!(read_frame(&mut peer).await, None);
            }
        };
        tokio::join!(soon(radio.close()), nothing_more);
    }
}

#[tokio::test]
async fn a_dish_speaks_as_libzmqs_does() {
    let (puppet, dish) = (Puppet::new().await, Dish::new());
    dish.join("A").unwrap();
    dish.connect(&puppet.endpoint).unwrap();
    let (mut peer, _) = soon(puppet.listener.accept()).await.unwrap();
    say(&mut peer, &greeting()).await;
    expect(&mut peer, &greeting()).await;
    say(&mut peer, b"\x04\x1B\x05READY\x0BSocket-Type\0\0\0\x05RADIO").await;
    expect(&mut peer, b"\x04\x28\x05READY\x0BSocket-Type\0\0\0\x04DISH\x08X-Zocket\0\0\0\x011").await;
    expect(&mut peer, b"\x04\x06\x04JOINA").await;
    dish.leave("A").unwrap();
    expect(&mut peer, b"\x04\x07\x05LEAVEA").await;
    dish.join("B").unwrap();
    expect(&mut peer, b"\x04\x06\x04JOINB").await;
    // A radio need not have heard of the leave yet, nor filter at all.
    say(&mut peer, b"\x01\x01A\x00\x02no\x01\x02BB\x00\x02no\x01\x01B\x00\x03yes").await;
    hears(&dish, "B", "yes").await;
    let body = [&b"\x03\0\0\0\0\0\0\0\x01B\x02\0\0\0\0\0\0\0\x04"[..], b"long"].concat();
    say(&mut peer, &body).await;
    hears(&dish, "B", "long").await;
}

#[tokio::test]
async fn a_radio_drops_what_a_dish_sends_it() {
    let radio = Radio::new();
    let mut peer = raw_dish(&radio).await;
    say(&mut peer, b"\x00\x02\x01A\x01\x01A\x00\x02hi\x04\x06\x04JOINA").await;
    until(|| radio.groups() == 1).await;
    assert_eq!(only_peer(&radio).receive_queue, 0);
}

/// The end of a connection that was ready.
#[track_caller]
fn broken(events: &mut Monitor) -> impl Future<Output = ProtocolError> {
    event(events, |event| match event {
        Event::Disconnected { reason: Disconnect::Protocol(error), .. } => Some(error),
        Event::Disconnected { reason, .. } => panic!("{reason:?}"),
        _ => None,
    })
}

#[tokio::test]
async fn a_radio_whose_message_is_no_group_and_one_frame_goes_alone() {
    let too_long = ProtocolError::BadGroup(GroupError::TooLong { len: 256 });
    let long_group = [&b"\x03\0\0\0\0\0\0\x01\0"[..], &[b'g'; 256], b"\x00\x01x"].concat();
    for (bytes, expected) in [
        (b"\x00\x02hi".to_vec(), ProtocolError::NotGrouped),
        (b"\x01\x01A\x01\x01x\x00\x01y".to_vec(), ProtocolError::NotGrouped),
        (long_group, too_long),
    ] {
        let (good, dish) = (Radio::new(), Dish::new());
        let place = meet_tcp(&dish, &good).await;
        joined(&good, &dish, "A").await;
        let mut events = dish.monitor();

        let mut peer = TcpStream::connect(place.endpoint.address()).await.unwrap();
        handshake(&mut peer, "RADIO", false).await;
        ready(&mut events).await;
        say(&mut peer, &[b"\x01\x01A\x00\x06before", &bytes[..]].concat()).await;
        assert_eq!(broken(&mut events).await, expected);
        hears(&dish, "A", "before").await;

        // Where we connect, it is left alone for long.
        let puppet = Puppet::new().await;
        dish.connect(&puppet.endpoint).unwrap();
        let mut peer = puppet.accept("RADIO").await;
        say(&mut peer, &bytes).await;
        assert_eq!(broken(&mut events).await, expected);
        let after = event(&mut events, |event| match event {
            Event::Retrying { after, .. } => Some(after),
            _ => None,
        });
        assert!(after.await >= Duration::from_secs(15), "half of the longest wait");

        soon(good.send("A", "goes on")).await.unwrap();
        hears(&dish, "A", "goes on").await;
    }
}

#[tokio::test]
async fn a_radio_that_breaks_the_rules_is_given_up_where_that_is_asked() {
    let longest = Duration::from_secs(30);
    let dish = Dish::builder().reconnect(Reconnect::within(longest, longest).stop_on_refusal()).build();
    let (puppet, mut events) = (Puppet::new().await, dish.monitor());
    dish.connect(&puppet.endpoint).unwrap();
    let mut peer = puppet.accept("RADIO").await;
    say(&mut peer, b"\x00\x02hi").await;
    let reason = event(&mut events, |event| match event {
        Event::GaveUp { reason, .. } => Some(reason),
        _ => None,
    });
    assert!(matches!(reason.await, Disconnect::Protocol(ProtocolError::NotGrouped)));
}

#[tokio::test]
async fn a_dish_that_joins_what_is_no_group_goes_alone() {
    let (radio, good) = (Radio::new(), Dish::new());
    let _place = meet_tcp(&radio, &good).await;
    joined(&radio, &good, "A").await;
    let mut events = radio.monitor();
    let mut peer = raw_dish(&radio).await;
    say(&mut peer, &[&b"\x04\x06\x04JOINA\x06\0\0\0\0\0\0\x01\x05\x04JOIN"[..], &[b'g'; 256]].concat()).await;
    assert_eq!(broken(&mut events).await, ProtocolError::BadGroup(GroupError::TooLong { len: 256 }));
    soon(radio.send("A", "goes on")).await.unwrap();
    hears(&good, "A", "goes on").await;
}
