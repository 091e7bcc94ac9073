//! Links over udp: every socket type but RADIO and DISH, best effort.

use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::sync::watch;
use zocket::{
    Dealer, Disconnect, Endpoint, Event, Heartbeat, LinkOptions, Message, Pair, ProtocolError, Pub, Pull,
    Push, Reconnect, Rep, Req, RequestError, Router, SendError, Sub,
};

use crate::stage::{Order, Scheme, Staged, disconnected, event, meet, ready, soon, until};

const MS: Duration = Duration::from_millis(1);

const ORDERS: [Order; 2] = [Order::BindFirst, Order::ConnectFirst];

#[tokio::test]
async fn subscriptions_go_over_udp_and_only_what_matches_comes() {
    for way in ORDERS.map(|order| (Scheme::Udp, order)) {
        let (publisher, sub) = (Pub::staged(), Sub::staged());
        sub.subscribe("before").unwrap();
        let _place = meet(&publisher, &sub, way).await;
        sub.subscribe("after").unwrap();
        until(|| publisher.topics() == 2).await;
        for topic in ["none", "before it", "nor this", "after it"] {
            soon(publisher.send(topic)).await.unwrap();
        }
        assert_eq!(soon(sub.recv()).await.unwrap(), "before it");
        assert_eq!(soon(sub.recv()).await.unwrap(), "after it");
        sub.unsubscribe("before").unwrap();
        until(|| publisher.topics() == 1).await;
    }
}

#[tokio::test]
async fn one_address_serves_many_peers_and_each_may_leave() {
    let router = Router::staged();
    let mut events = router.monitor();
    let endpoint = soon(router.bind("udp://127.0.0.1:0")).await.unwrap();
    let dealers: Vec<_> = (0..20).map(|n| Dealer::set_up().routing_id(format!("{n}")).build()).collect();
    for dealer in &dealers {
        dealer.connect(&endpoint).unwrap();
        soon(dealer.connected(&endpoint)).await.unwrap();
        ready(&mut events).await;
    }
    for n in (0..20).rev() {
        soon(router.send([n.to_string(), format!("to {n}")])).await.unwrap();
    }
    for (n, dealer) in dealers.iter().enumerate() {
        assert_eq!(soon(dealer.recv()).await.unwrap(), *format!("to {n}"));
        soon(dealer.close()).await;
        assert!(matches!(disconnected(&mut events).await, Disconnect::PeerClosed));
    }
    assert!(router.peers().is_empty());
    soon(router.unbind(&endpoint)).await.unwrap();
    soon(router.close()).await;
}

#[tokio::test]
async fn an_address_that_is_unbound_takes_nobody_and_keeps_whom_it_has() {
    let (pull, push, late) = (Pull::staged(), Push::staged(), Push::staged());
    let place = meet(&pull, &push, (Scheme::Udp, Order::BindFirst)).await;
    soon(pull.unbind(&place.endpoint)).await.unwrap();
    late.connect(&place.endpoint).unwrap();
    soon(push.send("still here")).await.unwrap();
    assert_eq!(soon(pull.recv()).await.unwrap(), "still here");
    soon(push.close()).await;
    // With its last peer the address is free, and whoever is called there next hears of the late one.
    until(|| pull.peers().is_empty()).await;
    let other = Pull::staged();
    soon(async { while other.bind(&place.endpoint).await.is_err() {} }).await;
    soon(late.connected(&place.endpoint)).await.unwrap();
    assert!(pull.peers().is_empty());
}

#[tokio::test]
async fn a_peer_that_comes_back_is_found_again() {
    let push = Push::set_up().reconnect(Reconnect::within(MS, MS)).build();
    let first = Pull::staged();
    let place = meet(&first, &push, (Scheme::Udp, Order::BindFirst)).await;
    let mut events = push.monitor();
    soon(first.close()).await;
    assert!(matches!(disconnected(&mut events).await, Disconnect::PeerClosed));
    let second = Pull::staged();
    soon(push.send("waits")).await.unwrap();
    soon(second.bind(&place.endpoint)).await.unwrap();
    assert_eq!(soon(second.recv()).await.unwrap(), "waits");
}

#[tokio::test]
async fn a_peer_of_the_wrong_type_is_refused_and_both_know_why() {
    let (push, publisher) = (Push::staged(), Pub::staged());
    let (mut ours, mut theirs) = (push.monitor(), publisher.monitor());
    let endpoint = soon(publisher.bind("udp://127.0.0.1:0")).await.unwrap();
    push.connect(&endpoint).unwrap();
    let failed = |event| if let Event::HandshakeFailed { reason, .. } = event { Some(reason) } else { None };
    assert!(event(&mut theirs, failed).await.is_refusal());
    let retrying = |event| if let Event::Retrying { reason, .. } = event { Some(reason) } else { None };
    assert!(event(&mut ours, retrying).await.is_refusal());
}

#[tokio::test]
async fn a_message_that_fits_into_no_datagram_comes_back() {
    let push = Push::staged();
    push.connect("udp://127.0.0.1:1").unwrap();
    let headers_count = Message::from(vec![zocket::Frame::new(); 32_701]);
    for larger in
        [[vec![7; 65_400 - 11], vec![7; 1]].into(), [vec![7; 33_000], vec![7; 33_000]].into(), headers_count]
    {
        let Err(SendError::TooLarge(refused)) = soon(push.send(Message::clone(&larger))).await else {
            panic!()
        };
        assert_eq!((refused.message, refused.limit), (larger, 65_400));
    }
}

#[tokio::test]
async fn the_largest_message_that_is_taken_gets_through_with_its_envelope_too() {
    let way = (Scheme::Udp, Order::BindFirst);
    let (push, pull) = (Push::staged(), Pull::staged());
    let _place = meet(&pull, &push, way).await;
    let many = Message::from(vec![zocket::Frame::new(); 32_700]);
    for largest in [Message::from(vec![7; 65_400 - 9]), many] {
        soon(push.send(largest.clone())).await.unwrap();
        assert_eq!(soon(pull.recv()).await.unwrap(), largest);
    }
    let (req, rep) = (Req::staged(), Rep::staged());
    let _place = meet(&rep, &req, way).await;
    let largest = vec![7; 65_400 - 9];
    let (reply, ()) = tokio::join!(soon(req.request(&largest[..])), async {
        let request = soon(rep.recv()).await.unwrap();
        let same = request.message().clone();
        soon(request.reply(same)).await.unwrap();
    });
    assert_eq!(reply.unwrap(), Message::from(&largest[..]));
    let error = soon(req.request(vec![7; 65_400])).await.unwrap_err();
    assert_eq!(error, RequestError::TooLarge { limit: 65_400 });
}

#[tokio::test]
async fn an_endpoint_that_cannot_be_had_limits_no_message() {
    let (push, other, pull) = (Push::staged(), Push::staged(), Pull::staged());
    let taken = soon(other.bind("udp://127.0.0.1:0")).await.unwrap();
    soon(push.bind(&taken)).await.unwrap_err();
    let _place = meet(&pull, &push, (Scheme::Tcp, Order::BindFirst)).await;
    soon(push.send(vec![7; 100_000])).await.unwrap();
    assert_eq!(soon(pull.recv()).await.unwrap().byte_len(), 100_000);
}

#[tokio::test]
async fn the_longest_prefix_is_subscribed_to() {
    let (publisher, sub) = (Pub::staged(), Sub::staged());
    sub.subscribe(vec![b'p'; 64 * 1024]).unwrap();
    let _place = meet(&publisher, &sub, (Scheme::Udp, Order::BindFirst)).await;
    until(|| publisher.topics() == 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_unbind_returns_the_address_is_free() {
    let pull = Pull::staged();
    for _ in 0..200 {
        let endpoint = soon(pull.bind("udp://127.0.0.1:0")).await.unwrap();
        soon(pull.unbind(&endpoint)).await.unwrap();
        std::net::UdpSocket::bind(endpoint.address()).expect("it is free");
    }
}

/// A way between a place and whoever sends here. While it is shut, nothing gets through.
async fn way_to(to: &Endpoint) -> (Endpoint, watch::Sender<bool>) {
    let (open, is_open) = watch::channel(true);
    let endpoint = relay(to, move |packet| if *is_open.borrow() { vec![packet] } else { Vec::new() }).await;
    (endpoint, open)
}

/// Carries datagrams between a place and whoever sends here last: those that `pass` makes of each.
async fn relay(
    to: &Endpoint,
    mut pass: impl FnMut((bool, Vec<u8>)) -> Vec<(bool, Vec<u8>)> + Send + 'static,
) -> Endpoint {
    let here = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("udp://{}", here.local_addr().unwrap()).parse().unwrap();
    let to = to.address().to_owned();
    tokio::spawn(async move {
        let mut there = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        there.connect(&to).await.unwrap();
        let mut caller = None;
        let (mut up, mut down) = (vec![0; 65_536], vec![0; 65_536]);
        loop {
            let packet = tokio::select! {
                Ok((length, from)) = here.recv_from(&mut up) => {
                    if caller.is_some_and(|known| known != from) {
                        // As a router between networks, it has a port for each.
                        there = UdpSocket::bind("127.0.0.1:0").await.unwrap();
                        there.connect(&to).await.unwrap();
                    }
                    caller = Some(from);
                    (true, up[..length].to_vec())
                }
                Ok(length) = there.recv(&mut down) => (false, down[..length].to_vec()),
                else => return,
            };
            for (forth, packet) in pass(packet) {
                match caller {
                    _ if forth => drop(there.send(&packet).await),
                    Some(caller) => drop(here.send_to(&packet, caller).await),
                    None => {}
                }
            }
        }
    });
    endpoint
}

#[tokio::test]
async fn a_link_that_falls_silent_is_reported_on_both_sides_and_dialled_anew() {
    let heartbeat = Heartbeat::every(20 * MS).timeout(100 * MS);
    let push = Push::set_up().heartbeat(heartbeat).reconnect(Reconnect::within(MS, 10 * MS)).build();
    let pull = Pull::set_up().heartbeat(heartbeat).build();
    let (mut ours, mut theirs) = (push.monitor(), pull.monitor());
    let endpoint = soon(pull.bind("udp://127.0.0.1:0")).await.unwrap();
    let (endpoint, open) = way_to(&endpoint).await;
    push.connect(&endpoint).unwrap();
    ready(&mut ours).await;
    ready(&mut theirs).await;
    open.send_replace(false);
    for events in [&mut ours, &mut theirs] {
        let reason = disconnected(events).await;
        let silent = matches!(&reason, Disconnect::Protocol(ProtocolError::HeartbeatTimeout { .. }));
        assert!(silent, "{reason}");
    }
    assert!(pull.peers().is_empty());
    event(&mut ours, |event| matches!(event, Event::Retrying { .. }).then_some(())).await;
    open.send_replace(true);
    ready(&mut ours).await;
    ready(&mut theirs).await;
    soon(push.send("again")).await.unwrap();
    assert_eq!(soon(pull.recv()).await.unwrap(), "again");
}

#[tokio::test]
async fn a_request_whose_link_falls_silent_ends_with_it_and_the_next_is_answered() {
    let heartbeat = Heartbeat::every(20 * MS).timeout(100 * MS);
    let req = Req::set_up().heartbeat(heartbeat).reconnect(Reconnect::within(MS, 10 * MS)).build();
    let rep = Rep::staged();
    let endpoint = soon(rep.bind("udp://127.0.0.1:0")).await.unwrap();
    let (endpoint, open) = way_to(&endpoint).await;
    req.connect(&endpoint).unwrap();
    soon(req.connected(&endpoint)).await.unwrap();
    let (answer, request) = tokio::join!(soon(req.request("lost")), async {
        let request = soon(rep.recv()).await.unwrap();
        open.send_replace(false);
        request
    });
    assert_eq!(answer, Err(RequestError::PeerLost));
    drop(request);
    open.send_replace(true);
    let (answer, ()) = tokio::join!(soon(req.request("again")), async {
        let request = soon(rep.recv()).await.unwrap();
        soon(request.reply("answer")).await.unwrap();
    });
    assert_eq!(answer.unwrap(), "answer");
}

#[tokio::test]
async fn a_call_that_is_given_up_says_so_to_whoever_may_have_taken_it() {
    let (full, other, caller) = (Pair::staged(), Pair::staged(), Pair::staged());
    let first = soon(full.bind("udp://127.0.0.1:0")).await.unwrap();
    let second = soon(other.bind("udp://127.0.0.1:0")).await.unwrap();
    let mut events = other.monitor();
    caller.connect(&first).unwrap();
    soon(caller.connected(&first)).await.unwrap();
    // A PAIR has one peer: its second call is accepted there, and not by itself.
    caller.connect(&second).unwrap();
    ready(&mut events).await;
    disconnected(&mut events).await;
}

#[tokio::test]
async fn a_peer_that_died_without_a_word_is_missed_by_who_goes_on_sending() {
    let hall = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let push = Push::set_up().heartbeat(Heartbeat::off()).build();
    let mut events = push.monitor();
    push.connect(format!("udp://{}", hall.local_addr().unwrap())).unwrap();
    let mut buffer = [0; 2_000];
    let (_, from) = soon(hall.recv_from(&mut buffer)).await.unwrap();
    let about = b"\x0bSocket-Type\0\0\0\x04PULL\x08X-Zocket\0\0\0\x011";
    hall.send_to(&[&[3], &buffer[1..9], &about[..]].concat(), from).await.unwrap();
    ready(&mut events).await;
    drop(hall);
    for _ in 0..2 {
        until(|| push.peers()[0].send_queue == 0).await;
        soon(push.send("to nobody")).await.unwrap();
    }
    let reason = disconnected(&mut events).await;
    assert!(matches!(reason, Disconnect::Io(_)), "{reason}");
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_wildcard_answers_from_the_address_that_was_called() {
    for ipv6 in [true, false] {
        let mut link = LinkOptions::default();
        link.ipv6 = ipv6;
        let router = Router::set_up().link(link).build();
        let mut events = router.monitor();
        let endpoint = soon(router.bind("udp://*:0")).await.unwrap();
        let (_, port) = endpoint.address().rsplit_once(':').unwrap();
        let mut dealers = Vec::new();
        for host in ["127.0.0.2", "127.0.0.3", "[::1]"] {
            if host == "[::1]" && !(ipv6 && endpoint.address().starts_with('[')) {
                continue;
            }
            let dealer = Dealer::set_up().routing_id(host).build();
            let called = format!("udp://{host}:{port}");
            dealer.connect(&*called).unwrap();
            soon(dealer.connected(&*called)).await.unwrap();
            ready(&mut events).await;
            dealers.push((host, dealer));
        }
        // Of one length, and of several: in runs, and in calls for many.
        let bodies: Vec<_> = (0..60).map(|n| vec![n; 9 + usize::from(n) / 30 * usize::from(n)]).collect();
        for body in &bodies {
            for (host, _) in &dealers {
                soon(router.send([host.as_bytes(), body])).await.unwrap();
            }
        }
        for (host, dealer) in &dealers {
            for body in &bodies {
                assert_eq!(soon(dealer.recv()).await.unwrap(), body[..], "{host}");
            }
        }
    }
}
