//! PUB and SUB at multicast groups: everybody hears, nobody answers, and each listener counts what it missed.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use zocket::{Dropped, Endpoint, Heartbeat, Pub, SendError, SocketKind, Sub, TryRecvError, XPub, XSub};

use super::{dropped, group};
use crate::stage::{Staged, ready, soon};

/// The group's own address.
fn address(endpoint: &Endpoint) -> SocketAddr {
    let (_, address) = endpoint.address().rsplit_once(';').unwrap();
    address.parse().unwrap()
}

/// Publishes by hand.
struct Speaker {
    socket: UdpSocket,
    to: SocketAddr,
}

impl Speaker {
    async fn new(endpoint: &Endpoint) -> Self {
        // From loopback it goes over loopback.
        Self { socket: UdpSocket::bind("127.0.0.1:0").await.unwrap(), to: address(endpoint) }
    }

    async fn send(&self, datagram: &[u8]) {
        self.socket.send_to(datagram, self.to).await.unwrap();
    }

    /// A message, or with an empty one the last number.
    async fn say(&self, number: u64, body: &str) {
        let body = body.as_bytes();
        let frames = [&[0, u8::try_from(body.len()).unwrap()], body].concat();
        let frames = if body.is_empty() { Vec::new() } else { frames };
        self.send(&[b"zmp1", &7_u64.to_be_bytes()[..], &number.to_be_bytes(), &frames].concat()).await;
    }
}

#[tokio::test]
async fn a_group_reaches_every_subscriber_with_what_it_wants() {
    let (publisher, xpub) = (Pub::staged(), XPub::staged());
    let (one, all, xsub) = (Sub::staged(), Sub::staged(), XSub::staged());
    let at = soon(one.bind(group())).await.unwrap();
    soon(all.bind(&at)).await.unwrap();
    soon(xsub.bind(&at)).await.unwrap();
    one.subscribe("oslo ").unwrap();
    all.subscribe("").unwrap();
    xsub.subscribe("lima").unwrap();
    publisher.connect(&at).unwrap();
    assert_eq!(soon(publisher.connected(&at)).await.unwrap().kind(), Some(SocketKind::Sub));
    xpub.connect(&at).unwrap();
    soon(xpub.connected(&at)).await.unwrap();
    soon(publisher.send("lima 24")).await.unwrap();
    assert_eq!(soon(all.recv()).await.unwrap(), "lima 24");
    soon(xpub.send(["oslo -3", "second frame"])).await.unwrap();
    for sub in [&one, &all] {
        assert_eq!(soon(sub.recv()).await.unwrap(), ["oslo -3", "second frame"]);
    }
    assert_eq!(soon(xsub.recv()).await.unwrap(), "lima 24");
    xsub.unsubscribe("lima").unwrap();
    soon(xsub.send("\u{1}rome")).await.unwrap();
    soon(publisher.send("lima 25")).await.unwrap();
    soon(publisher.send("rome 20")).await.unwrap();
    assert_eq!(soon(xsub.recv()).await.unwrap(), "rome 20");
    assert_eq!(one.try_recv(), Err(TryRecvError::Empty));
    // Nobody listens to subscribers there.
    soon(xsub.send("upstream")).await.unwrap();
    assert_eq!((xsub.peers()[0].send_queue, xpub.try_recv()), (0, Err(TryRecvError::Empty)));
}

#[tokio::test]
async fn each_publication_is_in_order_and_what_is_missing_is_lost_or_late() {
    let sub = Sub::staged();
    sub.subscribe("").unwrap();
    let mut events = sub.monitor();
    let at = soon(sub.bind(group())).await.unwrap();
    let (one, two) = (Speaker::new(&at).await, Speaker::new(&at).await);
    one.say(1, "one 1").await;
    one.say(4, "one 4").await;
    one.say(2, "one 2, late").await;
    one.say(4, "one 4, again").await;
    two.say(7, "two 7").await;
    two.say(9, "two 9").await;
    one.say(5, "one 5").await;
    one.say(6, "").await;
    for expected in ["one 1", "one 4", "two 7", "two 9", "one 5"] {
        assert_eq!(soon(sub.recv()).await.unwrap(), expected);
    }
    let (mut lost, mut late) = (0, 0);
    while (lost, late) != (3, 1) {
        match dropped(&mut events).await {
            (messages, Dropped::Lost) => lost += messages,
            (messages, Dropped::Late) => late += messages,
            other => panic!("{other:?}"),
        }
        assert!(lost <= 3 && late <= 1, "{lost} lost, {late} late");
    }
    assert_eq!(sub.try_recv(), Err(TryRecvError::Empty));
}

#[tokio::test]
async fn what_no_publisher_sends_is_counted_and_does_no_harm() {
    let sub = Sub::staged();
    sub.subscribe("").unwrap();
    let mut events = sub.monitor();
    let at = soon(sub.bind(group())).await.unwrap();
    let speaker = Speaker::new(&at).await;
    for wrong in
        [&b""[..], b"zmp1", b"zmp2aaaaaaaabbbbbbbb", b"zmp1aaaaaaaabbbbbbbb\x00\x06short", b"\x05radio"]
    {
        speaker.send(wrong).await;
        assert_eq!(dropped(&mut events).await, (1, Dropped::Malformed));
    }
    speaker.say(1, "right").await;
    assert_eq!(soon(sub.recv()).await.unwrap(), "right");
}

#[tokio::test]
async fn what_the_257th_publisher_says_is_counted() {
    let sub = Sub::staged();
    sub.subscribe("").unwrap();
    let mut events = sub.monitor();
    let at = soon(sub.bind(group())).await.unwrap();
    let speaker = Speaker::new(&at).await;
    let message = |publication: u64| {
        [&b"zmp1"[..], &publication.to_be_bytes(), &1_u64.to_be_bytes(), b"\x00\x01x"].concat()
    };
    for publication in 0..256 {
        speaker.send(&message(publication)).await;
        assert_eq!(soon(sub.recv()).await.unwrap(), "x");
    }
    speaker.send(&message(256)).await;
    assert_eq!(dropped(&mut events).await, (1, Dropped::Crowded));
}

#[tokio::test]
async fn a_publishers_datagrams_are_as_they_are_documented() {
    let (high, low) = ([239, 255, 77, 1], Ipv4Addr::LOCALHOST);
    let listener = match UdpSocket::bind((Ipv4Addr::from(high), 0)).await {
        Ok(listener) => listener,
        Err(error) => return println!("skipped: a group is no address to bind here: {error}"),
    };
    listener.join_multicast_v4(high.into(), low).unwrap();
    let at: Endpoint = format!("udp://{low};{}", listener.local_addr().unwrap()).parse().unwrap();
    let heartbeat = Heartbeat::every(Duration::from_millis(20));
    let publisher = Pub::set_up().heartbeat(heartbeat).build();
    publisher.connect(&at).unwrap();
    soon(publisher.connected(&at)).await.unwrap();
    let next = async || {
        let mut buffer = [0; 100];
        let length = soon(listener.recv(&mut buffer)).await.unwrap();
        buffer[..length].to_vec()
    };
    let first = next().await;
    assert_eq!((&first[..4], &first[12..]), (&b"zmp1"[..], &[0; 8][..]), "the last number, of none");
    let id = &first[4..12];
    let expected = |number: u64, frames: &[u8]| [b"zmp1", id, &number.to_be_bytes(), frames].concat();
    soon(publisher.send("hello")).await.unwrap();
    soon(publisher.send(["a", "b"])).await.unwrap();
    for message in [expected(1, b"\0\x05hello"), expected(2, b"\x01\x01a\0\x01b")] {
        // Heartbeats tell the last number in between.
        while next().await != message {}
    }
    while next().await != expected(2, b"") {}
    soon(publisher.close()).await;
    while next().await != expected(2, b"") {}
}

#[tokio::test]
async fn a_publication_is_limited_as_every_datagram_is() {
    let (publisher, sub) = (Pub::staged(), Sub::staged());
    sub.subscribe("").unwrap();
    let at = soon(sub.bind(group())).await.unwrap();
    publisher.connect(&at).unwrap();
    soon(publisher.connected(&at)).await.unwrap();
    let error = soon(publisher.send(vec![7; 65_400])).await.unwrap_err();
    assert!(matches!(&error, SendError::TooLarge(it) if it.limit == 65_400), "{error}");
    soon(publisher.send(vec![7; 65_391])).await.unwrap();
    assert_eq!(soon(sub.recv()).await.unwrap().byte_len(), 65_391);
}

#[tokio::test]
#[cfg(unix)]
async fn groups_of_ipv6_carry_publications_too() {
    let (publisher, sub) = (Pub::staged(), Sub::staged());
    sub.subscribe("").unwrap();
    let interface = if cfg!(target_os = "linux") { "lo" } else { "lo0" };
    let at = match soon(sub.bind(format!("udp://{interface};[ff01::5b]:0"))).await {
        Ok(at) => at,
        Err(error) => return println!("skipped: this system has no IPv6 multicast: {error}"),
    };
    let mut events = publisher.monitor();
    publisher.connect(&at).unwrap();
    if !super::reaches_groups(&mut events).await {
        return;
    }
    soon(publisher.send("six")).await.unwrap();
    assert_eq!(soon(sub.recv()).await.unwrap(), "six");
}

#[tokio::test]
async fn a_group_is_left_by_unbind_and_one_socket_may_hear_several_and_peers_besides() {
    let (publisher, sub) = (Pub::staged(), Sub::staged());
    sub.subscribe("").unwrap();
    let mut events = publisher.monitor();
    let groups = [soon(sub.bind(group())).await.unwrap(), soon(sub.bind(group())).await.unwrap()];
    for at in &groups {
        publisher.connect(at).unwrap();
        ready(&mut events).await;
    }
    let link = soon(publisher.bind("udp://127.0.0.1:0")).await.unwrap();
    sub.connect(&link).unwrap();
    soon(sub.connected(&link)).await.unwrap();
    crate::stage::until(|| publisher.topics() == 1).await;
    soon(publisher.send("to all")).await.unwrap();
    for _ in 0..3 {
        assert_eq!(soon(sub.recv()).await.unwrap(), "to all");
    }
    soon(sub.unbind(&groups[0])).await.unwrap();
    soon(publisher.send("to fewer")).await.unwrap();
    for _ in 0..2 {
        assert_eq!(soon(sub.recv()).await.unwrap(), "to fewer");
    }
    assert_eq!(sub.try_recv(), Err(TryRecvError::Empty));
}
