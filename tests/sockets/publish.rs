//! Subscriptions: who sees what, XPUB's notices and manual mode, XSUB upstream, and conflation.

use zocket::{HighWater, Pub, Pull, Push, Sub, SubscribeError, Verbose, XPub, XSub};

use crate::cancel::Hand;
use crate::stage::{
    Order, Place, SCHEMES, Scheme, Staged, join, meet, number_of, numbered, only_peer, small_buffers, soon,
    until, ways,
};

/// A subscriber that the publisher knows of: XPUB has told.
async fn subscribed(publisher: &XPub, sub: &Sub, topic: &str) {
    sub.subscribe(topic).unwrap();
    assert_eq!(soon(publisher.recv()).await.unwrap(), format!("\u{1}{topic}")[..]);
}

#[tokio::test]
async fn a_prefix_is_matched_as_bytes_of_the_first_frame() {
    for way in ways() {
        let (publisher, sub) = (XPub::staged(), Sub::staged());
        let _place = meet(&publisher, &sub, way).await;
        subscribed(&publisher, &sub, "ab").await;
        let all: [&[&str]; 8] = [
            &["ab"],
            &["abc", "x"],
            &["a"],
            &["x", "ab"],
            &[""],
            &["", "ab"],
            &["b", "ab"],
            &["ab", "", "end"],
        ];
        for frames in all {
            publisher
                .send(frames.iter().map(|&f| zocket::Frame::from(f)).collect::<zocket::Message>())
                .await
                .unwrap();
        }
        for expected in ["ab", "abc x", "ab  end"] {
            assert_eq!(soon(sub.recv()).await.unwrap().to_text(), expected, "{way:?}");
        }
        assert!(sub.try_recv().is_err());
    }
}

#[tokio::test]
async fn without_a_subscription_nothing_arrives_and_the_empty_one_is_everything() {
    for way in ways() {
        let (publisher, sub) = (XPub::staged(), Sub::staged());
        let _place = meet(&publisher, &sub, way).await;
        publisher.send("unheard").await.unwrap();
        subscribed(&publisher, &sub, "").await;
        for text in ["x", "", "\0"] {
            publisher.send(text).await.unwrap();
            assert_eq!(soon(sub.recv()).await.unwrap(), text, "{way:?}");
        }
    }
}

#[tokio::test]
async fn a_message_that_several_prefixes_match_arrives_once() {
    for way in ways() {
        let (publisher, sub) = (XPub::staged(), Sub::staged());
        let _place = meet(&publisher, &sub, way).await;
        for topic in ["", "a", "ab"] {
            subscribed(&publisher, &sub, topic).await;
        }
        publisher.send("abc").await.unwrap();
        publisher.send("end").await.unwrap();
        assert_eq!(soon(sub.recv()).await.unwrap(), "abc");
        assert_eq!(soon(sub.recv()).await.unwrap(), "end", "{way:?}");
    }
}

#[tokio::test]
async fn subscriptions_count_and_the_last_cancellation_ends_them() {
    for way in ways() {
        let (publisher, sub) = (XPub::staged(), Sub::staged());
        let _place = meet(&publisher, &sub, way).await;
        subscribed(&publisher, &sub, "a").await;
        sub.subscribe("a").unwrap();
        sub.unsubscribe("a").unwrap();
        publisher.send("a1").await.unwrap();
        assert_eq!(soon(sub.recv()).await.unwrap(), "a1");
        sub.unsubscribe("a").unwrap();
        assert_eq!(soon(publisher.recv()).await.unwrap(), "\0a", "{way:?}");
        publisher.send("a2").await.unwrap();
        subscribed(&publisher, &sub, "z").await;
        publisher.send("z").await.unwrap();
        assert_eq!(soon(sub.recv()).await.unwrap(), "z", "{way:?}");
        assert_eq!(sub.unsubscribe("a"), Err(SubscribeError::NotSubscribed));
        assert_eq!(sub.subscribe(vec![7; 65_537]), Err(SubscribeError::TooLong { len: 65_537 }));
    }
}

#[tokio::test]
async fn what_is_under_way_when_a_prefix_is_cancelled_is_not_received() {
    let (publisher, sub) = (XPub::staged(), Sub::staged());
    let _place = meet(&publisher, &sub, (Scheme::Tcp, Order::BindFirst)).await;
    subscribed(&publisher, &sub, "a").await;
    subscribed(&publisher, &sub, "b").await;
    for text in ["a1", "a2", "b1"] {
        publisher.send(text).await.unwrap();
    }
    until(|| only_peer(&sub).receive_queue == 3).await;
    sub.unsubscribe("a").unwrap();
    assert_eq!(soon(sub.recv()).await.unwrap(), "b1");
}

#[tokio::test]
async fn xpub_tells_the_first_subscription_and_the_last_cancellation_and_more_when_verbose() {
    let told = [
        (Verbose::Changes, vec!["\u{1}a", "\0a"]),
        (Verbose::Subscriptions, vec!["\u{1}a", "\u{1}a", "\0a"]),
        (Verbose::All, vec!["\u{1}a", "\u{1}a", "\0a", "\0a"]),
    ];
    for scheme in SCHEMES {
        for (verbose, expected) in &told {
            let publisher = XPub::set_up().verbose(*verbose).build();
            let (one, two) = (Sub::staged(), Sub::staged());
            let place = meet(&publisher, &one, (scheme, Order::BindFirst)).await;
            join(&publisher, &two, &place.endpoint).await;
            // A topic of its own after each step says that the step was seen.
            let mut notices = Vec::new();
            let steps: [(&Sub, bool, &str); 4] =
                [(&one, true, "1"), (&two, true, "2"), (&one, false, "3"), (&two, false, "4")];
            for (sub, subscribe, mark) in steps {
                if subscribe {
                    sub.subscribe("a").unwrap()
                } else {
                    sub.unsubscribe("a").unwrap()
                }
                sub.subscribe(mark).unwrap();
                loop {
                    let notice = soon(publisher.recv()).await.unwrap();
                    if notice == format!("\u{1}{mark}")[..] {
                        break;
                    }
                    notices.push(notice.to_text());
                }
            }
            assert_eq!(notices, *expected, "{scheme:?} {verbose:?}");
        }
    }
}

#[tokio::test]
async fn xpub_tells_when_the_last_subscriber_just_leaves() {
    for scheme in SCHEMES {
        let (publisher, one, two) = (XPub::staged(), Sub::staged(), Sub::staged());
        let place = meet(&publisher, &one, (scheme, Order::BindFirst)).await;
        join(&publisher, &two, &place.endpoint).await;
        subscribed(&publisher, &one, "a").await;
        two.subscribe("a").unwrap();
        subscribed(&publisher, &two, "b").await;
        drop(one);
        until(|| publisher.peers().len() == 1).await;
        assert!(publisher.try_recv().is_err(), "one is left");
        drop(two);
        let mut gone = [
            soon(publisher.recv()).await.unwrap().to_text(),
            soon(publisher.recv()).await.unwrap().to_text(),
        ];
        gone.sort();
        assert_eq!(gone, ["\0a", "\0b"], "{scheme:?}");
    }
}

#[tokio::test]
async fn a_manual_xpub_decides_itself_who_is_subscribed_to_what() {
    for scheme in SCHEMES {
        let publisher = XPub::set_up().manual(true).build();
        let sub = Sub::staged();
        let _place = meet(&publisher, &sub, (scheme, Order::BindFirst)).await;
        sub.subscribe("asked").unwrap();
        let (peer, notice) = soon(publisher.recv_from()).await.unwrap();
        assert_eq!(notice, "\u{1}asked");
        publisher.send("asked 1").await.unwrap();
        assert_eq!(only_peer(&publisher).send_queue, 0);
        publisher.subscribe(peer, "asked 2").unwrap();
        publisher.send("asked 1").await.unwrap();
        publisher.send("asked 2").await.unwrap();
        assert_eq!(soon(sub.recv()).await.unwrap(), "asked 2", "{scheme:?}");
        publisher.unsubscribe(peer, "asked 2").unwrap();
        assert_eq!(publisher.unsubscribe(peer, "asked 2"), Err(SubscribeError::NotSubscribed));
        drop(sub);
        assert_eq!(soon(publisher.recv()).await.unwrap(), "\0asked", "{scheme:?}");
        until(|| publisher.peers().is_empty()).await;
        assert_eq!(publisher.subscribe(peer, "x"), Err(SubscribeError::NoPeer));
    }
}

#[tokio::test]
async fn a_welcome_is_the_first_that_a_subscriber_to_it_sees() {
    for way in ways() {
        let publisher = Pub::set_up().welcome(["hello", "there"]).build();
        let sub = Sub::staged();
        sub.subscribe("hello").unwrap();
        let _place = meet(&publisher, &sub, way).await;
        assert_eq!(soon(sub.recv()).await.unwrap(), ["hello", "there"], "{way:?}");
    }
}

#[tokio::test]
async fn xsub_subscribes_by_messages_and_sends_upstream() {
    for way in ways() {
        let (publisher, xsub) = (XPub::staged(), XSub::staged());
        let _place = meet(&publisher, &xsub, way).await;
        soon(xsub.send("\u{1}a")).await.unwrap();
        assert_eq!(soon(publisher.recv()).await.unwrap(), "\u{1}a");
        for upstream in [zocket::Message::from("up"), ["\u{1}x", "frames"].into(), "".into()] {
            soon(xsub.send(upstream.clone())).await.unwrap();
            assert_eq!(soon(publisher.recv()).await.unwrap(), upstream, "{way:?}");
        }
        soon(publisher.send("abc")).await.unwrap();
        assert_eq!(soon(xsub.recv()).await.unwrap(), "abc");
        soon(xsub.send("\0a")).await.unwrap();
        assert_eq!(soon(publisher.recv()).await.unwrap(), "\0a", "{way:?}");
    }
}

#[tokio::test]
async fn a_forwarder_of_xsub_and_xpub_passes_subscriptions_up_and_messages_down() {
    let (source, upper, lower, sink) = (XPub::staged(), XSub::staged(), XPub::staged(), Sub::staged());
    let _one = meet(&source, &upper, (Scheme::Tcp, Order::BindFirst)).await;
    let _two = meet(&lower, &sink, (Scheme::Tcp, Order::BindFirst)).await;
    let forwarding = tokio::spawn(async move {
        loop {
            tokio::select! {
                down = upper.recv() => lower.send(down.unwrap()).await.unwrap(),
                up = lower.recv() => upper.send(up.unwrap()).await.unwrap(),
            }
        }
    });
    sink.subscribe("news").unwrap();
    assert_eq!(soon(source.recv()).await.unwrap(), "\u{1}news");
    source.send("other").await.unwrap();
    source.send("news").await.unwrap();
    assert_eq!(soon(sink.recv()).await.unwrap(), "news");
    drop(sink);
    assert_eq!(soon(source.recv()).await.unwrap(), "\0news");
    forwarding.abort();
}

#[tokio::test]
async fn a_sub_reads_its_publishers_in_turn() {
    for scheme in SCHEMES {
        let sub = Sub::staged();
        sub.subscribe("").unwrap();
        let publishers = [XPub::staged(), XPub::staged(), XPub::staged()];
        let mut places = Vec::new();
        for publisher in &publishers {
            places.push(meet(publisher, &sub, (scheme, Order::BindFirst)).await);
            soon(publisher.recv()).await.unwrap();
            for _ in 0..10 {
                publisher.send("m").await.unwrap();
            }
        }
        until(|| sub.peers().iter().all(|peer| peer.receive_queue == 10)).await;
        let mut turns = Vec::new();
        for _ in 0..30 {
            turns.push(soon(sub.recv_from()).await.unwrap().0);
        }
        for three in turns.chunks(3) {
            assert!(
                three[0] != three[1] && three[1] != three[2] && three[0] != three[2],
                "{scheme:?}: {turns:?}"
            );
        }
    }
}

#[tokio::test]
async fn with_conflate_only_the_newest_waits_on_either_side() {
    for scheme in SCHEMES {
        // The receiving side keeps the newest.
        let (push, pull) = (Push::staged(), Pull::set_up().conflate(true).build());
        let _place = meet(&pull, &push, (scheme, Order::BindFirst)).await;
        for number in 0..200 {
            soon(push.send([numbered(number, 4), numbered(number, 4)])).await.unwrap();
        }
        soon(async {
            loop {
                let message = pull.recv().await.unwrap();
                assert_eq!(message.len(), 2, "several frames stay together");
                assert_eq!(message[0], message[1]);
                if number_of(&message) == 199 {
                    break;
                }
            }
        })
        .await;
        assert!(pull.try_recv().is_err());
        // The sending side keeps the newest while there is nobody.
        let place = Place::new(scheme);
        let push = Push::set_up().conflate(true).build();
        push.connect(&place.endpoint).unwrap();
        for number in 0..5000 {
            push.try_send(numbered(number, 4)).unwrap();
        }
        assert_eq!(only_peer(&push).send_queue, 1, "{scheme:?}");
        let pull = Pull::staged();
        pull.bind(&place.endpoint).await.unwrap();
        assert_eq!(number_of(&soon(pull.recv()).await.unwrap()), 4999, "{scheme:?}");
        assert!(pull.try_recv().is_err(), "{scheme:?}");
    }
}

#[tokio::test]
async fn a_conflating_socket_is_never_full() {
    let push =
        Push::set_up().conflate(true).send_high_water(HighWater::messages(1)).link(small_buffers()).build();
    let pull = Pull::set_up().receive_high_water(HighWater::messages(1)).link(small_buffers()).build();
    let _place = meet(&pull, &push, (Scheme::Tcp, Order::BindFirst)).await;
    for number in 0..5000 {
        push.try_send(numbered(number, 1000)).unwrap();
        if number % 100 == 0 {
            tokio::task::yield_now().await;
        }
    }
    let mut last = None;
    while last != Some(4999) {
        let number = number_of(&soon(pull.recv()).await.unwrap());
        assert!(Some(number) > last, "only ever newer");
        last = Some(number);
    }
}

#[tokio::test]
async fn who_waits_for_a_subscriber_goes_on_when_its_subscription_is_taken_back() {
    let one = HighWater::messages(1);
    let publisher = XPub::builder().send_high_water(one).no_drop(true).manual(true).build();
    let sub = Sub::builder().receive_high_water(one).build();
    let _place = meet(&publisher, &sub, (Scheme::Inproc, Order::BindFirst)).await;
    sub.subscribe("a").unwrap();
    let (peer, _) = soon(publisher.recv_from()).await.unwrap();
    publisher.subscribe(peer, "a").unwrap();
    while publisher.try_send("a").is_ok() {}
    let (mut sending, mut sender) = (std::pin::pin!(publisher.send("a")), Hand::new());
    assert!(sender.poll(sending.as_mut()).is_pending());
    publisher.unsubscribe(peer, "a").unwrap();
    assert!(sender.is_woken() && sender.poll(sending).is_ready());
}
