//! Connections that break: what the connecting side keeps, what the accepting side drops, and when it stops.

use std::time::Duration;

use tokio::io::AsyncReadExt;
use zocket::{
    ConnectError, Dealer, Disconnect, Dropped, Event, HighWater, Pub, Pull, Push, Reconnect, Sub,
    TrySendError, XPub,
};

use crate::stage::{
    LARGE, Place, Puppet, SCHEMES, Scheme, Staged, disconnected, event, expect_run, fill_up, number_of,
    numbered, only_peer, read_frame, ready, small_buffers, soon, until,
};

pub(crate) fn quickly() -> Reconnect {
    Reconnect::within(Duration::from_millis(1), Duration::from_millis(10))
}

#[tokio::test]
async fn unsent_messages_survive_connections_that_die_before_the_handshake() {
    let puppet = Puppet::new().await;
    let push = Push::set_up().reconnect(quickly()).build();
    push.connect(&puppet.endpoint).unwrap();
    for number in 0..100 {
        push.send(numbered(number, 4)).await.unwrap();
    }
    // It says no more than its signature before it hears something.
    for bytes in [0, 1, 9, 10] {
        let (mut stream, _) = soon(puppet.listener.accept()).await.unwrap();
        soon(stream.read_exact(&mut vec![0; bytes])).await.unwrap();
    }
    let mut stream = puppet.accept("PULL").await;
    for number in 0..100 {
        assert_eq!(read_frame(&mut stream).await.unwrap().1, numbered(number, 4));
    }
}

#[tokio::test]
async fn a_message_cut_by_a_lost_connection_is_sent_again_whole_and_the_rest_in_order() {
    const SIZE: usize = 1 << 20;
    let puppet = Puppet::new().await;
    let push = Push::set_up().reconnect(quickly()).link(small_buffers()).build();
    push.connect(&puppet.endpoint).unwrap();
    let mut stream = puppet.accept("PULL").await;
    for number in 0..8 {
        push.send(numbered(number, SIZE)).await.unwrap();
    }
    assert_eq!(read_frame(&mut stream).await.unwrap().1, numbered(0, SIZE));
    // The second one is cut in the middle: it does not fit the kernel.
    soon(stream.read_exact(&mut vec![0; 1000])).await.unwrap();
    drop(stream);
    let mut stream = puppet.accept("PULL").await;
    for number in 1..8 {
        let (flags, body) = read_frame(&mut stream).await.unwrap();
        assert_eq!(flags, 2);
        assert!(body == numbered(number, SIZE), "message {number} is whole");
    }
    until(|| only_peer(&push).send_queue == 0).await;
}

#[tokio::test]
async fn messages_of_several_frames_are_sent_again_from_their_first_frame() {
    /// More than kernels buffer for a connection, so that the message cannot be through when its link ends.
    const LARGE: usize = 48 << 20;
    let puppet = Puppet::new().await;
    let push = Push::set_up().reconnect(quickly()).build();
    push.connect(&puppet.endpoint).unwrap();
    let mut stream = puppet.accept("PULL").await;
    push.send([b"head".to_vec(), vec![1; 2 << 20], vec![2; LARGE], b"tail".to_vec()]).await.unwrap();
    for _ in 0..2 {
        read_frame(&mut stream).await.unwrap();
    }
    drop(stream);
    let mut stream = puppet.accept("PULL").await;
    let mut frames = Vec::new();
    for _ in 0..4 {
        let (flags, body) = read_frame(&mut stream).await.unwrap();
        frames.push((flags & 1, body.len()));
    }
    assert_eq!(frames, [(1, 4), (1, 2 << 20), (1, LARGE), (0, 4)]);
}

#[tokio::test]
async fn a_peer_that_restarts_on_its_address_gets_what_was_not_sent() {
    for scheme in SCHEMES {
        let place = Place::new(scheme);
        let push = Push::set_up().reconnect(quickly()).build();
        push.connect(&place.endpoint).unwrap();
        let mut events = push.monitor();
        let mut next = 0;
        for _ in 0..4 {
            let pull = Pull::staged();
            soon(pull.bind(&place.endpoint)).await.unwrap();
            ready(&mut events).await;
            for number in next..next + 50 {
                soon(push.send(numbered(number, 4))).await.unwrap();
            }
            expect_run(&pull, next, 50).await;
            next += 50;
            soon(pull.close()).await;
            drop(pull);
            until(|| only_peer(&push).info.is_none()).await;
            for number in next..next + 50 {
                push.try_send(numbered(number, 4)).unwrap();
            }
            let pull = Pull::staged();
            soon(pull.bind(&place.endpoint)).await.unwrap();
            ready(&mut events).await;
            expect_run(&pull, next, 50).await;
            next += 50;
            soon(pull.close()).await;
            until(|| only_peer(&push).info.is_none()).await;
        }
    }
}

#[tokio::test]
async fn with_immediate_nothing_waits_for_the_next_connection() {
    let puppet = Puppet::new().await;
    let push = Push::set_up()
        .immediate(true)
        .reconnect(quickly())
        .send_high_water(HighWater::messages(20))
        .link(small_buffers())
        .build();
    let mut events = push.monitor();
    push.connect(&puppet.endpoint).unwrap();
    assert!(matches!(push.try_send("early"), Err(TrySendError::NoPeer(_))));
    let stream = puppet.accept("PULL").await;
    ready(&mut events).await;
    fill_up(&push, LARGE).await;
    drop(stream);
    let messages = event(&mut events, |event| match event {
        Event::Dropped { messages, reason: Dropped::LinkLost, .. } => Some(messages),
        _ => None,
    })
    .await;
    assert_eq!(messages, 20, "all that the kernel had not taken");
    let mut stream = puppet.accept("PULL").await;
    ready(&mut events).await;
    push.send("fresh").await.unwrap();
    assert_eq!(read_frame(&mut stream).await.unwrap().1, b"fresh");
}

#[tokio::test]
async fn an_accepted_peer_that_leaves_takes_its_queue_and_that_is_reported() {
    let push = Push::set_up().send_high_water(HighWater::messages(20)).link(small_buffers()).build();
    let at = push.bind("tcp://127.0.0.1:0").await.unwrap();
    let mut events = push.monitor();
    let mut stream = tokio::net::TcpStream::connect(at.address()).await.unwrap();
    crate::stage::handshake(&mut stream, "PULL", false).await;
    ready(&mut events).await;
    fill_up(&push, LARGE).await;
    assert_eq!(only_peer(&push).send_queue, 20);
    drop(stream);
    let messages = event(&mut events, |event| match event {
        Event::Dropped { messages, reason: Dropped::LinkLost, .. } => Some(messages),
        _ => None,
    })
    .await;
    assert_eq!(messages, 20);
    until(|| push.peers().is_empty()).await;
    assert!(matches!(push.try_send("x"), Err(TrySendError::NoPeer(_))));
}

#[tokio::test]
async fn subscriptions_are_made_anew_on_every_connection() {
    for scheme in SCHEMES {
        let place = Place::new(scheme);
        let sub = Sub::set_up().reconnect(quickly()).build();
        sub.connect(&place.endpoint).unwrap();
        for topic in ["a", "b", "a", "gone"] {
            sub.subscribe(topic).unwrap();
        }
        sub.unsubscribe("gone").unwrap();
        sub.unsubscribe("a").unwrap();
        for round in 0..3 {
            let publisher = XPub::staged();
            soon(publisher.bind(&place.endpoint)).await.unwrap();
            let mut told = Vec::new();
            for _ in 0..2 + round {
                told.push(soon(publisher.recv()).await.unwrap().to_text());
            }
            told.sort();
            let expected: Vec<_> =
                ["a", "b", "c0", "c1"].iter().take(2 + round).map(|t| format!("\u{1}{t}")).collect();
            assert_eq!(told, expected, "{scheme:?}");
            assert!(publisher.try_recv().is_err(), "each topic once");
            soon(publisher.send("b!")).await.unwrap();
            assert_eq!(soon(sub.recv()).await.unwrap(), "b!");
            soon(publisher.close()).await;
            until(|| only_peer(&sub).info.is_none()).await;
            sub.subscribe(format!("c{round}")).unwrap();
        }
    }
}

#[tokio::test]
async fn a_publisher_that_does_not_read_loses_its_link_and_hears_on_the_next_only_what_is_wanted_then() {
    let puppet = Puppet::new().await;
    let sub = Sub::set_up().link(small_buffers()).build();
    let mut events = sub.monitor();
    sub.connect(&puppet.endpoint).unwrap();
    let unread = puppet.accept("PUB").await;
    ready(&mut events).await;
    sub.subscribe("wanted").unwrap();
    let long = vec![7; 64 * 1024];
    // 64 MiB wait, and the kernel and the driver hold some.
    let changes = async {
        for _ in 0..1024 {
            sub.subscribe(&long[..]).unwrap();
            sub.unsubscribe(&long[..]).unwrap();
            tokio::task::yield_now().await;
        }
    };
    let (reason, ()) = tokio::join!(disconnected(&mut events), changes);
    assert!(matches!(reason, Disconnect::NotReading), "{reason}");
    drop(unread);
    let mut publisher = puppet.accept("PUB").await;
    sub.subscribe("later").unwrap();
    let mut told = [(); 2].map(|()| Vec::new());
    for frame in &mut told {
        (_, *frame) = read_frame(&mut publisher).await.unwrap();
    }
    told.sort();
    assert_eq!(told, [&b"\x09SUBSCRIBElater"[..], b"\x09SUBSCRIBEwanted"]);
}

#[tokio::test]
async fn attempts_that_fail_are_reported_with_growing_waits() {
    let place = Place::new(Scheme::Tcp);
    let (first, longest) = (Duration::from_millis(4), Duration::from_millis(16));
    let push = Push::set_up().reconnect(Reconnect::within(first, longest)).build();
    let mut events = push.monitor();
    push.connect(&place.endpoint).unwrap();
    for most in [4, 8, 16, 16, 16] {
        let (endpoint, reason, after) = event(&mut events, |event| match event {
            Event::Retrying { endpoint, reason, after } => Some((endpoint, reason, after)),
            _ => None,
        })
        .await;
        assert_eq!(endpoint, place.endpoint);
        assert!(
            matches!(&reason, Disconnect::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused)
        );
        let most = Duration::from_millis(most);
        assert!((most / 2..=most).contains(&after), "{after:?} of {most:?}");
    }
    let pull = Pull::staged();
    pull.bind(&place.endpoint).await.unwrap();
    ready(&mut events).await;
    pull.close().await;
    let after = event(&mut events, |event| match event {
        Event::Retrying { after, .. } => Some(after),
        _ => None,
    })
    .await;
    assert!(after <= first, "a handshake starts the waits anew: {after:?}");
}

#[tokio::test]
async fn never_reconnecting_gives_up_after_the_first_failure_or_loss() {
    let place = Place::new(Scheme::Tcp);
    let push = Push::set_up().reconnect(Reconnect::never()).build();
    let mut events = push.monitor();
    push.connect(&place.endpoint).unwrap();
    let failed = soon(push.connected(&place.endpoint)).await;
    assert!(
        matches!(&failed, Err(ConnectError::GaveUp { endpoint, .. }) if *endpoint == place.endpoint),
        "{failed:?}"
    );
    event(&mut events, |event| matches!(event, Event::GaveUp { .. }).then_some(())).await;
    assert!(push.peers().is_empty());
    let pull = Pull::staged();
    pull.bind(&place.endpoint).await.unwrap();
    push.connect(&place.endpoint).unwrap();
    soon(push.connected(&place.endpoint)).await.unwrap();
    pull.close().await;
    let reason = event(&mut events, |event| match event {
        Event::GaveUp { reason, .. } => Some(reason),
        Event::Retrying { .. } => panic!("never"),
        _ => None,
    })
    .await;
    assert!(matches!(reason, Disconnect::PeerClosed), "{reason:?}");
    until(|| push.peers().is_empty()).await;
}

#[tokio::test]
async fn stopping_on_refusal_gives_up_when_the_peer_is_of_the_wrong_type_and_only_then() {
    let puppet = Puppet::new().await;
    let push = Push::set_up().reconnect(quickly().stop_on_refusal()).build();
    let mut events = push.monitor();
    push.connect(&puppet.endpoint).unwrap();
    drop(soon(puppet.listener.accept()).await.unwrap());
    event(&mut events, |event| matches!(event, Event::Retrying { .. }).then_some(())).await;
    let _stream = puppet.accept("PUB").await;
    let reason = event(&mut events, |event| match event {
        Event::GaveUp { reason, .. } => Some(reason),
        _ => None,
    })
    .await;
    assert!(reason.is_refusal(), "{reason:?}");
    assert!(matches!(soon(push.connected(&puppet.endpoint)).await, Err(ConnectError::GaveUp { .. })));
}

#[tokio::test]
async fn what_waited_for_a_peer_that_is_given_up_is_reported() {
    let puppet = Puppet::new().await;
    let push = Push::set_up().reconnect(Reconnect::never()).build();
    let mut events = push.monitor();
    push.connect(&puppet.endpoint).unwrap();
    for _ in 0..5 {
        push.send("m").await.unwrap();
    }
    drop(soon(puppet.listener.accept()).await.unwrap());
    let dropped = event(&mut events, |event| match event {
        Event::Dropped { messages, reason, .. } => Some((messages, reason)),
        _ => None,
    })
    .await;
    assert_eq!(dropped, (5, Dropped::LinkLost));
}

#[tokio::test]
async fn a_dealer_that_gave_up_may_connect_again() {
    let place = Place::new(Scheme::Tcp);
    let dealer = Dealer::set_up().reconnect(Reconnect::never()).build();
    dealer.connect(&place.endpoint).unwrap();
    soon(dealer.connected(&place.endpoint)).await.unwrap_err();
    let other = Dealer::staged();
    other.bind(&place.endpoint).await.unwrap();
    dealer.connect(&place.endpoint).unwrap();
    soon(dealer.connected(&place.endpoint)).await.unwrap();
}

#[tokio::test]
async fn a_publisher_forgets_the_subscriptions_of_a_peer_that_left() {
    let puppet = Puppet::new().await;
    let publisher = Pub::set_up().reconnect(quickly()).build();
    let mut events = publisher.monitor();
    publisher.connect(&puppet.endpoint).unwrap();
    let mut stream = puppet.accept("SUB").await;
    ready(&mut events).await;
    tokio::io::AsyncWriteExt::write_all(&mut stream, b"\0\x02\x01a").await.unwrap();
    soon(async {
        loop {
            publisher.send("a").await.unwrap();
            if only_peer(&publisher).send_queue > 0 {
                break;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    drop(stream);
    disconnected(&mut events).await;
    let _stream = puppet.accept("SUB").await;
    ready(&mut events).await;
    let before = only_peer(&publisher).send_queue;
    publisher.send("a").await.unwrap();
    assert!(only_peer(&publisher).send_queue <= before, "the new peer has not subscribed");
}

#[tokio::test]
async fn a_queue_keeps_its_mark_across_connections() {
    let puppet = Puppet::new().await;
    let push = Push::set_up()
        .reconnect(quickly())
        .send_high_water(HighWater::messages(30))
        .link(small_buffers())
        .build();
    push.connect(&puppet.endpoint).unwrap();
    let mut total = 0;
    let mut read = 0;
    for _ in 0..4 {
        let mut stream = puppet.accept("PULL").await;
        until(|| only_peer(&push).info.is_some()).await;
        loop {
            match push.try_send(numbered(total, 1000)) {
                Ok(()) => total += 1,
                Err(error) => {
                    assert!(matches!(error, TrySendError::Full(_)));
                    break;
                }
            }
        }
        assert_eq!(only_peer(&push).send_queue, 30);
        let (_, body) = read_frame(&mut stream).await.unwrap();
        let number = number_of(&body.into());
        assert!(number >= read, "nothing comes back that was read whole");
        read = number + 1;
    }
}
