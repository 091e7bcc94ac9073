//! One descriptor for many peers: none of them holds up another, or what arrives.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::task::{Context as Task, Poll, Waker};
use std::time::Duration;

use zocket::transport::udp::Udp;
use zocket::transport::{
    BoxFuture, Datagrams, Incoming, Link, Listener, Medium, Purpose, ReceiveBatch, SendBatch, Transport, Wire,
};
use zocket::{
    Context, Dealer, Disconnect, Dropped, Endpoint, EndpointError, Event, Heartbeat, HighWater, LinkOptions,
    ProtocolError, Reconnect, Router, TryRecvError,
};

use super::dropped;
use crate::stage::{disconnected, event, ready, soon, until};

/// `spy://`: udp that is watched, and can be made to fail.
#[derive(Debug, Clone, Default)]
struct Spy {
    udp: Udp,
    seen: Arc<Mutex<Seen>>,
}

#[derive(Debug, Default)]
struct Seen {
    /// To whom datagrams were sent, of bound addresses; none: it was asked what had arrived.
    acts: Vec<Option<SocketAddr>>,
    /// As many receives fail at bound addresses.
    faults: u32,
    /// Datagrams of more bytes cannot be sent.
    largest: Option<usize>,
    /// Connected sockets can send nothing, for this reason; and so often they tried.
    cut_off: Option<io::ErrorKind>,
    tries: usize,
    /// After how many links on which nobody was met each call was made.
    calls: Vec<usize>,
    /// So often the system says at connected sockets that nobody was there.
    refusals: u32,
    /// The kernel is full, and these want to know when it is not.
    full: Option<Vec<Waker>>,
}

/// Lets the kernel be full, or not any more.
fn set_full(seen: &Mutex<Seen>, full: bool) {
    let before = std::mem::replace(&mut seen.lock().unwrap().full, full.then(Vec::new));
    before.into_iter().flatten().for_each(Waker::wake);
}

fn udp(endpoint: &Endpoint) -> Endpoint {
    Endpoint::new("udp", endpoint.address()).unwrap()
}

fn spy(endpoint: &Endpoint) -> Endpoint {
    Endpoint::new("spy", endpoint.address()).unwrap()
}

impl Transport for Spy {
    fn schemes(&self) -> &'static [&'static str] {
        &["spy"]
    }

    fn check(&self, endpoint: &Endpoint, purpose: Purpose) -> Result<(), EndpointError> {
        self.udp.check(&udp(endpoint), purpose)
    }

    fn medium(&self, _: &Endpoint) -> Medium {
        Medium::Datagrams
    }

    fn connect(&self, _: &Endpoint, _: &LinkOptions) -> BoxFuture<'static, io::Result<Link>> {
        unreachable!("the driver says how many failed")
    }

    fn connect_after(
        &self,
        failed: usize,
        to: &Endpoint,
        options: &LinkOptions,
    ) -> BoxFuture<'static, io::Result<Link>> {
        self.seen.lock().unwrap().calls.push(failed);
        let connecting = self.udp.connect_after(failed, &udp(to), options);
        let seen = Arc::clone(&self.seen);
        Box::pin(async move {
            let link = connecting.await?;
            let Wire::Datagrams(wire) = link.wire else { unreachable!("it is udp") };
            Ok(Link::new(
                Wire::Datagrams(Box::new(Watched { wire, is_bound: false, seen })),
                spy(&link.local),
                spy(&link.peer),
            ))
        })
    }

    fn bind(
        &self,
        at: &Endpoint,
        options: &LinkOptions,
    ) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        let (binding, seen) = (self.udp.bind(&udp(at), options), Arc::clone(&self.seen));
        Box::pin(async move {
            let listener = binding.await?;
            let endpoint = spy(listener.endpoint());
            Ok(Box::new(Bound { listener, endpoint, seen }) as Box<dyn Listener>)
        })
    }
}

#[derive(Debug)]
struct Bound {
    listener: Box<dyn Listener>,
    endpoint: Endpoint,
    seen: Arc<Mutex<Seen>>,
}

impl Listener for Bound {
    fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    fn datagrams(&mut self) -> Option<Box<dyn Datagrams>> {
        let (wire, seen) = (self.listener.datagrams()?, Arc::clone(&self.seen));
        Some(Box::new(Watched { wire, is_bound: true, seen }))
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<Incoming>> {
        self.listener.accept()
    }
}

#[derive(Debug)]
struct Watched {
    wire: Box<dyn Datagrams>,
    is_bound: bool,
    seen: Arc<Mutex<Seen>>,
}

impl Datagrams for Watched {
    fn poll_send(&self, cx: &mut Task<'_>, batch: &SendBatch) -> Poll<io::Result<usize>> {
        let mut seen = self.seen.lock().unwrap();
        if let Some(waiting) = &mut seen.full {
            waiting.push(cx.waker().clone());
            return Poll::Pending;
        }
        if let Some(reason) = seen.cut_off.filter(|_| !self.is_bound) {
            seen.tries += 1;
            return Poll::Ready(Err(reason.into()));
        }
        let largest = seen.largest.unwrap_or(usize::MAX);
        drop(seen);
        // Those up to the first that is too large.
        let mut sendable = SendBatch::new();
        batch
            .iter()
            .take_while(|(bytes, _)| bytes.len() <= largest)
            .for_each(|(bytes, to)| sendable.push(bytes, to));
        if sendable.is_empty() && !batch.is_empty() {
            return Poll::Ready(Err(io::Error::other("no network takes this")));
        }
        let sent = self.wire.poll_send(cx, &sendable);
        if let Poll::Ready(Ok(count)) = sent {
            let to = batch.iter().take(count).filter_map(|(_, to)| Some(to?.peer));
            self.seen.lock().unwrap().acts.extend(to.map(Some));
        }
        sent
    }

    fn poll_receive(&self, cx: &mut Task<'_>, into: &mut ReceiveBatch) -> Poll<io::Result<()>> {
        {
            let mut seen = self.seen.lock().unwrap();
            seen.acts.push(None);
            if self.is_bound && seen.faults > 0 {
                seen.faults -= 1;
                return Poll::Ready(Err(io::Error::other("out of order")));
            }
            if !self.is_bound && seen.refusals > 0 {
                seen.refusals -= 1;
                return Poll::Ready(Err(io::ErrorKind::ConnectionRefused.into()));
            }
        }
        self.wire.poll_receive(cx, into)
    }
}

const MS: Duration = Duration::from_millis(1);

/// A ROUTER and its DEALERs, who have all met it, and what is seen of them.
async fn stage(dealers: usize) -> (Router, Vec<Dealer>, Arc<Mutex<Seen>>, Endpoint) {
    stage_with(dealers, Heartbeat::default()).await
}

async fn stage_with(
    dealers: usize,
    heartbeat: Heartbeat,
) -> (Router, Vec<Dealer>, Arc<Mutex<Seen>>, Endpoint) {
    let transport = Spy::default();
    let seen = Arc::clone(&transport.seen);
    let context = Context::builder().transport(transport).build().unwrap();
    let many = HighWater::messages(100_000);
    let router = Router::builder().context(&context).send_high_water(many).heartbeat(heartbeat);
    let router = router.linger(Duration::ZERO).build();
    let endpoint = soon(router.bind("spy://127.0.0.1:0")).await.unwrap();
    let mut events = router.monitor();
    let mut all = Vec::new();
    for n in 0..dealers {
        let dealer = Dealer::builder().context(&context).routing_id(n.to_string());
        let dealer = dealer.receive_high_water(many).heartbeat(heartbeat);
        let dealer = dealer.linger(Duration::ZERO).reconnect(Reconnect::within(MS, MS)).build();
        dealer.connect(&endpoint).unwrap();
        ready(&mut events).await;
        soon(dealer.connected(&endpoint)).await.unwrap();
        all.push(dealer);
    }
    (router, all, seen, endpoint)
}

#[tokio::test]
async fn a_peer_with_much_to_hear_holds_up_neither_the_others_nor_what_arrives() {
    const MANY: usize = 5_000;
    let (router, dealers, seen, _) = stage(3).await;
    seen.lock().unwrap().acts.clear();
    // Nothing runs in between.
    for n in 0..MANY {
        router.try_send(["0".into(), n.to_string()]).unwrap();
    }
    router.try_send(["1", "one"]).unwrap();
    router.try_send(["2", "two"]).unwrap();
    assert_eq!(soon(dealers[1].recv()).await.unwrap(), "one");
    assert_eq!(soon(dealers[2].recv()).await.unwrap(), "two");
    let acts = std::mem::take(&mut seen.lock().unwrap().acts);
    let busy = acts.iter().find_map(|act| *act).expect("something was sent");
    let others = acts.iter().filter(|act| act.is_some_and(|to| to != busy)).count();
    let before = acts.iter().take_while(|act| act.is_none_or(|to| to == busy)).flatten().count();
    assert!(others >= 2 && before <= 100, "{before} to one, {others} to the others");
    let longest = acts.split(Option::is_none).map(<[_]>::len).max();
    assert!(longest <= Some(256), "{longest:?} in a row without a look at what arrived");
}

#[tokio::test]
async fn what_the_system_will_not_send_is_dropped_and_reported_and_the_link_goes_on() {
    let (router, dealers, seen, _) = stage(1).await;
    let (mut here, mut there) = (router.monitor(), dealers[0].monitor());
    seen.lock().unwrap().largest = Some(1_000);
    soon(router.send(["0".into(), "x".repeat(2_000)])).await.unwrap();
    soon(router.send(["0", "small"])).await.unwrap();
    assert_eq!(dropped(&mut here).await, (1, Dropped::NotSent));
    assert_eq!(soon(dealers[0].recv()).await.unwrap(), "small");
    soon(dealers[0].send("x".repeat(2_000))).await.unwrap();
    soon(dealers[0].send("small")).await.unwrap();
    assert_eq!(dropped(&mut there).await, (1, Dropped::NotSent));
    assert_eq!(dropped(&mut there).await, (1, Dropped::Lost), "what came the other way");
    assert_eq!(soon(router.recv()).await.unwrap(), ["0", "small"]);
}

#[tokio::test]
async fn a_fault_of_a_bound_address_is_reported_and_passes() {
    let (router, dealers, seen, endpoint) = stage(1).await;
    let mut events = router.monitor();
    seen.lock().unwrap().faults = 3;
    soon(dealers[0].send("wakes it")).await.unwrap();
    let mut waits = Vec::new();
    for _ in 0..3 {
        waits.push(
            event(&mut events, |event| match event {
                Event::AcceptFailed { endpoint: at, retry_after, .. } if at == endpoint => Some(retry_after),
                _ => None,
            })
            .await,
        );
    }
    assert!(waits.is_sorted() && waits[0] < waits[2], "{waits:?}");
    assert_eq!(soon(router.recv()).await.unwrap(), ["0", "wakes it"]);
}

/// Receives the numbers below `count`, in order, and no others.
async fn expect_all(router: &Router, count: usize) {
    for n in 0..count {
        assert_eq!(soon(router.recv()).await.unwrap(), ["0".into(), n.to_string()]);
    }
    assert_eq!(router.try_recv(), Err(TryRecvError::Empty));
}

#[tokio::test]
async fn while_the_kernel_is_full_messages_wait_and_a_socket_may_close() {
    let (router, dealers, seen, _) = stage(1).await;
    set_full(&seen, true);
    for n in 0..100 {
        dealers[0].try_send(n.to_string()).unwrap();
        router.try_send(["0".into(), n.to_string()]).unwrap();
    }
    let asked = || seen.lock().unwrap().full.as_ref().map_or(0, Vec::len);
    until(|| asked() >= 2).await;
    assert_eq!((dealers[0].peers()[0].send_queue, router.peers()[0].send_queue), (100, 100));
    set_full(&seen, false);
    expect_all(&router, 100).await;
    for n in 0..100 {
        assert_eq!(soon(dealers[0].recv()).await.unwrap(), *n.to_string());
    }
    set_full(&seen, true);
    dealers[0].try_send("unsent").unwrap();
    until(|| asked() >= 1).await;
    assert_eq!(soon(dealers[0].close()).await.messages, 1);
}

#[tokio::test]
async fn what_waits_when_a_link_ends_goes_out_once_on_the_next() {
    let heartbeat = Heartbeat::every(20 * MS).timeout(100 * MS);
    let (router, dealers, seen, _) = stage_with(1, heartbeat).await;
    let (mut here, mut there) = (router.monitor(), dealers[0].monitor());
    set_full(&seen, true);
    for n in 0..100 {
        dealers[0].try_send(n.to_string()).unwrap();
    }
    for events in [&mut here, &mut there] {
        let reason = disconnected(events).await;
        let silent = matches!(&reason, Disconnect::Protocol(ProtocolError::HeartbeatTimeout { .. }));
        assert!(silent, "{reason}");
    }
    set_full(&seen, false);
    ready(&mut here).await;
    expect_all(&router, 100).await;
}

#[tokio::test]
async fn while_there_is_no_way_messages_wait_and_then_go_out_in_order_on_the_same_link() {
    let (router, dealers, seen, _) = stage(1).await;
    let (mut here, mut there) = (router.monitor(), dealers[0].monitor());
    for reason in [io::ErrorKind::NetworkUnreachable, io::ErrorKind::HostUnreachable] {
        (seen.lock().unwrap().cut_off, seen.lock().unwrap().tries) = (Some(reason), 0);
        for n in 0..100 {
            dealers[0].try_send(n.to_string()).unwrap();
        }
        until(|| seen.lock().unwrap().tries >= 2).await;
        assert_eq!(dealers[0].peers()[0].send_queue, 100);
        seen.lock().unwrap().cut_off = None;
        expect_all(&router, 100).await;
    }
    for events in [&mut here, &mut there] {
        let happened = futures::FutureExt::now_or_never(events.next());
        assert!(happened.is_none(), "{happened:?}");
    }
    seen.lock().unwrap().cut_off = Some(io::ErrorKind::NetworkUnreachable);
    dealers[0].try_send("unsent").unwrap();
    assert_eq!(soon(dealers[0].close()).await.messages, 1, "nor is a socket kept that closes");
}

#[tokio::test]
async fn a_link_whose_own_address_has_gone_ends_at_once_and_what_waits_goes_out_on_the_next() {
    let heartbeat = Heartbeat::every(20 * MS).timeout(100 * MS);
    let (router, dealers, seen, _) = stage_with(1, heartbeat).await;
    let (mut here, mut there) = (router.monitor(), dealers[0].monitor());
    seen.lock().unwrap().cut_off = Some(io::ErrorKind::AddrNotAvailable);
    for n in 0..100 {
        dealers[0].try_send(n.to_string()).unwrap();
    }
    assert!(matches!(disconnected(&mut there).await, Disconnect::Io(_)));
    // Until then its routing id is another's.
    disconnected(&mut here).await;
    seen.lock().unwrap().cut_off = None;
    ready(&mut here).await;
    expect_all(&router, 100).await;
}

#[tokio::test]
async fn a_peer_that_answers_is_there_though_the_system_said_once_that_it_is_not() {
    let (router, dealers, seen, _) = stage(1).await;
    let mut events = dealers[0].monitor();
    for round in 0..3 {
        seen.lock().unwrap().refusals = 1;
        soon(router.send(["0".into(), format!("wakes it {round}")])).await.unwrap();
        assert_eq!(soon(dealers[0].recv()).await.unwrap(), *format!("wakes it {round}"));
    }
    assert_eq!(seen.lock().unwrap().refusals, 0);
    let happened = futures::FutureExt::now_or_never(events.next());
    assert!(happened.is_none(), "{happened:?}");
}

#[tokio::test]
async fn a_transport_is_told_how_many_links_met_nobody_and_keeps_to_the_way_that_did() {
    let (_router, dealers, seen, _) = stage(1).await;
    let mut events = dealers[0].monitor();
    let cut_off = |is: bool| seen.lock().unwrap().cut_off = is.then_some(io::ErrorKind::AddrNotAvailable);
    let calls = || seen.lock().unwrap().calls.clone();
    cut_off(true);
    dealers[0].try_send("ends it").unwrap();
    until(|| calls().len() >= 4).await;
    cut_off(false);
    ready(&mut events).await;
    let met = calls();
    assert!(met.iter().copied().eq(std::iter::once(0).chain(0..met.len() - 1)), "{met:?}");
    cut_off(true);
    dealers[0].try_send("ends it").unwrap();
    until(|| calls().len() > met.len()).await;
    assert_eq!(calls()[met.len()], met.len() - 2, "the one that was met");
}

#[tokio::test]
async fn while_the_kernel_is_full_a_peer_that_has_said_nothing_may_be_ended_too() {
    let (router, dealers, seen, endpoint) = stage(2).await;
    set_full(&seen, true);
    router.try_send(["0", "stuck"]).unwrap();
    let asked = || seen.lock().unwrap().full.as_ref().map_or(0, Vec::len);
    until(|| asked() >= 1).await;
    let closed = soon(router.close()).await;
    assert_eq!(closed.messages, 1);
    std::net::UdpSocket::bind(endpoint.address()).expect("the address is free");
    drop(dealers);
}

#[tokio::test]
async fn while_there_is_no_way_out_what_comes_in_and_finds_room_is_received() {
    let transport = Spy::default();
    let seen = Arc::clone(&transport.seen);
    let context = Context::builder().transport(transport).build().unwrap();
    let router = Router::builder().context(&context).linger(Duration::ZERO).build();
    let endpoint = soon(router.bind("spy://127.0.0.1:0")).await.unwrap();
    let dealer = Dealer::builder().context(&context).routing_id("0").linger(Duration::ZERO);
    let dealer = dealer.receive_high_water(HighWater::messages(1)).build();
    let mut events = dealer.monitor();
    dealer.connect(&endpoint).unwrap();
    soon(dealer.connected(&endpoint)).await.unwrap();
    until(|| router.peers().len() == 1).await;
    for text in ["kept", "dropped"] {
        soon(router.send(["0", text])).await.unwrap();
    }
    let full = |event| matches!(event, Event::Dropped { reason: Dropped::ReceiverFull, .. }).then_some(());
    event(&mut events, full).await;
    seen.lock().unwrap().cut_off = Some(io::ErrorKind::NetworkUnreachable);
    dealer.try_send("waits").unwrap();
    until(|| seen.lock().unwrap().tries >= 2).await;
    assert_eq!(soon(dealer.recv()).await.unwrap(), "kept");
    // There is room from now on.
    soon(router.send(["0", "next"])).await.unwrap();
    assert_eq!(soon(dealer.recv()).await.unwrap(), "next");
}
