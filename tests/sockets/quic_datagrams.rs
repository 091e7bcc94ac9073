//! What datagrams promise over quic: nothing holds them up, and each is received once, or told to be missed.

use std::time::Duration;

use bad_network::{Relay, Weather};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use zocket::transport::quic::{Identity, Quic, Trust};
use zocket::transport::{Link, Packets, Transport, Wire};
use zocket::{Context, Dish, Dropped, Event, HighWater, LinkOptions, Monitor, PipeId, Pub, Radio, Sub, XPub};

use crate::stage::{
    Order, Place, SCHEMES, STILL, Scheme, Staged, disconnected, event, meet, number_of, numbered, ready,
    soon, until,
};

const QUIC: (Scheme, Order) = (Scheme::Quic, Order::BindFirst);

/// A RADIO that sends datagrams, and a DISH that is in its only group.
async fn radio_and_dish() -> (Radio, Dish, Place) {
    let radio = Radio::set_up().datagrams(true).no_drop(true).build();
    let dish = Dish::staged();
    dish.join("group").unwrap();
    let place = meet(&radio, &dish, QUIC).await;
    until(|| radio.groups() == 1).await;
    (radio, dish, place)
}

/// As [`radio_and_dish`], at two ends of a network.
async fn through(weather: Weather) -> (Radio, Dish, Relay) {
    let radio = Radio::set_up().datagrams(true).no_drop(true).build();
    let dish = Dish::staged();
    dish.join("group").unwrap();
    let at = soon(radio.bind("quic://127.0.0.1:0")).await.unwrap();
    let relay = Relay::new(&at, weather).await;
    let front = relay.endpoint("quic");
    dish.connect(&front).unwrap();
    soon(dish.connected(&front)).await.unwrap();
    until(|| radio.groups() == 1).await;
    (radio, dish, relay)
}

/// What is told to be dropped until the connection ends, and why.
async fn drops_until_the_end(monitor: &mut Monitor) -> Vec<(PipeId, u64, Dropped)> {
    let mut drops = Vec::new();
    loop {
        match monitor.next().await.unwrap() {
            Event::Dropped { pipe, messages, reason } => drops.push((pipe, messages, reason)),
            Event::Disconnected { .. } => return drops,
            Event::Lagged { .. } => panic!("some events were missed"),
            _ => {}
        }
    }
}

/// Adds up how many are told to be missed until the connection ends.
async fn dropped_until_the_end(monitor: &mut Monitor) -> u64 {
    let drops = drops_until_the_end(monitor).await;
    for (_, _, reason) in &drops {
        assert!([Dropped::Lost, Dropped::Late, Dropped::ReceiverFull].contains(reason), "{reason:?}");
    }
    drops.iter().map(|(_, messages, _)| messages).sum()
}

#[tokio::test]
async fn each_of_many_is_received_once_and_in_order_or_told_to_be_missed() {
    const COUNT: u32 = 20_000;
    let (radio, dish, _place) = radio_and_dish().await;
    let mut events = dish.monitor();
    let sending = async {
        for number in 0..COUNT {
            soon(radio.send("group", numbered(number, 500))).await.unwrap();
        }
        soon(radio.close()).await.messages
    };
    let (mut next, mut received) = (0, 0);
    let mut arrived = |message: &zocket::Message| {
        let number = number_of(message);
        assert!(number >= next, "{number} came after {next}");
        (next, received) = (number + 1, received + 1);
    };
    let receiving = async {
        loop {
            arrived(&dish.recv().await.unwrap().1);
        }
    };
    let (unsent, dropped) = tokio::select! {
        never = receiving => never,
        both = async { tokio::join!(sending, dropped_until_the_end(&mut events)) } => both,
    };
    while let Ok((_, message)) = dish.try_recv() {
        arrived(&message);
    }
    assert_eq!(unsent, 0);
    assert_eq!(received + dropped, u64::from(COUNT), "{received} received and {dropped} told to be missed");
    assert!(received > 0);
}

#[tokio::test]
async fn a_datagram_is_not_held_up_by_what_is_large_and_that_arrives_whole_on_its_stream() {
    const LARGE: usize = 32 << 20;
    let (radio, dish, _place) = radio_and_dish().await;
    soon(radio.send("group", vec![1; LARGE])).await.unwrap();
    for number in 0..10_u32 {
        soon(radio.send("group", number.to_be_bytes().to_vec())).await.unwrap();
    }
    for number in 0..10 {
        assert_eq!(number_of(&soon(dish.recv()).await.unwrap().1), number);
    }
    assert_eq!(soon(dish.recv()).await.unwrap().1.first().len(), LARGE);
}

#[tokio::test]
async fn whatever_does_not_fit_arrives_however_little_it_is_beyond() {
    let publisher = Pub::set_up().datagrams(true).no_drop(true).build();
    let subscriber = Sub::staged();
    subscriber.subscribe("").unwrap();
    let _place = meet(&publisher, &subscriber, QUIC).await;
    until(|| publisher.topics() == 1).await;
    for size in 1080..1120 {
        soon(publisher.send(vec![0; size])).await.unwrap();
    }
    let mut sizes = Vec::new();
    for _ in 1080..1120 {
        sizes.push(soon(subscriber.recv()).await.unwrap().first().len());
    }
    sizes.sort_unstable();
    assert_eq!(sizes, (1080..1120).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_was_sent_before_closing_arrives_over_a_network_that_loses_nothing() {
    const COUNT: u32 = 55;
    let latency = Duration::from_millis(20);
    let weather = Weather { seed: 1, lost: 0, doubled: 0, held: 0, hold: Duration::ZERO, latency };
    let (radio, dish, relay) = through(weather).await;
    let mut events = dish.monitor();
    for number in 0..COUNT {
        soon(radio.send("group", numbered(number, 1000))).await.unwrap();
    }
    assert_eq!(soon(radio.close()).await.messages, 0);
    assert_eq!(soon(dropped_until_the_end(&mut events)).await, 0);
    for number in 0..COUNT {
        assert_eq!(number_of(&dish.try_recv().unwrap().1), number);
    }
    assert_eq!(relay.lost(), 0);
}

#[tokio::test]
async fn what_a_network_loses_is_told_to_the_last_also_if_nothing_follows() {
    const COUNT: u32 = 200;
    for closes in [false, true] {
        let (radio, dish, relay) = through(Weather::of(20, 3)).await;
        let mut events = dish.monitor();
        for number in 0..COUNT {
            soon(radio.send("group", numbered(number, 1000))).await.unwrap();
        }
        if closes {
            soon(radio.close()).await;
        }
        let mut missed = 0;
        let mut received = 0;
        while missed + received < u64::from(COUNT) {
            missed += soon(event(&mut events, |event| match event {
                Event::Dropped { messages, reason: Dropped::Lost | Dropped::Late, .. } => Some(messages),
                _ => None,
            }))
            .await;
            while dish.try_recv().is_ok() {
                received += 1;
            }
        }
        assert_eq!(missed + received, u64::from(COUNT));
        assert!(relay.was_bad() && received > 0);
    }
}

#[tokio::test]
async fn a_subscriber_that_does_not_receive_misses_what_finds_its_queue_full_and_no_other_does() {
    const COUNT: u32 = 300;
    let radio = Radio::set_up().datagrams(true).no_drop(true).build();
    let slow = Dish::set_up().receive_high_water(HighWater::messages(10)).build();
    let dish = Dish::staged();
    slow.join("group").unwrap();
    dish.join("group").unwrap();
    let mut events = slow.monitor();
    let place = meet(&radio, &slow, QUIC).await;
    dish.connect(&place.endpoint).unwrap();
    soon(dish.connected(&place.endpoint)).await.unwrap();
    // What was joined before is known with what is joined now.
    slow.join("slow").unwrap();
    dish.join("fast").unwrap();
    until(|| radio.groups() == 3).await;
    for number in 0..COUNT {
        soon(radio.send("group", number.to_be_bytes().to_vec())).await.unwrap();
    }
    for number in 0..COUNT {
        assert_eq!(number_of(&soon(dish.recv()).await.unwrap().1), number);
    }
    let reason = event(&mut events, |event| match event {
        Event::Dropped { reason, .. } => Some(reason),
        _ => None,
    });
    assert_eq!(reason.await, Dropped::ReceiverFull);
}

#[tokio::test]
async fn over_other_transports_everything_arrives_in_order() {
    for scheme in SCHEMES.into_iter().filter(|scheme| *scheme != Scheme::Quic) {
        let publisher = Pub::set_up().datagrams(true).no_drop(true).build();
        let subscriber = Sub::staged();
        subscriber.subscribe("").unwrap();
        let _place = meet(&publisher, &subscriber, (scheme, Order::BindFirst)).await;
        until(|| publisher.topics() == 1).await;
        for number in 0..100_u32 {
            soon(publisher.send(vec![0; if number % 2 == 0 { 10 } else { 5000 }])).await.unwrap();
            soon(publisher.send(number.to_be_bytes().to_vec())).await.unwrap();
        }
        for number in 0..100 {
            soon(subscriber.recv()).await.unwrap();
            assert_eq!(number_of(&soon(subscriber.recv()).await.unwrap()), number, "{scheme:?}");
        }
    }
}

// ── Peers by hand ───────────────────────────────────────────────────────────────────────────────

/// What a peer says first, with more properties.
fn opening(kind: &str, properties: &[u8]) -> Vec<u8> {
    let length = u32::try_from(kind.len()).unwrap().to_be_bytes();
    let ready = [&b"\x05READY\x0bSocket-Type"[..], &length, kind.as_bytes(), properties].concat();
    let greeting = [&b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01NULL"[..], &[0; 48]].concat();
    [greeting, vec![4, u8::try_from(ready.len()).unwrap()], ready].concat()
}

const WANTED: &[u8] = b"\x0bX-Datagrams\0\0\0\x01\x01";

fn contexts() -> (Context, Quic) {
    let identity = Identity::generate().unwrap();
    let client = Quic::client(Trust::keys([identity.fingerprint()]));
    (Context::builder().transport(Quic::server(identity)).build().unwrap(), client)
}

async fn call(client: &Quic, at: &zocket::Endpoint, says: &[u8]) -> Link {
    let mut options = LinkOptions::default();
    options.datagrams = true;
    let mut link = soon(client.connect(at, &options)).await.unwrap();
    let Wire::Stream(wire) = &mut link.wire else { panic!("quic is a stream") };
    soon(wire.write_all(says)).await.unwrap();
    link
}

#[tokio::test]
async fn a_subscriber_that_knows_nothing_of_datagrams_gets_everything_on_the_stream() {
    let (context, client) = contexts();
    for properties in [&b""[..], b"\x0bX-Datagrams\0\0\0\x01\x02"] {
        let publisher = XPub::builder().context(&context).datagrams(true).build();
        let at = soon(publisher.bind("quic://127.0.0.1:0")).await.unwrap();
        let says = [&opening("SUB", properties), &b"\x04\x0a\x09SUBSCRIBE"[..]].concat();
        let mut link = call(&client, &at, &says).await;
        assert_eq!(soon(publisher.recv()).await.unwrap(), "\u{1}");
        soon(publisher.send("small")).await.unwrap();
        let Wire::Stream(wire) = &mut link.wire else { panic!("quic is a stream") };
        let mut heard = Vec::new();
        while !heard.ends_with(b"\x00\x05small") {
            assert!(soon(wire.read_buf(&mut heard)).await.unwrap() > 0, "{heard:?}");
        }
    }
}

/// A DISH in the group "g", the monitor and the pipe it has of a RADIO by hand, and that one's link.
async fn called(dish: impl FnOnce(&Context) -> Dish) -> (Dish, Monitor, PipeId, Link) {
    let (context, client) = contexts();
    let dish = dish(&context);
    dish.join("g").unwrap();
    let mut events = dish.monitor();
    let at = soon(dish.bind("quic://127.0.0.1:0")).await.unwrap();
    let link = call(&client, &at, &opening("RADIO", WANTED)).await;
    let pipe = ready(&mut events).await;
    (dish, events, pipe, link)
}

fn packets(link: &mut Link) -> &mut dyn Packets {
    link.packets.as_deref_mut().expect("it was asked for")
}

async fn send(packets: &mut dyn Packets, packet: &'static [u8]) {
    let packet = packet.into();
    soon(std::future::poll_fn(|cx| packets.poll_send(cx, &packet))).await.unwrap();
}

#[tokio::test]
async fn packets_that_are_no_message_are_counted_and_late_and_doubled_ones_are_not_delivered() {
    let (dish, mut events, pipe, mut link) = called(|context| Dish::builder().context(context).build()).await;
    let packets = packets(&mut link);
    let wrong: [&'static [u8]; 4] = [
        b"",
        b"\x01\0\0\0\0\0\0\0\x01\x01\x01g",
        b"\x02\0\0\0\0\0\0\0\x01\x01\x01g\x00\x01a",
        b"\x01\xff\xff\xff\xff\xff\xff\xff\xff\x01\x01g\x00\x01a",
    ];
    for packet in wrong {
        send(packets, packet).await;
    }
    for packet in [
        &b"\x01\0\0\0\0\0\0\0\x03\x01\x01g\x00\x01a"[..],
        b"\x01\0\0\0\0\0\0\0\x03\x01\x01g\x00\x01b",
        b"\x01\0\0\0\0\0\0\0\x02\x01\x01g\x00\x01c",
        b"\x01\0\0\0\0\0\0\0\x04\x01\x01g\x00\x01d",
    ] {
        send(packets, packet).await;
    }
    for body in ["a", "d"] {
        assert_eq!(soon(dish.recv()).await.unwrap().1, body);
    }
    drop(link);
    let drops = soon(drops_until_the_end(&mut events)).await;
    assert!(drops.iter().all(|(from, ..)| *from == pipe));
    let told = [Dropped::Malformed, Dropped::Late, Dropped::Lost].map(|why| {
        drops.iter().filter(|(.., reason)| *reason == why).map(|(_, messages, _)| messages).sum::<u64>()
    });
    assert_eq!(told.iter().sum::<u64>(), drops.iter().map(|(_, messages, _)| messages).sum::<u64>());
    // What a broken packet had in place of its message is counted as such and not as lost.
    assert_eq!(told, [4, 1, 0]);
}

#[tokio::test]
async fn a_message_larger_than_the_receiver_takes_is_counted_once() {
    let (dish, mut events, pipe, mut link) =
        called(|context| Dish::builder().context(context).max_message_bytes(5).build()).await;
    let packets = packets(&mut link);
    for packet in [
        &b"\x01\0\0\0\0\0\0\0\x01\x01\x01g\x00\x01a"[..],
        b"\x01\0\0\0\0\0\0\0\x02\x01\x01g\x00\x09too large",
        b"\x01\0\0\0\0\0\0\0\x03\x01\x01g\x00\x01c",
    ] {
        send(packets, packet).await;
    }
    for body in ["a", "c"] {
        assert_eq!(soon(dish.recv()).await.unwrap().1, body);
    }
    drop(link);
    assert_eq!(soon(drops_until_the_end(&mut events)).await, [(pipe, 1, Dropped::Malformed)]);
}

#[tokio::test]
async fn a_subscriber_is_told_how_many_there_were_when_nothing_follows() {
    let (context, client) = contexts();
    let publisher = XPub::builder().context(&context).datagrams(true).build();
    let at = soon(publisher.bind("quic://127.0.0.1:0")).await.unwrap();
    let says = [&opening("SUB", WANTED), &b"\x04\x0a\x09SUBSCRIBE"[..]].concat();
    let mut link = call(&client, &at, &says).await;
    assert_eq!(soon(publisher.recv()).await.unwrap(), "\u{1}");
    for _ in 0..3 {
        soon(publisher.send("small")).await.unwrap();
    }
    let Wire::Stream(wire) = &mut link.wire else { panic!("quic is a stream") };
    let mut heard = Vec::new();
    while !heard.ends_with(b"\x04\x0f\x06X-SENT\0\0\0\0\0\0\0\x03") {
        assert!(soon(wire.read_buf(&mut heard)).await.unwrap() > 0, "{heard:?}");
    }
}

#[tokio::test]
async fn a_count_that_no_sender_reaches_is_none() {
    let (_dish, mut events, _, mut link) = called(|context| Dish::builder().context(context).build()).await;
    let Wire::Stream(wire) = &mut link.wire else { panic!("quic is a stream") };
    soon(wire.write_all(b"\x04\x0f\x06X-SENT\xff\xff\xff\xff\xff\xff\xff\xff")).await.unwrap();
    let told = event(&mut events, |event| match event {
        Event::Dropped { messages, reason, .. } => Some((messages, reason)),
        _ => None,
    });
    assert_eq!(told.await, (1, Dropped::Malformed));
    drop(link);
    disconnected(&mut events).await;
}

#[tokio::test]
async fn a_lost_tail_is_told_though_its_number_waits_behind_what_finds_no_room() {
    for is_full in [false, true] {
        let mark = HighWater::messages(1);
        let (dish, mut events, _, mut link) =
            called(|context| Dish::builder().context(context).receive_high_water(mark).build()).await;
        send(packets(&mut link), b"\x01\0\0\0\0\0\0\0\x01\x01\x01g\x00\x01a").await;
        assert_eq!(soon(dish.recv()).await.unwrap().1, "a");
        let Wire::Stream(wire) = &mut link.wire else { panic!("quic is a stream") };
        let large = if is_full { 4 } else { 0 };
        for _ in 0..large {
            soon(wire.write_all(b"\x01\x01g\x00\x01b")).await.unwrap();
        }
        soon(wire.write_all(b"\x04\x0f\x06X-SENT\0\0\0\0\0\0\0\x03")).await.unwrap();
        soon(wire.shutdown()).await.unwrap();
        drop(link);
        if is_full {
            // By then the connection is over, of which the full receiver tells nothing.
            timeout(STILL, dropped_until_the_end(&mut events)).await.unwrap_err();
        }
        for _ in 0..large {
            assert_eq!(soon(dish.recv()).await.unwrap().1, "b");
        }
        assert_eq!(soon(dropped_until_the_end(&mut events)).await, 2, "full: {is_full}");
    }
}
