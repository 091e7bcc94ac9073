//! RADIO and DISH: who gets what, joins that come and go, slow members. Their bytes, and bad peers, are in [`raw`].

mod raw;

use std::sync::Arc;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tokio::io::AsyncWriteExt;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use zocket::{
    Dish, Group, GroupError, HighWater, JoinError, Message, Radio, Reconnect, RecvError, SendError,
    TryRecvError, TrySendError,
};

use crate::stage::{
    LARGE, Order, Puppet, SCHEMES, Staged, join, meet, meet_tcp, numbered, only_peer, reported,
    small_buffers, soon, until, ways,
};

/// A member that the radio knows of.
async fn joined(radio: &Radio, dish: &Dish, group: &str) {
    let before = radio.groups();
    dish.join(group).unwrap();
    until(|| radio.groups() == before + 1).await;
}

/// Receives a message, which must be this one.
#[track_caller]
fn hears(dish: &Dish, group: &str, body: &str) -> impl Future<Output = ()> {
    let received = soon(dish.recv());
    async move { assert_eq!(received.await.unwrap(), (Group::new(group).unwrap(), Message::from(body))) }
}

fn too_long(len: usize) -> GroupError {
    GroupError::TooLong { len }
}

#[tokio::test]
async fn a_message_goes_to_all_who_joined_exactly_its_group() {
    for way in ways() {
        for radio_binds in [true, false] {
            let (radio, dish, other) = (Radio::staged(), Dish::staged(), Dish::staged());
            let _places = if radio_binds {
                (meet(&radio, &dish, way).await, meet(&radio, &other, way).await)
            } else {
                (meet(&dish, &radio, way).await, meet(&other, &radio, way).await)
            };
            for group in ["a", "", &"g".repeat(255)] {
                joined(&radio, &dish, group).await;
            }
            joined(&radio, &other, "ab").await;
            let long = "x".repeat(100_000);
            for (group, body) in
                [("ab", "1"), ("b", "2"), ("a", "3"), ("a\u{1}", "4"), ("a", &long), ("", "")]
            {
                soon(radio.send(group, body)).await.unwrap();
            }
            soon(radio.send("g".repeat(255), vec![7; 300])).await.unwrap();
            hears(&dish, "a", "3").await;
            hears(&dish, "a", &long).await;
            hears(&dish, "", "").await;
            let (group, message) = soon(dish.recv()).await.unwrap();
            assert_eq!((group.len(), message), (255, vec![7; 300].into()), "{way:?}");
            hears(&other, "ab", "1").await;
            assert_eq!(
                (dish.try_recv(), other.try_recv()),
                (Err(TryRecvError::Empty), Err(TryRecvError::Empty))
            );
        }
    }
}

#[tokio::test]
async fn a_group_that_is_left_is_not_heard_any_more_and_may_be_joined_again() {
    for way in ways() {
        let (radio, dish) = (Radio::staged(), Dish::staged());
        let _place = meet(&radio, &dish, way).await;
        joined(&radio, &dish, "a").await;
        joined(&radio, &dish, "b").await;
        // Under way when the group is left.
        for (group, body) in [("a", "1"), ("b", "2")] {
            soon(radio.send(group, body)).await.unwrap();
        }
        until(|| only_peer(&dish).receive_queue == 2).await;
        dish.leave("a").unwrap();
        hears(&dish, "b", "2").await;
        until(|| radio.groups() == 1).await;
        soon(radio.send("a", "3")).await.unwrap();
        joined(&radio, &dish, "a").await;
        soon(radio.send("a", "4")).await.unwrap();
        hears(&dish, "a", "4").await;
        assert_eq!(dish.try_recv(), Err(TryRecvError::Empty), "{way:?}");
    }
}

#[tokio::test]
async fn joining_twice_leaving_what_is_not_joined_and_what_is_no_group_are_errors() {
    let dish = Dish::staged();
    assert_eq!(dish.leave("a"), Err(JoinError::NotJoined));
    dish.join("a").unwrap();
    assert_eq!(dish.join("a"), Err(JoinError::AlreadyJoined));
    dish.leave("a").unwrap();
    assert_eq!(dish.leave("a"), Err(JoinError::NotJoined));
    for (bytes, error) in [(vec![7; 256], too_long(256)), (b"a\0".to_vec(), GroupError::ZeroByte)] {
        assert_eq!(dish.join(&bytes[..]), Err(JoinError::Group(error)));
        assert_eq!(dish.leave(bytes), Err(JoinError::Group(error)));
    }
    let group = Group::new("checked before").unwrap();
    dish.join(&group).unwrap();
    assert_eq!(dish.join(group), Err(JoinError::AlreadyJoined));
    soon(dish.close()).await;
    assert_eq!(dish.join("b"), Err(JoinError::Closed));
    assert_eq!(dish.leave("checked before"), Err(JoinError::Closed));
    assert_eq!(dish.recv().await, Err(RecvError::Closed));
    assert_eq!(dish.try_recv(), Err(TryRecvError::Closed));
}

#[tokio::test]
async fn joins_and_leaves_of_one_group_at_once_end_in_one_state() {
    let (radio, dish) = (Radio::staged(), Arc::new(Dish::staged()));
    let _place = meet_tcp(&radio, &dish).await;
    let racers = [(); 4].map(|()| {
        let dish = Arc::clone(&dish);
        std::thread::spawn(move || {
            for _ in 0..2000 {
                // Either may be told that another was faster.
                dish.join("a").ok();
                dish.leave("a").ok();
            }
        })
    });
    racers.into_iter().for_each(|racer| racer.join().unwrap());
    assert_eq!(dish.leave("a"), Err(JoinError::NotJoined), "whoever joined has left");
    joined(&radio, &dish, "end").await;
    assert_eq!(radio.groups(), 1);
    joined(&radio, &dish, "a").await;
    soon(radio.send("a", "heard")).await.unwrap();
    hears(&dish, "a", "heard").await;
}

#[tokio::test]
async fn what_a_radio_cannot_send_comes_back() {
    let radio = Radio::staged();
    let (two, long) = (Message::from(["a", "b"]), vec![7; 256]);
    let boxed = |message: &Message| Box::new(message.clone());
    assert_eq!(radio.send("a", two.clone()).await, Err(SendError::SeveralFrames(boxed(&two))));
    assert_eq!(radio.try_send("a", two.clone()), Err(TrySendError::SeveralFrames(boxed(&two))));
    assert_eq!(
        radio.sink().send((Group::new("a").unwrap(), two.clone())).await.unwrap_err().into_message(),
        two
    );
    let mut sink = radio.sink();
    sink.start_send_unpin((Group::new("a").unwrap(), "kept".into())).unwrap();
    let back = sink.start_send_unpin((Group::new("a").unwrap(), "back".into()));
    assert_eq!(back, Err(SendError::NotReady(Box::new("back".into()))));
    assert_eq!(radio.send(&long[..], "x").await, Err(SendError::BadGroup(Box::new("x".into()))));
    assert_eq!(radio.try_send(long, "x"), Err(TrySendError::BadGroup(Box::new("x".into()))));
    soon(radio.close()).await;
    assert_eq!(radio.send("a", "x").await, Err(SendError::Closed(Box::new("x".into()))));
    assert_eq!(radio.try_send("a", "x"), Err(TrySendError::Closed(Box::new("x".into()))));
    let closed = radio.sink().send((Group::new("a").unwrap(), "x".into())).await;
    assert_eq!(closed, Err(SendError::Closed(Box::new("x".into()))));
}

#[tokio::test]
async fn groups_and_messages_go_through_a_sink_and_a_stream() {
    for scheme in SCHEMES {
        let (radio, dish) = (Radio::staged(), Dish::staged());
        let _place = meet(&radio, &dish, (scheme, Order::BindFirst)).await;
        joined(&radio, &dish, "a").await;
        let sent: Vec<_> =
            ["1", "2", "3", "4"].map(|body| (Group::new("a").unwrap(), Message::from(body))).into();
        let mut all = futures::stream::iter(sent.clone().into_iter().map(Ok));
        soon(radio.sink().send_all(&mut all)).await.unwrap();
        let mut received: Vec<_> = soon(dish.stream().take(2).collect()).await;
        while received.len() < 4 {
            let before = received.len();
            assert_eq!(soon(dish.recv_many(&mut received, 2)).await.unwrap(), received.len() - before);
        }
        assert_eq!(received, sent, "{scheme:?}");
        soon(radio.send("a", "5")).await.unwrap();
        let (pipe, _, message) = soon(dish.recv_from()).await.unwrap();
        assert_eq!((pipe, message), (only_peer(&dish).pipe, "5".into()));
    }
}

#[tokio::test]
async fn groups_are_joined_anew_on_every_connection_and_vanish_with_the_old_one() {
    for scheme in SCHEMES {
        let dish = Dish::set_up()
            .reconnect(Reconnect::within(Duration::from_millis(1), Duration::from_millis(5)))
            .build();
        for group in ["a", "b", "gone"] {
            dish.join(group).unwrap();
        }
        dish.leave("gone").unwrap();
        let first = Radio::staged();
        let place = meet(&first, &dish, (scheme, Order::BindFirst)).await;
        until(|| first.groups() == 2).await;
        soon(first.close()).await;
        // While there is nobody.
        until(|| dish.peers().iter().all(|peer| peer.info.is_none())).await;
        dish.leave("b").unwrap();
        dish.join("c").unwrap();
        let second = Radio::staged();
        soon(second.bind(&place.endpoint)).await.unwrap();
        until(|| second.groups() == 2).await;
        for group in ["b", "a", "gone", "c"] {
            soon(second.send(group, group)).await.unwrap();
        }
        hears(&dish, "a", "a").await;
        hears(&dish, "c", "c").await;
        drop(dish);
        until(|| second.groups() == 0).await;
        soon(second.send("a", "for nobody")).await.unwrap();
    }
}

#[tokio::test]
async fn a_full_member_alone_misses_messages_and_they_are_counted() {
    for scheme in SCHEMES {
        let mark = HighWater::messages(10);
        let radio = Radio::set_up().send_high_water(mark).link(small_buffers()).build();
        let dish = || Dish::set_up().receive_high_water(mark).link(small_buffers()).build();
        let (slow, fast) = (dish(), dish());
        let place = meet(&radio, &slow, (scheme, Order::BindFirst)).await;
        joined(&radio, &slow, "a").await;
        joined(&radio, &slow, "end").await;
        join(&radio, &fast, &place.endpoint).await;
        fast.join("a").unwrap();
        joined(&radio, &fast, "all are known").await;
        let mut events = radio.monitor();
        for number in 0..500 {
            soon(radio.send("a", numbered(number, 1000))).await.unwrap();
            assert_eq!(soon(fast.recv()).await.unwrap().1, numbered(number, 1000)[..]);
        }
        let [slow_peer, fast_peer] = &radio.peers()[..] else { panic!("{scheme:?}") };
        assert!(slow_peer.dropped > 300 && fast_peer.dropped == 0, "{scheme:?}: {slow_peer:?} {fast_peer:?}");
        let dropped = slow_peer.dropped;
        let mut got = 0;
        soon(async {
            loop {
                match slow.try_recv() {
                    Ok((group, _)) if group == "end" => break,
                    Ok(_) => got += 1,
                    Err(_) => {
                        soon(radio.send("end", "")).await.unwrap();
                        tokio::task::yield_now().await;
                    }
                }
            }
        })
        .await;
        assert_eq!(got + dropped, 500, "{scheme:?}");
        // With what the end itself may have cost.
        let total = radio.peers()[0].dropped;
        drop(slow);
        until(|| radio.peers().len() == 1).await;
        assert_eq!(reported(&mut events), total, "{scheme:?}: events count what peers() counts");
    }
}

/// A task that waits to send to the radio's only member, which does not read.
async fn waiting(radio: Radio) -> (Arc<Radio>, JoinHandle<Result<(), SendError>>) {
    let body = vec![7; LARGE];
    until(|| radio.try_send("a", &body[..]).is_err()).await;
    let radio = Arc::new(radio);
    let (sender, (waits, is_waiting)) = (Arc::clone(&radio), oneshot::channel());
    let sending = tokio::spawn(async move {
        let mut sending = std::pin::pin!(sender.send("a", body));
        assert!(futures::poll!(&mut sending).is_pending());
        waits.send(()).unwrap();
        sending.await
    });
    soon(is_waiting).await.unwrap();
    (radio, sending)
}

fn no_drop() -> Radio {
    Radio::set_up().send_high_water(HighWater::messages(1)).no_drop(true).link(small_buffers()).build()
}

#[tokio::test]
async fn who_waits_for_a_member_goes_on_when_it_leaves_the_group() {
    for scheme in SCHEMES {
        let radio = no_drop();
        let dish = Dish::set_up().receive_high_water(HighWater::messages(1)).link(small_buffers()).build();
        let _place = meet(&radio, &dish, (scheme, Order::BindFirst)).await;
        joined(&radio, &dish, "a").await;
        let (_radio, sending) = waiting(radio).await;
        dish.leave("a").unwrap();
        soon(sending).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn who_waits_for_a_member_goes_on_when_its_connection_is_lost() {
    let (radio, puppet) = (no_drop(), Puppet::new().await);
    radio.connect(&puppet.endpoint).unwrap();
    let mut dish = puppet.accept("DISH").await;
    soon(dish.write_all(b"\x04\x06\x04JOINa")).await.unwrap();
    until(|| radio.groups() == 1).await;
    let (_radio, sending) = waiting(radio).await;
    drop(dish);
    soon(sending).await.unwrap().unwrap();
}

#[tokio::test]
async fn with_no_drop_a_full_member_holds_its_group_up_and_no_other() {
    for scheme in SCHEMES {
        let radio = no_drop();
        let mark = HighWater::messages(1);
        let dish = || Dish::set_up().receive_high_water(mark).link(small_buffers()).build();
        let (slow, fast) = (dish(), dish());
        let place = meet(&radio, &slow, (scheme, Order::BindFirst)).await;
        joined(&radio, &slow, "a").await;
        join(&radio, &fast, &place.endpoint).await;
        joined(&radio, &fast, "b").await;
        let body = vec![7; LARGE];
        let mut sent = 0;
        let full = loop {
            match radio.try_send("a", &body[..]) {
                Ok(()) => sent += 1,
                Err(full) => break full,
            }
        };
        assert_eq!(full, TrySendError::Full(Box::new(Message::from(&body[..]))), "the body alone comes back");
        soon(radio.send("b", "not held up")).await.unwrap();
        hears(&fast, "b", "not held up").await;
        let (waited, ()) = soon(async {
            tokio::join!(radio.send("a", "last"), async {
                while slow.recv().await.unwrap().1 != "last" {
                    sent -= 1;
                }
            })
        })
        .await;
        waited.unwrap();
        assert_eq!((sent, radio.peers().iter().map(|peer| peer.dropped).sum()), (0, 0_u64), "{scheme:?}");
    }
}
