//! Turns by whole message, in and out, and many tasks on one socket: nothing cut, doubled, lost or reordered.

use std::collections::HashMap;
use std::sync::Arc;

use zocket::{Dealer, Disconnect, Event, HighWater, Message, PipeId, Pull, Push};

use crate::stage::{Order, SCHEMES, Staged, join, meet, number_of, numbered, soon, until};

#[tokio::test]
async fn messages_go_out_in_turn_by_whole_message() {
    for scheme in SCHEMES {
        let push = Push::staged();
        let pulls = [Pull::staged(), Pull::staged(), Pull::staged()];
        let place = meet(&push, &pulls[0], (scheme, Order::BindFirst)).await;
        join(&push, &pulls[1], &place.endpoint).await;
        join(&push, &pulls[2], &place.endpoint).await;
        for number in 0..30 {
            soon(push.send([numbered(number, 4), numbered(number, 4)])).await.unwrap();
        }
        let mut firsts = Vec::new();
        for pull in &pulls {
            let mut numbers = Vec::new();
            for _ in 0..10 {
                let message = soon(pull.recv()).await.unwrap();
                assert_eq!((message.len(), &message[0]), (2, &message[1]));
                numbers.push(number_of(&message));
            }
            assert!(numbers.windows(2).all(|two| two[1] == two[0] + 3), "{scheme:?}: {numbers:?}");
            firsts.push(numbers[0]);
        }
        firsts.sort_unstable();
        assert_eq!(firsts, [0, 1, 2]);
    }
}

#[tokio::test]
async fn peers_are_read_in_turn_however_much_each_has_sent() {
    for scheme in SCHEMES {
        let pull = Pull::staged();
        let (loud, quiet) = (Push::staged(), Push::staged());
        let place = meet(&pull, &loud, (scheme, Order::BindFirst)).await;
        let quiet_pipe = join(&pull, &quiet, &place.endpoint).await;
        for number in 0..500 {
            soon(loud.send(numbered(number, 4))).await.unwrap();
        }
        for number in 0..10 {
            soon(quiet.send(numbered(number, 4))).await.unwrap();
        }
        until(|| pull.peers().iter().map(|peer| peer.receive_queue).sum::<usize>() == 510).await;
        let mut quiet_turns = 0;
        for _ in 0..20 {
            let (pipe, _) = soon(pull.recv_from()).await.unwrap();
            quiet_turns += u32::from(pipe == quiet_pipe);
        }
        assert_eq!(quiet_turns, 10, "{scheme:?}: every other turn is its own");
    }
}

#[tokio::test]
async fn recv_many_takes_what_is_there_and_no_more_than_asked() {
    for scheme in SCHEMES {
        let (push, pull) = (Push::staged(), Pull::staged());
        let _place = meet(&pull, &push, (scheme, Order::BindFirst)).await;
        for number in 0..100 {
            soon(push.send(numbered(number, 4))).await.unwrap();
        }
        until(|| pull.peers()[0].receive_queue == 100).await;
        let mut into = vec![Message::from("was there before")];
        assert_eq!(soon(pull.recv_many(&mut into, 0)).await, Ok(0));
        assert_eq!(soon(pull.recv_many(&mut into, 30)).await, Ok(30));
        assert_eq!(soon(pull.recv_many(&mut into, 1000)).await, Ok(70));
        assert!(into[1..].iter().map(number_of).eq(0..100), "{scheme:?}");
    }
}

/// Sender and number of a message; both frames say the same.
fn stamp(message: &Message) -> (u32, u32) {
    assert_eq!(message.len(), 2, "whole");
    assert_eq!(message[0][..8], message[1][..8], "not mixed with another");
    let part = |at: usize| u32::from_be_bytes(message[0][at..at + 4].try_into().unwrap());
    (part(0), part(4))
}

fn stamped(sender: u32, number: u32) -> Message {
    let mut head = sender.to_be_bytes().to_vec();
    head.extend_from_slice(&number.to_be_bytes());
    let mut body = head.clone();
    // Sizes on both sides of every threshold of the queues.
    body.resize(8 + [0, 20, 500, 5000, 20_000][number as usize % 5], 7);
    Message::from([head, body])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_on_one_socket_lose_double_and_reorder_nothing() {
    const SENDERS: u32 = 8;
    const EACH: u32 = 1000;
    for scheme in SCHEMES {
        let mark = HighWater::messages(16);
        let push = Arc::new(Push::set_up().send_high_water(mark).build());
        let pulls: Vec<_> =
            (0..2).map(|_| Arc::new(Pull::set_up().receive_high_water(mark).build())).collect();
        let place = meet(&*push, &*pulls[0], (scheme, Order::BindFirst)).await;
        join(&*push, &*pulls[1], &place.endpoint).await;
        let senders: Vec<_> = (0..SENDERS)
            .map(|sender| {
                let push = Arc::clone(&push);
                tokio::spawn(async move {
                    for number in 0..EACH {
                        push.send(stamped(sender, number)).await.unwrap();
                    }
                })
            })
            .collect();
        let receivers: Vec<_> = pulls
            .iter()
            .flat_map(|pull| [Arc::clone(pull), Arc::clone(pull), Arc::clone(pull)])
            .map(|pull| {
                tokio::spawn(async move {
                    let mut got = Vec::new();
                    while let Ok(message) = pull.recv().await {
                        got.push(stamp(&message));
                    }
                    got
                })
            })
            .collect();
        for sender in senders {
            soon(sender).await.unwrap();
        }
        assert_eq!(soon(push.close()).await.messages, 0, "{scheme:?}");
        // A link that is gone has brought everything.
        let is_done = |peer: &zocket::Peer| peer.info.is_none() && peer.receive_queue == 0;
        until(|| pulls.iter().all(|pull| pull.peers().iter().all(is_done))).await;
        for pull in &pulls {
            soon(pull.close()).await;
        }
        let mut all = Vec::new();
        for receiver in receivers {
            let got = soon(receiver).await.unwrap();
            let mut last = HashMap::new();
            for &(sender, number) in &got {
                assert!(last.insert(sender, number) < Some(number), "{scheme:?}: in order for each sender");
            }
            all.extend(got);
        }
        all.sort_unstable();
        let expected = (0..SENDERS).flat_map(|sender| (0..EACH).map(move |number| (sender, number)));
        assert!(all.into_iter().eq(expected), "{scheme:?}: each exactly once");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn both_directions_of_one_socket_flow_at_once() {
    for scheme in SCHEMES {
        let mark = HighWater::messages(8);
        let build = || Arc::new(Dealer::set_up().send_high_water(mark).receive_high_water(mark).build());
        let ends = [build(), build()];
        let _place = meet(&*ends[0], &*ends[1], (scheme, Order::BindFirst)).await;
        let mut tasks = Vec::new();
        for end in &ends {
            let sending = Arc::clone(end);
            tasks.push(tokio::spawn(async move {
                for number in 0..3000 {
                    sending.send(stamped(0, number)).await.unwrap();
                }
            }));
            let receiving = Arc::clone(end);
            tasks.push(tokio::spawn(async move {
                for number in 0..3000 {
                    assert_eq!(stamp(&receiving.recv().await.unwrap()), (0, number));
                }
            }));
        }
        for task in tasks {
            soon(task).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn peers_that_come_and_go_take_nothing_from_others() {
    for scheme in SCHEMES {
        let pull = Arc::new(Pull::set_up().receive_high_water(HighWater::messages(4)).build());
        let place = crate::stage::Place::new(scheme);
        pull.bind(&place.endpoint).await.unwrap();
        let pushes: Vec<_> = (0..20_u32)
            .map(|sender| {
                let push = Push::staged();
                push.connect(&place.endpoint).unwrap();
                tokio::spawn(async move {
                    for number in 0..50 {
                        push.send(stamped(sender, number)).await.unwrap();
                    }
                    push.close().await.messages
                })
            })
            .collect();
        let mut by_pipe: HashMap<PipeId, Vec<(u32, u32)>> = HashMap::new();
        for _ in 0..1000 {
            let (pipe, message) = soon(pull.recv_from()).await.unwrap();
            by_pipe.entry(pipe).or_default().push(stamp(&message));
        }
        for push in pushes {
            assert_eq!(soon(push).await.unwrap(), 0);
        }
        assert_eq!(by_pipe.len(), 20, "{scheme:?}");
        for got in by_pipe.values() {
            let sender = got[0].0;
            assert!(got.iter().copied().eq((0..50).map(|number| (sender, number))), "{scheme:?}");
        }
    }
}

#[tokio::test]
async fn peers_that_come_all_at_once_are_all_served_and_hardly_one_has_to_come_again() {
    let pull = Pull::builder().max_handshakes(4).build();
    let mut events = pull.monitor();
    for endpoint in ["tcp://127.0.0.1:0", "ipc://*"] {
        let at = soon(pull.bind(endpoint)).await.unwrap();
        let pushes: Vec<_> = (0..100).map(|_| Push::new()).collect();
        pushes.iter().for_each(|push| push.connect(&at).unwrap());
        let (mut ready, mut turned_away) = (0, 0);
        while ready < pushes.len() {
            match soon(events.next()).await.unwrap() {
                Event::Ready { .. } => ready += 1,
                // By a machine that stands still for a quarter of a second.
                Event::HandshakeFailed { reason: Disconnect::Crowded, .. } => turned_away += 1,
                Event::Listening { .. } | Event::Accepted { .. } | Event::Disconnected { .. } => {}
                other => panic!("{other:?} of {at}"),
            }
        }
        assert!(turned_away < 10, "{turned_away} turned away by {at}");
    }
}
