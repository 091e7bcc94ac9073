//! What only `tcp://` does.

use std::io;
use std::time::Duration;

use zocket_transport::tcp::Tcp;
use zocket_transport::{Endpoint, Link, LinkOptions, Listener, Transport, contract};

fn endpoint(text: &str) -> Endpoint {
    text.parse().expect(text)
}

fn v4_only() -> LinkOptions {
    let mut options = LinkOptions::default();
    options.ipv6 = false;
    options
}

async fn bind(at: &str) -> Box<dyn Listener> {
    Tcp::new().bind(&endpoint(at), &LinkOptions::default()).await.expect(at)
}

async fn connect(to: &str) -> io::Result<Link> {
    Tcp::new().connect(&endpoint(to), &LinkOptions::default()).await
}

fn port(endpoint: &Endpoint) -> u16 {
    let (_, port) = endpoint.address().rsplit_once(':').expect("a port");
    port.parse().expect("a number")
}

#[tokio::test]
async fn keeps_the_contract_over_ipv4() {
    contract::all(&Tcp::new(), &endpoint("tcp://127.0.0.1:*")).await;
}

#[tokio::test]
async fn keeps_the_contract_over_ipv6() {
    contract::all(&Tcp::new(), &endpoint("tcp://[::1]:*")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keeps_the_contract_on_all_addresses_and_many_threads() {
    contract::all(&Tcp::new(), &endpoint("tcp://*:0")).await;
}

#[tokio::test]
async fn a_port_is_free_again_while_its_links_live() {
    let mut listener = bind("tcp://127.0.0.1:*").await;
    let bound = listener.endpoint().clone();
    let ours = connect(bound.as_str()).await.unwrap();
    let theirs = listener.accept().await.unwrap().await.unwrap();
    drop(listener);
    let again = bind(bound.as_str()).await;
    assert_eq!(*again.endpoint(), bound);
    drop((ours, theirs));
}

#[tokio::test]
async fn a_wildcard_takes_peers_of_both_versions() {
    let mut listener = bind("tcp://*:*").await;
    let port = port(listener.endpoint());
    assert_eq!(listener.endpoint().as_str(), format!("tcp://[::]:{port}"));
    for host in ["127.0.0.1", "[::1]", "localhost", "0.0.0.0"] {
        let ours = connect(&format!("tcp://{host}:{port}")).await.expect(host);
        let theirs = listener.accept().await.unwrap().await.unwrap();
        assert_eq!(theirs.peer, ours.local);
        assert_eq!(theirs.local, ours.peer);
        assert!(!theirs.peer.as_str().contains("ffff"), "{:?}", theirs.peer);
        assert_eq!(theirs.proof, None);
    }
}

#[tokio::test]
async fn without_ipv6_all_is_ipv4() {
    let tcp = Tcp::new();
    let listener = tcp.bind(&endpoint("tcp://*:*"), &v4_only()).await.unwrap();
    let port = port(listener.endpoint());
    assert_eq!(listener.endpoint().as_str(), format!("tcp://0.0.0.0:{port}"));
    let link = tcp.connect(&endpoint(&format!("tcp://localhost:{port}")), &v4_only()).await.unwrap();
    assert_eq!(link.peer.as_str(), format!("tcp://127.0.0.1:{port}"));
    for error in [
        tcp.bind(&endpoint("tcp://[::1]:*"), &v4_only()).await.unwrap_err(),
        tcp.connect(&endpoint("tcp://[::1]:1"), &v4_only()).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
        assert!(error.to_string().contains("::1"), "{error}");
    }
}

#[tokio::test]
async fn all_addresses_of_a_name_are_tried() {
    // Resolvers that know localhost by both versions name IPv6 first.
    let listener = bind("tcp://127.0.0.1:*").await;
    let port = port(listener.endpoint());
    let link = connect(&format!("tcp://localhost:{port}")).await.unwrap();
    assert_eq!(link.peer, *listener.endpoint());
}

#[tokio::test]
async fn a_name_that_is_not_found_is_named() {
    let text = "tcp://no-such-host.invalid:1";
    for error in [
        connect(text).await.unwrap_err(),
        Tcp::new().bind(&endpoint(text), &LinkOptions::default()).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains("no-such-host.invalid"), "{error}");
    }
}

#[tokio::test]
async fn an_address_of_nobody_here_is_named() {
    // TEST-NET-3, RFC 5737.
    let at = endpoint("tcp://203.0.113.9:1");
    let error = Tcp::new().bind(&at, &LinkOptions::default()).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::AddrNotAvailable);
    assert!(error.to_string().contains("203.0.113.9:1"), "{error}");
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_source_is_where_the_link_comes_from() {
    let mut listener = bind("tcp://127.0.0.1:*").await;
    let target = listener.endpoint().address().to_owned();
    for (source, seen) in [
        ("127.0.0.2:0", "tcp://127.0.0.2:"),
        ("127.0.0.3:*", "tcp://127.0.0.3:"),
        ("lo:0", "tcp://127.0.0.1:"),
        ("*:*", "tcp://127.0.0.1:"),
    ] {
        let ours = connect(&format!("tcp://{source};{target}")).await.expect(source);
        let theirs = listener.accept().await.unwrap().await.unwrap();
        assert!(theirs.peer.as_str().starts_with(seen), "{source}: {:?}", theirs.peer);
        assert_eq!(theirs.peer, ours.local);
    }
    for (source, kind) in [
        ("[::1]:0", io::ErrorKind::AddrNotAvailable),
        ("nosuchif0:0", io::ErrorKind::NotFound),
        ("203.0.113.9:0", io::ErrorKind::AddrNotAvailable),
    ] {
        let error = connect(&format!("tcp://{source};{target}")).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{source}: {error}");
        assert!(error.to_string().contains("source"), "{source}: {error}");
    }
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn an_interface_means_its_address() {
    contract::the_bound_endpoint_can_be_connected_to(&Tcp::new(), &endpoint("tcp://lo:*")).await;
    let listener = bind("tcp://lo:*").await;
    assert_eq!(listener.endpoint().as_str(), format!("tcp://127.0.0.1:{}", port(listener.endpoint())));
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn an_unknown_zone_is_named() {
    let error = connect("tcp://[fe80::1%nosuchif0]:1").await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(error.to_string().contains("nosuchif0"), "{error}");
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn an_attempt_ends_in_time() {
    let mut options = LinkOptions::default();
    options.backlog = 1;
    let tcp = Tcp::new();
    let listener = tcp.bind(&endpoint("tcp://127.0.0.1:*"), &options).await.unwrap();
    options.connect_timeout = Some(Duration::from_millis(100));
    // Nobody accepts; once the queue is full, Linux leaves connecters without an answer.
    let mut links = Vec::new();
    let error = loop {
        match tcp.connect(listener.endpoint(), &options).await {
            Ok(link) => links.push(link),
            Err(error) => break error,
        }
        assert!(links.len() < 10, "the queue takes more than it should");
    };
    assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    assert!(error.to_string().contains(listener.endpoint().address()), "{error}");
}
