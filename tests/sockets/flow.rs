//! High-water marks: exact in whole messages, and what waits at them goes on when there is room.
//!
//! A peer that does not read, with small kernel buffers, fills every queue on the way; what each holds can then
//! be counted. `fill` counts by `try_send`.

use std::pin::pin;
use std::time::{Duration, Instant};

use zocket::{Dealer, HighWater, Message, Pair, Pub, Pull, Push, Req, Sends, Socket, TrySendError};

use crate::stage::{
    LARGE, Order, Place, Puppet, SCHEMES, Scheme, Staged, WIRES, expect_run, fill, fill_up, handshake, meet,
    numbered, only_peer, read_frame, small_buffers, soon, until,
};

#[tokio::test]
async fn without_a_peer_a_pipe_takes_exactly_its_mark() {
    async fn check<P: Sends>(socket: Socket<P>, mark: u32) {
        for scheme in SCHEMES {
            let place = Place::new(scheme);
            socket.connect(&place.endpoint).unwrap();
            assert_eq!(fill(&socket, 0, 4), mark, "{scheme:?}");
            soon(socket.disconnect(&place.endpoint)).await.unwrap();
        }
    }
    check(Push::set_up().linger(Duration::ZERO).send_high_water(HighWater::messages(7)).build(), 7).await;
    check(Dealer::set_up().linger(Duration::ZERO).send_high_water(HighWater::messages(1)).build(), 1).await;
    check(Pair::set_up().linger(Duration::ZERO).build(), 1000).await;
}

#[tokio::test]
async fn without_a_peer_there_is_none() {
    let push = Push::staged();
    assert_eq!(push.try_send("m"), Err(TrySendError::NoPeer(Box::new("m".into()))));
    push.bind("tcp://127.0.0.1:0").await.unwrap();
    assert_eq!(push.try_send("m"), Err(TrySendError::NoPeer(Box::new("m".into()))), "a listener is no peer");
    let immediate = Push::set_up().immediate(true).build();
    immediate.connect("tcp://127.0.0.1:9").unwrap();
    assert_eq!(immediate.try_send("m"), Err(TrySendError::NoPeer(Box::new("m".into()))), "nobody answered");
}

#[tokio::test]
async fn an_inproc_pipe_takes_exactly_the_sum_of_both_marks() {
    for order in [Order::BindFirst, Order::ConnectFirst] {
        for push_binds in [true, false] {
            let push = Push::set_up().send_high_water(HighWater::messages(5)).build();
            let pull = Pull::set_up().receive_high_water(HighWater::messages(3)).build();
            let way = (Scheme::Inproc, order);
            let _place =
                if push_binds { meet(&push, &pull, way).await } else { meet(&pull, &push, way).await };
            assert_eq!(fill(&push, 0, 4), 8, "{order:?}, push binds: {push_binds}");
            expect_run(&pull, 0, 8).await;
        }
    }
}

#[tokio::test]
async fn messages_of_many_frames_count_once() {
    let push = Push::set_up().send_high_water(HighWater::messages(4)).linger(Duration::ZERO).build();
    push.connect("tcp://127.0.0.1:9").unwrap();
    for _ in 0..4 {
        push.try_send(["a", "b", "c", "d", "e"]).unwrap();
    }
    assert!(matches!(push.try_send("one frame"), Err(TrySendError::Full(_))));
    assert_eq!(only_peer(&push).send_queue, 4);
}

#[tokio::test]
async fn a_byte_mark_is_passed_by_one_message_at_most() {
    let mark = HighWater::messages(1000).bytes(1000);
    for scheme in SCHEMES {
        let push = Push::set_up().send_high_water(mark).linger(Duration::ZERO).build();
        let place = Place::new(scheme);
        push.connect(&place.endpoint).unwrap();
        push.try_send(vec![0; 100_000]).expect("an empty queue takes any message");
        assert!(matches!(push.try_send(""), Err(TrySendError::Full(_))), "{scheme:?}");
    }
    let push = Push::set_up().send_high_water(mark.without_messages_limit()).linger(Duration::ZERO).build();
    push.connect("tcp://127.0.0.1:9").unwrap();
    // 98 bytes and a header of 2.
    assert_eq!(fill(&push, 0, 98), 10);
    assert_eq!(only_peer(&push).send_queue_bytes, 1000);
}

#[tokio::test]
async fn a_peer_that_does_not_read_stops_the_sender_within_the_marks_and_the_kernel() {
    const SIZE: usize = LARGE;
    for scheme in WIRES {
        let push = Push::set_up().send_high_water(HighWater::messages(10)).link(small_buffers()).build();
        let pull = Pull::set_up().receive_high_water(HighWater::messages(10)).link(small_buffers()).build();
        let _place = meet(&pull, &push, (scheme, Order::BindFirst)).await;
        let taken = fill_up(&push, SIZE).await;
        let (out, inn) = (only_peer(&push), only_peer(&pull));
        assert_eq!(out.send_queue, 10, "{scheme:?}: full is full");
        assert_eq!(inn.receive_queue, 10, "{scheme:?}: exactly at the mark");
        // What is in neither queue is in kernel buffers, and in the one read that stopped half way.
        let elsewhere = taken - 20;
        assert!(elsewhere <= 1, "{scheme:?}: {elsewhere} messages are somewhere");
        expect_run(&pull, 0, taken).await;
        assert!(pull.try_recv().is_err(), "nothing twice");
        until(|| only_peer(&push).send_queue == 0).await;
        assert_eq!(fill(&push, 0, 4), 10, "an empty queue takes its mark again");
    }
}

#[tokio::test]
async fn a_mark_counts_what_the_kernel_has_not_taken() {
    let puppet = Puppet::new().await;
    let push = Push::set_up().send_high_water(HighWater::messages(3)).link(small_buffers()).build();
    push.connect(&puppet.endpoint).unwrap();
    let mut stream = puppet.accept("PULL").await;
    // Larger than what the kernel takes: the first is under way, and counts until it is through.
    assert_eq!(fill_up(&push, 2 << 20).await, 3);
    assert_eq!(only_peer(&push).send_queue, 3);
    for number in 0..3 {
        let (_, body) = read_frame(&mut stream).await.unwrap();
        assert_eq!(body[..4], numbered(number, 4));
        assert_eq!(body.len(), 2 << 20);
    }
}

/// Fills a socket, finds that it waits, makes room, and finds that it goes on.
async fn waits_and_goes_on<P: Sends>(socket: Socket<P>, make_room: impl AsyncFnOnce(u32) -> u32) {
    let taken = fill_up(&socket, LARGE).await;
    let waiting = socket.send(numbered(taken, LARGE));
    let mut waiting = pin!(waiting);
    assert!(futures::poll!(&mut waiting).is_pending(), "all are full");
    let read = make_room(taken).await;
    soon(waiting).await.unwrap();
    assert!(read <= taken);
}

#[tokio::test]
async fn push_dealer_and_pair_wait_while_full_and_go_on_when_room_returns() {
    let mark = HighWater::messages(4);
    for scheme in SCHEMES {
        let way = (scheme, Order::BindFirst);
        let pull = Pull::set_up().receive_high_water(mark).link(small_buffers()).build();
        let push = Push::set_up().send_high_water(mark).link(small_buffers()).build();
        let _place = meet(&pull, &push, way).await;
        waits_and_goes_on(push, async |taken| {
            expect_run(&pull, 0, taken).await;
            taken
        })
        .await;
        expect_last(&pull).await;

        let left = Dealer::set_up().receive_high_water(mark).link(small_buffers()).build();
        let right = Dealer::set_up().send_high_water(mark).link(small_buffers()).build();
        let _place = meet(&left, &right, way).await;
        waits_and_goes_on(right, async |taken| {
            expect_run(&left, 0, taken).await;
            taken
        })
        .await;

        let left = Pair::set_up().receive_high_water(mark).link(small_buffers()).build();
        let right = Pair::set_up().send_high_water(mark).link(small_buffers()).build();
        let _place = meet(&left, &right, way).await;
        waits_and_goes_on(right, async |taken| {
            expect_run(&left, 0, taken).await;
            taken
        })
        .await;
    }
}

async fn expect_last(pull: &Pull) {
    soon(pull.recv()).await.unwrap();
    assert!(pull.try_recv().is_err(), "nothing twice");
}

#[tokio::test]
async fn every_waiting_sender_goes_on_and_each_message_arrives_once() {
    for scheme in SCHEMES {
        let push = Push::set_up().send_high_water(HighWater::messages(1)).build();
        let pull = Pull::set_up().receive_high_water(HighWater::messages(1)).build();
        let _place = meet(&pull, &push, (scheme, Order::BindFirst)).await;
        let push = std::sync::Arc::new(push);
        let senders: Vec<_> = (0..200_u32)
            .map(|n| {
                let push = std::sync::Arc::clone(&push);
                tokio::spawn(async move { push.send(n.to_be_bytes().to_vec()).await })
            })
            .collect();
        let mut got: Vec<_> = Vec::new();
        for _ in 0..200 {
            got.push(crate::stage::number_of(&soon(pull.recv()).await.unwrap()));
        }
        got.sort_unstable();
        assert!(got.into_iter().eq(0..200), "{scheme:?}");
        for sender in senders {
            soon(sender).await.unwrap().unwrap();
        }
    }
}

#[tokio::test]
async fn a_new_peer_frees_who_waited_for_one() {
    for scheme in SCHEMES {
        let push = Push::staged();
        let waiting = push.send("at last");
        let mut waiting = pin!(waiting);
        assert!(futures::poll!(&mut waiting).is_pending());
        let pull = Pull::staged();
        let _place = meet(&push, &pull, (scheme, Order::BindFirst)).await;
        soon(waiting).await.unwrap();
        assert_eq!(soon(pull.recv()).await.unwrap(), "at last");
    }
}

#[tokio::test]
async fn a_request_waits_for_a_peer_with_room() {
    let puppet = Puppet::new().await;
    let req = Req::set_up().relaxed(true).build();
    req.connect(&puppet.endpoint).unwrap();
    let mut stream = puppet.accept("REP").await;
    let endpoint = puppet.endpoint.clone();
    soon(req.connected(&endpoint)).await.unwrap();
    // No mark of its own: one message above the default byte mark fills it while it does not pass.
    let req = std::sync::Arc::new(req);
    let ask = |body: Vec<u8>| {
        let req = std::sync::Arc::clone(&req);
        tokio::spawn(async move { req.request(body).await })
    };
    let first = ask(vec![1; 80 << 20]);
    until(|| only_peer(&req).send_queue == 1).await;
    let second = ask(b"small".to_vec());
    let mut sizes = Vec::new();
    while sizes.last() != Some(&5) {
        let (flags, body) = read_frame(&mut stream).await.unwrap();
        if flags & 1 == 0 {
            sizes.push(body.len());
        }
    }
    first.abort();
    second.abort();
    assert_eq!(sizes, [80 << 20, 5]);
}

#[tokio::test]
async fn a_receive_queue_at_its_mark_stops_that_peer_and_no_other() {
    for scheme in SCHEMES {
        let pull = Pull::set_up().receive_high_water(HighWater::messages(5)).link(small_buffers()).build();
        let build = || Push::set_up().send_high_water(HighWater::messages(5)).link(small_buffers()).build();
        let (loud, quiet) = (build(), build());
        let place = meet(&pull, &loud, (scheme, Order::BindFirst)).await;
        let quiet_pipe = crate::stage::join(&pull, &quiet, &place.endpoint).await;
        let taken = fill_up(&loud, LARGE).await;
        quiet.send("still heard").await.unwrap();
        until(|| pull.peers().iter().any(|peer| peer.pipe == quiet_pipe && peer.receive_queue == 1)).await;
        let most = if scheme == Scheme::Inproc { 10 } else { 5 };
        assert!(pull.peers().iter().all(|peer| peer.receive_queue <= most), "{:?}", pull.peers());
        let mut from_quiet = 0;
        for _ in 0..2 {
            let (pipe, _) = soon(pull.recv_from()).await.unwrap();
            from_quiet += u32::from(pipe == quiet_pipe);
        }
        assert_eq!(from_quiet, 1, "{scheme:?}: its turn came at once");
        for _ in 1..taken {
            soon(pull.recv()).await.unwrap();
        }
    }
}

#[tokio::test]
async fn queue_depths_never_pass_the_mark_while_messages_flow() {
    for scheme in SCHEMES {
        let push = Push::set_up().send_high_water(HighWater::messages(10)).build();
        let pull = Pull::set_up().receive_high_water(HighWater::messages(20)).build();
        let _place = meet(&pull, &push, (scheme, Order::BindFirst)).await;
        let most = if scheme == Scheme::Inproc { 30 } else { 20 };
        let sending = async {
            for number in 0..5000 {
                push.send(numbered(number, 4)).await.unwrap();
                assert!(only_peer(&push).send_queue <= 10, "{scheme:?}");
            }
        };
        let receiving = async {
            for number in 0..5000 {
                assert!(only_peer(&pull).receive_queue <= most, "{scheme:?}");
                assert_eq!(crate::stage::number_of(&pull.recv().await.unwrap()), number);
            }
        };
        soon(async { tokio::join!(sending, receiving) }).await;
        assert_eq!(only_peer(&pull).receive_queue_bytes, 0);
    }
}

#[tokio::test]
async fn a_publisher_that_connects_queues_nothing_for_a_peer_it_never_met() {
    let place = Place::new(Scheme::Tcp);
    let publisher = Pub::staged();
    publisher.connect(&place.endpoint).unwrap();
    for _ in 0..2000 {
        publisher.try_send(Message::from("m")).unwrap();
    }
    assert_eq!(only_peer(&publisher).send_queue, 0);
    assert_eq!(only_peer(&publisher).dropped, 0);
}

#[tokio::test]
async fn a_puppet_that_accepts_but_says_nothing_gets_nothing() {
    let puppet = Puppet::new().await;
    let push = Push::set_up().send_high_water(HighWater::messages(2)).build();
    push.connect(&puppet.endpoint).unwrap();
    let (mut stream, _) = soon(puppet.listener.accept()).await.unwrap();
    assert_eq!(fill(&push, 0, 4), 2);
    handshake(&mut stream, "PULL", false).await;
    for number in 0..2 {
        assert_eq!(read_frame(&mut stream).await.unwrap().1, numbered(number, 4));
    }
}

/// Under the paused clock time moves only while every task sleeps: as long as a connection looks for more, the
/// ten seconds in which nothing arrives do not pass; if it never stopped looking, they never would.
#[tokio::test]
async fn a_busy_connection_delivers_and_sleeps_when_its_time_is_over() {
    let look = Duration::from_millis(20);
    for scheme in WIRES {
        let push = Push::set_up().busy_poll(look).build();
        let pull = Pull::set_up().busy_poll(look).build();
        let _place = meet(&pull, &push, (scheme, Order::BindFirst)).await;
        let started = Instant::now();
        push.send("m").await.unwrap();
        assert_eq!(soon(pull.recv()).await.unwrap(), "m");
        tokio::time::pause();
        let more = tokio::time::timeout(Duration::from_secs(10), pull.recv()).await;
        tokio::time::resume();
        assert!(more.is_err(), "it was sent once");
        assert!(started.elapsed() >= look, "it looked for {:?} only", started.elapsed());
    }
}
