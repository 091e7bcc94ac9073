//! Quic over the relay: whatever happens to packets, sockets notice no more of it than that time passes.

use std::fmt;
use std::time::Duration;

use bad_network::{Relay, Weather};
use futures::future::join_all;
use tokio::time::timeout;
use zocket::{Context, Event, Pattern, Pull, Push, Rep, Req, Socket, Sub, XPub};

use crate::stage::{self, expect_run, numbered, ready, soon};

const SEEDS: u64 = 3;

/// Percent of each evil.
const WORST: u32 = 30;

/// How long a run may take. Probes that are lost in a row are sent ever more rarely: a bad run takes many times as long
/// as a usual one, of a few seconds.
const PATIENCE: Duration = Duration::from_secs(90);

/// Awaits a step that the network delays.
async fn patiently<T>(step: impl Future<Output = T>) -> T {
    timeout(PATIENCE, step).await.expect("it hangs")
}

/// Goes through the seeds in every weather, all at once: what takes time is the network.
async fn in_all_weathers(play: impl AsyncFn(Play)) {
    let weathers = (0..SEEDS).flat_map(|seed| [0, 10, WORST].map(|percent| Weather::of(percent, seed)));
    join_all(weathers.map(|weather| play(Play { weather, context: stage::context() }))).await;
}

/// One run. It is shown when it fails.
struct Play {
    weather: Weather,
    context: Context,
}

impl fmt::Debug for Play {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.weather.fmt(f)
    }
}

impl Play {
    /// Binds, and connects through a relay. Both have finished the handshake.
    async fn meet<A: Pattern, B: Pattern>(&self, binder: &Socket<A>, connecter: &Socket<B>) -> Relay {
        let mut events = binder.monitor();
        let at = soon(binder.bind("quic://127.0.0.1:0")).await.unwrap();
        let relay = Relay::new(&at, self.weather).await;
        let front = relay.endpoint("quic");
        connecter.connect(&front).unwrap();
        patiently(connecter.connected(&front)).await.unwrap();
        ready(&mut events).await;
        relay
    }
}

#[tokio::test]
async fn pushed_messages_arrive_all_once_and_in_order_and_the_sender_may_close() {
    const COUNT: u32 = 500;
    in_all_weathers(async |play| {
        let pull = Pull::builder().context(&play.context).build();
        let push = Push::builder().context(&play.context).build();
        let relay = play.meet(&pull, &push).await;
        let sending = async {
            for number in 0..COUNT {
                push.send([vec![7; 10], numbered(number, 200)]).await.unwrap();
            }
            assert_eq!(push.close().await.messages, 0, "{play:?}");
        };
        patiently(async { tokio::join!(sending, expect_run(&pull, 0, COUNT)) }).await;
        assert!(pull.try_recv().is_err(), "{play:?}");
        assert!(play.weather.lost < WORST || relay.was_bad(), "{play:?}");
        assert_eq!(relay.lost() > 0, play.weather.lost > 0, "{play:?}");
    })
    .await;
}

#[tokio::test]
async fn each_request_gets_its_reply() {
    in_all_weathers(async |play| {
        let rep = Rep::builder().context(&play.context).build();
        let req = Req::builder().context(&play.context).build();
        let relay = play.meet(&rep, &req).await;
        let asking = async {
            for number in 0..10 {
                let reply = req.request(format!("{number}?")).await.unwrap();
                assert_eq!(reply.to_text(), format!("{number}?!"), "{play:?}");
            }
        };
        let answering = async {
            loop {
                let request = rep.recv().await.unwrap();
                let answer = format!("{}!", request.message().to_text());
                request.reply(answer).await.unwrap();
            }
        };
        patiently(async {
            tokio::select! {
                () = asking => {}
                () = answering => {}
            }
        })
        .await;
        assert_eq!(relay.lost() > 0, play.weather.lost > 0, "{play:?}");
    })
    .await;
}

#[tokio::test]
async fn a_subscriber_gets_every_message_of_its_topic_from_its_subscription_on() {
    const COUNT: u32 = 300;
    in_all_weathers(async |play| {
        let publisher = XPub::builder().context(&play.context).build();
        let sub = Sub::builder().context(&play.context).build();
        let relay = play.meet(&publisher, &sub).await;
        for topic in ["a", "b"] {
            sub.subscribe(topic).unwrap();
            assert_eq!(patiently(publisher.recv()).await.unwrap(), *format!("\u{1}{topic}"), "{play:?}");
            for number in 0..COUNT {
                let topic = if number % 3 == 0 { "c" } else { topic };
                publisher.send([topic.into(), numbered(number / 3 * 2 + number % 3, 100)]).await.unwrap();
            }
            let expected = 1..=COUNT / 3 * 2;
            patiently(async {
                for number in expected {
                    let message = sub.recv().await.unwrap();
                    assert_eq!(message.first(), topic, "{play:?}");
                    assert_eq!(stage::number_of(&message), number, "{play:?}");
                }
            })
            .await;
            sub.unsubscribe(topic).unwrap();
            assert_eq!(patiently(publisher.recv()).await.unwrap(), *format!("\0{topic}"), "{play:?}");
        }
        assert!(sub.try_recv().is_err(), "{play:?}");
        assert_eq!(relay.lost() > 0, play.weather.lost > 0, "{play:?}");
    })
    .await;
}

#[tokio::test]
async fn a_client_whose_router_forgets_it_under_way_keeps_its_connection() {
    const COUNT: u32 = 300;
    in_all_weathers(async |play| {
        let pull = Pull::builder().context(&play.context).build();
        let push = Push::builder().context(&play.context).build();
        let relay = play.meet(&pull, &push).await;
        let mut events = (pull.monitor(), push.monitor());
        let working = async {
            for number in 0..COUNT {
                if number % 100 == 50 {
                    relay.forget();
                }
                push.send(numbered(number, 200)).await.unwrap();
                // Often enough that there is something under way each time.
                if number % 10 == 9 {
                    expect_run(&pull, number - 9, 10).await;
                }
            }
        };
        patiently(working).await;
        for events in [&mut events.0, &mut events.1] {
            while let Some(Some(happened)) = futures::FutureExt::now_or_never(events.next()) {
                assert!(matches!(happened, Event::PathChanged { .. }), "{play:?}: {happened:?}");
            }
        }
    })
    .await;
}
