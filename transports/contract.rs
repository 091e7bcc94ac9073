//! The tests every transport passes, for its author to run.
//!
//! Each function binds, connects and looks at what arrives; none needs to know the scheme. They panic when a
//! promise of the [contract](crate#the-contract) is broken, and when they make no progress for 20 seconds.
//! Nothing sleeps: what is waited for is an event of the transport under test.
//!
//! ```
//! # #[cfg(feature = "tcp")]
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use zocket_transport::{contract, tcp::Tcp};
//!
//! contract::all(&Tcp::new(), &"tcp://127.0.0.1:*".parse()?).await;
//! # Ok(()) }
//! # #[cfg(not(feature = "tcp"))] fn main() {}
//! ```
//!
//! That is for links that are streams. A transport of [`Medium::Datagrams`] passes [`datagrams`], over a path that loses
//! nothing.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::{JoinSet, yield_now};
use tokio::time::timeout;

use crate::{
    Datagrams, Endpoint, Link, LinkOptions, Listener, Medium, Purpose, ReceiveBatch, Route, SendBatch,
    Stream, Transport, Wire,
};

/// Far above what any step takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Above the buffers of the system, so that both directions have to wait for their readers.
const LARGE: usize = 8 << 20;

/// How many peers come at once. Below the smallest usual limit on open files, with two for each link.
const MANY: u32 = 100;

/// Runs all of them, one after the other. `at` is bound again and again, and may be a wildcard; nobody else
/// may use it meanwhile.
///
/// # Panics
///
/// A promise is broken.
pub async fn all(transport: &dyn Transport, at: &Endpoint) {
    the_bound_endpoint_can_be_connected_to(transport, at).await;
    bytes_arrive_in_order_both_ways(transport, at).await;
    a_half_closed_link_carries_the_other_direction(transport, at).await;
    a_closed_link_ends_for_its_peer(transport, at).await;
    links_outlive_their_listener(transport, at).await;
    a_cancelled_accept_loses_nobody(transport, at).await;
    an_address_has_one_listener(transport, at).await;
    a_dropped_listener_frees_its_address(transport, at).await;
    many_connect_at_once(transport, at).await;
}

/// The listener's endpoint is of a served scheme, in order for both purposes, and leads to the listener.
///
/// # Panics
///
/// A promise is broken.
pub async fn the_bound_endpoint_can_be_connected_to(transport: &dyn Transport, at: &Endpoint) {
    transport.check(at, Purpose::Bind).expect("what can be bound passes the check");
    let mut listener = bind(transport, at).await;
    let bound = listener.endpoint().clone();
    assert!(transport.schemes().contains(&bound.scheme()), "{bound} is of no scheme of this transport");
    for purpose in [Purpose::Bind, Purpose::Connect] {
        transport.check(&bound, purpose).expect("the bound endpoint passes the check");
    }
    let (ours, theirs) = pair(transport, &mut *listener).await;
    assert_eq!(ours.local, theirs.peer, "the accepting side sees where we come from");
    let bound_again = listener.endpoint();
    assert_eq!(*bound_again, bound, "the endpoint of a listener does not change");
}

/// Much more than buffers hold, in both directions at once.
///
/// # Panics
///
/// A promise is broken.
pub async fn bytes_arrive_in_order_both_ways(transport: &dyn Transport, at: &Endpoint) {
    let (ours, theirs) = pair(transport, &mut *bind(transport, at).await).await;
    let exchange = async |link, sent: u32, expected: u32| {
        let (mut reader, mut writer) = tokio::io::split(stream(link));
        let sent = pattern(sent);
        let mut received = vec![0; LARGE];
        let (write, read) = tokio::join!(writer.write_all(&sent), reader.read_exact(&mut received));
        write.expect("written");
        read.expect("read");
        assert!(received == pattern(expected), "bytes came out of order");
    };
    within("exchanging bytes", async { tokio::join!(exchange(ours, 1, 2), exchange(theirs, 2, 1)) }).await;
}

/// `shutdown` ends one direction, in either role; the other one lives.
///
/// # Panics
///
/// A promise is broken.
pub async fn a_half_closed_link_carries_the_other_direction(transport: &dyn Transport, at: &Endpoint) {
    let mut listener = bind(transport, at).await;
    for connecter_closes in [true, false] {
        let (ours, theirs) = pair(transport, &mut *listener).await;
        let (closing, other) = if connecter_closes { (ours, theirs) } else { (theirs, ours) };
        let (mut closing, mut other) = (stream(closing), stream(other));
        within("half-closing", async {
            closing.write_all(b"last words").await.expect("written");
            closing.shutdown().await.expect("half-closed");
            let mut received = Vec::new();
            other.read_to_end(&mut received).await.expect("read to the end");
            assert_eq!(received, b"last words");
            other.write_all(b"answer").await.expect("the other direction lives");
            drop(other);
            received.clear();
            closing.read_to_end(&mut received).await.expect("read the answer");
            assert_eq!(received, b"answer");
        })
        .await;
    }
}

/// A dropped link is an end or an error for the peer who reads.
///
/// # Panics
///
/// A promise is broken.
pub async fn a_closed_link_ends_for_its_peer(transport: &dyn Transport, at: &Endpoint) {
    let mut listener = bind(transport, at).await;
    for drop_ours in [true, false] {
        let (ours, theirs) = pair(transport, &mut *listener).await;
        let (dropped, kept) = if drop_ours { (ours, theirs) } else { (theirs, ours) };
        drop(dropped);
        let end = within("reading from a closed link", stream(kept).read_u8()).await;
        assert!(end.is_err(), "a closed link went on");
    }
}

/// Dropping a listener does not touch who was accepted.
///
/// # Panics
///
/// A promise is broken.
pub async fn links_outlive_their_listener(transport: &dyn Transport, at: &Endpoint) {
    let mut listener = bind(transport, at).await;
    let (ours, theirs) = pair(transport, &mut *listener).await;
    drop(listener);
    let ((), received) = tokio::join!(send_number(ours, 7), receive_number(theirs));
    assert_eq!(received, 7);
}

/// Dropping `accept` at any point before it resolves loses no peer.
///
/// # Panics
///
/// A promise is broken.
pub async fn a_cancelled_accept_loses_nobody(transport: &dyn Transport, at: &Endpoint) {
    let mut listener = bind(transport, at).await;
    let mut connecting = connect_many(transport, listener.endpoint());
    let mut accepted = BTreeSet::new();
    within("accepting with cancellations", async {
        while accepted.len() < MANY as usize {
            let incoming = tokio::select! {
                biased;
                incoming = listener.accept() => incoming.expect("accepted"),
                // Once polled, the future is dropped.
                () = yield_now() => continue,
            };
            accepted.insert(receive_number(incoming.await.expect("a link")).await);
        }
        while let Some(done) = connecting.join_next().await {
            done.expect("no panic");
        }
    })
    .await;
    assert_eq!(accepted, (0..MANY).collect());
}

/// A second listener at the bound address is refused with `AddrInUse`, and the first one goes on.
///
/// # Panics
///
/// A promise is broken.
pub async fn an_address_has_one_listener(transport: &dyn Transport, at: &Endpoint) {
    let mut listener = bind(transport, at).await;
    let second = within("binding again", transport.bind(listener.endpoint(), &options())).await;
    let error = second.expect_err("an address was bound twice");
    assert_eq!(error.kind(), io::ErrorKind::AddrInUse, "{error}");
    let connecting = transport.connect(listener.endpoint(), &options());
    let sender = tokio::spawn(async move { send_number(connecting.await.expect("connected"), 7).await });
    // The attempt to bind may have knocked.
    while within("reading", read_number(accept(&mut *listener).await)).await.ok() != Some(7) {}
    sender.await.expect("no panic");
}

/// After a listener is dropped, connecting fails soon, and the address can be bound again.
///
/// # Panics
///
/// A promise is broken.
pub async fn a_dropped_listener_frees_its_address(transport: &dyn Transport, at: &Endpoint) {
    for _ in 0..3 {
        let mut listener = bind(transport, at).await;
        let links = pair(transport, &mut *listener).await;
        let bound = listener.endpoint().clone();
        drop(listener);
        let nobody = within("connecting to nobody", transport.connect(&bound, &options())).await;
        let error = nobody.expect_err("nobody listens, and yet somebody answered");
        let expected = [io::ErrorKind::ConnectionRefused, io::ErrorKind::NotFound];
        assert!(expected.contains(&error.kind()), "unexpected {:?}: {error}", error.kind());
        drop(links);
    }
}

/// Peers that connect at the same time all get links, and none gets another's bytes.
///
/// # Panics
///
/// A promise is broken.
pub async fn many_connect_at_once(transport: &dyn Transport, at: &Endpoint) {
    let mut listener = bind(transport, at).await;
    let mut connecting = connect_many(transport, listener.endpoint());
    let mut serving = JoinSet::new();
    for _ in 0..MANY {
        let incoming = within("accepting", listener.accept()).await.expect("accepted");
        serving.spawn(async move { receive_number(incoming.await.expect("a link")).await });
    }
    let mut received = BTreeSet::new();
    while let Some(number) = serving.join_next().await {
        received.insert(number.expect("no panic"));
    }
    while let Some(done) = connecting.join_next().await {
        done.expect("no panic");
    }
    assert_eq!(received, (0..MANY).collect());
}

/// For datagrams instead of streams: those of a batch arrive whole, in order and once, from where they were sent, and the
/// answers where they were sent to; two peers of one address do not get each other's.
///
/// # Panics
///
/// A promise is broken.
pub async fn datagrams(transport: &dyn Transport, at: &Endpoint) {
    assert_eq!(transport.medium(at), Medium::Datagrams);
    let mut listener = bind(transport, at).await;
    let bound = listener.datagrams().expect("the peers of a bound address share its socket");
    let mut answers = SendBatch::new();
    let mut peers = Vec::new();
    for number in 0..3 {
        let link = within("connecting", transport.connect(listener.endpoint(), &options())).await;
        let Wire::Datagrams(wire) = link.expect("connected").wire else {
            unreachable!("links of the medium `Datagrams` are datagrams")
        };
        let sent = numbered(number);
        send_batch(&*wire, &mut batch_of(&sent)).await;
        let arrived = receive_batch(&*bound, sent.len()).await;
        assert!(arrived.iter().map(|(_, datagram)| datagram).eq(&sent), "what was sent is not what arrived");
        let from = arrived.first().expect("some arrived").0;
        assert!(arrived.iter().all(|(other, _)| *other == from), "one peer has one address");
        for datagram in sent.iter().rev() {
            answers.push(datagram, Some(from));
        }
        peers.push((wire, from));
    }
    send_batch(&*bound, &mut answers).await;
    for (number, (wire, _)) in (0..).zip(&peers) {
        let expected = numbered(number);
        let arrived = receive_batch(&**wire, expected.len()).await;
        let arrived = arrived.iter().map(|(_, datagram)| datagram);
        assert!(arrived.eq(expected.iter().rev()), "what was answered is not what arrived");
    }
    let addresses = peers.iter().map(|(_, from)| from).collect::<BTreeSet<_>>();
    assert_eq!(addresses.len(), peers.len(), "two peers have one address");
}

// ── Steps ───────────────────────────────────────────────────────────────────────────────────────

fn options() -> LinkOptions {
    LinkOptions::default()
}

async fn within<T>(doing: &str, step: impl Future<Output = T>) -> T {
    let done = timeout(PATIENCE, step).await;
    assert!(done.is_ok(), "no progress while {doing}");
    done.expect("checked")
}

async fn bind(transport: &dyn Transport, at: &Endpoint) -> Box<dyn Listener> {
    let bound = within("binding", transport.bind(at, &options())).await;
    bound.expect("the address can be bound")
}

async fn accept(listener: &mut dyn Listener) -> Link {
    let incoming = within("accepting", listener.accept()).await.expect("accepted");
    within("upgrading", incoming).await.expect("a link")
}

/// Both ends of a new link: the connecting one first.
async fn pair(transport: &dyn Transport, listener: &mut dyn Listener) -> (Link, Link) {
    let connecting = transport.connect(listener.endpoint(), &options());
    // At once, for a handshake may need both.
    let (ours, theirs) = tokio::join!(within("connecting", connecting), accept(listener));
    (ours.expect("connected"), theirs)
}

/// Starts many connecters; each sends its number.
fn connect_many(transport: &dyn Transport, to: &Endpoint) -> JoinSet<()> {
    (0..MANY)
        .map(|number| {
            let connecting = transport.connect(to, &options());
            async move { send_number(within("connecting", connecting).await.expect("connected"), number).await }
        })
        .collect()
}

fn stream(link: Link) -> Box<dyn Stream> {
    match link.wire {
        Wire::Stream(stream) => stream,
        Wire::Datagrams(_) => unreachable!("links of the medium `Stream` are streams"),
    }
}

async fn send_number(link: Link, number: u32) {
    let mut stream = stream(link);
    within("writing", stream.write_all(&number.to_be_bytes())).await.expect("written");
    within("closing", stream.shutdown()).await.expect("half-closed");
    // The peer has read all: closing now cannot destroy what is on its way.
    let rest = within("waiting for the peer to close", stream.read_to_end(&mut Vec::new())).await;
    assert_eq!(rest.expect("read to the end"), 0);
}

async fn receive_number(link: Link) -> u32 {
    within("reading", read_number(link)).await.expect("a number")
}

async fn read_number(link: Link) -> io::Result<u32> {
    let mut stream = stream(link);
    let mut number = [0; 4];
    stream.read_exact(&mut number).await?;
    stream.read_to_end(&mut Vec::new()).await?;
    Ok(u32::from_be_bytes(number))
}

/// Bytes that show when any of them is missing or misplaced: a counter, scrambled.
fn pattern(seed: u32) -> Vec<u8> {
    let words = 0..u32::try_from(LARGE / 4).unwrap_or(u32::MAX);
    words.flat_map(|word| word.wrapping_mul(2_654_435_761).wrapping_add(seed).to_be_bytes()).collect()
}

/// Datagrams of many lengths: some alike, some empty, and one as large as fits everywhere.
fn numbered(number: u8) -> Vec<Vec<u8>> {
    let lengths = [1, 64, 64, 64, 10, 0, 1200, 1200, 1200, 1300, 8192];
    lengths.iter().zip(0..).map(|(length, index)| vec![16 * number + index; *length]).collect()
}

fn batch_of(datagrams: &[Vec<u8>]) -> SendBatch {
    let mut batch = SendBatch::new();
    datagrams.iter().for_each(|datagram| batch.push(datagram, None));
    batch
}

async fn send_batch(wire: &dyn Datagrams, batch: &mut SendBatch) {
    while !batch.is_empty() {
        let sent = within("sending", poll_fn(|cx| wire.poll_send(cx, batch))).await.expect("sent");
        assert!((1..=batch.len()).contains(&sent), "{sent} of {} were taken", batch.len());
        batch.advance(sent);
    }
}

async fn receive_batch(wire: &dyn Datagrams, count: usize) -> Vec<(Route, Vec<u8>)> {
    let (mut all, mut batch) = (Vec::new(), ReceiveBatch::new());
    while all.len() < count {
        within("receiving", poll_fn(|cx| wire.poll_receive(cx, &mut batch))).await.expect("received");
        let before = all.len();
        all.extend(batch.iter().map(|(from, datagram)| (from, datagram.to_vec())));
        assert!(all.len() > before, "nothing was received");
    }
    all
}
