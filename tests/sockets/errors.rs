//! Errors at the call: which part of an endpoint is wrong, before anything is done.

use zocket::{BindError, ConnectError, DetachError, EndpointError, Pull, Push};

/// Endpoints no call takes, with the part that the error must show.
const WRONG: &[(&str, &str)] = &[
    ("", ""),
    ("127.0.0.1:5555", "127.0.0.1:5555"),
    ("://x", "://x"),
    ("tcp://", "tcp://"),
    ("TCP://127.0.0.1:1", "TCP"),
    ("carrier-pigeon://roof", "carrier-pigeon"),
    ("tcp://127.0.0.1", "127.0.0.1"),
    ("tcp://127.0.0.1:port", "port"),
    ("tcp://127.0.0.1:65536", "65536"),
    ("tcp://127.0.0.1:-1", "-1"),
    ("tcp://[::1:5555", "[::1"),
    ("tcp://a\nb:1", "tcp://a"),
];

#[tokio::test]
async fn a_wrong_endpoint_is_an_error_at_the_call_that_shows_the_wrong_part() {
    let push = Push::new();
    for &(text, part) in WRONG {
        let bound = push.bind(text).await.unwrap_err();
        assert!(matches!(bound, BindError::Endpoint(_)), "{text:?}: {bound:?}");
        let connected = push.connect(text).unwrap_err();
        assert!(matches!(connected, ConnectError::Endpoint(_)), "{text:?}: {connected:?}");
        for error in [bound.to_string(), connected.to_string()] {
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }
    assert!(push.peers().is_empty(), "nothing was begun");
}

#[tokio::test]
async fn an_unknown_scheme_is_named_with_those_that_are_known() {
    let error = Push::new().connect("ws://127.0.0.1:1").unwrap_err();
    let ConnectError::Endpoint(EndpointError::UnknownScheme { scheme, known, .. }) = error else {
        panic!("{error:?}")
    };
    assert_eq!(scheme, "ws");
    for scheme in ["inproc", "ipc", "tcp"] {
        assert!(known.contains(&scheme), "{known:?}");
    }
}

#[tokio::test]
async fn what_can_only_be_bound_cannot_be_connected() {
    let push = Push::new();
    for text in ["tcp://*:5555", "tcp://127.0.0.1:0", "tcp://127.0.0.1:*", "ipc://*"] {
        let error = push.connect(text).unwrap_err();
        assert!(matches!(error, ConnectError::Endpoint(EndpointError::Address { .. })), "{text}: {error:?}");
    }
}

#[tokio::test]
async fn an_ipc_path_that_is_too_long_is_an_error_at_the_call() {
    let text = format!("ipc:///tmp/{}", "x".repeat(120));
    let error = Pull::new().bind(text.as_str()).await.unwrap_err();
    assert!(matches!(error, BindError::Endpoint(EndpointError::Address { .. })), "{error:?}");
}

#[tokio::test]
async fn an_address_that_is_not_ours_is_an_error_of_bind_with_its_source() {
    // TEST-NET-1: no machine has it.
    let error = Pull::new().bind("tcp://192.0.2.1:1").await.unwrap_err();
    let BindError::Io { source, .. } = &error else { panic!("{error:?}") };
    assert_eq!(source.kind(), std::io::ErrorKind::AddrNotAvailable);
    assert!(std::error::Error::source(&error).is_some());
}

#[tokio::test]
async fn unknown_endpoints_cannot_be_left_or_awaited() {
    let push = Push::new();
    let at = "tcp://127.0.0.1:9";
    assert!(matches!(push.connected(at).await, Err(ConnectError::Unknown(_))));
    assert!(matches!(push.unbind(at).await, Err(DetachError::Unknown(_))));
    assert!(matches!(push.disconnect(at).await, Err(DetachError::Unknown(_))));
    assert!(matches!(push.disconnect("nonsense").await, Err(DetachError::Endpoint(_))));
}
