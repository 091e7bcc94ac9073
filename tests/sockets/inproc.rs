//! In-process peers: what goes wrong only where two sockets meet without a wire.

use std::time::Duration;

use zocket::{
    Context, Dealer, Event, HighWater, Pair, Pub, Pull, Push, Reconnect, Rep, Req, Router, Sub, TrySendError,
};

use crate::stage::{Place, Scheme, soon, until};

#[tokio::test]
async fn who_stops_waiting_for_a_name_leaves_the_others_waiting() {
    let context = Context::new();
    let [a, b] = [(); 2].map(|()| Push::builder().context(&context).build());
    a.connect("inproc://x").unwrap();
    b.connect("inproc://x").unwrap();
    soon(b.send("from b")).await.unwrap();
    soon(a.disconnect("inproc://x")).await.unwrap();
    let pull = Pull::builder().context(&context).build();
    pull.bind("inproc://x").await.unwrap();
    assert_eq!(soon(pull.recv()).await.unwrap(), "from b");
}

#[tokio::test]
async fn whatever_waits_for_a_name_fits_into_the_lane_of_who_binds_it() {
    let context = Context::new();
    let mark = HighWater::messages(1000).bytes(1000);
    let push = Push::builder().context(&context).send_high_water(mark).build();
    push.connect("inproc://x").unwrap();
    // The headers are more than the payloads.
    let sent = (0..=u8::MAX).cycle().take_while(|number| push.try_send(&[*number]).is_ok()).count();
    assert!(sent > 100, "{sent}");
    let pull = Pull::builder().context(&context).receive_high_water(mark).build();
    pull.bind("inproc://x").await.unwrap();
    for number in (0..=u8::MAX).cycle().take(sent) {
        assert_eq!(soon(pull.recv()).await.unwrap(), [[number]]);
    }
    assert_eq!(pull.peers().len(), 1);
}

#[tokio::test]
async fn a_subscriber_that_binds_is_heard_by_publishers_that_connect() {
    let context = Context::new();
    let sub = Sub::builder().context(&context).build();
    sub.subscribe("a").unwrap();
    sub.bind("inproc://x").await.unwrap();
    for _ in 0..2 {
        let publisher = Pub::builder().context(&context).build();
        publisher.connect("inproc://x").unwrap();
        publisher.send("abc").await.unwrap();
        assert_eq!(soon(sub.recv()).await.unwrap(), "abc");
    }
}

#[tokio::test]
async fn with_handover_the_newer_of_two_namesakes_stays_whoever_connected() {
    let context = Context::new();
    let [old, new] = [(); 2].map(|()| Dealer::builder().context(&context).routing_id("x").build());
    old.bind("inproc://a").await.unwrap();
    new.bind("inproc://b").await.unwrap();
    let router = Router::builder().context(&context).handover(true).build();
    let mut events = router.monitor();
    router.connect("inproc://a").unwrap();
    router.connect("inproc://b").unwrap();
    soon(router.send(["x", "to the newer"])).await.unwrap();
    assert_eq!(soon(new.recv()).await.unwrap(), "to the newer");
    assert_eq!((router.peers().len(), old.peers().len()), (1, 0));
    soon(async { while !matches!(events.next().await, Some(Event::GaveUp { .. })) {} }).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sender_is_told_of_room_however_the_two_meet() {
    use zocket::HighWater;
    for round in 0..200 {
        let context = Context::new();
        let one = HighWater::messages(1);
        let push = Push::builder().context(&context).send_high_water(one).build();
        let pull = Pull::builder().context(&context).receive_high_water(one).build();
        push.bind("inproc://x").await.unwrap();
        let sending = tokio::spawn(async move {
            for _ in 0..50 {
                push.send("x").await.unwrap();
            }
            push
        });
        pull.connect("inproc://x").unwrap();
        for _ in 0..50 {
            soon(pull.recv()).await.unwrap_or_else(|_| panic!("round {round}"));
        }
        drop(soon(sending).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn between_threads_with_the_smallest_marks_everything_arrives_once_and_nobody_waits_for_ever() {
    use zocket::HighWater;
    const EACH: u64 = 5000;
    let (context, one) = (Context::new(), HighWater::messages(1));
    let pull = Pull::builder().context(&context).receive_high_water(one).build();
    soon(pull.bind("inproc://x")).await.unwrap();
    let pull = std::sync::Arc::new(pull);
    let senders = [0, 1].map(|sender| {
        let push = Push::builder().context(&context).send_high_water(one).build();
        push.connect("inproc://x").unwrap();
        tokio::spawn(async move {
            for number in 0..EACH {
                push.send(&(number * 2 + sender).to_le_bytes()).await.unwrap();
            }
            push.close().await.messages
        })
    });
    let (tell, mut told) = tokio::sync::mpsc::unbounded_channel();
    for _ in 0..2 {
        let (pull, tell) = (std::sync::Arc::clone(&pull), tell.clone());
        tokio::spawn(async move {
            while let Ok(message) = pull.recv().await {
                tell.send(u64::from_le_bytes(message.first()[..].try_into().unwrap())).unwrap();
            }
        });
    }
    let mut got = Vec::new();
    for _ in 0..2 * EACH {
        got.push(soon(told.recv()).await.unwrap());
    }
    got.sort_unstable();
    assert!(got.into_iter().eq(0..2 * EACH));
    for sender in senders {
        assert_eq!(soon(sender).await.unwrap(), 0);
    }
}

#[tokio::test]
async fn a_receiver_that_was_woken_and_does_not_look_holds_up_no_other() {
    let context = Context::new();
    let pull = std::sync::Arc::new(Pull::builder().context(&context).build());
    let push = Push::builder().context(&context).build();
    pull.bind("inproc://x").await.unwrap();
    push.connect("inproc://x").unwrap();
    let mut first_in_line = std::pin::pin!(pull.recv());
    assert!(futures::poll!(&mut first_in_line).is_pending());
    let mut next = Box::pin({
        let pull = std::sync::Arc::clone(&pull);
        async move { pull.recv().await }
    });
    assert!(futures::poll!(&mut next).is_pending());
    let next = tokio::spawn(next);
    // It is polled as the task that it is now, and waits again in its old place.
    tokio::task::yield_now().await;
    for number in ["1", "2"] {
        push.send(number).await.unwrap();
    }
    assert_eq!(soon(next).await.unwrap().unwrap(), "1");
    assert_eq!(soon(first_in_line).await.unwrap(), "2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn between_threads_every_request_gets_its_own_reply_whatever_was_given_up_before() {
    const REQUESTS: u32 = 20_000;
    let context = Context::new();
    let rep = Rep::builder().context(&context).build();
    rep.bind("inproc://x").await.unwrap();
    // It is awake when a request comes, and answers while the other side still sends.
    let replying = tokio::spawn(async move {
        loop {
            match rep.try_recv() {
                Ok(request) if *request.message() == "over" => return request.reply("over").await.unwrap(),
                Ok(request) => {
                    let echo = request.message().clone();
                    request.reply(echo).await.unwrap();
                }
                Err(_) => tokio::task::yield_now().await,
            }
        }
    });
    let req = Req::builder().context(&context).build();
    req.connect("inproc://x").unwrap();
    for number in 0..REQUESTS {
        if number % 3 == 0 {
            drop(futures::FutureExt::now_or_never(req.request("given up")));
        }
        let question = number.to_string();
        assert_eq!(soon(req.request(&*question)).await.unwrap(), *question);
    }
    assert_eq!(soon(req.request("over")).await.unwrap(), "over");
    soon(replying).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_binds_a_name_anew_hears_a_sender_that_never_paused() {
    let context = Context::new();
    let push = Push::builder().context(&context).build();
    push.connect("inproc://x").unwrap();
    let sending = tokio::spawn(async move {
        loop {
            push.send("m").await.unwrap();
        }
    });
    for _ in 0..200 {
        let pull = Pull::builder().context(&context).build();
        soon(pull.bind("inproc://x")).await.unwrap();
        for _ in 0..10 {
            soon(pull.recv()).await.unwrap();
        }
        pull.close().await;
    }
    sending.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_router_that_connects_hears_a_dealer_that_sends_while_they_meet() {
    let router = std::sync::Arc::new(Router::new());
    for round in 0..200 {
        let dealer = Dealer::builder().routing_id("d").build();
        let endpoint = format!("inproc://meet-{round}");
        dealer.bind(&*endpoint).await.unwrap();
        let sending = tokio::spawn(async move {
            for _ in 0..10 {
                dealer.send("m").await.unwrap();
            }
            dealer
        });
        let reading = tokio::spawn({
            let router = std::sync::Arc::clone(&router);
            async move {
                for _ in 0..10 {
                    assert_eq!(soon(router.recv()).await.unwrap(), ["d", "m"]);
                }
            }
        });
        router.connect(&*endpoint).unwrap();
        let dealer = soon(sending).await.unwrap();
        soon(reading).await.unwrap();
        soon(router.disconnect(&*endpoint)).await.unwrap();
        drop(dealer);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rep_that_connects_can_answer_who_asks_while_they_meet() {
    for _ in 0..300 {
        let context = Context::new();
        let dealer = Dealer::builder().context(&context).build();
        dealer.bind("inproc://x").await.unwrap();
        let rep = std::sync::Arc::new(Rep::builder().context(&context).build());
        let meeting = tokio::spawn({
            let rep = std::sync::Arc::clone(&rep);
            async move {
                while dealer.try_send(["", "?"]).is_err() {}
                soon(rep.recv()).await.unwrap().reply("!").await.unwrap();
                assert_eq!(soon(dealer.recv()).await.unwrap(), ["", "!"]);
            }
        });
        rep.connect("inproc://x").unwrap();
        soon(meeting).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_while_its_pipe_ended_is_read() {
    for _ in 0..500 {
        let context = Context::new();
        let dealer = Dealer::builder().context(&context).routing_id("d").build();
        dealer.bind("inproc://x").await.unwrap();
        let router = Router::builder().context(&context).build();
        router.connect("inproc://x").unwrap();
        let sending = tokio::spawn(async move { dealer.try_send("m").map(|()| dealer) });
        soon(router.disconnect("inproc://x")).await.unwrap();
        if let Ok(_dealer) = soon(sending).await.unwrap() {
            assert_eq!(soon(router.recv()).await.unwrap(), ["d", "m"]);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_binder_keeps_no_pipe_to_who_left_while_they_met() {
    for _ in 0..50 {
        let context = Context::new();
        let [binder, leaver] = [(); 2].map(|()| Pair::builder().context(&context).build());
        leaver.connect("inproc://x").unwrap();
        let leaving = tokio::spawn(async move { leaver.disconnect("inproc://x").await });
        binder.bind("inproc://x").await.unwrap();
        soon(leaving).await.unwrap().unwrap();
        until(|| binder.peers().is_empty()).await;
        assert!(matches!(binder.try_send("x"), Err(TrySendError::NoPeer(_))));
    }
}

#[tokio::test]
async fn a_connection_made_again_after_it_was_given_up_can_be_ended() {
    let place = Place::new(Scheme::Tcp);
    let at = &place.endpoint;
    let dealer = Dealer::builder().reconnect(Reconnect::never()).build();
    let mut events = dealer.monitor();
    dealer.connect(at).unwrap();
    soon(async { while !matches!(events.next().await, Some(Event::GaveUp { .. })) {} }).await;
    until(|| dealer.peers().is_empty()).await;
    let router = Router::new();
    router.bind(at).await.unwrap();
    dealer.connect(at).unwrap();
    soon(dealer.connected(at)).await.unwrap();
    soon(dealer.disconnect(at)).await.unwrap();
    assert!(dealer.peers().is_empty());
    assert!(soon(dealer.close()).await.messages == 0);
    while let Some(event) = events.next().await {
        assert!(!matches!(event, Event::GaveUp { .. }), "nothing was given up that was asked to end");
    }
}

/// A socket with five messages for nobody, whose runtime is gone.
fn stranded(endpoint: &str) -> Push {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let push = Push::builder().linger(Duration::from_millis(50)).build();
        push.connect(endpoint).unwrap();
        for _ in 0..5 {
            push.send("x").await.unwrap();
        }
        push
    })
}

#[test]
fn close_says_what_was_not_sent_when_the_runtime_is_gone() {
    for endpoint in ["tcp://127.0.0.1:9", "inproc://nobody-binds-this"] {
        let push = stranded(endpoint);
        assert_eq!(crate::stage::block_on(push.close()).messages, 5, "{endpoint}");
    }
}
