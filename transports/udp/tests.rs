//! What endpoints say, what options do, and what both ways to send and receive promise.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::time::Duration;

use tokio::time::timeout;

use super::*;
use crate::{Datagrams, ReceiveBatch, SendBatch};

fn parsed(address: &str, purpose: Purpose) -> Result<Target, String> {
    let endpoint = Endpoint::new(SCHEME, address).unwrap();
    parse(&endpoint, purpose).map_err(|error| error.to_string())
}

#[test]
fn groups_are_told_from_hosts_whatever_the_purpose() {
    for purpose in [Purpose::Bind, Purpose::Connect] {
        for (address, interface) in [
            ("239.1.2.3:5", None),
            ("[ff02::1]:5", None),
            ("[ff02::1%3]:5", None),
            ("*;239.1.2.3:5", Some(Host::Any)),
            ("eth0;239.1.2.3:5", Some(Host::Name("eth0".into()))),
            ("127.0.0.1;239.1.2.3:5", Some(Host::Ip(Ipv4Addr::LOCALHOST.into(), None))),
            ("eth0;[ff02::1]:5", Some(Host::Name("eth0".into()))),
        ] {
            let target = parsed(address, purpose).unwrap();
            assert_eq!(target.group.unwrap().interface, interface, "{address}");
            let endpoint = Endpoint::new(SCHEME, address).unwrap();
            assert_eq!(Udp::new().medium(&endpoint), Medium::Multicast);
        }
        for address in ["127.0.0.1:5", "[::1]:5", "localhost:5"] {
            assert!(parsed(address, purpose).unwrap().group.is_none(), "{address}");
            let endpoint = Endpoint::new(SCHEME, address).unwrap();
            assert_eq!(Udp::new().medium(&endpoint), Medium::Datagrams);
        }
    }
}

#[tokio::test]
async fn options_reach_the_socket() {
    let mut options = LinkOptions {
        receive_buffer: Some(20_000),
        multicast_hops: 7,
        multicast_loop: false,
        multicast_interface: Some("127.0.0.1".into()),
        ..LinkOptions::default()
    };
    let target = parsed("239.1.2.3:5", Purpose::Connect).unwrap();
    let group = target.group.as_ref().unwrap();
    let socket = send_to_group(group, &target, &options).unwrap();
    let socket = socket2::SockRef::from(&socket);
    assert!(!socket.multicast_loop_v4().unwrap());
    assert_eq!(socket.multicast_ttl_v4().unwrap(), 7);
    assert_eq!(socket.multicast_if_v4().unwrap(), Ipv4Addr::LOCALHOST);
    assert!(socket.recv_buffer_size().unwrap() >= 20_000);
    options.multicast_interface = Some("2001:db8::1".into());
    let error = send_to_group(group, &target, &options).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{error}");
}

#[test]
fn what_is_wrong_is_named() {
    for (address, reason) in [
        ("eth0;127.0.0.1:5", "multicast group only"),
        ("eth0;localhost:5", "multicast group only"),
        ("eth0:1;239.1.2.3:5", "not an IPv6 address"),
        ("127.0.0.1;[ff02::1]:5", "goes by its name"),
        ("::1;[ff02::1]:5", "goes by its name"),
        (";239.1.2.3:5", "host before the port"),
        ("239.1.2.3", "port is missing"),
        ("239.1.2.3:0", "port 0"),
        ("*:5", "wildcard"),
    ] {
        let error = parsed(address, Purpose::Connect).map(drop).expect_err(address);
        assert!(error.contains(reason), "{address}: {error}");
    }
}

type Way = fn(UdpSocket) -> Box<dyn Datagrams>;

/// What this system has, and what every system has.
const WAYS: &[Way] = &[
    |socket| Box::new(portable::Line::new(socket)),
    #[cfg(any(target_os = "android", target_os = "linux"))]
    |socket| Box::new(Line::new(socket)),
];

async fn bound() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

async fn connected(to: SocketAddr) -> UdpSocket {
    let (socket, _) = bound().await;
    socket.connect(to).await.unwrap();
    socket
}

/// Distinct datagrams of these lengths.
fn datagrams(lengths: &[usize]) -> Vec<Vec<u8>> {
    lengths.iter().zip(0_u8..).map(|(length, number)| vec![number; *length]).collect()
}

async fn send(line: &dyn Datagrams, batch: &SendBatch) -> io::Result<usize> {
    poll_fn(|cx| line.poll_send(cx, batch)).await
}

async fn send_all(line: &dyn Datagrams, batch: &mut SendBatch) {
    while !batch.is_empty() {
        let sent = send(line, batch).await.unwrap();
        assert!((1..=batch.len()).contains(&sent));
        batch.advance(sent);
    }
}

/// The next `count` datagrams, and who sent them.
async fn received(line: &dyn Datagrams, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
    let (mut all, mut batch) = (Vec::new(), ReceiveBatch::new());
    while all.len() < count {
        let next = poll_fn(|cx| line.poll_receive(cx, &mut batch));
        timeout(Duration::from_secs(20), next).await.expect("all arrive").unwrap();
        all.extend(batch.iter().map(|(from, datagram)| (from.peer, datagram.to_vec())));
    }
    all
}

#[tokio::test]
async fn datagrams_of_all_lengths_arrive_whole_in_order_and_once() {
    for (sends, receives) in WAYS.iter().flat_map(|sends| WAYS.iter().map(move |receives| (sends, receives)))
    {
        let (socket, at) = bound().await;
        let receiver = receives(socket);
        let socket = connected(at).await;
        let from = socket.local_addr().unwrap();
        let sender = sends(socket);
        for lengths in [
            &[64; 200][..],
            &[1200; 60],
            &[1200, 1200, 7, 1200, 1200],
            &[5, 5, 5, 6, 6, 0, 0, 5, 4, 3, 2, 1],
            &[0],
            &[65_507],
            &[30_000, 30_000, 3],
        ] {
            let expected = datagrams(lengths);
            let mut batch = SendBatch::new();
            expected.iter().for_each(|datagram| batch.push(datagram, None));
            send_all(&*sender, &mut batch).await;
            let arrived = received(&*receiver, lengths.len()).await;
            assert!(arrived.iter().all(|(sender, _)| *sender == from));
            let arrived = arrived.into_iter().map(|(_, datagram)| datagram).collect::<Vec<_>>();
            assert!(arrived == expected, "{lengths:?}");
        }
    }
}

/// The test above, in a network of its own whose frames are small.
#[cfg(target_os = "linux")]
#[test]
fn what_fits_into_no_frame_is_sent_nonetheless() {
    use std::process::Command;

    let alone = |frame: &str, test: &str| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--net", "sh", "-c"]);
        command.args([&format!("ip link set lo mtu {frame} up && exec \"$@\""), "sh"]);
        command.arg(std::env::current_exe().unwrap()).args(["--exact", test]).output()
    };
    match alone("1500", "none") {
        Ok(output) if output.status.success() => {}
        failed => return eprintln!("skipped: no network namespace can be made here: {failed:?}"),
    }
    for frame in ["1500", "1280"] {
        let test = "udp::tests::datagrams_of_all_lengths_arrive_whole_in_order_and_once";
        let output = alone(frame, test).unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && text.contains("1 passed"), "frames of {frame} bytes: {text}");
    }
}

#[tokio::test]
async fn one_batch_goes_to_many_addresses_and_each_gets_its_own_in_order() {
    for way in WAYS {
        let mut receivers = BTreeMap::new();
        for _ in 0..3 {
            let (socket, at) = bound().await;
            receivers.insert(at, (way(socket), Vec::new()));
        }
        let addresses = receivers.keys().copied().collect::<Vec<_>>();
        let mut batch = SendBatch::new();
        for (number, datagram) in datagrams(&[9; 60]).iter().enumerate() {
            // Runs of one, two and three.
            let to = addresses[[0, 1, 1, 2, 2, 2][number % 6]];
            batch.push(datagram, Some(to.into()));
            receivers.get_mut(&to).unwrap().1.push(datagram.clone());
        }
        send_all(&*way(bound().await.0), &mut batch).await;
        for (receiver, expected) in receivers.values() {
            let arrived = received(&**receiver, expected.len()).await;
            assert!(arrived.into_iter().map(|(_, datagram)| datagram).eq(expected.iter().cloned()));
        }
    }
}

#[tokio::test]
async fn a_datagram_that_is_too_large_is_an_error_of_its_own_and_holds_up_no_other() {
    for way in WAYS {
        let (socket, at) = bound().await;
        let (receiver, sender) = (way(socket), way(connected(at).await));
        let mut batch = SendBatch::new();
        let all = datagrams(&[8, 8, 65_508, 65_508, 9]);
        all.iter().for_each(|datagram| batch.push(datagram, None));
        let mut errors = 0;
        while !batch.is_empty() {
            let sent = send(&*sender, &batch).await;
            let first = batch.iter().next().unwrap().0.len();
            assert_eq!(sent.is_err(), first == 65_508, "{sent:?}");
            errors += usize::from(sent.is_err());
            batch.advance(sent.unwrap_or(1));
        }
        assert_eq!(errors, 2);
        let arrived = received(&*receiver, 3).await.into_iter().map(|(_, datagram)| datagram);
        assert!(arrived.eq([&all[0], &all[1], &all[4]].map(Clone::clone)));
    }
}

#[tokio::test]
async fn what_is_refused_in_the_middle_of_a_batch_is_neither_lost_nor_doubled() {
    for way in WAYS {
        for lengths in [&[1, 2, 3, 4, 5, 6, 7, 8][..], &[5; 100]] {
            // Of an address that no other test has, which would take the port while it is free.
            let socket = UdpSocket::bind("127.0.0.4:0").await.unwrap();
            let at = socket.local_addr().unwrap();
            let sender = way(connected(at).await);
            drop(socket);
            let (mut batch, all) = (SendBatch::new(), datagrams(lengths));
            all.iter().for_each(|datagram| batch.push(datagram, None));
            // Taken, and heard by nobody, which the next call or the next but one is told.
            let unheard = send(&*sender, &batch).await.unwrap();
            batch.advance(unheard);
            let receiver = way(UdpSocket::bind(at).await.unwrap());
            while !batch.is_empty() {
                match send(&*sender, &batch).await {
                    Ok(sent) => batch.advance(sent),
                    Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused, "{error}"),
                }
            }
            let arrived = received(&*receiver, lengths.len() - unheard).await;
            let arrived = arrived.into_iter().map(|(_, datagram)| datagram);
            assert!(arrived.eq(all[unheard..].iter().cloned()));
        }
    }
}

#[test]
fn an_address_that_has_gone_is_told_from_a_plug_that_is_out_whatever_the_kernel_says() {
    use io::ErrorKind::{AddrNotAvailable, InvalidInput, NetworkUnreachable};
    // Linux calls it the second of late, and the first in what most machines run.
    for said in [InvalidInput, NetworkUnreachable] {
        // Of a network for documentation (RFC 5737), which no machine has.
        assert_eq!(why_from(said.into(), "192.0.2.1:9".parse().unwrap()).kind(), AddrNotAvailable);
        assert_eq!(why_from(said.into(), "127.0.0.1:9".parse().unwrap()).kind(), said);
    }
}
