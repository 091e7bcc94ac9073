//! Strangers at a bound udp address: what they can make it do, and what they cannot.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::net::UdpSocket;
use zocket::{Disconnect, Event, Pull, Push, TryRecvError};

use crate::stage::{Order, Scheme, Staged, disconnected, event, meet, ready, soon};

const HELLO: u8 = 1;
const COOKIE: u8 = 2;
const ACCEPT: u8 = 3;
const REFUSE: u8 = 4;
const DATA: u8 = 5;
const PING: u8 = 8;
const PONG: u8 = 9;
const BYE: u8 = 10;

/// A caller made by hand.
struct Stranger {
    socket: UdpSocket,
    to: SocketAddr,
    id: u64,
}

impl Stranger {
    async fn new(to: &zocket::Endpoint, id: u64) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        Self { socket, to: to.address().parse().unwrap(), id }
    }

    async fn send(&self, kind: u8, body: &[u8]) {
        let packet = [&[kind][..], &self.id.to_be_bytes(), body].concat();
        self.socket.send_to(&packet, self.to).await.unwrap();
    }

    /// The next packet's kind and body.
    async fn receive(&self) -> (u8, Vec<u8>) {
        let mut buffer = [0; 2_000];
        let length = soon(self.socket.recv(&mut buffer)).await.unwrap();
        assert_eq!(buffer[1..9], self.id.to_be_bytes());
        (buffer[0], buffer[9..length].to_vec())
    }

    /// Calls, and shows that it is where it says. Returns the body of the last HELLO, and what it was told.
    async fn call(&self) -> (Vec<u8>, u8) {
        self.send(HELLO, &hello(&[0; 8])).await;
        let (kind, cookie) = self.receive().await;
        assert_eq!(kind, COOKIE);
        let proven = hello(&cookie);
        self.send(HELLO, &proven).await;
        (proven, self.receive().await.0)
    }
}

/// What a PUSH says of itself.
fn hello(cookie: &[u8]) -> Vec<u8> {
    [b"zmtp-u1", cookie, b"\x0bSocket-Type\0\0\0\x04PUSH\x08X-Zocket\0\0\0\x011"].concat()
}

fn message(number: u64, body: &[u8]) -> Vec<u8> {
    [&number.to_be_bytes()[..], &[0, u8::try_from(body.len()).unwrap()], body].concat()
}

#[tokio::test]
async fn a_late_copy_of_a_call_whose_link_is_over_begins_nothing() {
    let pull = Pull::staged();
    let mut events = pull.monitor();
    let endpoint = soon(pull.bind("udp://127.0.0.1:0")).await.unwrap();
    let stranger = Stranger::new(&endpoint, 7).await;
    let (proven, told) = stranger.call().await;
    assert_eq!(told, ACCEPT);
    stranger.send(DATA, &message(1, b"once")).await;
    assert_eq!(soon(pull.recv()).await.unwrap(), "once");
    stranger.send(BYE, &1_u64.to_be_bytes()).await;
    assert!(matches!(disconnected(&mut events).await, Disconnect::PeerClosed));
    stranger.send(HELLO, &proven).await;
    stranger.send(DATA, &message(1, b"once")).await;
    let answers = [stranger.receive().await.0, stranger.receive().await.0];
    assert_eq!(answers, [REFUSE, BYE]);
    assert_eq!(pull.try_recv(), Err(TryRecvError::Empty));
    assert!(pull.peers().is_empty());
}

#[tokio::test]
async fn an_address_takes_so_many_peers_and_tells_the_next_to_come_again() {
    let pull = Pull::set_up().max_udp_peers(2).build();
    let mut events = pull.monitor();
    let endpoint = soon(pull.bind("udp://127.0.0.1:0")).await.unwrap();
    let strangers = [
        Stranger::new(&endpoint, 1).await,
        Stranger::new(&endpoint, 2).await,
        Stranger::new(&endpoint, 3).await,
    ];
    assert_eq!((strangers[0].call().await.1, strangers[1].call().await.1), (ACCEPT, ACCEPT));
    assert_eq!(strangers[2].call().await.1, REFUSE);
    let crowded = |event| if let Event::HandshakeFailed { reason, .. } = event { Some(reason) } else { None };
    assert!(matches!(event(&mut events, crowded).await, Disconnect::Crowded));
    assert_eq!(pull.peers().len(), 2);
    strangers[0].send(BYE, &[0; 8]).await;
    disconnected(&mut events).await;
    // Each call has an id of its own.
    assert_eq!(Stranger::new(&endpoint, 4).await.call().await.1, ACCEPT);
}

#[tokio::test]
async fn a_flood_of_calls_from_everywhere_is_answered_with_less_and_leaves_nothing() {
    let (pull, push) = (Pull::staged(), Push::staged());
    let place = meet(&pull, &push, (Scheme::Udp, Order::BindFirst)).await;
    let to: SocketAddr = place.endpoint.address().parse().unwrap();
    let mut events = pull.monitor();
    let mut random = fastrand::Rng::with_seed(3);
    for source in 2..102_u8 {
        // Not everywhere is all of 127.0.0.0/8 here.
        let address = if cfg!(target_os = "linux") { [127, 0, 0, source] } else { [127, 0, 0, 1] };
        let flooding = UdpSocket::bind((Ipv4Addr::from(address), 0)).await.unwrap();
        for _ in 0..20 {
            let cookie: [u8; 8] = random.u64(..).to_be_bytes();
            let question = [&[HELLO][..], &random.u64(..).to_be_bytes(), &hello(&cookie)].concat();
            flooding.send_to(&question, to).await.unwrap();
            let mut answer = [0; 2_000];
            let length = soon(flooding.recv(&mut answer)).await.unwrap();
            assert!(answer[0] == COOKIE && length < question.len());
        }
    }
    assert_eq!(pull.peers().len(), 1, "the one who was there before");
    soon(push.send("still here")).await.unwrap();
    assert_eq!(soon(pull.recv()).await.unwrap(), "still here");
    let happened = futures::FutureExt::now_or_never(events.next());
    assert!(happened.is_none(), "{happened:?}");
}

#[tokio::test]
async fn no_datagram_is_answered_with_more_or_harms_who_is_there() {
    let pull = Pull::staged();
    let mut events = pull.monitor();
    let endpoint = soon(pull.bind("udp://127.0.0.1:0")).await.unwrap();
    let known = Stranger::new(&endpoint, 77).await;
    assert_eq!(known.call().await.1, ACCEPT);
    ready(&mut events).await;
    let stranger = Stranger::new(&endpoint, 0).await;
    let mut random = fastrand::Rng::with_seed(5);
    for round in 0..2_000_u64 {
        let mut packet = [&[random.u8(..12)][..], &round.to_be_bytes(), &hello(&[0; 8])].concat();
        packet.truncate(random.usize(..=packet.len()));
        if !packet.is_empty() && random.bool() {
            let place = random.usize(..packet.len());
            packet[place] = random.u8(..);
        }
        // From an address that is a peer, too, but not of that link.
        let from = if random.bool() { &known.socket } else { &stranger.socket };
        from.send_to(&packet, known.to).await.unwrap();
        // Answered at once, and after whatever was answered before.
        known.send(PING, &[0; 8]).await;
        let mut answer = [0; 2_000];
        loop {
            let length = soon(known.socket.recv(&mut answer)).await.unwrap();
            if (answer[0], &answer[1..9]) == (PONG, &77_u64.to_be_bytes()) {
                break;
            }
            assert!(length <= packet.len(), "{:?} to {packet:?}", &answer[..length]);
        }
        while let Ok((length, _)) = stranger.socket.try_recv_from(&mut answer) {
            assert!(length <= packet.len(), "{:?} to {packet:?}", &answer[..length]);
        }
    }
    known.send(DATA, &message(1, b"well")).await;
    assert_eq!(soon(pull.recv()).await.unwrap(), "well");
    assert_eq!(pull.peers().len(), 1);
    let happened = futures::FutureExt::now_or_never(events.next());
    assert!(happened.is_none(), "{happened:?}");
}

#[tokio::test]
async fn a_late_copy_of_a_call_that_was_refused_is_not_let_in() {
    let pull = Pull::set_up().max_udp_peers(1).build();
    let mut events = pull.monitor();
    let endpoint = soon(pull.bind("udp://127.0.0.1:0")).await.unwrap();
    let (first, second) = (Stranger::new(&endpoint, 1).await, Stranger::new(&endpoint, 2).await);
    assert_eq!(first.call().await.1, ACCEPT);
    let (proven, told) = second.call().await;
    assert_eq!(told, REFUSE);
    first.send(BYE, &[0; 8]).await;
    disconnected(&mut events).await;
    second.send(HELLO, &proven).await;
    // What comes behind it is answered, and so the copy was not.
    let third = Stranger::new(&endpoint, 3).await;
    assert_eq!(third.call().await.1, ACCEPT);
    assert_eq!(pull.peers().len(), 1);
}
