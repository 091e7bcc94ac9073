//! Slow peers: who misses what, who waits for whom, and that it is counted to the message.

use std::sync::Arc;
use std::time::Duration;

use zocket::{HighWater, Router, Sends, Socket, Sub, TrySendError, XPub};

use crate::stage::{
    LARGE, Order, SCHEMES, Scheme, Staged, WIRES, disconnected, fill, fill_up, fill_with, join, meet,
    number_of, numbered, reported, small_buffers, soon, until,
};

fn publisher(mark: usize) -> XPub {
    XPub::set_up()
        .send_high_water(HighWater::messages(mark))
        .link(small_buffers())
        .linger(Duration::ZERO)
        .build()
}

fn subscriber(mark: usize) -> Sub {
    let sub = Sub::set_up().receive_high_water(HighWater::messages(mark)).link(small_buffers()).build();
    sub.subscribe("").unwrap();
    sub
}

#[tokio::test]
async fn a_full_subscriber_alone_misses_messages_and_they_are_counted() {
    for scheme in SCHEMES {
        let publisher = publisher(10);
        let (slow, fast) = (subscriber(10), subscriber(10));
        let place = meet(&publisher, &slow, (scheme, Order::BindFirst)).await;
        assert_eq!(soon(publisher.recv()).await.unwrap(), "\u{1}");
        let slow_pipe = publisher.peers()[0].pipe;
        join(&publisher, &fast, &place.endpoint).await;
        // Not announced, since the prefix is known: the first message that comes through says it.
        soon(async {
            loop {
                publisher.send(numbered(u32::MAX, 1000)).await.unwrap();
                if fast.try_recv().is_ok() {
                    break;
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
        let mut events = publisher.monitor();
        let before = publisher.peers().iter().find(|peer| peer.pipe == slow_pipe).unwrap().dropped;
        for number in 0..500 {
            publisher.send(numbered(number, 1000)).await.unwrap();
            while number_of(&soon(fast.recv()).await.unwrap()) != number {}
        }
        let peers = publisher.peers();
        let dropped = peers.iter().find(|peer| peer.pipe == slow_pipe).unwrap().dropped - before;
        assert!(
            peers.iter().all(|peer| peer.pipe == slow_pipe || peer.dropped == 0),
            "{scheme:?}: {peers:?}"
        );
        assert!(dropped > 300, "{scheme:?}: {dropped}");
        // Now it reads: what it got is a run without its dropped ones, and the counts agree.
        let mut got = 0;
        soon(async {
            publisher.send(numbered(500, 1000)).await.unwrap();
            let mut last = None;
            loop {
                while let Ok(message) = slow.try_recv() {
                    let number = number_of(&message);
                    if number < 500 {
                        assert!(last < Some(number), "in order, none twice");
                        last = Some(number);
                        got += 1;
                    } else if number == 501 {
                        return;
                    }
                }
                while fast.try_recv().is_ok() {}
                publisher.send(numbered(501, 1000)).await.unwrap();
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert_eq!(got + dropped, 500, "{scheme:?}");
        let total = publisher.peers().iter().find(|peer| peer.pipe == slow_pipe).unwrap().dropped;
        assert_eq!(reported(&mut events), total - before, "{scheme:?}: events count what peers() counts");
    }
}

#[tokio::test]
async fn drops_are_reported_in_full_when_the_slow_peer_leaves() {
    for scheme in SCHEMES {
        let publisher = publisher(10);
        let slow = subscriber(10);
        let _place = meet(&publisher, &slow, (scheme, Order::BindFirst)).await;
        assert_eq!(soon(publisher.recv()).await.unwrap(), "\u{1}");
        let mut events = publisher.monitor();
        for number in 0..500 {
            publisher.send(numbered(number, 1000)).await.unwrap();
        }
        let dropped = publisher.peers()[0].dropped;
        assert!(dropped > 0);
        slow.close().await;
        until(|| publisher.peers().is_empty()).await;
        assert_eq!(reported(&mut events), dropped, "{scheme:?}");
    }
}

#[tokio::test]
async fn with_no_drop_a_publisher_waits_and_nobody_gets_the_message() {
    for scheme in SCHEMES {
        let publisher = XPub::set_up()
            .send_high_water(HighWater::messages(5))
            .link(small_buffers())
            .no_drop(true)
            .linger(Duration::ZERO)
            .build();
        let (slow, other) = (subscriber(5), subscriber(1_000_000));
        let place = meet(&publisher, &slow, (scheme, Order::BindFirst)).await;
        soon(publisher.recv()).await.unwrap();
        let taken = fill_up(&publisher, LARGE).await;
        join(&publisher, &other, &place.endpoint).await;
        let waiting = publisher.send(numbered(taken, 1000));
        let mut waiting = std::pin::pin!(waiting);
        assert!(futures::poll!(&mut waiting).is_pending());
        assert!(other.try_recv().is_err(), "{scheme:?}: nobody");
        for number in 0..taken {
            assert_eq!(number_of(&soon(slow.recv()).await.unwrap()), number, "{scheme:?}");
        }
        soon(waiting).await.unwrap();
        assert_eq!(number_of(&soon(slow.recv()).await.unwrap()), taken);
        assert!(publisher.peers().iter().all(|peer| peer.dropped == 0));
    }
}

/// Two subscribers to different topics, both full.
#[tokio::test]
async fn with_no_drop_who_waits_for_one_topic_does_not_hold_up_another() {
    for scheme in SCHEMES {
        let publisher = XPub::set_up()
            .send_high_water(HighWater::messages(5))
            .link(small_buffers())
            .no_drop(true)
            .linger(Duration::ZERO)
            .build();
        let build = |topic: &str| {
            let sub = Sub::set_up().receive_high_water(HighWater::messages(5)).link(small_buffers()).build();
            sub.subscribe(topic).unwrap();
            sub
        };
        let (a, b) = (build("a"), build("b"));
        let place = meet(&publisher, &a, (scheme, Order::BindFirst)).await;
        soon(publisher.recv()).await.unwrap();
        join(&publisher, &b, &place.endpoint).await;
        soon(publisher.recv()).await.unwrap();
        for topic in ["a", "b"] {
            fill_for(&publisher, topic).await;
        }
        // Tasks of their own: each is polled only when it is woken itself.
        let publisher = Arc::new(publisher);
        let wait_for = |topic: &'static str| {
            let publisher = Arc::clone(&publisher);
            tokio::spawn(async move { publisher.send([topic, "waits"]).await })
        };
        let for_a = wait_for("a");
        tokio::task::yield_now().await;
        let for_b = wait_for("b");
        tokio::task::yield_now().await;
        while soon(b.recv()).await.unwrap() != ["b", "waits"] {}
        soon(for_b).await.unwrap().unwrap();
        assert!(!for_a.is_finished(), "{scheme:?}: a is full");
        while soon(a.recv()).await.unwrap() != ["a", "waits"] {}
        soon(for_a).await.unwrap().unwrap();
    }
}

/// Sends to a name or topic until nothing more is taken.
async fn fill_for<P: Sends>(socket: &Socket<P>, name: &str) {
    fill_with(socket, |_| [name.as_bytes(), &[0; LARGE]]).await;
}

#[tokio::test]
async fn a_router_waits_for_the_full_peer_and_others_pass() {
    use zocket::Dealer;
    for scheme in SCHEMES {
        let router = Router::set_up().send_high_water(HighWater::messages(5)).link(small_buffers()).build();
        let build = |name: &str| {
            Dealer::set_up()
                .routing_id(name)
                .receive_high_water(HighWater::messages(5))
                .link(small_buffers())
                .build()
        };
        let (a, b) = (build("a"), build("b"));
        let place = meet(&router, &a, (scheme, Order::BindFirst)).await;
        join(&router, &b, &place.endpoint).await;
        for name in ["a", "b"] {
            fill_for(&router, name).await;
        }
        assert!(matches!(router.try_send(["a", "x"]), Err(TrySendError::Full(_))));
        // Tasks of their own: each is polled only when it is woken itself.
        let router = Arc::new(router);
        let wait_for = |name: &'static str| {
            let router = Arc::clone(&router);
            tokio::spawn(async move { router.send([name, "waits"]).await })
        };
        let for_a = wait_for("a");
        tokio::task::yield_now().await;
        let for_b = wait_for("b");
        tokio::task::yield_now().await;
        while soon(b.recv()).await.unwrap() != "waits" {}
        soon(for_b).await.unwrap().unwrap();
        assert!(!for_a.is_finished(), "{scheme:?}: a is full");
        while soon(a.recv()).await.unwrap() != "waits" {}
        soon(for_a).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_sender_that_waits_for_a_peer_hears_that_it_is_gone() {
    use zocket::{Dealer, SendError};
    for scheme in WIRES {
        let router = Router::set_up().send_high_water(HighWater::messages(5)).link(small_buffers()).build();
        let dealer = Dealer::set_up()
            .routing_id("a")
            .receive_high_water(HighWater::messages(5))
            .link(small_buffers())
            .build();
        let _place = meet(&router, &dealer, (scheme, Order::BindFirst)).await;
        let mut events = router.monitor();
        fill_for(&router, "a").await;
        let waiting = router.send(["a", "waits"]);
        let mut waiting = std::pin::pin!(waiting);
        assert!(futures::poll!(&mut waiting).is_pending());
        drop(dealer);
        disconnected(&mut events).await;
        assert_eq!(
            soon(waiting).await,
            Err(SendError::Unroutable(Box::new(["a", "waits"].into()))),
            "{scheme:?}"
        );
    }
}

#[tokio::test]
async fn push_passes_over_a_full_peer() {
    use zocket::{Pull, Push};
    for scheme in WIRES {
        let push = Push::set_up().send_high_water(HighWater::messages(5)).link(small_buffers()).build();
        let slow = Pull::set_up().receive_high_water(HighWater::messages(5)).link(small_buffers()).build();
        let fast = Pull::staged();
        let place = meet(&push, &slow, (scheme, Order::BindFirst)).await;
        let stuck = fill_up(&push, LARGE).await;
        join(&push, &fast, &place.endpoint).await;
        for number in stuck..stuck + 500 {
            soon(push.send(numbered(number, 1000))).await.unwrap();
            assert_eq!(number_of(&soon(fast.recv()).await.unwrap()), number, "{scheme:?}");
        }
        assert_eq!(fill(&push, 0, LARGE), 5, "only the fast one has room");
    }
}

#[tokio::test]
async fn a_router_that_is_not_mandatory_drops_for_the_full_peer_and_counts() {
    use zocket::Dealer;
    let router = Router::set_up().mandatory(false).send_high_water(HighWater::messages(2)).build();
    let dealer = Dealer::set_up().routing_id("a").receive_high_water(HighWater::messages(3)).build();
    let _place = meet(&router, &dealer, (Scheme::Inproc, Order::BindFirst)).await;
    let mut events = router.monitor();
    for _ in 0..12 {
        router.try_send(["a", "m"]).unwrap();
    }
    router.try_send(["nobody", "m"]).unwrap();
    assert_eq!(router.peers()[0].dropped, 7);
    for _ in 0..5 {
        soon(dealer.recv()).await.unwrap();
    }
    assert_eq!(reported(&mut events), 7);
}
