//! Sockets on hosts of their own, with cables between them that are pulled and that lose packets; multicast to many.
//!
//! The hosts are namespaces of the Linux kernel ([`hosts`]). Where there are none, each test says that it is skipped.

#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, clippy::panic, reason = "whatever goes wrong fails the test that met it")]

mod hosts;

use std::thread;
use std::time::Duration;

use zocket::transport::quic::{Identity, Quic, Trust};
use zocket::{Context, Disconnect, Dish, Endpoint, Event, Heartbeat, Monitor, Pull, Push, Radio, Reconnect};

use crate::hosts::{Host, alone, say};

const WIRES: [&str; 2] = ["tcp", "quic"];

/// With every transport, where all know and trust one key.
fn context() -> Context {
    let identity = Identity::generate().unwrap();
    let trust = Trust::keys([identity.fingerprint()]);
    let quic = Quic::server(identity).trust(trust.clone()).admit(trust);
    Context::builder().transport(quic).build().unwrap()
}

/// A PULL on the first host, and a PUSH on the second that is connected to it.
fn meet(scheme: &str, pulling: &Host, pushing: &Host, heartbeat: Heartbeat) -> (Pull, Push, Monitor) {
    let (here, at) = (context(), format!("{scheme}://{}:0", pulling.address));
    let there = here.clone();
    // Each is built on its host, for that is where its tasks run.
    let (pull, at): (_, Endpoint) = pulling.does(async move {
        let pull = Pull::builder().context(&here).heartbeat(heartbeat).build();
        let at = pull.bind(at).await.unwrap();
        (pull, at)
    });
    let (push, events) = pushing.does(async move {
        let push = Push::builder()
            .context(&there)
            .heartbeat(heartbeat)
            .reconnect(Reconnect::within(Duration::from_millis(10), Duration::from_millis(100)))
            // What asks while the plug is out asks ever more rarely: it begins anew soon.
            .connect_timeout(Duration::from_secs(1))
            .build();
        let events = push.monitor();
        push.connect(&at).unwrap();
        push.connected(&at).await.unwrap();
        (push, events)
    });
    (pull, push, events)
}

async fn send_all(push: &Push, numbers: std::ops::Range<u32>) {
    for number in numbers {
        push.send([number.to_string().into(), vec![7; 1000]]).await.unwrap();
    }
}

async fn expect_all(pull: &Pull, numbers: std::ops::Range<u32>) {
    for number in numbers {
        assert_eq!(*pull.recv().await.unwrap().first(), *number.to_string());
    }
}

#[test]
fn a_group_reaches_a_dish_on_each_of_three_hosts() {
    alone("a_group_reaches_a_dish_on_each_of_three_hosts", |network| {
        const GROUP: &str = "udp://eth0;239.1.2.3:5555";
        let radio_host = network.host();
        let dish_hosts = [(); 3].map(|()| network.host());
        let dishes = dish_hosts.each_ref().map(|host| {
            host.does(async {
                let dish = Dish::new();
                dish.bind(GROUP).await.unwrap();
                dish.join("ticker").unwrap();
                dish
            })
        });
        let radio = radio_host.does(async {
            let radio = Radio::new();
            radio.connect(GROUP).unwrap();
            radio.connected(GROUP).await.unwrap();
            for number in 0..50 {
                radio.send("another", "is not joined").await.unwrap();
                radio.send("ticker", number.to_string()).await.unwrap();
            }
            radio
        });
        for (host, dish) in dish_hosts.iter().zip(dishes) {
            host.does(async move {
                for number in 0..50 {
                    let (group, message) = dish.recv().await.unwrap();
                    assert_eq!((&*group, message.to_text()), (&b"ticker"[..], number.to_string()));
                }
            });
        }
        drop(radio);
    });
}

#[test]
fn a_plug_that_is_out_for_a_moment_costs_no_message() {
    alone("a_plug_that_is_out_for_a_moment_costs_no_message", |network| {
        let (left, right) = (network.host(), network.host());
        for scheme in WIRES {
            let (pull, push, mut events) = meet(scheme, &left, &right, Heartbeat::default());
            left.plug(false);
            let push = right.does(async move {
                send_all(&push, 0..100).await;
                push
            });
            assert!(pull.try_recv().is_err(), "{scheme}: the plug is out");
            left.plug(true);
            let pull = left.does(async move {
                expect_all(&pull, 0..100).await;
                pull
            });
            while let Some(Some(event)) = futures::FutureExt::now_or_never(events.next()) {
                assert!(!matches!(event, Event::Disconnected { .. }), "{scheme}: {event:?}");
            }
            drop((pull, push));
        }
    });
}

#[test]
fn over_udp_too_what_is_sent_while_ones_own_plug_is_out_waits() {
    alone("over_udp_too_what_is_sent_while_ones_own_plug_is_out_waits", |network| {
        let (left, right) = (network.host(), network.host());
        let (pull, push, mut events) = meet("udp", &left, &right, Heartbeat::default());
        right.plug(false);
        let push = right.does(async move {
            // No more than a system holds until it knows who has the address.
            send_all(&push, 0..20).await;
            push
        });
        assert!(pull.try_recv().is_err(), "the plug is out");
        right.plug(true);
        let pull = left.does(async move {
            expect_all(&pull, 0..20).await;
            pull
        });
        while let Some(Some(event)) = futures::FutureExt::now_or_never(events.next()) {
            assert!(!matches!(event, Event::Disconnected { .. } | Event::Dropped { .. }), "{event:?}");
        }
        drop((pull, push));
    });
}

#[test]
fn a_host_that_gets_another_address_calls_anew_from_there_and_nothing_is_lost() {
    alone("a_host_that_gets_another_address_calls_anew_from_there_and_nothing_is_lost", |network| {
        let (left, mut right) = (network.host(), network.host());
        let (pull, push, mut events) = meet("udp", &left, &right, Heartbeat::default());
        right.moves();
        let (reason, push) = right.does(async move {
            send_all(&push, 0..20).await;
            loop {
                if let Event::Disconnected { reason, .. } = events.next().await.unwrap() {
                    return (reason, push);
                }
            }
        });
        assert!(matches!(reason, Disconnect::Io(_)), "{reason}");
        left.does(async move { expect_all(&pull, 0..20).await });
        drop(push);
    });
}

#[test]
fn a_plug_that_is_out_for_long_is_reported_and_the_connection_comes_back() {
    alone("a_plug_that_is_out_for_long_is_reported_and_the_connection_comes_back", |network| {
        let (left, right) = (network.host(), network.host());
        for scheme in WIRES {
            let heartbeat = Heartbeat::every(Duration::from_millis(100));
            let (pull, push, mut events) = meet(scheme, &left, &right, heartbeat);
            left.plug(false);
            let (reason, mut events) = right.does(async move {
                loop {
                    if let Event::Disconnected { reason, .. } = events.next().await.unwrap() {
                        return (reason, events);
                    }
                }
            });
            assert!(!matches!(reason, Disconnect::PeerClosed), "{scheme}: {reason:?}");
            assert!(!reason.is_refusal(), "{scheme}: {reason:?}");
            left.plug(true);
            let push = right.does(async move {
                while !matches!(events.next().await.unwrap(), Event::Ready { .. }) {}
                send_all(&push, 0..10).await;
                push
            });
            left.does(async move { expect_all(&pull, 0..10).await });
            drop(push);
        }
    });
}

#[test]
fn a_cable_that_loses_packets_costs_no_message() {
    alone("a_cable_that_loses_packets_costs_no_message", |network| {
        let pairs = [10, 20].map(|percent| {
            let pair = [network.host(), network.host()];
            pair.iter().try_for_each(|host| host.loses(percent)).map(|()| pair)
        });
        thread::scope(|scope| {
            for pair in &pairs {
                let [left, right] = match pair {
                    Ok(pair) => pair,
                    Err(reason) => return say(&format!("skipped: this kernel loses no packets: {reason}")),
                };
                // At once, for it is the waits that take time.
                for scheme in WIRES {
                    scope.spawn(move || {
                        let (pull, push, _) = meet(scheme, left, right, Heartbeat::default());
                        let receiving = left.begins(async move { expect_all(&pull, 0..50).await });
                        let _push = right.does(async move {
                            send_all(&push, 0..50).await;
                            push
                        });
                        receiving();
                    });
                }
            }
        });
    });
}
