//! Cancel safety: what each async method promises when its future is dropped half-way, and that no wake-up is lost
//! on the way.
//!
//! Futures are polled by hand with a counting waker ([`Hand`]), over in-process pipes, where no other task moves
//! anything between two lines. A future is polled again only when it was woken: who relies on being asked by chance
//! waits for ever here.

use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use futures::{Sink, SinkExt, Stream};
use zocket::{
    Dealer, Event, HighWater, Message, Pub, Pull, Push, RecvError, Rep, Req, Router, SendError, Sub,
};

/// One task's worth of polling: counts how often it is woken.
pub(crate) struct Hand {
    wakes: Arc<Wakes>,
    waker: Waker,
    seen: usize,
}

#[derive(Default)]
struct Wakes(AtomicUsize);

impl Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

impl Hand {
    pub(crate) fn new() -> Self {
        let wakes = Arc::new(Wakes::default());
        Self { waker: Arc::clone(&wakes).into(), wakes, seen: 0 }
    }

    pub(crate) fn poll<T>(&mut self, future: Pin<&mut (impl Future<Output = T> + ?Sized)>) -> Poll<T> {
        self.with(|cx| future.poll(cx))
    }

    fn with<T>(&mut self, work: impl FnOnce(&mut Context<'_>) -> T) -> T {
        self.seen = self.wakes.0.load(Ordering::SeqCst);
        work(&mut Context::from_waker(&self.waker))
    }

    /// Whether it was woken since it was last polled.
    pub(crate) fn is_woken(&self) -> bool {
        self.wakes.0.load(Ordering::SeqCst) > self.seen
    }

    /// Whether anybody still holds its waker.
    fn is_remembered(&self) -> bool {
        Arc::strong_count(&self.wakes) > 2
    }
}

fn name(test: &str) -> String {
    format!("inproc://cancel-{test}")
}

const ONE: HighWater = HighWater::messages(1);

/// A PUSH and a PULL with room for two messages between them, both of which are there.
async fn full(test: &str) -> (Push, Pull) {
    let push = Push::builder().send_high_water(ONE).build();
    let pull = Pull::builder().receive_high_water(ONE).build();
    pull.bind(name(test)).await.unwrap();
    push.connect(name(test)).unwrap();
    while push.try_send("before").is_ok() {}
    (push, pull)
}

fn drain(pull: &Pull) -> Vec<String> {
    std::iter::from_fn(|| pull.try_recv().ok()).map(|message| message.to_text()).collect()
}

// ── send ────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_send_that_was_dropped_while_it_waited_sent_nothing() {
    let (push, pull) = full("send").await;
    let mut hand = Hand::new();
    {
        let mut send = pin!(push.send("dropped"));
        assert!(hand.poll(send.as_mut()).is_pending());
    }
    assert!(!hand.is_remembered(), "it left the line");
    assert_eq!(drain(&pull), ["before"; 2]);
    push.try_send("after").unwrap();
    assert_eq!(drain(&pull), ["after"]);
}

#[tokio::test]
async fn a_sender_that_was_woken_and_goes_passes_its_turn_on() {
    let (push, pull) = full("pass").await;
    let (mut first, mut second) = (Hand::new(), Hand::new());
    let mut goes = Box::pin(push.send("dropped"));
    let mut stays = pin!(push.send("sent"));
    assert!(first.poll(goes.as_mut()).is_pending() && second.poll(stays.as_mut()).is_pending());
    assert_eq!(drain(&pull), ["before"; 2]);
    assert!(first.is_woken() && !second.is_woken());
    drop(goes);
    assert!(second.is_woken());
    assert_eq!(second.poll(stays.as_mut()), Poll::Ready(Ok(())));
    assert_eq!(drain(&pull), ["sent"]);
}

/// Tasks that are polled when they are woken, and at no other time.
struct Crowd<'a, T> {
    tasks: Vec<(Hand, futures::future::LocalBoxFuture<'a, T>)>,
}

impl<'a, T> Crowd<'a, T> {
    fn new<F: Future<Output = T> + 'a>(tasks: impl Iterator<Item = F>) -> Self {
        let mut tasks: Vec<_> = tasks
            .map(|task| (Hand::new(), Box::pin(task) as Pin<Box<dyn Future<Output = T> + 'a>>))
            .collect();
        for (hand, task) in &mut tasks {
            assert!(hand.poll(task.as_mut()).is_pending());
        }
        Self { tasks }
    }

    /// Drops a task, at random.
    fn lose_one(&mut self, random: &mut fastrand::Rng) {
        let lost = random.usize(..self.tasks.len());
        drop(self.tasks.swap_remove(lost));
    }

    /// Polls those who were woken, in any order, until nobody is. Returns what was done.
    fn run(&mut self, random: &mut fastrand::Rng) -> Vec<T> {
        let mut done = Vec::new();
        loop {
            let woken: Vec<_> = (0..self.tasks.len()).filter(|&n| self.tasks[n].0.is_woken()).collect();
            let Some(&n) = random.choice(&woken) else { return done };
            let (hand, task) = &mut self.tasks[n];
            if let Poll::Ready(result) = hand.poll(task.as_mut()) {
                done.push(result);
                drop(self.tasks.swap_remove(n));
            }
        }
    }
}

#[tokio::test]
async fn many_waiting_senders_all_get_their_turn_whoever_goes() {
    for seed in 0..200 {
        let random = &mut fastrand::Rng::with_seed(seed);
        let (push, pull) = full(&format!("senders-{seed}")).await;
        let mut crowd = Crowd::new((0..30).map(|n| push.send(format!("{n}"))));
        let (mut sent, mut lost, mut received) = (0, 0, 2);
        assert_eq!(drain(&pull).len(), 2);
        while !crowd.tasks.is_empty() {
            if random.u8(..3) == 0 {
                crowd.lose_one(random);
                lost += 1;
            }
            let done = crowd.run(random).len();
            sent += done;
            let drained = drain(&pull).len();
            received += drained;
            assert!(done + drained > 0 || crowd.tasks.is_empty(), "seed {seed}: room, and nobody was told");
        }
        assert_eq!((sent + lost, received), (30, sent + 2), "seed {seed}");
    }
}

#[tokio::test]
async fn who_waits_for_one_peer_is_not_passed_over_for_who_waits_for_another() {
    let at = name("router");
    let router = Router::builder().send_high_water(ONE).build();
    router.bind(&*at).await.unwrap();
    let dealers = ["a", "b"].map(|id| {
        let dealer = Dealer::builder().routing_id(id).receive_high_water(ONE).build();
        dealer.connect(&*at).unwrap();
        while router.try_send([id, "before"]).is_ok() {}
        dealer
    });
    let mut first = Crowd::new(std::iter::once(router.send(["a", "more"])));
    let mut second = Crowd::new(std::iter::once(router.send(["b", "more"])));
    while dealers[1].try_recv().is_ok() {}
    // The first in line may be told, and finds its own peer as full as before.
    let random = &mut fastrand::Rng::with_seed(0);
    assert!(first.run(random).is_empty());
    assert_eq!(second.run(random), [Ok(())], "its peer has room, and it was not told");
    while dealers[0].try_recv().is_ok() {}
    assert_eq!(first.run(random), [Ok(())]);
}

#[tokio::test]
async fn a_publisher_that_waits_for_one_topic_does_not_hold_up_another() {
    let at = name("no-drop");
    let publisher = Pub::builder().send_high_water(ONE).no_drop(true).build();
    publisher.bind(&*at).await.unwrap();
    let subs = ["a", "b"].map(|topic| {
        let sub = Sub::builder().receive_high_water(ONE).build();
        sub.subscribe(topic).unwrap();
        sub.connect(&*at).unwrap();
        while publisher.try_send(topic).is_ok() {}
        sub
    });
    let mut first = Crowd::new(std::iter::once(publisher.send("a")));
    let mut second = Crowd::new(std::iter::once(publisher.send("b")));
    while subs[1].try_recv().is_ok() {}
    let random = &mut fastrand::Rng::with_seed(0);
    assert!(first.run(random).is_empty());
    assert_eq!(second.run(random), [Ok(())], "its subscriber has room, and it was not told");
    while subs[0].try_recv().is_ok() {}
    assert_eq!(first.run(random), [Ok(())]);
}

#[tokio::test]
async fn a_sink_that_was_dropped_keeps_no_message_and_no_place_in_line() {
    let (push, pull) = full("sink").await;
    let (mut first, mut second) = (Hand::new(), Hand::new());
    let mut sink = Box::pin(push.sink());
    assert!(first.with(|cx| sink.as_mut().poll_ready(cx)).is_ready());
    sink.as_mut().start_send("dropped".into()).unwrap();
    assert!(first.with(|cx| sink.as_mut().poll_flush(cx)).is_pending());
    let mut send = pin!(push.send("sent"));
    assert!(second.poll(send.as_mut()).is_pending());
    assert_eq!(drain(&pull), ["before"; 2]);
    assert!(first.is_woken() && !second.is_woken());
    drop(sink);
    assert!(second.is_woken() && second.poll(send.as_mut()).is_ready());
    push.sink().send("through another".into()).await.unwrap();
    assert_eq!(drain(&pull), ["sent", "through another"]);
}

#[tokio::test]
async fn a_sink_that_is_not_ready_keeps_what_it_has_and_gives_the_next_message_back() {
    let (push, pull) = full("not-ready").await;
    let mut hand = Hand::new();
    let mut sink = Box::pin(push.sink());
    assert!(hand.with(|cx| sink.as_mut().poll_ready(cx)).is_ready());
    sink.as_mut().start_send("kept".into()).unwrap();
    assert!(hand.with(|cx| sink.as_mut().poll_ready(cx)).is_pending());
    assert_eq!(sink.as_mut().start_send("back".into()), Err(SendError::NotReady(Box::new("back".into()))));
    assert_eq!(drain(&pull), ["before"; 2]);
    assert!(hand.with(|cx| sink.as_mut().poll_ready(cx)).is_ready());
    assert_eq!(drain(&pull), ["kept"]);
}

// ── recv ────────────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_receive_that_was_dropped_took_nothing() {
    let (push, pull) = full("recv").await;
    assert_eq!(drain(&pull).len(), 2);
    let mut into = vec![];
    for woken in [false, true] {
        let [mut one, mut many, mut stream] = [(); 3].map(|()| Hand::new());
        {
            let mut recv = pin!(pull.recv());
            let mut recv_many = pin!(pull.recv_many(&mut into, 9));
            let mut next = pin!(pull.stream());
            assert!(one.poll(recv.as_mut()).is_pending());
            assert!(many.poll(recv_many.as_mut()).is_pending());
            assert!(stream.with(|cx| next.as_mut().poll_next(cx)).is_pending());
            if woken {
                push.try_send("there").unwrap();
                assert!(
                    one.is_woken() && !many.is_woken() && !stream.is_woken(),
                    "one message, one receiver"
                );
            }
        }
        assert!(![one, many, stream].iter().any(Hand::is_remembered), "all of them left the line");
        assert!(into.is_empty());
    }
    assert_eq!(drain(&pull), ["there"]);
}

#[tokio::test]
async fn recv_many_takes_what_is_there_and_no_more_than_asked() {
    let (_push, pull) = full("many").await;
    let mut into = vec![Message::from("kept")];
    assert_eq!(pull.recv_many(&mut into, 0).await, Ok(0));
    assert_eq!(pull.recv_many(&mut into, 1).await, Ok(1));
    assert_eq!(pull.recv_many(&mut into, usize::MAX).await, Ok(1));
    assert_eq!(into, ["kept", "before", "before"].map(Message::from));
}

#[tokio::test]
async fn many_waiting_receivers_miss_nothing_whoever_goes() {
    for seed in 0..200 {
        let random = &mut fastrand::Rng::with_seed(seed);
        let at = name(&format!("receivers-{seed}"));
        let (push, pull) = (Push::new(), Pull::new());
        pull.bind(&*at).await.unwrap();
        push.connect(&*at).unwrap();
        let mut crowd = Crowd::new((0..30).map(|_| pull.recv()));
        let mut waiting = 0;
        while crowd.tasks.len() > 8 {
            let burst = random.usize(1..4);
            for _ in 0..burst {
                push.try_send("message").unwrap();
            }
            waiting += burst;
            for _ in 0..random.usize(..3) {
                crowd.lose_one(random);
            }
            waiting -= crowd.run(random).len();
            assert_eq!(waiting, 0, "seed {seed}: messages, and nobody was told");
        }
        push.try_send("another").unwrap();
        assert_eq!(crowd.run(random).len(), 1, "seed {seed}");
    }
}

#[tokio::test]
async fn closing_ends_every_wait() {
    let (push, pull) = full("close").await;
    let mut sends = Crowd::new((0..3).map(|_| push.send("kept")));
    let random = &mut fastrand::Rng::with_seed(0);
    {
        let mut hand = Hand::new();
        // Dropped at once; only its answer is lost.
        _ = hand.poll(pin!(push.close()));
        assert!(!hand.is_remembered(), "it waits for nothing any more");
    }
    let closed = sends.run(random);
    assert_eq!(closed.len(), 3);
    assert!(closed.iter().all(|sent| matches!(sent, Err(SendError::Closed(kept)) if **kept == "kept")));
    assert_eq!(drain(&pull), ["before"; 2]);
    let mut receives = Crowd::new((0..3).map(|_| pull.recv()));
    _ = Hand::new().poll(pin!(pull.close()));
    assert!(matches!(receives.run(random)[..], [Err(RecvError::Closed), Err(_), Err(_)]));
}

// ── request and reply ───────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_request_that_was_dropped_is_given_up_and_the_next_gets_its_own_reply() {
    let at = name("request");
    let (req, rep) = (Req::new(), Rep::new());
    rep.bind(&*at).await.unwrap();
    req.connect(&*at).unwrap();
    let (mut first, mut second, mut third) = (Hand::new(), Hand::new(), Hand::new());
    let mut asked = Box::pin(req.request("one"));
    let mut waits = Box::pin(req.request("two"));
    let mut stays = pin!(req.request("three"));
    assert!(first.poll(asked.as_mut()).is_pending());
    assert!(second.poll(waits.as_mut()).is_pending() && third.poll(stays.as_mut()).is_pending());
    let late = rep.try_recv().unwrap();
    assert_eq!(*late.message(), "one");
    assert!(rep.try_recv().is_err(), "one at a time");
    drop(asked);
    assert!(second.is_woken(), "it is the next one's turn");
    drop(waits);
    assert!(third.is_woken(), "who goes passes its turn on");
    assert!(third.poll(stays.as_mut()).is_pending());
    late.reply("late").await.ok();
    let request = rep.try_recv().unwrap();
    assert_eq!(*request.message(), "three", "two was never sent");
    assert!(third.poll(stays.as_mut()).is_pending(), "a late reply answers nothing");
    request.reply("in time").await.unwrap();
    assert!(third.is_woken());
    assert_eq!(third.poll(stays.as_mut()), Poll::Ready(Ok("in time".into())));
}

#[tokio::test]
async fn a_reply_that_was_dropped_while_it_waited_sent_nothing() {
    let at = name("reply");
    let rep = Rep::builder().send_high_water(ONE).build();
    let dealer = Dealer::builder().receive_high_water(ONE).build();
    rep.bind(&*at).await.unwrap();
    dealer.connect(&*at).unwrap();
    let request = || {
        dealer.try_send(["", "?"]).unwrap();
        rep.try_recv().unwrap()
    };
    for _ in 0..2 {
        request().reply("before").await.unwrap();
    }
    let (mut first, mut second) = (Hand::new(), Hand::new());
    let mut goes = Box::pin(request().reply("dropped"));
    let mut stays = pin!(request().reply("sent"));
    assert!(first.poll(goes.as_mut()).is_pending() && second.poll(stays.as_mut()).is_pending());
    for _ in 0..2 {
        assert_eq!(dealer.try_recv().unwrap(), ["", "before"]);
    }
    drop(goes);
    assert!(second.is_woken());
    assert_eq!(second.poll(stays.as_mut()), Poll::Ready(Ok(())));
    assert_eq!(dealer.try_recv().unwrap(), ["", "sent"]);
    assert!(dealer.try_recv().is_err());
}

// ── Endpoints ───────────────────────────────────────────────────────────────────────────────────

#[tokio::test]
async fn a_bind_that_was_dropped_holds_no_address_once_the_socket_is_closed() {
    let finder = Pull::new();
    let at = finder.bind("tcp://127.0.0.1:0").await.unwrap();
    finder.close().await;
    let (dropped, next) = (Pull::new(), Pull::new());
    for polls in 0..3 {
        let mut bind = Box::pin(dropped.bind(&at));
        for _ in 0..polls {
            drop(Hand::new().poll(bind.as_mut()));
            tokio::task::yield_now().await;
        }
    }
    dropped.close().await;
    next.bind(&at).await.unwrap();
}

#[tokio::test]
async fn waiting_for_a_connection_and_giving_up_leaves_nothing_behind() {
    let push = Push::new();
    push.connect(name("connected")).unwrap();
    let mut hand = Hand::new();
    for _ in 0..10 {
        assert!(hand.poll(pin!(push.connected(name("connected")))).is_pending());
    }
    assert!(!hand.is_remembered(), "wakers of futures that are gone");
    let mut waits = Crowd::new((0..2).map(|_| push.connected(name("connected"))));
    let pull = Pull::new();
    pull.bind(name("connected")).await.unwrap();
    let infos = waits.run(&mut fastrand::Rng::with_seed(0));
    assert_eq!(infos.len(), 2);
    assert!(infos.iter().all(|info| info.as_ref().is_ok_and(|info| info.kind() == Some(pull.kind()))));
}

/// A PUSH over tcp whose peer never shows up, with a message that is not sent.
fn stuck() -> (Push, String, std::net::TcpListener) {
    // Connections wait in its backlog; nobody answers them.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("tcp://{}", listener.local_addr().unwrap());
    let push = Push::builder().linger(Duration::from_millis(50)).build();
    push.connect(&*to).unwrap();
    push.try_send("never sent").unwrap();
    (push, to, listener)
}

#[tokio::test]
async fn a_disconnect_that_was_dropped_disconnects() {
    let (push, to, _listener) = stuck();
    let mut hand = Hand::new();
    assert!(hand.poll(pin!(push.disconnect(&*to))).is_pending(), "it lingers");
    assert!(!hand.is_remembered(), "wakers of futures that are gone");
    assert!(push.disconnect(&*to).await.is_err(), "there is no such connection any more");
    let mut events = push.monitor();
    while !push.peers().is_empty() {
        assert!(events.next().await.is_some());
    }
}

#[tokio::test]
async fn a_close_that_was_dropped_closes() {
    let (push, _, _listener) = stuck();
    let mut hand = Hand::new();
    assert!(hand.poll(pin!(push.close())).is_pending(), "it lingers");
    assert!(!hand.is_remembered(), "wakers of futures that are gone");
    assert!(matches!(push.send("late").await, Err(SendError::Closed(_))));
    assert_eq!(push.close().await.messages, 1);
}

#[tokio::test]
async fn a_monitor_whose_next_was_dropped_misses_nothing() {
    let pull = Pull::new();
    let mut monitor = pull.monitor();
    let mut hand = Hand::new();
    assert!(hand.poll(pin!(monitor.next())).is_pending());
    pull.bind(name("monitor")).await.unwrap();
    assert!(hand.is_woken());
    assert!(matches!(hand.poll(pin!(monitor.next())), Poll::Ready(Some(Event::Listening { .. }))));
    assert!(hand.poll(pin!(monitor.next())).is_pending());
    pull.close().await;
    assert!(hand.is_woken());
    let rest: Vec<_> = futures::StreamExt::collect(monitor).await;
    assert!(matches!(rest[..], [Event::Unbound { .. }]), "{rest:?}");
}
