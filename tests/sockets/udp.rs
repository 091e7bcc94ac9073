//! `udp://`: RADIO and DISH, to one address and to groups, with libzmq's bytes; links for all others; what is lost, and
//! who is told.

mod hostile;
mod links;
mod multicast;
mod sharing;

use std::net::Ipv6Addr;
use std::sync::atomic::{AtomicU16, Ordering};
use tokio::net::UdpSocket;
use zocket::{
    BindError, ConnectError, Dealer, Dish, Dropped, Endpoint, Event, HighWater, Message, Monitor, Pair,
    Pattern, Pub, Pull, Push, Radio, Rep, Req, Router, SendError, Socket, Sub, TryRecvError, TrySendError,
    XPub, XSub,
};

use crate::stage::{Staged, event, meet_tcp, soon, until};

/// A plain socket on loopback, and its address as an endpoint.
async fn plain() -> (UdpSocket, Endpoint) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("udp://{}", socket.local_addr().unwrap()).parse().unwrap();
    (socket, endpoint)
}

async fn next_datagram(socket: &UdpSocket) -> Vec<u8> {
    let mut buffer = vec![0; 10_000];
    let length = soon(socket.recv(&mut buffer)).await.unwrap();
    buffer.truncate(length);
    buffer
}

async fn heard(dish: &Dish) -> (Vec<u8>, Message) {
    let (group, message) = soon(dish.recv()).await.unwrap();
    (group.to_vec(), message)
}

/// A multicast group that no other test uses, on the loopback interface.
fn group() -> String {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let [high, low] = NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes();
    let process = std::process::id() % 250;
    format!("udp://127.0.0.1;239.{process}.{high}.{low}:0")
}

/// The next report of messages that were dropped.
async fn dropped(monitor: &mut Monitor) -> (u64, Dropped) {
    event(monitor, |event| match event {
        Event::Dropped { messages, reason, .. } => Some((messages, reason)),
        _ => None,
    })
    .await
}

#[tokio::test]
async fn a_radios_datagrams_have_libzmqs_bytes_whatever_the_group() {
    let (socket, endpoint) = plain().await;
    let radio = Radio::staged();
    radio.connect(&endpoint).unwrap();
    soon(radio.connected(&endpoint)).await.unwrap();
    let longest = "g".repeat(255);
    for (group, body) in [("weather", "sunny"), ("", ""), (&longest, "x")] {
        soon(radio.send(group, body)).await.unwrap();
        let length = u8::try_from(group.len()).unwrap();
        assert_eq!(next_datagram(&socket).await, [&[length][..], group.as_bytes(), body.as_bytes()].concat());
    }
}

#[tokio::test]
async fn what_a_radio_sends_at_once_comes_in_order_and_whole() {
    let (dish, radio) = (Dish::staged(), Radio::staged());
    let at = dish.bind("udp://127.0.0.1:0").await.unwrap();
    dish.join("burst").unwrap();
    radio.connect(&at).unwrap();
    soon(radio.connected(&at)).await.unwrap();
    // Alike and not, in calls of many datagrams, and fewer than the kernel holds.
    let bodies = (0..160_u8).map(|number| vec![number; 4 + usize::from(number) / 10 % 4]).collect::<Vec<_>>();
    for body in &bodies {
        soon(radio.send("burst", &body[..])).await.unwrap();
    }
    for (number, body) in bodies.iter().enumerate() {
        let (_, message) = heard(&dish).await;
        assert_eq!(message, body[..], "message {number}");
    }
}

#[tokio::test]
async fn a_message_of_8192_bytes_with_its_group_is_sent_and_a_larger_one_comes_back() {
    let (socket, endpoint) = plain().await;
    let radio = Radio::staged();
    let dish = Dish::staged();
    let _place = meet_tcp(&dish, &radio).await;
    radio.connect(&endpoint).unwrap();
    soon(radio.connected(&endpoint)).await.unwrap();
    soon(radio.send("abc", vec![7; 8188])).await.unwrap();
    assert_eq!(next_datagram(&socket).await.len(), 8192);
    let larger = Message::from(vec![7; 8189]);
    let Err(SendError::TooLarge(refused)) = soon(radio.send("abc", larger.clone())).await else { panic!() };
    assert_eq!((&refused.message, refused.limit), (&larger, 8191));
    let error = radio.try_send("abc", larger).unwrap_err();
    assert!(error.to_string().contains("8191 bytes"), "{error}");
    assert_eq!(error, TrySendError::TooLarge(refused));
    soon(radio.send("abc", "next")).await.unwrap();
    assert_eq!(next_datagram(&socket).await, b"\x03abcnext");
}

#[tokio::test]
async fn a_dish_hears_plain_datagrams_and_counts_what_is_none() {
    let (dish, (socket, _)) = (Dish::staged(), plain().await);
    let mut events = dish.monitor();
    let endpoint = soon(dish.bind("udp://127.0.0.1:*")).await.unwrap();
    dish.join("a").unwrap();
    for (datagram, counted) in [(&b""[..], 1), (b"\x05abc", 1), (&[0; 8193], 1), (&[0; 20_000], 1)] {
        socket.send_to(datagram, endpoint.address()).await.unwrap();
        assert_eq!(dropped(&mut events).await, (counted, Dropped::Malformed));
    }
    for datagram in [&b"\x01bnot joined"[..], b"\x01a", b"\x01abody"] {
        socket.send_to(datagram, endpoint.address()).await.unwrap();
    }
    assert_eq!(heard(&dish).await, (b"a".to_vec(), "".into()));
    assert_eq!(heard(&dish).await, (b"a".to_vec(), "body".into()));
    assert_eq!(dish.try_recv(), Err(TryRecvError::Empty));
}

#[tokio::test]
async fn radios_reach_a_dish_over_either_ip() {
    for host in ["127.0.0.1", "[::1]", "localhost", "*"] {
        if host == "[::1]" && UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).await.is_err() {
            println!("skipped for {host}: this system has no IPv6");
            continue;
        }
        let (dish, radios) = (Dish::staged(), [Radio::staged(), Radio::staged()]);
        let endpoint = soon(dish.bind(format!("udp://{host}:0"))).await.unwrap();
        dish.join("a").unwrap();
        for radio in &radios {
            radio.connect(&endpoint).unwrap();
            soon(radio.connected(&endpoint)).await.unwrap();
            soon(radio.send("b", "not joined")).await.unwrap();
            soon(radio.send("a", host)).await.unwrap();
            assert_eq!(heard(&dish).await, (b"a".to_vec(), host.into()));
        }
        dish.leave("a").unwrap();
        soon(radios[0].send("a", "left")).await.unwrap();
        assert_eq!(dish.try_recv(), Err(TryRecvError::Empty));
    }
}

#[tokio::test]
async fn what_is_sent_before_there_is_a_socket_waits_for_it_in_order() {
    let (dish, radio) = (Dish::staged(), Radio::staged());
    let endpoint = soon(dish.bind("udp://127.0.0.1:0")).await.unwrap();
    dish.join("a").unwrap();
    radio.connect(&endpoint).unwrap();
    soon(radio.connected(&endpoint)).await.unwrap();
    for number in 0..100 {
        soon(radio.send("a", number.to_string())).await.unwrap();
    }
    soon(radio.close()).await;
    for number in 0..100 {
        assert_eq!(heard(&dish).await.1, *number.to_string());
    }
}

#[tokio::test]
async fn a_group_reaches_every_dish_that_bound_it_and_no_other_group() {
    let radio = Radio::staged();
    let dishes = [Dish::staged(), Dish::staged(), Dish::staged()];
    let first = soon(dishes[0].bind(group())).await.unwrap();
    soon(dishes[1].bind(&first)).await.unwrap();
    let (_, port) = first.address().rsplit_once(':').unwrap();
    let other = group().replace(":0", &format!(":{port}"));
    soon(dishes[2].bind(other)).await.unwrap();
    dishes.iter().for_each(|dish| dish.join("a").unwrap());
    radio.connect(&first).unwrap();
    soon(radio.connected(&first)).await.unwrap();
    soon(radio.send("a", "to all")).await.unwrap();
    for dish in &dishes[..2] {
        assert_eq!(heard(dish).await.1, "to all");
    }
    assert_eq!(dishes[2].try_recv(), Err(TryRecvError::Empty));
}

/// Whether a socket that connects to an IPv6 group of the loopback interface can send there. If not, says so.
#[cfg(unix)]
async fn reaches_groups(events: &mut Monitor) -> bool {
    let unreachable = event(events, |event| match event {
        Event::Ready { .. } => Some(None),
        Event::Retrying { reason, .. } => Some(Some(reason)),
        _ => None,
    });
    let Some(reason) = unreachable.await else { return true };
    println!("skipped: the loopback interface of this system has no IPv6 groups: {reason}");
    false
}

#[tokio::test]
#[cfg(unix)]
async fn groups_of_ipv6_are_joined_by_the_name_of_an_interface() {
    let (radio, dish) = (Radio::staged(), Dish::staged());
    let interface = if cfg!(target_os = "linux") { "lo" } else { "lo0" };
    let endpoint = match soon(dish.bind(format!("udp://{interface};[ff01::5a]:0"))).await {
        Ok(endpoint) => endpoint,
        Err(error) => return println!("skipped: this system has no IPv6 multicast: {error}"),
    };
    dish.join("a").unwrap();
    let mut events = radio.monitor();
    radio.connect(&endpoint).unwrap();
    if !reaches_groups(&mut events).await {
        return;
    }
    soon(radio.send("a", "six")).await.unwrap();
    assert_eq!(heard(&dish).await.1, "six");
}

#[tokio::test]
async fn a_full_queue_drops_what_arrives_and_every_message_is_received_or_counted() {
    const SENT: u64 = 100;
    let (dish, (socket, _)) =
        (Dish::set_up().receive_high_water(HighWater::messages(10)).build(), plain().await);
    let mut events = dish.monitor();
    let endpoint = soon(dish.bind("udp://127.0.0.1:0")).await.unwrap();
    dish.join("").unwrap();
    for number in 0..SENT {
        socket
            .send_to(&[&[0][..], number.to_string().as_bytes()].concat(), endpoint.address())
            .await
            .unwrap();
    }
    assert_eq!(dropped(&mut events).await, (1, Dropped::ReceiverFull), "told at once");
    // It is read after all that was sent, for datagrams on loopback arrive in order.
    socket.send_to(b"\x09", endpoint.address()).await.unwrap();
    assert_eq!(dropped(&mut events).await, (1, Dropped::Malformed));
    for number in 0..10 {
        assert_eq!(heard(&dish).await.1, *number.to_string());
    }
    assert_eq!(dropped(&mut events).await, (SENT - 11, Dropped::ReceiverFull), "told when there is room");
    socket.send_to(b"\x00again", endpoint.address()).await.unwrap();
    assert_eq!(heard(&dish).await.1, "again");
}

#[tokio::test]
async fn a_radio_does_not_mind_that_nobody_listens() {
    let (socket, endpoint) = plain().await;
    drop(socket);
    let (radio, dish) = (Radio::staged(), Dish::staged());
    radio.connect(&endpoint).unwrap();
    let info = soon(radio.connected(&endpoint)).await.unwrap();
    assert_eq!(info.kind(), Some(zocket::SocketKind::Dish));
    let mut events = radio.monitor();
    for _ in 0..10 {
        soon(radio.send("a", "into the void")).await.unwrap();
        until(|| radio.peers()[0].send_queue == 0).await;
    }
    soon(dish.bind(&endpoint)).await.unwrap();
    dish.join("a").unwrap();
    soon(radio.send("a", "at last")).await.unwrap();
    assert_eq!(heard(&dish).await.1, "at last");
    let happened = futures::FutureExt::now_or_never(events.next());
    assert!(happened.is_none(), "{happened:?}");
}

#[tokio::test]
async fn an_address_that_is_bound_is_taken_and_free_again_when_it_is_unbound() {
    let (first, second) = (Dish::staged(), Dish::staged());
    let endpoint = soon(first.bind("udp://127.0.0.1:0")).await.unwrap();
    let error = soon(second.bind(&endpoint)).await.unwrap_err();
    assert!(
        matches!(&error, BindError::Io { source, .. }
        if source.kind() == std::io::ErrorKind::AddrInUse),
        "{error}"
    );
    soon(first.unbind(&endpoint)).await.unwrap();
    assert!(first.peers().is_empty());
    soon(second.bind(&endpoint)).await.unwrap();
    soon(second.close()).await;
    soon(first.bind(&endpoint)).await.unwrap();
}

#[tokio::test]
async fn what_an_endpoint_is_not_for_is_told_before_anything_is_done() {
    async fn refused<P: Pattern>(socket: &Socket<P>, endpoint: &str, binds: bool, connects: bool) {
        if binds {
            let error = soon(socket.bind(endpoint)).await.unwrap_err();
            assert!(matches!(error, BindError::Endpoint(_)), "{error}");
        }
        if connects {
            let error = socket.connect(endpoint).unwrap_err();
            assert!(matches!(error, ConnectError::Endpoint(_)), "{error}");
        }
        assert!(socket.peers().is_empty());
    }
    const GROUP: &str = "udp://127.0.0.1;239.0.0.1:5555";
    for endpoint in ["udp://127.0.0.1:5555", GROUP] {
        refused(&Radio::staged(), endpoint, true, false).await;
        refused(&Dish::staged(), endpoint, false, true).await;
    }
    refused(&Pub::staged(), GROUP, true, false).await;
    refused(&XPub::staged(), GROUP, true, false).await;
    refused(&Sub::staged(), GROUP, false, true).await;
    refused(&XSub::staged(), GROUP, false, true).await;
    refused(&Push::staged(), GROUP, true, true).await;
    refused(&Pull::staged(), GROUP, true, true).await;
    refused(&Req::staged(), GROUP, true, true).await;
    refused(&Rep::staged(), GROUP, true, true).await;
    refused(&Dealer::staged(), GROUP, true, true).await;
    refused(&Router::staged(), GROUP, true, true).await;
    refused(&Pair::staged(), GROUP, true, true).await;
}
