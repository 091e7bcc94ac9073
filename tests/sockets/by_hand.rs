//! What a connection does over a wire that is worked by hand: it takes and gives what the test says, and wakes as it is told
//! to.

use std::collections::VecDeque;
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex};
use std::task::{Context as Task, Poll, Waker};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;
use zocket::transport::{
    BoxFuture, Endpoint, EndpointError, Link, LinkOptions, Listener, Purpose, Transport, Wire,
};
use zocket::{
    Context, Disconnect, Heartbeat, HighWater, Monitor, Pattern, ProtocolError, Pub, Push, Rep, Router,
    Socket, SocketBuilder,
};

use crate::cancel::Hand;
use crate::stage::{LARGE, disconnected, only_peer, opening, soon, until};

/// A wire and its peer, who is the test.
#[derive(Debug, Clone, Default)]
struct Feed(Arc<Mutex<Fed>>);

#[derive(Debug, Default)]
struct Fed {
    arrived: VecDeque<u8>,
    is_over: bool,
    reader: Option<Waker>,
    /// So much more is taken for now. Unless said, whatever comes.
    room: Option<usize>,
    writer: Option<Waker>,
    written: Vec<u8>,
    /// The next write fails.
    is_broken: bool,
}

impl Feed {
    /// Bytes arrive, and who reads is woken, with no lock held. None: the end.
    fn arrive(&self, bytes: &[u8]) {
        let mut fed = self.0.lock().unwrap();
        fed.arrived.extend(bytes);
        fed.is_over |= bytes.is_empty();
        let reader = fed.reader.take();
        drop(fed);
        reader.into_iter().for_each(Waker::wake);
    }

    /// From now on it takes nothing, or whatever comes.
    fn fill(&self, is_full: bool) {
        self.make_room(is_full.then_some(0));
    }

    /// It takes so much more, and then nothing.
    fn take(&self, bytes: usize) {
        self.make_room(Some(bytes));
    }

    fn make_room(&self, room: Option<usize>) {
        let mut fed = self.0.lock().unwrap();
        fed.room = room;
        let writer = if room == Some(0) { None } else { fed.writer.take() };
        drop(fed);
        writer.into_iter().for_each(Waker::wake);
    }

    fn is_awaited(&self) -> bool {
        self.0.lock().unwrap().reader.is_some()
    }

    fn has_written(&self, end: &[u8]) -> bool {
        self.0.lock().unwrap().written.ends_with(end)
    }
}

impl AsyncRead for Feed {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Task<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut fed = self.0.lock().unwrap();
        if fed.arrived.is_empty() && !fed.is_over {
            fed.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let count = fed.arrived.len().min(buf.remaining());
        fed.arrived.drain(..count).for_each(|byte| buf.put_slice(&[byte]));
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Feed {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Task<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut fed = self.0.lock().unwrap();
        if std::mem::take(&mut fed.is_broken) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let count = fed.room.map_or(bytes.len(), |room| room.min(bytes.len()));
        if count == 0 {
            fed.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        fed.room = fed.room.map(|room| room - count);
        fed.written.extend(&bytes[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Task<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Task<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[derive(Debug)]
struct ByHand {
    feed: Feed,
    /// Whether the link says how it wakes.
    says_so: bool,
}

impl Transport for ByHand {
    fn schemes(&self) -> &'static [&'static str] {
        &["hand"]
    }

    fn check(&self, _: &Endpoint, _: Purpose) -> Result<(), EndpointError> {
        Ok(())
    }

    fn connect(&self, to: &Endpoint, _: &LinkOptions) -> BoxFuture<'static, io::Result<Link>> {
        let link = Link::new(Wire::Stream(Box::new(self.feed.clone())), to.clone(), to.clone());
        let link = if self.says_so { link.waking_unlocked() } else { link };
        Box::pin(async { Ok(link) })
    }

    fn bind(&self, _: &Endpoint, _: &LinkOptions) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        Box::pin(async { Err(io::ErrorKind::Unsupported.into()) })
    }
}

const HOUR: Duration = Duration::from_secs(3600);

/// A socket whose peer, of this type, is the test. All have done what there was to do.
async fn meet<P: Pattern>(set_up: SocketBuilder<P>, peer: &str, says_so: bool) -> (Socket<P>, Monitor, Feed) {
    let feed = Feed::default();
    let context = Context::builder().transport(ByHand { feed: feed.clone(), says_so }).build().unwrap();
    let socket = set_up.context(&context).linger(Duration::ZERO).build();
    let events = socket.monitor();
    socket.connect("hand://over").unwrap();
    feed.arrive(&opening(peer, false));
    soon(socket.connected("hand://over")).await.unwrap();
    until(|| feed.is_awaited()).await;
    (socket, events, feed)
}

async fn rep(says_so: bool) -> (Rep, Monitor, Feed) {
    let heartbeat = Heartbeat::every(HOUR).timeout(Duration::from_secs(1)).time_to_live(Duration::ZERO);
    let set_up = Rep::builder().receive_high_water(HighWater::messages(2)).heartbeat(heartbeat);
    meet(set_up, "REQ", says_so).await
}

const REQUEST: &[u8] = &[1, 0, 0, 1, b'?'];

#[tokio::test]
async fn a_request_is_there_when_the_wire_wakes_if_that_holds_no_lock() {
    for says_so in [true, false] {
        let (rep, _events, feed) = rep(says_so).await;
        for _ in 0..3 {
            feed.arrive(REQUEST);
            // No task has run since.
            let request = rep.try_recv();
            assert_eq!(request.is_ok(), says_so);
            let request = match request {
                Ok(request) => request,
                Err(_) => soon(rep.recv()).await.unwrap(),
            };
            request.reply("!").await.unwrap();
            assert!(feed.has_written(b"\x01\0\0\x01!"));
            until(|| feed.is_awaited()).await;
        }
    }
}

#[tokio::test]
async fn what_a_waker_leaves_undone_the_task_does() {
    let (rep, mut events, feed) = rep(true).await;
    feed.arrive(b"\x04\x07\x04PING\0\0");
    until(|| feed.has_written(b"\x04\x05\x04PONG")).await;
    let (first, rest) = REQUEST.split_at(3);
    for part in [first, rest] {
        assert!(rep.try_recv().is_err());
        feed.arrive(part);
        until(|| feed.is_awaited()).await;
    }
    assert_eq!(soon(rep.recv()).await.unwrap().message(), "?");
    let large = vec![b'x'; 300_000];
    feed.arrive(&[&[1, 0, 2, 0, 0, 0, 0], &300_000_u32.to_be_bytes()[..], &large].concat());
    assert_eq!(soon(rep.recv()).await.unwrap().message().byte_len(), large.len());
    feed.arrive(&[]);
    assert!(matches!(disconnected(&mut events).await, Disconnect::PeerClosed));
}

#[tokio::test]
async fn what_breaks_a_rule_ends_the_connection_that_a_waker_reads() {
    let (_rep, mut events, feed) = rep(true).await;
    feed.arrive(&[0xff; 9]);
    let why = disconnected(&mut events).await;
    assert!(matches!(why, Disconnect::Protocol(_)), "{why:?}");
}

/// While the queue is full, nothing is read and the peer's silence is ours. The waker that whoever makes room wakes reads
/// on, and finds nothing; the next PING is an hour away.
#[tokio::test(start_paused = true)]
async fn a_peer_that_falls_silent_while_its_queue_is_full_is_found_out_in_time() {
    let (rep, mut events, feed) = rep(true).await;
    feed.arrive(&REQUEST.repeat(2));
    tokio::time::advance(HOUR).await;
    until(|| feed.has_written(b"\x04PING\0\0")).await;
    let full = Instant::now();
    for _ in 0..2 {
        drop(soon(rep.recv()).await.unwrap());
    }
    let why = disconnected(&mut events).await;
    assert!(matches!(why, Disconnect::Protocol(ProtocolError::HeartbeatTimeout { .. })), "{why:?}");
    assert!(full.elapsed() < Duration::from_secs(5), "after {:?}", full.elapsed());
}

#[tokio::test]
async fn a_message_of_which_the_wire_takes_a_part_waits_until_it_has_taken_the_rest() {
    const REPLY: &[u8] = b"\x01\0\0\x05hello";
    for part in 0..REPLY.len() {
        let (rep, _events, feed) = rep(true).await;
        feed.arrive(REQUEST);
        let request = soon(rep.recv()).await.unwrap();
        feed.take(part);
        request.reply("hello").await.unwrap();
        // No task has run since.
        assert!(feed.has_written(&REPLY[..part]) && !feed.has_written(REPLY));
        assert_eq!(only_peer(&rep).send_queue, 1, "{part} bytes");
        feed.fill(false);
        until(|| only_peer(&rep).send_queue == 0).await;
        assert!(feed.has_written(REPLY));
    }
}

#[tokio::test]
async fn a_message_whose_writing_fails_waits_for_the_next_link() {
    let (router, mut events, feed) = meet(Router::builder(), "REQ", true).await;
    feed.arrive(REQUEST);
    let request = soon(router.recv()).await.unwrap();
    feed.0.lock().unwrap().is_broken = true;
    router.try_send(request).unwrap();
    // No task has run since.
    assert_eq!(only_peer(&router).send_queue, 1);
    let why = disconnected(&mut events).await;
    assert!(matches!(why, Disconnect::Io(_)), "{why:?}");
    feed.arrive(&opening("REQ", false));
    soon(router.connected("hand://over")).await.unwrap();
    until(|| feed.has_written(b"\x01\0\0\x01?")).await;
}

#[tokio::test]
async fn what_is_missing_of_a_large_message_is_for_the_task_to_read() {
    let (rep, _events, feed) = rep(true).await;
    feed.arrive(&[1, 0, 2, 0, 0, 0, 0, 0, 4, 0, 0, b'x']);
    until(|| feed.is_awaited()).await;
    feed.arrive(&[b'y'; 100_000]);
    assert_eq!(feed.0.lock().unwrap().arrived.len(), 100_000, "no task has run");
    feed.arrive(&[b'z'; 256 * 1024 - 100_001]);
    assert_eq!(soon(rep.recv()).await.unwrap().message().byte_len(), 256 * 1024);
}

/// Sends until so much waits. How often the sender was held, and not only made to let others run.
async fn fill(push: &Push, hand: &mut Hand, bytes: usize) -> usize {
    let mut pauses = 0;
    while only_peer(push).send_queue_bytes < bytes {
        let mut send = pin!(push.send(vec![0; LARGE]));
        while hand.poll(send.as_mut()).is_pending() {
            pauses += usize::from(!hand.is_woken());
            until(|| hand.is_woken()).await;
        }
    }
    pauses
}

#[tokio::test]
async fn a_sender_far_ahead_of_a_peer_that_takes_nothing_waits_a_moment_once_and_then_fills_the_queue() {
    let (push, _events, feed) = meet(Push::builder(), "PULL", true).await;
    let mut hand = Hand::new();
    for attempt in 0.. {
        feed.fill(true);
        match fill(&push, &mut hand, 8 * LARGE).await {
            1 => break,
            // A machine that stops this thread for as long hides a pause.
            0 => assert!(attempt < 20, "it never waits"),
            pauses => panic!("{pauses} pauses"),
        }
        feed.fill(false);
        until(|| only_peer(&push).send_queue == 0).await;
    }
}

#[tokio::test]
async fn a_sender_waits_on_for_a_peer_that_is_far_behind_and_goes_on_taking() {
    let (push, _events, feed) = meet(Push::builder(), "PULL", true).await;
    let mut hand = Hand::new();
    for attempt in 0.. {
        feed.fill(true);
        for _ in 0..8 {
            push.try_send(vec![0; LARGE]).unwrap();
        }
        let mut pauses = 0;
        for _ in 0..3 {
            let mut send = pin!(push.send(vec![0; LARGE]));
            while hand.poll(send.as_mut()).is_pending() {
                if !hand.is_woken() {
                    pauses += 1;
                    feed.take(3 * LARGE);
                }
                until(|| hand.is_woken()).await;
            }
        }
        if pauses == 2 {
            break;
        }
        assert!(attempt < 20, "{pauses} pauses");
        feed.fill(false);
        until(|| only_peer(&push).send_queue == 0).await;
    }
}

#[tokio::test]
async fn a_publisher_is_never_held() {
    let (publisher, _events, feed) = meet(Pub::builder(), "SUB", true).await;
    feed.arrive(b"\x04\x0a\x09SUBSCRIBE");
    until(|| feed.is_awaited()).await;
    feed.fill(true);
    let mut hand = Hand::new();
    while only_peer(&publisher).send_queue_bytes < 8 * LARGE {
        let mut send = pin!(publisher.send(vec![0; LARGE]));
        while hand.poll(send.as_mut()).is_pending() {
            assert!(hand.is_woken(), "it lets others run, and no more");
            tokio::task::yield_now().await;
        }
    }
}

#[tokio::test]
async fn a_sender_that_was_woken_is_not_held_and_if_it_goes_another_is_woken() {
    let mark = HighWater::default().bytes(8 * LARGE);
    let (push, _events, feed) = meet(Push::builder().send_high_water(mark), "PULL", true).await;
    feed.fill(true);
    while push.try_send(vec![0; LARGE]).is_ok() {
        tokio::task::yield_now().await;
    }
    let (mut first, mut second, mut third) = (Hand::new(), Hand::new(), Hand::new());
    let mut gone = Box::pin(push.send("first"));
    let mut last = Box::pin(push.send("second"));
    while first.poll(gone.as_mut()).is_pending() && first.is_woken() {}
    while second.poll(last.as_mut()).is_pending() && second.is_woken() {}
    feed.fill(false);
    until(|| first.is_woken()).await;
    // The turn is over, and much waits once more, when the first one looks.
    feed.fill(true);
    for _ in 0..4 {
        push.try_send(vec![0; LARGE]).unwrap();
    }
    let mut sent = pin!(push.send(vec![0; LARGE]));
    while third.poll(sent.as_mut()).is_pending() {
        until(|| third.is_woken()).await;
    }
    if first.poll(gone.as_mut()).is_pending() {
        assert!(first.is_woken(), "it is not held");
    }
    drop(gone);
    until(|| second.is_woken()).await;
}
