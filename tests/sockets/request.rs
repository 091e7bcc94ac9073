//! REQ and REP: one reply to one request, whatever comes late, leaves or is dropped in between.

use std::sync::Arc;
use std::time::Duration;

use zocket::{Disconnect, Event, Heartbeat, Rep, Req, RequestError, Router, SendError};

use crate::stage::{
    Order, Puppet, SCHEMES, Scheme, Staged, disconnected, event, join, meet, meet_tcp, read_frame, ready,
    soon, ways,
};

/// Starts a request and drops it once the peer has it.
macro_rules! abandon {
    ($req:expr, $body:expr, $arrives:expr) => {{
        let asking = $req.request($body);
        let arrives = $arrives;
        soon(async {
            tokio::select! {
                reply = asking => panic!("nobody answered: {reply:?}"),
                request = arrives => request.unwrap(),
            }
        })
        .await
    }};
}

#[tokio::test]
async fn a_late_reply_of_a_rep_is_never_taken_for_the_next() {
    for way in ways() {
        let (req, rep) = (Req::staged(), Rep::staged());
        let _place = meet(&rep, &req, way).await;
        for round in 0..20 {
            let late = abandon!(req, format!("old {round}"), rep.recv());
            let next = req.request(format!("new {round}"));
            let answering = async {
                late.reply("late").await.ok();
                let request = rep.recv().await.unwrap();
                assert_eq!(*request.message(), format!("new {round}")[..]);
                request.reply(format!("{round}")).await.unwrap();
            };
            let (reply, ()) = soon(async { tokio::join!(next, answering) }).await;
            assert_eq!(reply.unwrap(), format!("{round}")[..], "{way:?}");
        }
    }
}

#[tokio::test]
async fn a_late_reply_of_a_router_is_never_taken_for_the_next() {
    for way in ways() {
        let (req, router) = (Req::staged(), Router::staged());
        let mut events = req.monitor();
        let _place = meet(&router, &req, way).await;
        for round in 0..5 {
            let mut late = abandon!(req, format!("old {round}"), router.recv());
            // Its id is of no use now, but a stubborn server tries.
            let body = late.len() - 1;
            assert_eq!(late.frames()[body], *format!("old {round}").as_str());
            late = late.into_frames().into_iter().take(body).collect();
            late.push_back("late");
            let answering = async {
                router.send(late).await.ok();
                let request = router.recv().await.unwrap();
                assert_eq!(*request.last(), *format!("new {round}").as_str());
                router.send([request.first().clone(), "".into(), "fresh".into()]).await.unwrap();
            };
            let (reply, ()) =
                soon(async { tokio::join!(req.request(format!("new {round}")), answering) }).await;
            assert_eq!(reply.unwrap(), "fresh", "{way:?}");
        }
        if way.0 != Scheme::Inproc {
            let reason = disconnected(&mut events).await;
            assert!(matches!(reason, Disconnect::RequestAbandoned), "{reason:?}");
        }
    }
}

#[tokio::test]
async fn with_correlate_a_given_up_request_costs_no_connection() {
    let (req, router) = (Req::set_up().correlate(true).build(), Router::staged());
    let _place = meet_tcp(&router, &req).await;
    let mut events = req.monitor();
    let late = abandon!(req, "old", router.recv());
    assert_eq!(late.len(), 4, "name, id, delimiter, body");
    let answering = async {
        router.send(late).await.unwrap();
        let request = router.recv().await.unwrap();
        router.send(request).await.unwrap();
    };
    let (reply, ()) = soon(async { tokio::join!(req.request("new"), answering) }).await;
    assert_eq!(reply.unwrap(), "new");
    assert!(futures::FutureExt::now_or_never(events.next()).is_none(), "nothing happened to the connection");
}

#[tokio::test]
async fn a_peer_that_leaves_with_a_request_is_reported_and_the_next_request_goes_elsewhere() {
    for way in ways() {
        let req = Req::staged();
        let (first, second) = (Rep::staged(), Rep::staged());
        let _one = meet(&first, &req, way).await;
        let open = {
            let asking = req.request("lost");
            let leaving = async {
                let request = first.recv().await.unwrap();
                first.close().await;
                request
            };
            let (reply, request) = soon(async { tokio::join!(asking, leaving) }).await;
            assert_eq!(reply, Err(RequestError::PeerLost), "{way:?}");
            request
        };
        assert_eq!(soon(open.reply("into the void")).await.unwrap_err().into_message(), "into the void");
        let _two = meet(&second, &req, way).await;
        let answering = async { second.recv().await.unwrap().reply("here").await.unwrap() };
        let (reply, ()) = soon(async { tokio::join!(req.request("again"), answering) }).await;
        assert_eq!(reply.unwrap(), "here", "{way:?}");
    }
}

#[tokio::test]
async fn a_request_that_was_sent_is_not_sent_again_after_a_reconnect() {
    let puppet = Puppet::new().await;
    let req = Req::set_up().reconnect(crate::reconnect::quickly()).build();
    req.connect(&puppet.endpoint).unwrap();
    let mut stream = puppet.accept("REP").await;
    let dying = async {
        // Id, delimiter, body.
        for _ in 0..3 {
            read_frame(&mut stream).await.unwrap();
        }
        drop(stream);
    };
    let (reply, ()) = soon(async { tokio::join!(req.request("once"), dying) }).await;
    assert_eq!(reply, Err(RequestError::PeerLost));
    let mut stream = puppet.accept("REP").await;
    let asking = tokio::spawn(async move { req.request("second").await });
    let mut last = Vec::new();
    for _ in 0..3 {
        last = read_frame(&mut stream).await.unwrap().1;
    }
    assert_eq!(last, b"second");
    asking.abort();
}

#[tokio::test]
async fn a_relaxed_request_takes_the_place_of_the_open_one() {
    for way in ways() {
        for router_side in [false, true] {
            let req = Req::set_up().relaxed(true).build();
            let (rep, router) = (Rep::staged(), Router::staged());
            let _place =
                if router_side { meet(&router, &req, way).await } else { meet(&rep, &req, way).await };
            let first = req.request("first");
            let mut first = std::pin::pin!(first);
            assert!(futures::poll!(&mut first).is_pending());
            let answering = async {
                for _ in 0..2 {
                    if router_side {
                        let request = router.recv().await.unwrap();
                        router.send(request).await.unwrap();
                    } else {
                        let mut request = rep.recv().await.unwrap();
                        let body = request.take_message();
                        request.reply(body).await.unwrap();
                    }
                }
            };
            let (second, first, ()) =
                soon(async { tokio::join!(req.request("second"), first, answering) }).await;
            assert_eq!(first, Err(RequestError::Superseded), "{way:?}");
            assert_eq!(second.unwrap(), "second", "{way:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn concurrent_requests_take_turns_and_each_gets_its_own_reply() {
    for scheme in SCHEMES {
        let (req, rep) = (Arc::new(Req::staged()), Rep::staged());
        let _place = meet(&rep, &req, (scheme, Order::BindFirst)).await;
        let server = tokio::spawn(async move {
            while let Ok(mut request) = rep.recv().await {
                assert!(rep.try_recv().is_err(), "one at a time");
                let body = request.take_message();
                request.reply(body).await.unwrap();
            }
        });
        let clients: Vec<_> = (0..8)
            .map(|client| {
                let req = Arc::clone(&req);
                tokio::spawn(async move {
                    for n in 0..100 {
                        let body = format!("{client}/{n}");
                        assert_eq!(req.request(body.clone()).await.unwrap(), body[..]);
                    }
                })
            })
            .collect();
        for client in clients {
            soon(client).await.unwrap();
        }
        server.abort();
    }
}

#[tokio::test]
async fn requests_go_round_the_peers() {
    let req = Req::staged();
    let reps = [Rep::staged(), Rep::staged(), Rep::staged()];
    let mut places = Vec::new();
    for rep in &reps {
        places.push(meet_tcp(rep, &req).await);
    }
    let mut order = Vec::new();
    for _ in 0..6 {
        let answering = async {
            let (a, b, c) = (reps[0].recv(), reps[1].recv(), reps[2].recv());
            let (who, request) = tokio::select! {
                request = a => (0, request), request = b => (1, request), request = c => (2, request),
            };
            request.unwrap().reply("ok").await.unwrap();
            who
        };
        let (reply, who) = soon(async { tokio::join!(req.request("?"), answering) }).await;
        reply.unwrap();
        order.push(who);
    }
    assert_eq!(order[..3], order[3..]);
    order.truncate(3);
    order.sort_unstable();
    assert_eq!(order, [0, 1, 2]);
}

#[tokio::test]
async fn open_requests_are_answered_in_any_order() {
    for scheme in SCHEMES {
        let rep = Rep::staged();
        let mut reqs = vec![Req::staged()];
        let place = meet(&rep, &reqs[0], (scheme, Order::BindFirst)).await;
        for _ in 1..5 {
            let req = Req::staged();
            join(&rep, &req, &place.endpoint).await;
            reqs.push(req);
        }
        let asking: Vec<_> = reqs
            .into_iter()
            .enumerate()
            .map(|(n, req)| tokio::spawn(async move { (n, req.request(format!("{n}")).await) }))
            .collect();
        let mut open = Vec::new();
        for _ in 0..5 {
            open.push(soon(rep.recv()).await.unwrap());
        }
        open.sort_by_key(|request| std::cmp::Reverse(request.message().to_text()));
        for request in open {
            let answer = format!("re: {}", request.message().to_text());
            soon(request.reply(answer)).await.unwrap();
        }
        for task in asking {
            let (n, reply) = soon(task).await.unwrap();
            assert_eq!(reply.unwrap(), format!("re: {n}")[..], "{scheme:?}");
        }
    }
}

#[tokio::test]
async fn a_reply_to_a_peer_that_has_gone_comes_back() {
    for way in ways() {
        for rep_binds in [true, false] {
            let (req, rep) = (Req::staged(), Rep::staged());
            let _place = if rep_binds { meet(&rep, &req, way).await } else { meet(&req, &rep, way).await };
            let mut events = rep.monitor();
            let request = abandon!(req, "bye", rep.recv());
            req.close().await;
            if way.0 != Scheme::Inproc {
                disconnected(&mut events).await;
            }
            let refused = soon(request.reply(["an", "answer"])).await;
            assert_eq!(
                refused,
                Err(SendError::Unroutable(Box::new(["an", "answer"].into()))),
                "{way:?} {rep_binds}"
            );
        }
    }
}

#[tokio::test]
async fn a_reply_never_goes_to_the_next_connection_of_a_dialled_peer() {
    let puppet = Puppet::new().await;
    let rep = Rep::set_up().reconnect(crate::reconnect::quickly()).build();
    let mut events = rep.monitor();
    rep.connect(&puppet.endpoint).unwrap();
    let mut stream = puppet.accept("REQ").await;
    ready(&mut events).await;
    ask(&mut stream).await;
    let request = soon(rep.recv()).await.unwrap();
    ask(&mut stream).await;
    crate::stage::until(|| rep.peers()[0].receive_queue == 1).await;
    drop(stream);
    let mut stream = puppet.accept("REQ").await;
    ready(&mut events).await;
    assert!(matches!(soon(request.reply("old")).await, Err(SendError::Unroutable(_))));
    let stale = soon(rep.recv()).await.unwrap();
    assert!(
        matches!(soon(stale.reply("stale")).await, Err(SendError::Unroutable(_))),
        "it came over the old one"
    );
    ask(&mut stream).await;
    let request = soon(rep.recv()).await.unwrap();
    soon(request.reply("new")).await.unwrap();
    assert_eq!(read_frame(&mut stream).await.unwrap().1, b"");
    assert_eq!(read_frame(&mut stream).await.unwrap().1, b"new");
}

async fn ask(stream: &mut tokio::net::TcpStream) {
    tokio::io::AsyncWriteExt::write_all(stream, &[1, 0, 0, 1, b'?']).await.unwrap();
}

#[tokio::test]
async fn what_is_no_request_is_skipped() {
    let (dealer, rep) = (zocket::Dealer::staged(), Rep::staged());
    let _place = meet_tcp(&rep, &dealer).await;
    for junk in [&["no delimiter"][..], &["a", "b"], &[""]] {
        let frames: zocket::Message = junk.iter().map(|&frame| zocket::Frame::from(frame)).collect();
        dealer.send(frames).await.unwrap();
    }
    dealer.send(["hop", "", "body", "more"]).await.unwrap();
    let request = soon(rep.recv()).await.unwrap();
    assert_eq!(*request.message(), ["body", "more"]);
    soon(request.reply("ok")).await.unwrap();
    assert_eq!(soon(dealer.recv()).await.unwrap(), ["hop", "", "ok"]);
}

#[tokio::test]
async fn a_dropped_request_answers_nothing_and_holds_up_nobody() {
    let (left, right, rep) = (Req::staged(), Req::staged(), Rep::staged());
    let place = meet_tcp(&rep, &left).await;
    join(&rep, &right, &place.endpoint).await;
    let ignored = left.request("ignored");
    let mut ignored = std::pin::pin!(ignored);
    assert!(futures::poll!(&mut ignored).is_pending());
    drop(soon(rep.recv()).await.unwrap());
    let answering = async { rep.recv().await.unwrap().reply("ok").await.unwrap() };
    let (reply, ()) = soon(async { tokio::join!(right.request("?"), answering) }).await;
    assert_eq!(reply.unwrap(), "ok");
    assert!(futures::poll!(&mut ignored).is_pending());
}

#[tokio::test]
async fn an_open_request_and_a_waiting_one_end_when_the_socket_closes() {
    for scheme in SCHEMES {
        let (req, rep) = (Req::staged(), Rep::staged());
        let _place = meet(&rep, &req, (scheme, Order::BindFirst)).await;
        let (open, waiting) = (req.request("open"), req.request("waiting"));
        let (mut open, mut waiting) = (std::pin::pin!(open), std::pin::pin!(waiting));
        assert!(futures::poll!(&mut open).is_pending());
        assert!(futures::poll!(&mut waiting).is_pending());
        soon(req.close()).await;
        let reply = soon(open).await;
        assert!(matches!(reply, Err(RequestError::Closed | RequestError::PeerLost)), "{scheme:?} {reply:?}");
        assert_eq!(soon(waiting).await, Err(RequestError::Closed), "{scheme:?}");
    }
}

#[tokio::test]
async fn a_request_to_nobody_waits_until_somebody_comes() {
    for way in ways() {
        let (req, rep) = (Arc::new(Req::staged()), Rep::staged());
        let asking = tokio::spawn({
            let req = Arc::clone(&req);
            async move { req.request("anybody?").await }
        });
        let _place = meet(&rep, &req, way).await;
        soon(soon(rep.recv()).await.unwrap().reply("me")).await.unwrap();
        assert_eq!(soon(asking).await.unwrap().unwrap(), "me", "{way:?}");
    }
}

#[tokio::test]
async fn the_connection_of_a_given_up_request_says_why_it_ended() {
    let (req, router) = (Req::staged(), Router::staged());
    let _place = meet_tcp(&router, &req).await;
    let mut events = req.monitor();
    drop(abandon!(req, "x", router.recv()));
    let story = event(&mut events, |event| match event {
        Event::Disconnected { reason, .. } => Some(reason.to_string()),
        _ => None,
    })
    .await;
    assert_eq!(story, "a request was given up");
    ready(&mut events).await;
}

#[tokio::test]
async fn a_relaxed_request_that_finds_nobody_leaves_the_open_one_its_reply() {
    for scheme in SCHEMES {
        let (req, router) = (Req::set_up().relaxed(true).build(), Router::staged());
        let mut events = req.monitor();
        let _place = meet(&req, &router, (scheme, Order::BindFirst)).await;
        let mut first = Box::pin(req.request("first"));
        assert!(futures::poll!(&mut first).is_pending());
        let mut reply = soon(router.recv()).await.unwrap().into_frames();
        reply.pop();
        router.send(reply.into_iter().chain(["reply".into()]).collect::<zocket::Message>()).await.unwrap();
        soon(router.close()).await;
        soon(disconnected(&mut events)).await;
        {
            let mut second = Box::pin(req.request("second"));
            assert!(futures::poll!(&mut second).is_pending(), "there is no peer");
        }
        assert_eq!(soon(first).await.unwrap(), "reply", "{scheme:?}");
    }
}

/// Reads what is there already, with no task of the runtime in between.
fn arrived(stream: tokio::net::TcpStream) -> Vec<u8> {
    use std::io::Read;
    let mut stream = stream.into_std().unwrap();
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let mut wire = vec![0; 64];
    let read = stream.read(&mut wire).expect("nobody has written");
    wire.truncate(read);
    wire
}

#[tokio::test]
async fn whoever_asks_or_answers_writes_and_waits_for_no_task() {
    for look in [Duration::ZERO, Duration::from_millis(20)] {
        let puppet = Puppet::new().await;
        let req = Req::set_up().busy_poll(look).build();
        req.connect(&puppet.endpoint).unwrap();
        let stream = puppet.accept("REP").await;
        soon(req.connected(&puppet.endpoint)).await.unwrap();
        let mut asking = Box::pin(req.request("now"));
        assert!(futures::poll!(&mut asking).is_pending());
        assert!(arrived(stream).ends_with(b"now"));

        let puppet = Puppet::new().await;
        let rep = Rep::set_up().busy_poll(look).build();
        rep.connect(&puppet.endpoint).unwrap();
        let mut stream = puppet.accept("REQ").await;
        ask(&mut stream).await;
        let request = soon(rep.recv()).await.unwrap();
        request.reply("here").await.unwrap();
        assert!(arrived(stream).ends_with(b"here"));
    }
}

/// Under the paused clock time moves only while every task sleeps: a request's time is over when its connection has looked
/// long enough. So what the second one sees is not what the handshake or the first left.
#[tokio::test]
async fn a_busy_connection_looks_for_the_answer_to_what_was_written_in_its_stead() {
    let look = Duration::from_millis(20);
    let puppet = Puppet::new().await;
    let req = Req::set_up().busy_poll(look).build();
    req.connect(&puppet.endpoint).unwrap();
    let _stream = puppet.accept("REP").await;
    soon(req.connected(&puppet.endpoint)).await.unwrap();
    tokio::time::pause();
    for _ in 0..2 {
        let asked = std::time::Instant::now();
        let reply = tokio::time::timeout(Duration::from_secs(1), req.request("?")).await;
        assert!(reply.is_err() && asked.elapsed() >= look, "it looked for {:?}", asked.elapsed());
    }
}

#[test]
fn replies_are_on_their_way_when_the_runtime_stops_running_who_sent_them() {
    // Well beyond how much I/O tokio lets a task do in a row.
    const PEERS: usize = 200;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    // Neither timer shall wake a connection by chance.
    let never = Duration::from_secs(3600);
    let router = Router::builder().heartbeat(Heartbeat::off()).handshake_timeout(never).build();
    let (asking, requests) = runtime.block_on(async {
        let at = router.bind("tcp://127.0.0.1:0").await.unwrap();
        let mut asking = tokio::task::JoinSet::new();
        for _ in 0..PEERS {
            let req = Req::builder().heartbeat(Heartbeat::off()).handshake_timeout(never).build();
            req.connect(&at).unwrap();
            asking.spawn(async move { req.request("?").await });
        }
        let mut requests = Vec::new();
        for _ in 0..PEERS {
            requests.push(soon(router.recv()).await.unwrap());
        }
        (asking, requests)
    });
    runtime.block_on(async {
        for request in requests {
            router.send(request).await.unwrap();
        }
    });
    let replies = runtime.block_on(soon(asking.join_all()));
    assert!(replies.into_iter().all(|reply| reply.unwrap() == "?"));
}
