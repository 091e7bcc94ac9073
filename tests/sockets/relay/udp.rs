//! Links over udp through the relay: order holds, nothing comes twice, and each message is delivered or counted, as what
//! the relay made of it.

use std::time::Duration;

use bad_network::{Relay, Weather};
use futures::future::join_all;
use zocket::{Dropped, Event, Heartbeat, HighWater, Pub, Pull, Push, Receives, Sends, Socket, Sub};

use crate::stage::{DEADLINE, Staged, event, number_of, numbered, ready, soon, until};

const COUNT: u32 = 500;

/// The kind of the packets that carry messages.
const DATA: u8 = 5;

fn often() -> Heartbeat {
    Heartbeat::every(Duration::from_millis(50)).timeout(DEADLINE)
}

fn weathers() -> impl Iterator<Item = Weather> {
    (0..3).flat_map(|seed| [0, 10, 30].map(|percent| Weather::of(percent, seed)))
}

/// Binds the receiver, and connects the sender through a relay that counts messages.
async fn meet<A: Sends, B: Receives>(from: &Socket<A>, to: &Socket<B>, weather: Weather) -> Relay {
    let mut events = to.monitor();
    let at = soon(to.bind("udp://127.0.0.1:0")).await.unwrap();
    let relay = Relay::counting(&at, weather, |packet| packet.first() == Some(&DATA)).await;
    let front = relay.endpoint("udp");
    from.connect(&front).unwrap();
    soon(from.connected(&front)).await.unwrap();
    ready(&mut events).await;
    relay
}

/// Sends, and checks that each message is delivered in its order, or counted for what happened to it.
async fn check<A: Sends, B: Receives>(from: &Socket<A>, to: &Socket<B>, relay: &Relay, weather: Weather) {
    let mut events = to.monitor();
    let (mut delivered, mut next, mut lost, mut late) = (0, 0, 0, 0);
    let sending = async {
        for number in 0..COUNT {
            from.send(numbered(number, 100)).await.unwrap();
            // No more under way than the kernel keeps.
            if number % 20 == 19 {
                until(|| relay.to_server.arrived.get() > u64::from(number)).await;
            }
        }
    };
    let receiving = async {
        while delivered + lost + late < u64::from(COUNT) {
            let dropped = event(&mut events, |event| match event {
                Event::Dropped { messages, reason, .. } => Some((messages, reason)),
                _ => None,
            });
            tokio::select! {
                message = soon(to.recv()) => {
                    let number = number_of(&message.unwrap());
                    assert!(number >= next, "{number}, and {next} was next: {weather:?}");
                    (next, delivered) = (number + 1, delivered + 1);
                }
                dropped = dropped => match dropped {
                    (messages, Dropped::Lost) => lost += messages,
                    (messages, Dropped::Late) => late += messages,
                    other => panic!("{other:?}: {weather:?}"),
                },
            }
        }
    };
    tokio::join!(sending, receiving);
    let counts = &relay.to_server;
    assert_eq!((lost, late), (counts.lost.get(), counts.overtaken.get()), "{weather:?}");
    assert_eq!(lost + late > 0, weather.lost > 0, "{weather:?}");
    assert!(to.try_recv().is_err(), "{weather:?}");
}

#[tokio::test]
async fn what_is_pushed_is_delivered_in_order_or_counted_as_what_the_relay_made_of_it() {
    join_all(weathers().map(async |weather| {
        let (push, pull) = (Push::set_up().heartbeat(often()).build(), Pull::staged());
        let relay = meet(&push, &pull, weather).await;
        check(&push, &pull, &relay, weather).await;
    }))
    .await;
}

#[tokio::test]
async fn what_is_published_is_delivered_in_order_or_counted_as_what_the_relay_made_of_it() {
    join_all(weathers().map(async |weather| {
        let (publisher, sub) = (Pub::set_up().heartbeat(often()).build(), Sub::staged());
        sub.subscribe("").unwrap();
        let relay = meet(&publisher, &sub, weather).await;
        until(|| publisher.topics() == 1).await;
        check(&publisher, &sub, &relay, weather).await;
    }))
    .await;
}

#[tokio::test]
async fn what_a_full_queue_drops_is_counted_too() {
    let (push, pull) = (
        Push::set_up().heartbeat(often()).build(),
        Pull::set_up().receive_high_water(HighWater::messages(10)).build(),
    );
    let mut events = pull.monitor();
    let relay = meet(&push, &pull, Weather::of(10, 1)).await;
    for number in 0..100 {
        soon(push.send(numbered(number, 100))).await.unwrap();
    }
    let (mut received, mut dropped) = (0, 0);
    until(|| relay.to_server.arrived.get() == 100).await;
    while received + dropped < 100 {
        let drops = event(&mut events, |event| match event {
            Event::Dropped { messages, .. } => Some(messages),
            _ => None,
        });
        tokio::select! {
            messages = drops => dropped += messages,
            message = soon(pull.recv()) => {
                message.unwrap();
                received += 1;
            }
        }
    }
    assert!(dropped > relay.lost(), "the queue was full");
}
