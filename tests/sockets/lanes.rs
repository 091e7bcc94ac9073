//! What lanes promise: order on each, and that none holds up another.

use std::collections::HashMap;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use zocket::transport::quic::{Identity, Quic, Trust};
use zocket::transport::{Link, Stream, Transport, Wire};
use zocket::{
    Context, Dealer, Disconnect, Dish, Event, Heartbeat, HighWater, Lanes, LinkOptions, Message,
    ProtocolError, Pub, Radio, Reconnect, Router, Sub, TrySendError,
};

use crate::stage::{
    Order, Place, SCHEMES, STILL, Scheme, Staged, disconnected, event, fill_up, join, meet, only_peer, ready,
    soon, until,
};

const LANES: u8 = 4;
const QUIC: (Scheme, Order) = (Scheme::Quic, Order::BindFirst);

/// A message that says its lane and its number there.
fn marked(lane: u8, number: u32) -> Message {
    [&[lane][..], &number.to_be_bytes()].into()
}

/// Receives `count` marked messages and checks that those of each lane come in order. Returns how many came on which.
async fn expect_in_order(next: impl AsyncFn() -> Message, count: u32) -> HashMap<u8, u32> {
    let mut expected: HashMap<u8, u32> = HashMap::new();
    for _ in 0..count {
        let message = next().await;
        let (lane, number) = (message[message.len() - 2][0], message.last());
        let expected = expected.entry(lane).or_default();
        assert_eq!(**number, expected.to_be_bytes(), "on lane {lane}");
        *expected += 1;
    }
    expected
}

fn router(lanes: u8) -> Router {
    Router::set_up().lanes(lanes).build()
}

fn dealer(lanes: u8) -> Dealer {
    Dealer::set_up().lanes(lanes).routing_id("dealer").build()
}

#[tokio::test]
async fn each_lane_keeps_its_order_in_both_directions_whoever_wants_more_of_them() {
    const COUNT: u32 = 2000;
    for scheme in SCHEMES {
        for (ours, theirs) in [(LANES, LANES), (LANES, 2), (1, LANES), (3, LANES)] {
            let (router, dealer) = (router(ours), dealer(theirs));
            let _place = meet(&router, &dealer, (scheme, Order::BindFirst)).await;
            let asking = async {
                for number in 0..COUNT {
                    let lane = (number % 5) as u8;
                    soon(dealer.lane(lane).send(marked(lane, number / 5))).await.unwrap();
                }
            };
            let heard = expect_in_order(async || soon(router.recv()).await.unwrap(), COUNT);
            let ((), heard) = tokio::join!(asking, heard);
            assert_eq!(heard.values().sum::<u32>(), COUNT);

            let answering = async {
                for number in 0..COUNT {
                    let lane = (number % 5) as u8;
                    let mut message = marked(lane, number / 5);
                    message.push_front("dealer");
                    soon(router.lane(lane).send(message)).await.unwrap();
                }
            };
            tokio::join!(answering, expect_in_order(async || soon(dealer.recv()).await.unwrap(), COUNT));
        }
    }
}

#[tokio::test]
async fn a_large_message_does_not_hold_up_a_small_one_on_another_lane() {
    const LARGE: usize = 64 << 20;
    let (router, dealer) = (router(2), dealer(2));
    let _place = meet(&router, &dealer, QUIC).await;
    dealer.lane(0).try_send(vec![1; LARGE]).unwrap();
    dealer.lane(1).try_send("small").unwrap();
    assert_eq!(soon(router.recv()).await.unwrap(), ["dealer", "small"]);
    assert_eq!(soon(router.recv()).await.unwrap().last().len(), LARGE);
}

#[tokio::test]
async fn a_lane_at_its_mark_leaves_room_on_the_others() {
    let dealer = Dealer::set_up().lanes(3).send_high_water(HighWater::messages(2)).build();
    let place = Place::new(Scheme::Quic);
    dealer.connect(&place.endpoint).unwrap();
    for lane in 0..3 {
        for number in 0..2 {
            dealer.lane(lane).try_send(marked(lane, number)).unwrap();
        }
        assert!(matches!(dealer.lane(lane).try_send("more"), Err(TrySendError::Full(_))), "lane {lane}");
    }
    assert_eq!(only_peer(&dealer).send_queue, 6);
    // Whoever waits for one of them is woken when it is that one's turn.
    let router = router(3);
    let waiting = async |lane| soon(dealer.lane(lane).send(marked(lane, 2))).await.unwrap();
    let receiving = async {
        soon(router.bind(&place.endpoint)).await.unwrap();
        expect_in_order(async || soon(router.recv()).await.unwrap(), 9).await
    };
    let ((), (), (), heard) = tokio::join!(waiting(2), waiting(1), waiting(0), receiving);
    assert_eq!(heard, HashMap::from([(0, 3), (1, 3), (2, 3)]));
}

#[tokio::test]
async fn what_is_sent_before_the_peer_is_there_arrives_however_few_lanes_it_has() {
    for lanes in [1, 2, LANES] {
        let (router, dealer) = (router(lanes), dealer(LANES));
        let place = Place::new(Scheme::Quic);
        dealer.connect(&place.endpoint).unwrap();
        for lane in 0..LANES {
            for number in 0..100 {
                soon(dealer.lane(lane).send(marked(lane, number))).await.unwrap();
            }
        }
        soon(router.bind(&place.endpoint)).await.unwrap();
        for lane in 0..LANES {
            for number in 100..200 {
                soon(dealer.lane(lane).send(marked(lane, number))).await.unwrap();
            }
        }
        expect_in_order(async || soon(router.recv()).await.unwrap(), u32::from(LANES) * 200).await;
    }
}

#[tokio::test]
async fn closing_delivers_what_was_sent_on_every_lane() {
    const EACH: u32 = 500;
    let router = Router::set_up().lanes(LANES).receive_high_water(HighWater::messages(2)).build();
    let dealer = dealer(LANES);
    let mut events = router.monitor();
    let _place = meet(&router, &dealer, QUIC).await;
    for number in 0..EACH {
        for lane in 0..LANES {
            soon(dealer.lane(lane).send(marked(lane, number))).await.unwrap();
        }
    }
    // Nobody receives before the sender has gone.
    assert_eq!(soon(dealer.close()).await.messages, 0);
    let heard = expect_in_order(async || soon(router.recv()).await.unwrap(), EACH * u32::from(LANES)).await;
    assert_eq!(heard, (0..LANES).map(|lane| (lane, EACH)).collect());
    let reason = disconnected(&mut events).await;
    assert!(matches!(reason, Disconnect::PeerClosed), "{reason:?}");
}

#[tokio::test]
async fn lanes_come_back_with_their_peer_and_keep_what_waits() {
    let dealer = dealer(LANES);
    let mut events = dealer.monitor();
    let place = Place::new(Scheme::Quic);
    dealer.connect(&place.endpoint).unwrap();
    for round in 0..3 {
        let router = router(LANES);
        soon(router.bind(&place.endpoint)).await.unwrap();
        ready(&mut events).await;
        let numbers = round * 10..round * 10 + 10;
        for number in numbers.clone() {
            for lane in 0..LANES {
                soon(dealer.lane(lane).send(marked(lane, number))).await.unwrap();
            }
        }
        let mut next = HashMap::from([0, 1, 2, 3].map(|lane| (lane, numbers.start)));
        for _ in 0..10 * u32::from(LANES) {
            let message = soon(router.recv()).await.unwrap();
            let next = next.get_mut(&message[1][0]).unwrap();
            assert_eq!(**message.last(), next.to_be_bytes());
            *next += 1;
        }
        soon(router.close()).await;
        disconnected(&mut events).await;
    }
}

#[tokio::test]
async fn a_topic_stays_on_its_lane_and_topics_spread_over_them() {
    const COUNT: u32 = 200;
    let (publisher, subscriber) =
        (Pub::set_up().no_drop(true).lanes(LANES).build(), Sub::set_up().lanes(LANES).build());
    subscriber.subscribe("topic").unwrap();
    let _place = meet(&publisher, &subscriber, QUIC).await;
    until(|| publisher.topics() == 1).await;
    // The first is large: what is on other lanes comes before it.
    soon(publisher.send([&b"topic 0"[..], &vec![0; 32 << 20]])).await.unwrap();
    let sending = async {
        for number in 0..COUNT {
            for topic in 1..=20_u8 {
                soon(publisher.send([format!("topic {topic}").as_bytes(), &[topic], &number.to_be_bytes()]))
                    .await
                    .unwrap();
            }
        }
    };
    let mut before = 0;
    let receiving = async {
        let mut expected = HashMap::new();
        let mut large = false;
        for _ in 0..=20 * COUNT {
            let message = soon(subscriber.recv()).await.unwrap();
            let [_, topic, number] = message.frames() else {
                large = true;
                continue;
            };
            let expected = expected.entry(topic[0]).or_insert(0_u32);
            assert_eq!(**number, expected.to_be_bytes(), "of topic {}", topic[0]);
            *expected += 1;
            before += u32::from(!large);
        }
    };
    tokio::join!(sending, receiving);
    assert!(before > 0, "nothing passed the large message");
}

#[tokio::test]
async fn a_group_stays_on_its_lane() {
    const COUNT: u32 = 300;
    let radio = Radio::set_up().no_drop(true).lanes(LANES).build();
    let dish = Dish::set_up().lanes(LANES).build();
    for group in ["a", "b", "c", "d", "e"] {
        dish.join(group).unwrap();
    }
    let _place = meet(&radio, &dish, QUIC).await;
    until(|| radio.groups() == 5).await;
    let sending = async {
        for number in 0..COUNT {
            for group in ["a", "b", "c", "d", "e"] {
                soon(radio.send(group, number.to_be_bytes().to_vec())).await.unwrap();
            }
        }
    };
    let receiving = async {
        let mut expected: HashMap<String, u32> = HashMap::new();
        for _ in 0..5 * COUNT {
            let (group, message) = soon(dish.recv()).await.unwrap();
            let expected = expected.entry(group.to_string()).or_default();
            assert_eq!(**message.last(), expected.to_be_bytes(), "of group {group}");
            *expected += 1;
        }
    };
    tokio::join!(sending, receiving);
}

// ── A peer that breaks the rules ────────────────────────────────────────────────────────────────

/// What a DEALER says first that wants four lanes.
fn opening() -> Vec<u8> {
    let ready = [&b"\x05READY\x0bSocket-Type\0\0\0\x06DEALER"[..], b"\x07X-Lanes\0\0\0\x01\x04"].concat();
    let greeting = [&b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01NULL"[..], &[0; 48]].concat();
    [greeting, vec![4, u8::try_from(ready.len()).unwrap()], ready].concat()
}

/// A ROUTER with so many lanes, and a peer that agreed to them and opened none.
async fn with_lanes(lanes: u8, mark: HighWater) -> (Router, Link) {
    let identity = Identity::generate().unwrap();
    let client = Quic::client(Trust::keys([identity.fingerprint()]));
    let context = Context::builder().transport(Quic::server(identity)).build().unwrap();
    let router = Router::builder().context(&context).lanes(lanes).receive_high_water(mark).build();
    let mut events = router.monitor();
    let at = soon(router.bind("quic://127.0.0.1:0")).await.unwrap();
    let mut link = soon(client.connect(&at, &LinkOptions::default())).await.unwrap();
    soon(first_lane(&mut link).write_all(&opening())).await.unwrap();
    ready(&mut events).await;
    (router, link)
}

fn first_lane(link: &mut Link) -> &mut dyn Stream {
    let Wire::Stream(wire) = &mut link.wire else { panic!("quic is a stream") };
    &mut **wire
}

/// Lets the peer of a ROUTER with four lanes go on after its handshake. Returns why the ROUTER ended it.
async fn end_of(misbehave: impl AsyncFnOnce(&Link) -> Box<dyn Stream>) -> Disconnect {
    let (router, link) = with_lanes(LANES, HighWater::default()).await;
    let mut events = router.monitor();
    let lane = misbehave(&link).await;
    let why = disconnected(&mut events).await;
    drop(lane);
    assert!(router.peers().is_empty());
    why
}

async fn open(link: &Link, number: u8, bytes: &[u8]) -> Box<dyn Stream> {
    let streams = link.streams.as_deref().expect("quic has lanes");
    let mut lane = soon(streams.open(number)).await.unwrap();
    soon(lane.write_all(bytes)).await.unwrap();
    lane
}

#[tokio::test]
async fn a_lane_nobody_spoke_of_ends_the_connection() {
    for number in [0, LANES, 255] {
        let why = end_of(async |link| open(link, number, b"").await).await;
        let Disconnect::Protocol(ProtocolError::BadLane { number: told }) = why else { panic!("{why:?}") };
        assert_eq!(told, number);
    }
}

#[tokio::test]
async fn a_lane_that_comes_twice_ends_the_connection() {
    let why = end_of(async |link| {
        let first = open(link, 1, b"").await;
        let second = open(link, 1, b"").await;
        drop(first);
        second
    });
    let why = why.await;
    assert!(matches!(why, Disconnect::Protocol(ProtocolError::BadLane { number: 1 })), "{why:?}");
}

#[tokio::test]
async fn a_command_on_a_lane_ends_the_connection() {
    let why = end_of(async |link| open(link, 2, b"\x04\x07\x04PING\0\0").await).await;
    assert!(matches!(why, Disconnect::Protocol(ProtocolError::CommandOnLane)), "{why:?}");
}

#[tokio::test]
async fn a_peer_that_never_opens_its_lanes_is_served_on_the_first() {
    let (router, mut link) = with_lanes(LANES, HighWater::default()).await;
    let wire = first_lane(&mut link);
    soon(wire.write_all(b"\0\x02hi")).await.unwrap();
    let mut message = soon(router.recv()).await.unwrap();
    assert_eq!(message.last(), b"hi");
    message.push_back("there");
    soon(router.send(message)).await.unwrap();
    let mut heard = Vec::new();
    while !heard.ends_with(b"\x01\x02hi\0\x05there") {
        assert!(soon(wire.read_buf(&mut heard)).await.unwrap() > 0, "{heard:?}");
    }
    // Nor does closing wait for them.
    let hearing = async { soon(wire.read_to_end(&mut heard)).await.map(drop) };
    let (unsent, _) = tokio::join!(soon(router.close()), hearing);
    assert_eq!(unsent.messages, 0);
}

#[tokio::test]
async fn a_peer_that_opened_no_lane_and_left_in_peace_is_read_to_its_end() {
    let (router, mut link) = with_lanes(LANES, HighWater::messages(2)).await;
    let mut events = router.monitor();
    let wire = first_lane(&mut link);
    for _ in 0..10 {
        soon(wire.write_all(b"\0\x02hi")).await.unwrap();
    }
    soon(wire.shutdown()).await.unwrap();
    drop(link);
    for _ in 0..10 {
        assert_eq!(soon(router.recv()).await.unwrap().last(), b"hi");
    }
    let why = disconnected(&mut events).await;
    assert!(matches!(why, Disconnect::PeerClosed), "{why:?}");
}

#[tokio::test]
async fn a_peer_that_ends_its_first_lane_and_no_other_is_gone() {
    let (router, mut link) = with_lanes(LANES, HighWater::default()).await;
    let mut events = router.monitor();
    let lane = open(&link, 1, b"\0\x04last").await;
    assert_eq!(soon(router.recv()).await.unwrap().last(), b"last");
    soon(first_lane(&mut link).shutdown()).await.unwrap();
    let why = disconnected(&mut events).await;
    assert!(matches!(why, Disconnect::PeerClosed), "{why:?}");
    drop((lane, link));
}

// ── From one link to the next ───────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_sender_that_waits_for_a_lane_the_peer_has_not_is_woken() {
    let dealer = Dealer::set_up().lanes(LANES).send_high_water(HighWater::messages(2)).build();
    let place = Place::new(Scheme::Quic);
    dealer.connect(&place.endpoint).unwrap();
    for number in 0..2 {
        dealer.lane(3).try_send(marked(3, number)).unwrap();
    }
    let router = router(1);
    let waiting = async { soon(dealer.lane(3).send(marked(3, 2))).await.unwrap() };
    let receiving = async {
        soon(router.bind(&place.endpoint)).await.unwrap();
        expect_in_order(async || soon(router.recv()).await.unwrap(), 3).await
    };
    tokio::join!(waiting, receiving);
}

#[tokio::test]
async fn a_lane_that_was_blocked_in_an_earlier_link_hears_of_the_close() {
    let dealer = Dealer::set_up().lanes(2).send_high_water(HighWater::messages(2)).build();
    let mut events = dealer.monitor();
    let place = Place::new(Scheme::Quic);
    let first =
        Router::set_up().lanes(2).receive_high_water(HighWater::messages(1)).receive_buffer(4096).build();
    soon(first.bind(&place.endpoint)).await.unwrap();
    dealer.connect(&place.endpoint).unwrap();
    ready(&mut events).await;
    // Until its window is closed.
    while timeout(STILL, dealer.lane(1).send(vec![0; 1 << 14])).await.is_ok() {}
    drop(first);
    disconnected(&mut events).await;
    let second = router(2);
    soon(second.bind(&place.endpoint)).await.unwrap();
    ready(&mut events).await;
    let last = async { while soon(second.recv()).await.unwrap().last() != b"last" {} };
    let sending = async { soon(dealer.lane(1).send("last")).await.unwrap() };
    tokio::join!(last, sending);
    until(|| only_peer(&dealer).send_queue == 0).await;
    assert_eq!(soon(dealer.close()).await.messages, 0);
}

#[tokio::test]
async fn what_an_earlier_peer_sent_is_read_first_and_under_its_name() {
    let router = router(2);
    let mut events = router.monitor();
    let place = Place::new(Scheme::Quic);
    router.connect(&place.endpoint).unwrap();
    let named = |name: &'static str| Dealer::set_up().lanes(2).routing_id(name).build();
    let ada = named("ada");
    soon(ada.bind(&place.endpoint)).await.unwrap();
    ready(&mut events).await;
    soon(ada.lane(1).send("of ada")).await.unwrap();
    until(|| only_peer(&router).receive_queue == 1).await;
    soon(ada.close()).await;
    disconnected(&mut events).await;
    let bob = named("bob");
    soon(bob.bind(&place.endpoint)).await.unwrap();
    ready(&mut events).await;
    soon(bob.send("of bob")).await.unwrap();
    until(|| only_peer(&router).receive_queue == 2).await;
    for name in ["ada", "bob"] {
        assert_eq!(soon(router.recv()).await.unwrap(), [name.to_owned(), format!("of {name}")]);
    }
}

#[test]
fn lanes_are_at_least_one_and_say_what_goes_first() {
    let lanes = Lanes::new(3).priority(1, -1).priority(2, 5);
    // The signs of life go with whatever goes first.
    assert_eq!([0, 1, 2, 9].map(|lane| lanes.priority_of(lane)), [5, -1, 5, 0]);
    assert_eq!(Lanes::new(0), Lanes::default());
    assert_eq!(Lanes::from(7), Lanes::new(7));
}

#[tokio::test]
async fn the_lane_of_higher_priority_goes_first() {
    const SIZE: usize = 8 << 20;
    let router = router(3);
    let dealer = Dealer::set_up().lanes(Lanes::new(3).priority(2, 1)).build();
    let _place = meet(&router, &dealer, QUIC).await;
    let mut events = router.monitor();
    for (lane, text) in [(1, "low"), (2, "high")] {
        let mut message = Message::from(text);
        message.push_back(vec![0; SIZE]);
        dealer.lane(lane).try_send(message).unwrap();
    }
    assert_eq!(soon(router.recv()).await.unwrap()[1], "high");
    assert_eq!(soon(router.recv()).await.unwrap()[1], "low");
    drop(dealer);
    event(&mut events, |event| matches!(event, Event::Disconnected { .. }).then_some(())).await;
}

// ── What holds for a peer holds on all of its lanes ─────────────────────────────────────────────

#[tokio::test]
async fn a_message_beyond_the_limit_ends_the_peer_on_whatever_lane_it_came_and_no_other() {
    const LIMIT: usize = 1000;
    for lane in [0, LANES - 1] {
        let router = Router::set_up().lanes(LANES).max_message_bytes(LIMIT as u64).build();
        let other = Dealer::set_up().lanes(LANES).routing_id("other").build();
        let place = meet(&router, &other, QUIC).await;
        let once = Reconnect::never();
        let dealer = Dealer::set_up().lanes(LANES).routing_id("dealer").reconnect(once).build();
        join(&router, &dealer, &place.endpoint).await;
        let mut events = router.monitor();
        soon(dealer.lane(lane).send(vec![0; LIMIT])).await.unwrap();
        assert_eq!(soon(router.recv()).await.unwrap()[0], "dealer", "what is just within it arrives");
        soon(dealer.lane(lane).send(vec![0; LIMIT + 1])).await.unwrap();
        let why = disconnected(&mut events).await;
        assert!(matches!(why, Disconnect::Protocol(ProtocolError::FrameTooLarge { .. })), "{why:?}");
        soon(other.lane(lane).send("still here")).await.unwrap();
        assert_eq!(soon(router.recv()).await.unwrap(), ["other", "still here"]);
    }
}

#[tokio::test]
async fn a_name_that_is_handed_over_is_so_on_every_lane() {
    let router = Router::set_up().lanes(LANES).handover(true).build();
    let first = Dealer::set_up().lanes(LANES).routing_id("me").reconnect(Reconnect::never()).build();
    let place = meet(&router, &first, QUIC).await;
    let mut events = router.monitor();
    let second = Dealer::set_up().lanes(LANES).routing_id("me").build();
    join(&router, &second, &place.endpoint).await;
    let why = disconnected(&mut events).await;
    assert!(matches!(why, Disconnect::HandedOver), "{why:?}");
    for lane in 0..LANES {
        soon(router.lane(lane).send(["me", "x"])).await.unwrap();
        assert_eq!(soon(second.recv()).await.unwrap(), "x", "on lane {lane}");
        soon(second.lane(lane).send("y")).await.unwrap();
        assert_eq!(soon(router.recv()).await.unwrap(), ["me", "y"], "on lane {lane}");
    }
    assert!(first.try_recv().is_err());
}

#[tokio::test]
async fn a_muted_newcomer_is_heard_on_every_lane_when_the_first_leaves() {
    let (router, first, second) = (router(LANES), dealer(LANES), dealer(LANES));
    let place = meet(&router, &first, QUIC).await;
    let mut events = router.monitor();
    second.connect(&place.endpoint).unwrap();
    event(&mut events, |event| matches!(event, Event::Muted { .. }).then_some(())).await;
    for lane in 0..LANES {
        soon(second.lane(lane).send(marked(lane, 0))).await.unwrap();
    }
    soon(first.lane(1).send("from the first")).await.unwrap();
    assert_eq!(soon(router.recv()).await.unwrap(), ["dealer", "from the first"]);
    first.close().await;
    let heard = expect_in_order(async || soon(router.recv()).await.unwrap(), LANES.into()).await;
    assert_eq!(heard.len(), usize::from(LANES));
    soon(router.lane(1).send(["dealer", "to the second"])).await.unwrap();
    assert_eq!(soon(second.recv()).await.unwrap(), "to the second");
}

/// Signs of life go on the first lane, behind what nobody reads for many times as long as would end a silent peer.
#[tokio::test]
async fn a_peer_whose_lanes_are_full_is_not_taken_for_dead() {
    const SILENCE: Duration = Duration::from_millis(50);
    const SIZE: usize = 10_000;
    let heartbeat = Heartbeat::every(SILENCE).timeout(SILENCE);
    let mark = HighWater::messages(1);
    let router = Router::set_up().lanes(2).receive_high_water(mark).heartbeat(heartbeat).build();
    let dealer = Dealer::set_up().lanes(2).send_high_water(mark).heartbeat(heartbeat).build();
    let _place = meet(&router, &dealer, QUIC).await;
    let mut events = [router.monitor(), dealer.monitor()];
    soon(dealer.lane(1).send("of the other lane")).await.unwrap();
    let sent = fill_up(&dealer, SIZE).await;
    let [ours, theirs] = &mut events;
    let ended = async { tokio::join!(disconnected(ours), disconnected(theirs)) };
    assert!(timeout(10 * SILENCE, ended).await.is_err(), "the link stays");
    for _ in 0..=sent {
        soon(router.recv()).await.unwrap();
    }
}
