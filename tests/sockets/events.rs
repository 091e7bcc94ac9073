//! The stories that monitors tell: in order, with names and reasons, and with their gaps counted.

use std::time::Duration;

use zocket::{Disconnect, Event, Monitor, ProtocolError, Pull, Push, Reconnect};

use crate::stage::{Order, Place, Puppet, SCHEMES, Scheme, Staged, WIRES, meet, ready, soon};

/// The names of all events until the monitor ends.
async fn story(mut events: Monitor) -> Vec<&'static str> {
    let mut names = Vec::new();
    while let Some(event) = soon(events.next()).await {
        names.push(name(&event));
    }
    names
}

fn name(event: &Event) -> &'static str {
    match event {
        Event::Listening { .. } => "listening",
        Event::Unbound { .. } => "unbound",
        Event::Accepted { .. } => "accepted",
        Event::Connected { .. } => "connected",
        Event::HandshakeFailed { .. } => "failed",
        Event::Ready { .. } => "ready",
        Event::Disconnected { .. } => "disconnected",
        Event::Retrying { .. } => "retrying",
        Event::GaveUp { .. } => "gave up",
        Event::Dropped { .. } => "dropped",
        Event::Lagged { .. } => "lagged",
        _ => "another",
    }
}

#[tokio::test]
async fn each_side_tells_its_story_in_order() {
    for scheme in WIRES {
        let pull = Pull::staged();
        let push = Push::set_up().reconnect(Reconnect::never()).build();
        let (accepting, dialling) = (pull.monitor(), push.monitor());
        let _place = meet(&pull, &push, (scheme, Order::BindFirst)).await;
        soon(push.close()).await;
        crate::stage::until(|| pull.peers().is_empty()).await;
        soon(pull.close()).await;
        assert_eq!(
            story(accepting).await,
            ["listening", "accepted", "ready", "disconnected", "unbound"],
            "{scheme:?}"
        );
        let told = story(dialling).await;
        assert_eq!(told[..3], ["connected", "ready", "disconnected"], "{scheme:?}");
    }
}

#[tokio::test]
async fn in_process_peers_are_told_of_as_well() {
    let (pull, push) = (Pull::staged(), Push::staged());
    let (accepting, dialling) = (pull.monitor(), push.monitor());
    let _place = meet(&pull, &push, (Scheme::Inproc, Order::BindFirst)).await;
    soon(push.close()).await;
    soon(pull.close()).await;
    assert_eq!(story(accepting).await, ["listening", "ready", "disconnected", "unbound"]);
    assert_eq!(story(dialling).await, ["ready", "disconnected"]);
}

#[tokio::test]
async fn events_name_the_endpoint_the_peer_and_the_pipe() {
    for scheme in SCHEMES {
        let (pull, push) = (Pull::staged(), Push::staged());
        let mut events = pull.monitor();
        let place = meet(&pull, &push, (scheme, Order::BindFirst)).await;
        let mut address = None;
        loop {
            match soon(events.next()).await.unwrap() {
                Event::Listening { endpoint } => assert_eq!(endpoint, place.endpoint),
                Event::Accepted { endpoint, peer } => {
                    assert_eq!(endpoint, place.endpoint);
                    address = Some(peer);
                }
                Event::Ready { pipe, endpoint, peer, info } => {
                    assert_eq!(endpoint, place.endpoint);
                    assert_eq!(peer, address.unwrap_or_else(|| place.endpoint.clone()));
                    assert_eq!(info.kind(), Some(zocket::SocketKind::Push));
                    assert_eq!(pipe, pull.peers()[0].pipe);
                    break;
                }
                other => panic!("{scheme:?}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_connection_that_fails_and_comes_back_is_one_story() {
    let puppet = Puppet::new().await;
    let push = Push::set_up().reconnect(crate::reconnect::quickly()).build();
    let mut events = push.monitor();
    push.connect(&puppet.endpoint).unwrap();
    drop(soon(puppet.listener.accept()).await.unwrap());
    let stream = puppet.accept("PULL").await;
    let mut told = Vec::new();
    let mut pipe = None;
    while told.last() != Some(&"ready") {
        let event = soon(events.next()).await.unwrap();
        told.push(name(&event));
        if let Event::Ready { pipe: ready, .. } = event {
            pipe = Some(ready);
        }
    }
    assert_eq!(told, ["connected", "failed", "retrying", "connected", "ready"]);
    drop(stream);
    let _stream = puppet.accept("PULL").await;
    assert_eq!(Some(ready(&mut events).await), pipe, "a pipe outlives its connections");
}

#[tokio::test]
async fn a_silent_peer_fails_its_handshake_in_time() {
    let pull = Pull::set_up().handshake_timeout(Duration::from_millis(30)).build();
    let mut events = pull.monitor();
    let place = Place::new(Scheme::Tcp);
    pull.bind(&place.endpoint).await.unwrap();
    let _silent = tokio::net::TcpStream::connect(place.endpoint.address()).await.unwrap();
    let reason = crate::stage::event(&mut events, |event| match event {
        Event::HandshakeFailed { reason, .. } => Some(reason),
        _ => None,
    })
    .await;
    assert!(
        matches!(&reason, Disconnect::Protocol(ProtocolError::HandshakeTimeout { .. })),
        "{reason:?}: {reason}"
    );
}

#[tokio::test]
async fn a_monitor_that_is_not_read_says_how_much_it_missed_and_holds_nobody_up() {
    let pull = Pull::staged();
    let mut slow = pull.monitor();
    let mut fast = pull.monitor();
    let mut total = 0_u64;
    for _ in 0..600 {
        let at = soon(pull.bind("inproc://lagged")).await.unwrap();
        soon(pull.unbind(&at)).await.unwrap();
        for _ in 0..2 {
            soon(fast.next()).await.unwrap();
            total += 1;
        }
    }
    let mut seen = 0;
    let missed = loop {
        match soon(slow.next()).await.unwrap() {
            Event::Lagged { missed } => break missed,
            _ => seen += 1,
        }
    };
    assert_eq!((seen, seen + missed), (1024, total));
    soon(pull.bind("inproc://lagged")).await.unwrap();
    assert!(matches!(soon(slow.next()).await, Some(Event::Listening { .. })), "it goes on after the gap");
}

#[tokio::test]
async fn a_monitor_starts_with_what_happens_next() {
    let pull = Pull::staged();
    pull.bind("tcp://127.0.0.1:0").await.unwrap();
    let mut events = pull.monitor();
    soon(pull.close()).await;
    assert!(matches!(soon(events.next()).await, Some(Event::Unbound { .. })));
    assert!(soon(events.next()).await.is_none());
}
