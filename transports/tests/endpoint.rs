//! `scheme://address` and nothing else.

use std::collections::HashSet;

use zocket_transport::{Endpoint, EndpointError};

#[test]
fn texts_that_are_endpoints() {
    for (text, scheme, address) in [
        ("tcp://127.0.0.1:5555", "tcp", "127.0.0.1:5555"),
        ("tcp://*:*", "tcp", "*:*"),
        ("inproc://a name", "inproc", "a name"),
        ("ipc://@über", "ipc", "@über"),
        ("x+y-z.1://a", "x+y-z.1", "a"),
        ("inproc://a://b", "inproc", "a://b"),
        ("inproc:///", "inproc", "/"),
    ] {
        let endpoint: Endpoint = text.parse().expect(text);
        assert_eq!((endpoint.scheme(), endpoint.address(), endpoint.as_str()), (scheme, address, text));
        assert_eq!(endpoint.to_string(), text);
        assert_eq!(format!("{endpoint:?}"), format!("{text:?}"));
        assert_eq!(Endpoint::new(scheme, address).unwrap(), endpoint);
    }
}

#[test]
fn texts_that_are_none() {
    let missing = |text: &str| EndpointError::MissingScheme { endpoint: text.into() };
    let invalid = |text: &str, scheme: &str| EndpointError::InvalidScheme {
        endpoint: text.into(),
        scheme: scheme.into(),
    };
    let empty = |text: &str| EndpointError::EmptyAddress { endpoint: text.into() };
    for (text, expected) in [
        ("", missing("")),
        ("tcp", missing("tcp")),
        ("tcp:/a", missing("tcp:/a")),
        ("127.0.0.1:5555", missing("127.0.0.1:5555")),
        ("://a", missing("://a")),
        ("tcp://", empty("tcp://")),
        ("TCP://a", invalid("TCP://a", "TCP")),
        (" tcp://a", invalid(" tcp://a", " tcp")),
        ("1tcp://a", invalid("1tcp://a", "1tcp")),
        ("t:p://a", invalid("t:p://a", "t:p")),
        ("tüp://a", invalid("tüp://a", "tüp")),
    ] {
        assert_eq!(text.parse::<Endpoint>(), Err(expected.clone()), "{text}");
        assert_eq!(expected.endpoint(), text);
        assert!(expected.to_string().contains(&format!("{text:?}")), "{expected}");
    }
}

#[test]
fn parts_do_not_shift_when_put_together() {
    assert!(matches!(Endpoint::new("", "a"), Err(EndpointError::InvalidScheme { .. })));
    assert!(matches!(Endpoint::new("tcp://x", "a"), Err(EndpointError::InvalidScheme { .. })));
    assert!(matches!(Endpoint::new("tcp", ""), Err(EndpointError::EmptyAddress { .. })));
}

#[test]
fn control_characters_are_named() {
    for control in ["\0", "\n", "\u{7f}", "\u{85}"] {
        let error = Endpoint::new("inproc", format!("a{control}b")).unwrap_err();
        assert!(matches!(&error, EndpointError::Address { part, .. } if part == control), "{error}");
        assert!(!error.to_string().contains(control), "{error:?}");
    }
}

#[test]
fn length_has_a_limit() {
    let longest = Endpoint::new("inproc", "a".repeat(Endpoint::MAX_LENGTH - 9)).unwrap();
    assert_eq!(longest.as_str().len(), Endpoint::MAX_LENGTH);
    let error = Endpoint::new("inproc", "ü".repeat(Endpoint::MAX_LENGTH)).unwrap_err();
    assert!(matches!(&error, EndpointError::TooLong { length: 2057, .. }), "{error}");
    assert!(error.to_string().len() < 250, "{error}");
    let error = "ü".repeat(10_000).parse::<Endpoint>().unwrap_err();
    assert!(error.endpoint().len() < 10_000);
}

#[test]
fn whatever_names_an_endpoint_becomes_one() {
    fn take<E>(endpoint: E) -> Result<Endpoint, EndpointError>
    where
        E: TryInto<Endpoint>,
        E::Error: Into<EndpointError>,
    {
        endpoint.try_into().map_err(Into::into)
    }
    let text = String::from("tcp://a:1");
    let endpoint = take("tcp://a:1").unwrap();
    assert_eq!(take(&text).unwrap(), endpoint);
    assert_eq!(take(text).unwrap(), endpoint);
    assert_eq!(take(&endpoint).unwrap(), endpoint);
    assert_eq!(take(endpoint.clone()).unwrap(), endpoint);
}

#[test]
fn equality_and_order_are_those_of_the_text() {
    let mut texts = ["tcp://b:1", "ipc://z", "tcp://a:1", "tc://p:1"];
    let mut endpoints = texts.map(|text| Endpoint::try_from(text).unwrap());
    texts.sort_unstable();
    endpoints.sort_unstable();
    assert_eq!(endpoints.each_ref().map(Endpoint::as_str), texts);
    assert_eq!(endpoints.iter().chain(&endpoints).collect::<HashSet<_>>().len(), texts.len());
}

#[test]
fn an_unknown_scheme_names_those_known() {
    let endpoint: Endpoint = "ttcp://a:1".parse().unwrap();
    let error = EndpointError::unknown_scheme(&endpoint, ["tcp", "ipc"]);
    assert_eq!(
        error.to_string(),
        r#"endpoint "ttcp://a:1": scheme "ttcp" is not served; known are tcp, ipc; a context can be given more, as quic"#
    );
    assert_eq!(std::io::Error::from(error).kind(), std::io::ErrorKind::InvalidInput);
}

/// Control characters are shown as six characters each.
#[test]
fn an_error_shows_a_text_once_and_of_a_long_one_the_beginning() {
    for text in [
        format!("{}://a", "\x1d".repeat(1000)),
        "\x1d".repeat(1024),
        "\u{10ffff}".repeat(5000),
        format!("a://{}", "\x1d".repeat(5000)),
    ] {
        let shown = text.parse::<Endpoint>().unwrap_err().to_string();
        assert!(shown.len() < 7 * Endpoint::MAX_LENGTH, "{} bytes for {}", shown.len(), text.len());
    }
}
