//! How sockets end, and begin without a runtime: what is flushed, what is reported, what is left.

use std::time::Duration;

use tokio::runtime::Handle;
use zocket::{
    BindError, ConnectError, Dealer, DetachError, Dish, Event, Heartbeat, HighWater, Pair, Pub, Pull, Push,
    Radio, RecvError, Rep, Req, Router, SendError, Sub, SubscribeError, TryRecvError, TrySendError, XPub,
    XSub,
};

use crate::stage::{
    LARGE, Order, Place, Puppet, SCHEMES, Scheme, Staged, WIRES, event, expect_run, fill_up, join, meet,
    numbered, only_peer, ready, small_buffers, soon, until, ways,
};

#[tokio::test]
async fn close_delivers_everything_that_was_sent() {
    for way in ways() {
        for push_binds in [true, false] {
            let (push, pull) = (Push::staged(), Pull::staged());
            let _place =
                if push_binds { meet(&push, &pull, way).await } else { meet(&pull, &push, way).await };
            for number in 0..500 {
                soon(push.send(numbered(number, 100))).await.unwrap();
            }
            assert_eq!(soon(push.close()).await.messages, 0, "{way:?}");
            expect_run(&pull, 0, 500).await;
            assert!(pull.try_recv().is_err());
        }
    }
}

#[tokio::test]
async fn close_waits_for_a_peer_that_comes_late() {
    for scheme in SCHEMES {
        let place = Place::new(scheme);
        let push = Push::set_up().reconnect(crate::reconnect::quickly()).build();
        push.connect(&place.endpoint).unwrap();
        for number in 0..10 {
            push.send(numbered(number, 4)).await.unwrap();
        }
        let closing = tokio::spawn(async move { push.close().await });
        tokio::task::yield_now().await;
        let pull = Pull::staged();
        pull.bind(&place.endpoint).await.unwrap();
        expect_run(&pull, 0, 10).await;
        assert_eq!(soon(closing).await.unwrap().messages, 0, "{scheme:?}");
    }
}

#[tokio::test]
async fn close_says_how_many_messages_could_not_be_delivered() {
    for scheme in SCHEMES {
        let place = Place::new(scheme);
        let push = Push::set_up().linger(Duration::from_millis(20)).build();
        push.connect(&place.endpoint).unwrap();
        for _ in 0..7 {
            push.send(["a", "b"]).await.unwrap();
        }
        assert_eq!(soon(push.close()).await.messages, 7, "{scheme:?}");
        assert_eq!(soon(push.close()).await.messages, 7, "and says so again");
    }
    for linger in [Duration::ZERO, Duration::from_millis(20)] {
        let push = Push::set_up()
            .linger(linger)
            .send_high_water(HighWater::messages(9))
            .link(small_buffers())
            .build();
        let puppet = Puppet::new().await;
        push.connect(&puppet.endpoint).unwrap();
        let _stream = puppet.accept("PULL").await;
        fill_up(&push, LARGE).await;
        assert_eq!(soon(push.close()).await.messages, 9, "the peer does not read: {linger:?}");
    }
}

#[tokio::test]
async fn a_dropped_socket_delivers_in_the_background() {
    for way in ways() {
        for push_binds in [true, false] {
            let (push, pull) = (Push::staged(), Pull::staged());
            let _place =
                if push_binds { meet(&push, &pull, way).await } else { meet(&pull, &push, way).await };
            for number in 0..500 {
                soon(push.send(numbered(number, 1000))).await.unwrap();
            }
            drop(push);
            expect_run(&pull, 0, 500).await;
        }
    }
}

#[tokio::test]
async fn a_closed_socket_gives_out_what_had_arrived_and_then_says_so() {
    for scheme in SCHEMES {
        let (push, pull) = (Push::staged(), Pull::staged());
        let _place = meet(&pull, &push, (scheme, Order::BindFirst)).await;
        for number in 0..20 {
            soon(push.send(numbered(number, 4))).await.unwrap();
        }
        until(|| only_peer(&pull).receive_queue == 20).await;
        soon(pull.close()).await;
        expect_run(&pull, 0, 20).await;
        assert_eq!(soon(pull.recv()).await, Err(RecvError::Closed), "{scheme:?}");
        assert_eq!(pull.try_recv(), Err(TryRecvError::Closed));
        assert_eq!(soon(pull.recv_many(&mut Vec::new(), 5)).await, Err(RecvError::Closed));
        assert!(futures::StreamExt::next(&mut pull.stream()).await.is_none());
    }
}

#[tokio::test]
async fn waiting_calls_end_when_the_socket_closes() {
    let (pull, push) = (Pull::staged(), Push::staged());
    let (receiving, sending) = (pull.recv(), push.send("m"));
    let (mut receiving, mut sending) = (std::pin::pin!(receiving), std::pin::pin!(sending));
    assert!(futures::poll!(&mut receiving).is_pending());
    assert!(futures::poll!(&mut sending).is_pending());
    push.connect("tcp://127.0.0.1:9").unwrap();
    let other = Push::staged();
    other.connect("tcp://127.0.0.1:9").unwrap();
    let connected = other.connected("tcp://127.0.0.1:9");
    let mut connected = std::pin::pin!(connected);
    assert!(futures::poll!(&mut connected).is_pending());
    soon(async { tokio::join!(pull.close(), other.close()) }).await;
    assert_eq!(soon(receiving).await, Err(RecvError::Closed));
    assert!(matches!(soon(connected).await, Err(ConnectError::Closed)));
    soon(sending).await.expect("a connection had taken it");
}

#[tokio::test]
async fn every_call_on_a_closed_socket_says_so_and_gives_the_message_back() {
    let push = Push::staged();
    soon(push.close()).await;
    assert_eq!(push.send("m").await, Err(SendError::Closed(Box::new("m".into()))));
    assert_eq!(push.try_send(["m", "n"]), Err(TrySendError::Closed(Box::new(["m", "n"].into()))));
    for scheme in SCHEMES {
        let place = Place::new(scheme);
        assert!(matches!(push.bind(&place.endpoint).await, Err(BindError::Closed)), "{scheme:?}");
        assert!(matches!(push.connect(&place.endpoint), Err(ConnectError::Closed)), "{scheme:?}");
        let gone = push.connected(&place.endpoint).await;
        assert!(matches!(gone, Err(ConnectError::Unknown(_) | ConnectError::Closed)), "{gone:?}");
    }
    let sub = Sub::staged();
    soon(sub.close()).await;
    assert_eq!(sub.subscribe("a"), Err(SubscribeError::Closed));
    let xsub = XSub::staged();
    soon(xsub.close()).await;
    assert_eq!(xsub.subscribe("a"), Err(SubscribeError::Closed));
    let req = Req::staged();
    soon(req.close()).await;
    assert_eq!(req.request("?").await, Err(zocket::RequestError::Closed));
}

#[tokio::test]
async fn a_monitor_ends_with_its_socket_closed_or_dropped() {
    for drops in [false, true] {
        for scheme in SCHEMES {
            let (push, pull) = (Push::staged(), Pull::staged());
            let mut events = pull.monitor();
            let _place = meet(&pull, &push, (scheme, Order::BindFirst)).await;
            if drops {
                drop(pull)
            } else {
                assert_eq!(soon(pull.close()).await.messages, 0)
            }
            soon(async { while events.next().await.is_some() {} }).await;
        }
    }
}

#[tokio::test]
async fn a_context_shut_down_leaves_no_task() {
    let baseline = Handle::current().metrics().num_alive_tasks();
    for scheme in SCHEMES {
        for round in 0..2 {
            let context = crate::stage::context();
            let push = Push::set_up().context(&context).build();
            let pull = Pull::set_up().context(&context).build();
            let publisher = XPub::set_up().context(&context).build();
            let sub = Sub::set_up().context(&context).build();
            let lonely = Dealer::set_up().context(&context).linger(Duration::from_millis(10)).build();
            sub.subscribe("").unwrap();
            let place = meet(&pull, &push, (scheme, Order::BindFirst)).await;
            let _other = meet(&publisher, &sub, (scheme, Order::ConnectFirst)).await;
            let nowhere = Place::new(scheme);
            lonely.connect(&nowhere.endpoint).unwrap();
            lonely.send("kept until linger is over").await.unwrap();
            for number in 0..100 {
                soon(push.send(numbered(number, 100))).await.unwrap();
            }
            if round == 0 {
                drop((push, pull, publisher, sub, lonely));
            } else {
                soon(async {
                    tokio::join!(push.close(), pull.close(), publisher.close(), sub.close(), lonely.close())
                })
                .await;
            }
            soon(context.shutdown()).await;
            until(|| Handle::current().metrics().num_alive_tasks() == baseline).await;
            let again = Pull::set_up().context(&context).build();
            soon(again.bind(&place.endpoint))
                .await
                .expect("the address is free, and the context still works");
            soon(again.close()).await;
            until(|| Handle::current().metrics().num_alive_tasks() == baseline).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_address_is_free_as_soon_as_close_or_unbind_returns() {
    for scheme in SCHEMES {
        let place = Place::new(scheme);
        for round in 0..100 {
            let pull = Pull::staged();
            soon(pull.bind(&place.endpoint)).await.unwrap_or_else(|error| panic!("round {round}: {error}"));
            if round % 2 == 0 {
                soon(pull.unbind(&place.endpoint)).await.unwrap();
                soon(pull.bind(&place.endpoint))
                    .await
                    .unwrap_or_else(|error| panic!("round {round}: {error}"));
            }
            soon(pull.close()).await;
        }
    }
}

#[tokio::test]
async fn unbind_frees_the_address_and_accepted_peers_live_on() {
    for scheme in SCHEMES {
        let (pull, push) = (Pull::staged(), Push::staged());
        let place = meet(&pull, &push, (scheme, Order::BindFirst)).await;
        soon(pull.unbind(&place.endpoint)).await.unwrap();
        let other = Pull::staged();
        soon(other.bind(&place.endpoint)).await.unwrap();
        soon(push.send("the old link works")).await.unwrap();
        assert_eq!(soon(pull.recv()).await.unwrap(), "the old link works", "{scheme:?}");
        let newcomer = Push::staged();
        join(&other, &newcomer, &place.endpoint).await;
        let again = soon(pull.unbind(&place.endpoint)).await;
        assert!(matches!(again, Err(DetachError::Unknown(endpoint)) if endpoint == place.endpoint));
    }
}

#[tokio::test]
async fn binding_a_taken_address_is_an_error_that_names_it() {
    for scheme in SCHEMES {
        let (one, two) = (Pull::staged(), Pull::staged());
        let place = Place::new(scheme);
        one.bind(&place.endpoint).await.unwrap();
        for socket in [&one, &two] {
            let error = soon(socket.bind(&place.endpoint)).await.unwrap_err();
            assert!(error.to_string().contains(place.endpoint.as_str()), "{error}");
            let BindError::Io { endpoint, source } = error else { panic!("{error}") };
            assert_eq!(endpoint, place.endpoint);
            assert_eq!(source.kind(), std::io::ErrorKind::AddrInUse, "{scheme:?}");
        }
        // A live socket is not stolen by the attempt.
        let push = Push::staged();
        join(&one, &push, &place.endpoint).await;
        soon(push.send("m")).await.unwrap();
        assert_eq!(soon(one.recv()).await.unwrap(), "m");
    }
}

#[tokio::test]
async fn a_wildcard_is_resolved_and_can_be_connected_and_unbound() {
    for any in ["tcp://127.0.0.1:0", "tcp://127.0.0.1:*", "ipc://*"] {
        let (pull, push) = (Pull::staged(), Push::staged());
        let at = soon(pull.bind(any)).await.unwrap();
        assert!(!at.as_str().contains('*') && !at.as_str().ends_with(":0"), "{at}");
        join(&pull, &push, &at).await;
        assert!(matches!(
            soon(pull.unbind(any)).await,
            Err(DetachError::Unknown(_) | DetachError::Endpoint(_))
        ));
        soon(pull.unbind(&at)).await.unwrap();
    }
}

#[tokio::test]
async fn disconnect_sends_what_is_queued_and_ends_the_pipe() {
    for scheme in SCHEMES {
        let (pull, push) = (Pull::staged(), Push::staged());
        let place = meet(&pull, &push, (scheme, Order::BindFirst)).await;
        for number in 0..500 {
            soon(push.send(numbered(number, 100))).await.unwrap();
        }
        soon(push.disconnect(&place.endpoint)).await.unwrap();
        assert!(push.peers().is_empty());
        expect_run(&pull, 0, 500).await;
        until(|| pull.peers().is_empty()).await;
        assert!(matches!(push.try_send("m"), Err(TrySendError::NoPeer(_))));
        assert!(matches!(soon(push.disconnect(&place.endpoint)).await, Err(DetachError::Unknown(_))));
        join(&pull, &push, &place.endpoint).await;
        soon(push.send("again")).await.unwrap();
        assert_eq!(soon(pull.recv()).await.unwrap(), "again", "{scheme:?}");
    }
}

#[tokio::test]
async fn disconnect_from_nobody_is_over_when_linger_is() {
    for scheme in SCHEMES {
        let push = Push::set_up().linger(Duration::from_millis(20)).build();
        let place = Place::new(scheme);
        let mut events = push.monitor();
        push.connect(&place.endpoint).unwrap();
        push.send("m").await.unwrap();
        soon(push.disconnect(&place.endpoint)).await.unwrap();
        let messages = event(&mut events, |event| match event {
            Event::Dropped { messages, .. } => Some(messages),
            _ => None,
        })
        .await;
        assert_eq!(messages, 1, "{scheme:?}");
        assert!(push.peers().is_empty());
    }
}

#[tokio::test]
async fn a_second_connection_is_a_second_pipe_except_where_libzmq_makes_none() {
    async fn pipes<P: zocket::Pattern>(socket: zocket::Socket<P>, expected: usize) {
        for scheme in SCHEMES {
            let place = Place::new(scheme);
            socket.connect(&place.endpoint).unwrap();
            socket.connect(&place.endpoint).unwrap();
            let pipes = socket.peers().iter().filter(|peer| peer.endpoint == place.endpoint).count();
            assert_eq!(pipes, expected, "{} {scheme:?}", socket.kind());
        }
    }
    pipes(Push::staged(), 2).await;
    pipes(Pull::staged(), 2).await;
    pipes(Pair::staged(), 2).await;
    pipes(Router::staged(), 2).await;
    pipes(Rep::staged(), 2).await;
    pipes(XPub::staged(), 2).await;
    pipes(XSub::staged(), 2).await;
    pipes(Radio::staged(), 2).await;
    pipes(Dish::staged(), 2).await;
    pipes(Dealer::staged(), 1).await;
    pipes(Sub::staged(), 1).await;
    pipes(Pub::staged(), 1).await;
    pipes(Req::staged(), 1).await;
}

#[test]
fn sockets_made_outside_a_runtime_work_on_threads_of_their_context() {
    for scheme in SCHEMES {
        let context = crate::stage::context();
        let push = Push::set_up().context(&context).build();
        let pull = Pull::set_up().context(&context).build();
        let place = Place::new(scheme);
        crate::stage::block_on(async {
            pull.bind(&place.endpoint).await.unwrap();
            push.connect(&place.endpoint).unwrap();
            push.connected(&place.endpoint).await.unwrap();
            for n in 0..3000_u32 {
                push.send(n.to_be_bytes().to_vec()).await.unwrap();
                assert_eq!(pull.recv().await.unwrap(), n.to_be_bytes()[..]);
            }
            assert_eq!(push.close().await.messages, 0);
            pull.close().await;
            context.shutdown().await;
        });
    }
}

#[test]
fn a_thread_may_send_while_another_receives_without_any_runtime() {
    let context = crate::stage::context();
    let push = Push::set_up().context(&context).send_high_water(HighWater::messages(3)).build();
    let pull = Pull::set_up().context(&context).receive_high_water(HighWater::messages(3)).build();
    let at = crate::stage::block_on(pull.bind("tcp://127.0.0.1:0")).unwrap();
    push.connect(&at).unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..2000_u32 {
                crate::stage::block_on(push.send(n.to_be_bytes().to_vec())).unwrap();
            }
        });
        for n in 0..2000_u32 {
            assert_eq!(crate::stage::block_on(pull.recv()).unwrap(), n.to_be_bytes()[..]);
        }
    });
}

#[test]
fn a_socket_outlives_the_runtime_that_awaited_it_when_it_has_its_own() {
    let context = crate::stage::context();
    let (push, pull) = (Push::set_up().context(&context).build(), Pull::set_up().context(&context).build());
    let at = crate::stage::block_on(pull.bind("tcp://127.0.0.1:0")).unwrap();
    for round in 0..2 {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            if round == 0 {
                push.connect(&at).unwrap();
            }
            soon(push.send("m")).await.unwrap();
            assert_eq!(soon(pull.recv()).await.unwrap(), "m");
        });
    }
}

#[tokio::test]
async fn an_inproc_name_belongs_to_its_context() {
    let (here, there) = (crate::stage::context(), crate::stage::context());
    let pull = Pull::set_up().context(&here).build();
    let other = Pull::set_up().context(&there).build();
    let place = Place::new(Scheme::Inproc);
    pull.bind(&place.endpoint).await.unwrap();
    other.bind(&place.endpoint).await.expect("another world");
    let push = Push::set_up().context(&there).build();
    push.connect(&place.endpoint).unwrap();
    soon(push.send("m")).await.unwrap();
    assert_eq!(soon(other.recv()).await.unwrap(), "m");
    assert!(pull.try_recv().is_err());
}

#[tokio::test]
async fn a_dead_ipc_file_is_replaced() {
    let place = Place::new(Scheme::Ipc);
    let listener = std::os::unix::net::UnixListener::bind(place.endpoint.address()).unwrap();
    let pull = Pull::staged();
    let alive = soon(pull.bind(&place.endpoint)).await;
    assert!(matches!(alive, Err(BindError::Io { .. })), "a live one is not stolen: {alive:?}");
    drop(listener);
    soon(pull.bind(&place.endpoint)).await.unwrap();
    let push = Push::staged();
    join(&pull, &push, &place.endpoint).await;
    soon(pull.close()).await;
    assert!(!std::path::Path::new(place.endpoint.address()).exists(), "the file goes with its owner");
}

#[tokio::test]
async fn closing_does_not_reset_what_the_peer_has_yet_to_read() {
    for scheme in WIRES {
        let (left, right) = (Pair::staged(), Pair::staged());
        let _place = meet(&left, &right, (scheme, Order::BindFirst)).await;
        let mut events = right.monitor();
        for number in 0..500 {
            soon(left.send(numbered(number, 1000))).await.unwrap();
            soon(right.send("crossing")).await.unwrap();
        }
        soon(left.close()).await;
        drop(left);
        expect_run(&right, 0, 500).await;
        let reason = crate::stage::disconnected(&mut events).await;
        assert!(matches!(reason, zocket::Disconnect::PeerClosed), "{scheme:?}: {reason:?}");
    }
}

#[tokio::test]
async fn a_due_heartbeat_does_not_cut_the_farewell_short() {
    let beat = Duration::from_millis(100);
    let puppet = Puppet::new().await;
    let push = Push::set_up().heartbeat(Heartbeat::every(beat)).build();
    push.connect(&puppet.endpoint).unwrap();
    let mut stream = puppet.accept("PULL").await;
    soon(push.send("last")).await.unwrap();
    let mut closing = tokio::spawn(async move { push.close().await });
    while crate::stage::read_frame(&mut stream).await.is_some() {}
    // By then PINGs have become due, and their answers overdue.
    let early = tokio::time::timeout(beat * 6, &mut closing).await;
    assert!(early.is_err(), "the socket did not wait for its peer to close");
    drop(stream);
    assert_eq!(soon(closing).await.unwrap().messages, 0);
}

#[tokio::test]
async fn a_future_of_close_may_be_dropped_and_the_socket_closes_all_the_same() {
    let (push, pull) = (Push::staged(), Pull::staged());
    let mut events = pull.monitor();
    let _place = meet(&pull, &push, (Scheme::Tcp, Order::BindFirst)).await;
    ready(&mut events).await;
    push.send("last").await.unwrap();
    {
        let closing = push.close();
        let mut closing = std::pin::pin!(closing);
        assert!(futures::poll!(&mut closing).is_pending());
    }
    assert!(matches!(push.try_send("m"), Err(TrySendError::Closed(_))));
    assert_eq!(soon(pull.recv()).await.unwrap(), "last");
    until(|| pull.peers().is_empty()).await;
    assert_eq!(soon(push.close()).await.messages, 0);
}
